"""The rows of a Parquet file, as objects of Python for no more than some of them at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashtag_core.data.parquet import open_parquet, row_bytes
from hashtag_core.errors import InputError
from hashtag_core.prepare.opening import BOMB, most_unpacked
from hashtag_core.sources.table_csv import MAX_LINE, Found, Refused

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_A_TIME = 5000
BYTES_AT_A_TIME = 8 * 2**20  # of rows, as objects

UNREADABLE = "a value that cannot be read"  # a year 20000, text that is not UTF-8
LARGE = f"a row of more than {MAX_LINE:,} bytes"


def parquet_rows(path: Path, columns: list[str] | None = None) -> Iterator[Found | str]:
    """The rows of a Parquet file, as `Opened.rows`; of these columns only, where they are given."""
    size, number, unpacked = path.stat().st_size, 0, 0
    try:
        with open_parquet(path, columns) as file:
            total = file.metadata.num_rows
            for batch in file.iter_batches(ROWS_AT_A_TIME, columns=columns):
                sizes = row_bytes(batch.to_struct_array())
                for cells, why in _cells(batch, sizes):
                    number += 1
                    yield size * number // max(total, 1), number, cells, why
                unpacked += int(sizes[sizes <= MAX_LINE].sum())
                if unpacked > most_unpacked(size):
                    yield BOMB.format(line=number)
                    return
    except (GeneratorExit, InputError):
        raise
    except Exception as error:  # of many kinds
        yield f"damaged after row {number:,}: {' '.join(str(error).split())[:100]}"


def _cells(batch: pa.RecordBatch, sizes: np.ndarray) -> Iterator[tuple[dict | Refused, str]]:
    """(the cells of a row, ""), or (nothing, why not)."""
    import pyarrow as pa

    fits = sizes <= MAX_LINE
    part_of = np.cumsum(np.where(fits, sizes, 0)) // BYTES_AT_A_TIME
    starts = np.flatnonzero(np.diff(part_of, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(batch)], strict=True):
        some = fits[start:end]
        rows = iter(_as_dicts(batch.slice(start, end - start).filter(pa.array(some))))
        for row_fits in some:
            cells = next(rows) if row_fits else Refused()
            yield cells, "" if isinstance(cells, dict) else UNREADABLE if row_fits else LARGE


def _as_dicts(batch: pa.RecordBatch) -> list[dict | Refused]:
    """The rows, where need be one by one: what Python cannot hold spoils its own row only."""
    try:
        return batch.to_pylist()
    except (ValueError, OverflowError):
        if len(batch) == 1:
            return [Refused()]
        return [row for i in range(len(batch)) for row in _as_dicts(batch.slice(i, 1))]

"""The rows of a Parquet file, read batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.data.parquet import open_parquet
from hashtag_core.errors import InputError
from hashtag_core.prepare.opening import BOMB, most_unpacked
from hashtag_core.sources.table_batches import cells_of
from hashtag_core.sources.table_csv import Found

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS_AT_A_TIME, PICTURES_AT_A_TIME = 5000, 100


def parquet_rows(
    path: Path, columns: list[str] | None = None, picture: str | None = None
) -> Iterator[Found | str]:
    """The rows of a Parquet file, as `Opened.rows`.

    Args:
        path: of the file.
        columns: those that are read; all of them where not given.
        picture: the one of them that holds pictures.
    """
    size, number, unpacked = path.stat().st_size, 0, 0
    try:
        with open_parquet(path, columns) as file:
            total = file.metadata.num_rows
            if picture is not None and _is_text(file.schema_arrow.field(picture).type):
                picture = None  # paths
            rows = ROWS_AT_A_TIME if picture is None else PICTURES_AT_A_TIME
            for batch in _batches(file, columns, rows):
                for bytes_of_row, cells, why in cells_of(batch.to_struct_array(), picture):
                    number += 1
                    unpacked += bytes_of_row
                    yield size * number // max(total, 1), number, cells, why
                if unpacked > most_unpacked(size):
                    yield BOMB.format(line=number)
                    return
    except (GeneratorExit, InputError):
        raise
    except Exception as error:  # of many kinds
        yield f"damaged after row {number:,}: {' '.join(str(error).split())[:100]}"


def _batches(
    file: pq.ParquetFile, columns: list[str] | None, rows: int
) -> Iterator[pa.RecordBatch]:
    """Batches of so many rows, each of one row group: its bytes are bounded.

    pyarrow reads no lists with dictionaries of several row groups at once, either.
    """
    for group in range(file.num_row_groups):
        yield from file.iter_batches(rows, row_groups=[group], columns=columns)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    kind = kind.value_type if types.is_dictionary(kind) else kind
    return types.is_string(kind) or types.is_large_string(kind)

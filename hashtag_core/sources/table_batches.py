"""The rows of a batch of Arrow, as objects of Python for no more than some of them at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from hashtag_core.data.parquet import CELL, row_bytes
from hashtag_core.sources.table_csv import MAX_LINE, Refused

if TYPE_CHECKING:
    import pyarrow as pa

BYTES_AT_A_TIME = 8 * 2**20  # of rows, as objects
MAX_PICTURE = 15 * 2**20  # bytes; with the rest of its row it is within those of a piece

UNREADABLE = "a value that cannot be read"  # a year 20000, text that is not UTF-8
LARGE = f"a row of more than {MAX_LINE:,} bytes"
LARGE_PICTURE = f"a picture of more than {MAX_PICTURE // 2**20} MiB in the table: kept without it"


def cells_of(
    rows: pa.StructArray, picture: str | None = None
) -> Iterator[tuple[int, dict | Refused, str]]:
    """(bytes, cells, note or "") of each row; or (0, `Refused`, why it is left out).

    Args:
        rows: of which each cell is whole.
        picture: the column that holds pictures; their bytes count apart.
    """
    import pyarrow as pa

    sizes = row_bytes(rows)
    of_picture = 0 if picture is None else row_bytes(rows.field(picture))
    too_large = np.zeros(len(rows), bool) if picture is None else of_picture > MAX_PICTURE
    if too_large.any():
        rows = _without(rows, picture, too_large)
    fits = sizes - of_picture <= MAX_LINE
    sizes = np.where(too_large, sizes - of_picture + CELL, sizes)
    sizes = np.where(fits, sizes, 0)
    part_of = np.cumsum(sizes) // BYTES_AT_A_TIME
    starts = np.flatnonzero(np.diff(part_of, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        some = fits[start:end]
        made = iter(_as_dicts(rows.slice(start, end - start).filter(pa.array(some))))
        for row in range(start, end):
            cells = next(made) if fits[row] else Refused()
            note = LARGE_PICTURE if too_large[row] else ""
            why = UNREADABLE if fits[row] else LARGE
            yield int(sizes[row]), cells, note if isinstance(cells, dict) else why


def _without(rows: pa.StructArray, name: str, which: np.ndarray) -> pa.StructArray:
    """The same without the cells of one column in these rows."""
    import pyarrow as pa

    places = pa.array(np.arange(len(rows)), mask=which)
    columns = [
        column.take(places) if field.name == name else column
        for field, column in zip(rows.type, rows.flatten(), strict=True)
    ]
    return pa.StructArray.from_arrays(columns, fields=list(rows.type))


def _as_dicts(rows: pa.StructArray) -> list[dict | Refused]:
    """The rows, where need be one by one: what Python cannot hold spoils its own row only."""
    try:
        return rows.to_pylist()
    except (ValueError, OverflowError):
        if len(rows) == 1:
            return [Refused()]
        return [row for i in range(len(rows)) for row in _as_dicts(rows.slice(i, 1))]

"""How a table is read, once it is known what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hashtag_core.sources.table_csv import Found, Refused


@dataclass
class Opened:
    """How a table is read.

    Attributes:
        kind: "csv", "json lines", "json", "geojson", "parquet", "arrow" or "sqlite".
        rows: reads them: (position, line, cells, note or ""), or (position, line, `Refused`,
            reason); a text says what is wrong with the file as a whole, and comes last.
        names: the columns' names, where a header or the format tells them.
        understood: what was guessed or told, a sentence each.
        of_columns: like `rows`, of these columns only, and which of them holds pictures; where the
            format can pass over the others, which may be gigabytes.
        within: of JSON, where the list of rows is: names with dots between them.
    """

    kind: str
    rows: Callable[[], Iterator[Found | str]]
    names: list[str] | None
    understood: list[str] = field(default_factory=list)
    of_columns: Callable[[list[str], str | None], Iterator[Found | str]] | None = None
    within: str = ""


def is_read(row: Found | str) -> bool:
    """Whether a row's cells are known."""
    return not isinstance(row, str) and not isinstance(row[2], Refused)

"""A table's rows, one after the other: CSV and its relatives, JSON lines, JSON, GeoJSON, Parquet.

Nothing here stops at a bad row: it comes out as a reason, with its line, and the next one follows.
What is guessed about the file (encoding, delimiter) is told in `Opened.understood`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hashtag_core.data.parquet import open_parquet
from hashtag_core.errors import InputError
from hashtag_core.prepare.opening import opened, read_some
from hashtag_core.sources.table_csv import (
    BAD_LINES,
    Found,
    Refused,
    csv_rows,
    find_encoding,
)
from hashtag_core.sources.table_dialect import find_dialect
from hashtag_core.sources.table_json import DEEP, NO_OBJECT, json_items, json_lines
from hashtag_core.sources.table_parquet import LARGE, UNREADABLE, parquet_rows
from hashtag_core.sources.table_refused import refuse, refuse_text

SAMPLE = 2**20  # bytes, or so, that guesses are made from

BAD_ROWS = BAD_LINES | {NO_OBJECT, DEEP, UNREADABLE, LARGE}
FEATURES = re.compile(r'"features"\s*:\s*\[\s*\{\s*"(type|geometry|properties|id|bbox)"')


@dataclass
class Opened:
    """How a table is read.

    Attributes:
        kind: "csv", "json lines", "json", "geojson" or "parquet".
        rows: reads them: (position, line, cells, note or ""), or (position, line, `Refused`,
            reason); a text says what is wrong with the file as a whole, and comes last.
        names: the columns' names, where a header or the format tells them.
        understood: what was guessed or told, a sentence each.
    """

    kind: str
    rows: Callable[[], Iterator[Found | str]]
    names: list[str] | None
    understood: list[str] = field(default_factory=list)


def is_read(row: Found | str) -> bool:
    """Whether a row's cells are known."""
    return not isinstance(row, str) and not isinstance(row[2], Refused)


def open_table(
    path: Path,
    header: bool,
    encoding: str | None = None,
    delimiter: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> Opened:
    """Find out what kind of table a file is, and how to read it.

    Args:
        path: of the file, which may be compressed.
        header: whether the first row of a CSV file names the columns.
        encoding: of a text file; found out where not given.
        delimiter: of a CSV file; found out where not given.
        columns: those of `Table` that are told.

    Raises:
        InputError: where that cannot be found out.
    """
    with opened(path) as (file, _):
        sample, _ = read_some(file, SAMPLE)
    if not sample.strip():
        raise InputError(f"{path}: the file is empty, or damaged from its beginning.")
    if sample.startswith(b"PAR1"):
        return _parquet(path)
    refuse(path, sample)
    encoding, how = find_encoding(path, sample, encoding, len(sample) < SAMPLE)
    try:
        text = sample.decode(encoding, errors="replace")
    except UnicodeError as error:
        raise InputError(f"{path}: cannot be read as {encoding} ({error}).") from None
    start = text.lstrip()
    if start[:1] == "{" and ('"FeatureCollection"' in start[:2000] or FEATURES.search(start)):
        return Opened("geojson", lambda: json_items(path, encoding, "features"), None, [how])
    if start[:1] == "[" and start[1:].lstrip()[:1] == "{":
        return Opened("json", lambda: json_items(path, encoding), None, [how])
    refuse_text(path, text)
    if start[:1] == "{":
        return Opened("json lines", lambda: json_lines(path, encoding), None, [how])
    return _csv(path, text, header, (encoding, how), delimiter, columns)


def _csv(
    path: Path,
    text: str,
    header: bool,
    encoding: tuple[str, str],
    delimiter: str | None,
    columns: Mapping[str, str] | None,
) -> Opened:
    delimiter = "\t" if delimiter == r"\t" else delimiter
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '\r\n"'):
        raise InputError(f"--delimiter {delimiter!r}: one character.")
    dialect, how = find_dialect(path, text.removeprefix("\ufeff"), delimiter, columns)
    rows, names = partial(csv_rows, path, encoding[0], dialect), None
    if header:
        first = next(filter(is_read, rows(False)), None)
        if first is None:
            why = next(row if isinstance(row, str) else row[-1] for row in rows(False))
            raise InputError(f"{path}: no row with {dialect.width} columns to name them ({why}).")
        names = [str(cell).strip() for cell in first[2]]
    return Opened("csv", partial(rows, header), names, [encoding[1], how])


def _parquet(path: Path) -> Opened:
    with open_parquet(path, []) as file:
        names = file.schema_arrow.names
    return Opened("parquet", lambda: parquet_rows(path), names)

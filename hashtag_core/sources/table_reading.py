"""A table's rows, one after the other: of text, JSON, Parquet and SQLite.

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
from hashtag_core.prepare.sqlite import is_sqlite
from hashtag_core.sources.table_arrow import arrow_names, arrow_rows, is_arrow
from hashtag_core.sources.table_batches import LARGE, UNREADABLE
from hashtag_core.sources.table_csv import (
    BAD_LINES,
    DELIMITERS,
    Found,
    Refused,
    csv_rows,
    find_encoding,
    guess_delimiter,
    usual_width,
)
from hashtag_core.sources.table_json import DEEP, NO_OBJECT, json_items, json_lines
from hashtag_core.sources.table_parquet import parquet_rows
from hashtag_core.sources.table_refused import refuse, refuse_text
from hashtag_core.sources.table_sqlite import choose_table, sqlite_rows

SAMPLE = 2**20  # bytes, or so, that guesses are made from

BAD_ROWS = BAD_LINES | {NO_OBJECT, DEEP, UNREADABLE, LARGE}
FEATURES = re.compile(r'"features"\s*:\s*\[\s*\{\s*"(type|geometry|properties|id|bbox)"')


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


def open_table(
    path: Path,
    header: bool,
    encoding: str | None = None,
    delimiter: str | None = None,
    columns: Mapping[str, str] | None = None,
    table: str | None = None,
) -> Opened:
    """Find out what kind of table a file is, and how to read it.

    Args:
        path: of the file, which may be compressed.
        header: whether the first row of a CSV file names the columns.
        encoding: of a text file; found out where not given.
        delimiter: of a CSV file; found out where not given.
        columns: those of `Table` that are told: of several tables in a file, the one that has them
            is read.
        table: of an SQLite file, the table's name.

    Raises:
        InputError: where that cannot be found out.
    """
    columns = list((columns or {}).values())
    with opened(path) as (file, raw):
        sample, _ = read_some(file, SAMPLE)
        is_packed = file is not raw
    if not sample.strip():
        raise InputError(f"{path}: the file is empty, or damaged from its beginning.")
    if table is not None and not is_sqlite(sample):
        raise InputError(f"{path}: no SQLite database; there is no --table in it.")
    if is_sqlite(sample) or is_arrow(sample) or sample.startswith(b"PAR1"):
        if is_packed:
            raise InputError(f"{path}: it is compressed as a whole. Unpack it.")
        return _binary(path, sample, encoding, columns, table)
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
    return _csv(path, text, header, encoding, delimiter, how)


def _csv(
    path: Path, text: str, header: bool, encoding: str, delimiter: str | None, how: str
) -> Opened:
    delimiter = "\t" if delimiter == r"\t" else delimiter
    if delimiter is None:
        delimiter, width = guess_delimiter(path, text)
    elif len(delimiter) != 1 or delimiter in '\r\n"':
        raise InputError(f"--delimiter {delimiter!r}: one character.")
    else:
        width = usual_width(text, delimiter)[1]
    rows, names = partial(csv_rows, path, encoding, delimiter, width), None
    if header:
        first = next(filter(is_read, rows(False)), None)
        if first is None:
            why = next(row if isinstance(row, str) else row[-1] for row in rows(False))
            raise InputError(f"{path}: no row with {width} columns to name them ({why}).")
        names = [str(cell).strip() for cell in first[2]]
    columns = f"{width} columns, separated by {DELIMITERS.get(delimiter, delimiter)}"
    return Opened("csv", partial(rows, header), names, [how, columns])


def _binary(
    path: Path, sample: bytes, encoding: str | None, columns: list[str], table: str | None
) -> Opened:
    if is_sqlite(sample):
        encoding, how = find_encoding(path, b"", encoding)
        table, names, why = choose_table(path, table, columns)
        read = partial(sqlite_rows, path, table, encoding)
        return Opened("sqlite", partial(read, names), names, [how, why], read)
    if is_arrow(sample):
        read = partial(arrow_rows, path)
        return Opened("arrow", read, arrow_names(path), of_columns=read)
    with open_parquet(path, []) as file:
        names = file.schema_arrow.names
    read = partial(parquet_rows, path)
    return Opened("parquet", read, names, of_columns=read)

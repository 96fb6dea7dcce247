"""A table's rows, one after the other: of text, JSON, Parquet, Arrow, SQLite.

Nothing here stops at a bad row: it comes out as a reason, with its line, and the next one follows.
What is guessed about the file (encoding, delimiter) is told in `Opened.understood`.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    csv_rows,
    find_encoding,
)
from hashtag_core.sources.table_dialect import find_dialect
from hashtag_core.sources.table_json import DEEP, NO_OBJECT
from hashtag_core.sources.table_json_rows import open_json, script_before
from hashtag_core.sources.table_opened import Opened, is_read
from hashtag_core.sources.table_parquet import parquet_rows
from hashtag_core.sources.table_refused import refuse, refuse_folder, refuse_text
from hashtag_core.sources.table_sqlite import choose_table, sqlite_rows

SAMPLE = 2**20  # bytes, or so, that guesses are made from

BAD_ROWS = BAD_LINES | {NO_OBJECT, DEEP, UNREADABLE, LARGE}


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
    refuse_folder(path)
    named = list((columns or {}).values())
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
        return _binary(path, sample, encoding, named, table)
    refuse(path, sample)
    encoding, how = find_encoding(path, sample, encoding, len(sample) < SAMPLE)
    try:
        text = sample.decode(encoding, errors="replace")
    except UnicodeError as error:
        raise InputError(f"{path}: cannot be read as {encoding} ({error}).") from None
    script = script_before(text)
    start = text[len(script) :].lstrip()
    refuse_text(path, start)
    if start[:1] == "{" or (start[:1] == "[" and start[1:].lstrip()[:1] in ("{", "]")):
        opened_json = open_json(path, encoding, start, len(script), named)
        told = [f"in front of it, {' '.join(script.split())!r}: cut off"] if script else []
        opened_json.understood = [how, *told, *opened_json.understood]
        return opened_json
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
            why = next((row if isinstance(row, str) else row[-1] for row in rows(False)), None)
            if why is None:  # sep= in line 1 is all there is
                raise InputError(f"{path}: there is no row in it.")
            raise InputError(f"{path}: no row with {dialect.width} columns to name them ({why}).")
        names = [str(cell).strip() for cell in first[2]]
    return Opened("csv", partial(rows, header), names, [encoding[1], how])


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

"""The rows of a table in an SQLite file, one after the other, in the order of the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hashtag_core.errors import InputError
from hashtag_core.prepare.sqlite import Database, open_sqlite, quoted
from hashtag_core.sources.table_batches import LARGE, LARGE_PICTURE, MAX_PICTURE
from hashtag_core.sources.table_csv import MAX_LINE, Found, Refused

MOST_TABLES = 10  # named in an error, each with some of its columns
MOST_COLUMNS = 8
MAX_NAME = 40


def choose_table(
    path: Path, given: str | None = None, columns: Sequence[str] = ()
) -> tuple[str, list[str], str]:
    """(a table of the file, its columns, why this one).

    Args:
        path: of the file.
        given: the table that is wanted.
        columns: those that will be read. Where there are several tables and none is given, it has
            to be the only one that has them all.

    Raises:
        InputError: where it cannot be known; it names the tables.
    """
    with open_sqlite(path) as (_, all_tables):
        tables = {name: names for name, names in all_tables.items() if names}
    if given is not None:
        if given not in tables:
            raise InputError(f"{path}: there is no table {given}. There are: {_listed(tables)}")
        return given, tables[given], f"table {given}, as told"
    fitting = [name for name, names in tables.items() if set(columns) <= set(names)]
    if len(tables) == 1:
        (name,) = tables
        return name, tables[name], f"table {name}"
    if columns and len(fitting) == 1:
        others = f"the only one of {len(tables)} with these columns"
        return fitting[0], tables[fitting[0]], f"table {fitting[0]}, {others}"
    if not tables:
        raise InputError(f"{path}: there is no table in it.")
    raise InputError(f"{path}: several tables. Tell its --table: {_listed(tables)}")


def sqlite_rows(
    path: Path, table: str, encoding: str, columns: Sequence[str], picture: str | None = None
) -> Iterator[Found | str]:
    """The rows of a table, by their number; as `Opened.rows`.

    Args:
        path: of the file.
        table: the table's name.
        encoding: of the texts, where the file says UTF-8.
        columns: those that are read.
        picture: the one of them that holds pictures.
    """
    size, number = path.stat().st_size, 0
    names = ", ".join(map(quoted, columns))
    with open_sqlite(path) as database:
        database.connection.text_factory = lambda text: text.decode(encoding, "replace")
        total = _last_number(database, table)
        try:
            # not by an index, which has an order of its own; one by one, as each may be large
            for cells in database.connection.execute(
                f"SELECT {names} FROM {quoted(table)} NOT INDEXED"
            ):
                number += 1
                row, why = _row(dict(zip(columns, cells, strict=True)), picture)
                yield size * min(number, total) // total, number, row, why
        except (sqlite3.Error, UnicodeError) as error:
            yield f"damaged, or with a value that is too large, after row {number:,} ({error})"


def _row(cells: dict[str, Any], picture: str | None) -> tuple[dict | Refused, str]:
    """(the cells, note or ""), or (nothing, why it is left out)."""
    sizes = {name: len(cell) for name, cell in cells.items() if isinstance(cell, str | bytes)}
    of_picture = sizes.pop(picture, 0)
    if sum(sizes.values()) > MAX_LINE:
        return Refused(), LARGE
    if of_picture > MAX_PICTURE:
        return {**cells, picture: None}, LARGE_PICTURE
    return cells, ""


def _last_number(database: Database, table: str) -> int:
    """The number of the last row, which is about how many there are; 2**63 where nothing tells."""
    last = f"SELECT _rowid_ FROM {quoted(table)} ORDER BY _rowid_ DESC LIMIT 1"
    try:
        found = database.connection.execute(last).fetchone()
    except (sqlite3.Error, UnicodeError):
        found = None
    number = found[0] if found else None
    return number if isinstance(number, int) and number > 0 else 2**63


def _listed(tables: dict[str, list[str]]) -> str:
    shown = []
    for name, columns in list(tables.items())[:MOST_TABLES]:
        some = ", ".join(column[:MAX_NAME] for column in columns[:MOST_COLUMNS])
        more = ", …" if len(columns) > MOST_COLUMNS else ""
        shown.append(f"{name[:MAX_NAME]} ({some}{more})")
    return "; ".join(shown) + ("; …" if len(tables) > MOST_TABLES else "")

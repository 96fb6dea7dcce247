"""SQLite files from outside, opened so that neither the file nor anything beside it is touched.

A database can hold more than tables: views, triggers and columns that are computed run what their
author wrote. Nothing but the stored columns of tables is read here, so nothing of that runs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from hashtag_core.errors import InputError

MAGIC = b"SQLite format 3\0"
MAX_VALUE = 16 * 2**20  # bytes of a text or blob that is read; a longer one is an error of SQLite's
UNFINISHED = ("-wal", "-journal")  # endings of files beside it that hold changes
MAX_TABLES = 10_000
READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ}
SETTINGS = ("query_only=1", "trusted_schema=0", "cell_size_check=1", "mmap_size=0")


class Database(NamedTuple):
    """An open database."""

    connection: sqlite3.Connection  # it can only read; texts come as bytes, as they are stored
    tables: dict[str, list[str]]  # the stored columns of each table


def is_sqlite(start: bytes) -> bool:
    """Whether a file that begins like this is an SQLite database."""
    return start.startswith(MAGIC)


def quoted(name: str) -> str:
    """The name of a table or column, as it stands in a statement."""
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def open_sqlite(path: Path, functions: frozenset[str] = frozenset()) -> Iterator[Database]:
    """Open a database only to read from it; no journal and no lock is ever made for it.

    Views, virtual tables and computed columns are not among its tables.

    Args:
        path: of the file.
        functions: SQLite's own that statements may call.

    Raises:
        InputError: where it cannot be opened, is no database, or has changes waiting beside it.
    """
    real = path.resolve()  # beside which SQLite writes them
    for ending in UNFINISHED:
        beside = real.with_name(real.name + ending)
        if _holds_changes(beside):
            raise InputError(
                f"{path}: {beside.name} beside it holds changes that are not in it yet. Close the "
                f"program that writes it, or run: sqlite3 {real.name} 'PRAGMA wal_checkpoint'"
            )

    _check_whole(path)

    def allow(action: int, first: str | None, second: str | None, *_: str | None) -> int:
        calls = action == sqlite3.SQLITE_FUNCTION and second in functions
        asks = action == sqlite3.SQLITE_PRAGMA and first == "table_xinfo"
        return sqlite3.SQLITE_OK if action in READS or calls or asks else sqlite3.SQLITE_DENY

    try:
        address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        connection = sqlite3.connect(address, uri=True, check_same_thread=False)
    except sqlite3.Error as error:
        raise InputError(f"{path}: cannot be opened ({error}).") from None
    with closing(connection):
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
        try:
            for setting in SETTINGS:
                connection.execute(f"PRAGMA {setting}")
            tables = _tables(connection)
        except (sqlite3.Error, UnicodeError) as error:
            raise InputError(f"{path}: a damaged SQLite database ({error}).") from None
        connection.set_authorizer(allow)
        connection.text_factory = bytes
        yield Database(connection, tables)


def _holds_changes(beside: Path) -> bool:
    """Whether a journal is there, and not one that was done with: zeros stand in front of those."""
    if not beside.is_file():
        return False
    with beside.open("rb") as file:
        return file.read(1) not in (b"", b"\0")


def _check_whole(path: Path) -> None:
    """Refuse a file that is shorter than it says, as a download that was stopped leaves it."""
    with path.open("rb") as file:
        start = file.read(100)
    size, pages = (int.from_bytes(start[i:j], "big") for i, j in ((16, 18), (28, 32)))
    said = pages * (65536 if size == 1 else size)
    is_valid = start[24:28] == start[92:96]  # else an old version of SQLite wrote it last
    if is_valid and (there := path.stat().st_size) < said:
        raise InputError(
            f"{path}: a damaged SQLite database: {there:,} bytes of {said:,}. "
            "Is it downloaded whole?"
        )


def _tables(connection: sqlite3.Connection) -> dict[str, list[str]]:
    stored = "type = 'table' AND rootpage > 0 AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    names = connection.execute(f"SELECT name FROM sqlite_master WHERE {stored}")
    tables = {}
    for (name,) in names.fetchmany(MAX_TABLES):
        columns = connection.execute(f"PRAGMA table_xinfo({quoted(name)})").fetchall()
        tables[name] = [column for _, column, *_, hidden in columns if not hidden]
    return tables

"""YFCC100M's metadata as an SQLite file: a table with the published columns, read by row ids.

SQLite itself puts all cells of a column one behind the other, for as many rows as lie on some
megabytes of pages: Python sees a few long texts in place of millions of short ones. Where that
fails (a page is damaged, a value too long, a separator within a value), the rows of those pages are
read one by one.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashtag_core.errors import InputError
from hashtag_core.prepare.report import FIRST
from hashtag_core.prepare.sqlite import open_sqlite, quoted
from hashtag_core.prepare.sqlite_pages import FIRST_ID, LAST_ID, Range, Tree
from hashtag_core.prepare.staging import LINE_BITS, Piece
from hashtag_core.sources.yfcc100m_rows import MAX_TAGS, NAMES, UNREADABLE, WRONG_ROW_ID, Cells

if TYPE_CHECKING:
    import pyarrow as pa

TABLE = "yfcc100m_dataset"
FUNCTIONS = frozenset({"count", "group_concat", "ifnull"})
SEPARATOR = b"\x1e"
ROW_IDS = "rowid", "_rowid_", "oid"  # SQLite's names of it, if no column has the same
MOST_STEPS = 100  # millions of SQLite's own, for the rows of one block: more is a tangled file
CELL = 50  # bytes that a short text takes in Python


class Rows(NamedTuple):
    """Some rows, column by column."""

    ids: np.ndarray  # (n,) int64, their row ids
    columns: dict[str, bytes | list[bytes]]  # one text with separators, or texts
    unreadable: list[int]  # row ids of more rows, of which nothing else could be read


class SqliteTable:
    """A database, as a form of the metadata.

    Args:
        path: of the file.
        wanted: the columns that are read if they are there -> what they are called.

    Raises:
        InputError: where it has no table with the columns of `NAMES`, or several.
    """

    malformed: frozenset[str] = frozenset()
    numbered = "row_id"

    def __init__(self, path: Path, wanted: dict[str, str]) -> None:
        self.path = path
        with open_sqlite(path) as (connection, tables):
            row_ids = {table: name for table in tables if (name := _row_id(connection, table))}
            self.table, columns = _table(path, tables, row_ids)
            self.row_id = row_ids[self.table]
            query = "SELECT rootpage FROM sqlite_master WHERE type = 'table' AND name = ?"
            self.root = connection.execute(query, [self.table]).fetchone()[0]
        self.columns = {new: columns[name] for name, new in wanted.items() if name in columns}

    def pieces(self, size: int) -> Iterator[Piece | str]:
        """The rows that lie on so many bytes of pages, again and again."""
        lost, leaves = Lost(), 0
        with self.path.open("rb") as file, open_sqlite(self.path, FUNCTIONS) as (connection, _):
            tree = Tree(file, self.root)
            for part in tree.ranges(size):
                leaves += part.leaves
                rows = self._at_once(connection, part, 2 * size)
                if rows is None:
                    ends = tree.leaf_ends(part)
                    for some in self._one_by_one(connection, part.first, ends, size, lost):
                        yield Piece(leaves * tree.page, some)
                elif len(rows.ids):
                    yield Piece(leaves * tree.page, rows)
        yield from lost.told()

    def _at_once(self, connection: sqlite3.Connection, part: Range, most: int) -> Rows | None:
        """The rows of a range, as one text for each column; None where it cannot be."""
        import pyarrow as pa

        names = [self.row_id, *map(quoted, self.columns.values())]
        joined = (f"group_concat(ifnull({name}, ''), '{SEPARATOR.decode()}')" for name in names)
        query = f"SELECT count(*), {', '.join(joined)} {self._between()}"
        steps = chain(repeat(0, MOST_STEPS), repeat(1))  # in C, so that ctrl-C is not lost in it
        connection.set_progress_handler(steps.__next__, 1_000_000)
        try:
            number, *texts = connection.execute(query, [part.first, part.last]).fetchone()
        except sqlite3.Error:
            return None
        finally:
            connection.set_progress_handler(None, 0)
        if not number:
            return Rows(np.zeros(0, np.int64), {}, [])
        if any(t.count(SEPARATOR) != number - 1 for t in texts) or sum(map(len, texts)) > most:
            return None
        ids = _cells(texts[0], number).cast(pa.string()).cast(pa.int64()).to_numpy()
        if ids[0] < part.first or ids[-1] > part.last or (np.diff(ids) <= 0).any():
            return None
        return Rows(ids, dict(zip(self.columns, texts[1:], strict=True)), [])

    def _one_by_one(
        self, connection: sqlite3.Connection, first: int, ends: list[int], size: int, lost: Lost
    ) -> Iterator[Rows]:
        """The rows from an id to the last of `ends` of leaves, some at a time."""
        ids: list[int] = []
        cells: list[list[bytes]] = []
        unreadable: list[int] = []
        held = 0
        for row_id, texts in self._each(connection, first, ends, lost):
            if texts is None:
                unreadable.append(row_id)
                continue
            ids.append(row_id)
            cells.append([text[: MAX_TAGS + 1] for text in texts])
            held += sum(map(len, cells[-1])) + CELL * len(texts)
            if held > size:
                yield self._of(ids, cells, unreadable)
                ids, cells, unreadable, held = [], [], [], 0
        if ids or unreadable:
            yield self._of(ids, cells, unreadable)

    def _each(
        self, connection: sqlite3.Connection, first: int, ends: list[int], lost: Lost
    ) -> Iterator[tuple[int, list[bytes] | None]]:
        """(row id, cells; None where they cannot be read) of each, going on behind a bad leaf."""
        last = ends[-1]
        columns = ", ".join(f"ifnull(CAST({quoted(c)} AS TEXT), '')" for c in self.columns.values())
        some = f"SELECT {self.row_id}, {columns} {self._between()} ORDER BY {self.row_id}"
        one = f"SELECT {columns} FROM {quoted(self.table)} WHERE {self.row_id} = ?"
        while first <= last:
            try:
                for row_id, *texts in connection.execute(some, [first, last]):
                    if not first <= row_id <= last:
                        raise Unordered
                    yield row_id, texts
                    first = row_id + 1
                return
            except sqlite3.Error as error:  # of the next row, or of the one behind it
                if first > last:
                    return
                row_id = self._next(connection, first, last)
                if isinstance(error, Unordered) and row_id is not None and row_id > first:
                    lost.add(first, row_id - 1)  # another page stands in the place of theirs
            if row_id is None:
                row_id = ends[bisect_left(ends, first)]
                lost.add(first, row_id)
            else:
                try:
                    found = connection.execute(one, [row_id]).fetchone()
                except sqlite3.Error:
                    found = None
                yield row_id, None if found is None else [*found]
            first = row_id + 1

    def _of(self, ids: list[int], cells: list[list[bytes]], unreadable: list[int]) -> Rows:
        columns = [[*column] for column in zip(*cells, strict=True)] or [[] for _ in self.columns]
        return Rows(
            np.array(ids, np.int64), dict(zip(self.columns, columns, strict=True)), unreadable
        )

    def _next(self, connection: sqlite3.Connection, first: int, last: int) -> int | None:
        """The next row id, where it can be read though the row cannot."""
        query = f"SELECT {self.row_id} {self._between()} ORDER BY {self.row_id} LIMIT 1"
        try:
            found = connection.execute(query, [first, last]).fetchone()
        except sqlite3.Error:
            return None
        return found[0] if found and first <= found[0] <= last else None

    def _between(self) -> str:
        return f"FROM {quoted(self.table)} WHERE {self.row_id} BETWEEN ? AND ?"

    def cells(self, data: Rows) -> Cells:
        """The columns of some rows, as bytes, and their row ids."""
        import pyarrow as pa

        columns = {
            name: _cells(column, len(data.ids))
            if isinstance(column, bytes)
            else pa.array(column, pa.binary())
            for name, column in data.columns.items()
        }

        def text(row_id: int) -> str:
            at = int(np.searchsorted(data.ids, row_id))
            if at == len(data.ids) or data.ids[at] != row_id:
                return ""
            cells = (column[at].as_py() for column in columns.values())
            return b"\t".join(cells).decode("utf-8", "backslashreplace")

        fits = (data.ids > 0) & (data.ids < 1 << LINE_BITS)
        unreadable = np.array(data.unreadable, np.int64)
        named = (unreadable > 0) & (unreadable < 1 << LINE_BITS)
        left_out = [
            (WRONG_ROW_ID, np.zeros(int((~fits).sum()), np.int64)),
            (UNREADABLE, np.where(named, unreadable, 0)),
        ]
        if fits.all():
            return Cells(columns, data.ids, left_out, text)
        good = {name: column.filter(pa.array(fits)) for name, column in columns.items()}
        return Cells(good, data.ids[fits], left_out, text)


class Unordered(sqlite3.DatabaseError):
    """Row ids that do not ascend: a page stands twice in the tree, or in a wrong place."""


class Lost:
    """Row ids between which nothing could be read."""

    def __init__(self) -> None:
        self.ranges: list[tuple[int, int]] = []
        self.more = 0  # ranges that are not in the list

    def add(self, first: int, last: int) -> None:
        """A range behind all the others."""
        if self.ranges and self.ranges[-1][1] + 1 == first:
            self.ranges[-1] = self.ranges[-1][0], last
        elif len(self.ranges) < FIRST:
            self.ranges.append((first, last))
        else:
            self.more += 1

    def told(self) -> Iterator[str]:
        """A line for each."""
        for first, last in self.ranges:
            start = "" if first == FIRST_ID else f" from {first:,}"
            end = "" if last == LAST_ID else f" to {last:,}"
            yield f"damaged: no row could be read with a row id{start}{end}"
        if self.more:
            yield f"damaged: so it is at {self.more:,} more places"


def has_photos(path: Path) -> bool:
    """Whether any table of a database has a column of photos' ids."""
    with open_sqlite(path) as (_, tables):
        return any("photoid" in map(str.lower, names) for names in tables.values())


def _row_id(connection: sqlite3.Connection, table: str) -> str | None:
    """SQLite's name of a table's row ids; None where it has none, or columns with all the names."""
    columns = connection.execute(f"PRAGMA table_xinfo({quoted(table)})")
    taken = {name.lower() for _, name, *_ in columns}  # also by computed ones
    try:
        free = next(name for name in ROW_IDS if name.encode() not in taken)
        connection.execute(f"SELECT {free} FROM {quoted(table)} LIMIT 0")
    except (StopIteration, sqlite3.Error):
        return None
    return free


def _table(
    path: Path, tables: dict[str, list[str]], row_ids: dict[str, str]
) -> tuple[str, dict[str, str]]:
    """(the table that holds the metadata, its columns: name in lower case -> name)."""
    columns = {table: {name.lower(): name for name in names} for table, names in tables.items()}
    missing = {t: [name for name in NAMES if name not in found] for t, found in columns.items()}
    whole = [table for table, names in missing.items() if not names]
    fitting = [table for table in whole if table in row_ids]
    if whole and not fitting:
        raise InputError(
            f"{path}: the table {whole[0]} has no row ids. Copy it: "
            f"CREATE TABLE copy AS SELECT * FROM {quoted(whole[0])}"
        )
    if TABLE in fitting or len(fitting) == 1:
        table = TABLE if TABLE in fitting else fitting[0]
        return table, columns[table]
    where = f"{path}: an SQLite file, but not YFCC100M's metadata:"
    if fitting:
        raise InputError(f"{where} several tables have its columns: {', '.join(fitting[:9])}.")
    if not missing:
        raise InputError(f"{where} there is no table in it.")
    nearest = min(missing, key=lambda table: len(missing[table]))
    raise InputError(f"{where} the table {nearest} has no {', '.join(missing[nearest])}.")


def _cells(text: bytes, number: int) -> pa.Array:
    """A text with separators as its parts, without a step of Python for each."""
    import pyarrow as pa

    at = np.flatnonzero(np.frombuffer(text, np.uint8) == SEPARATOR[0])
    data = text.replace(SEPARATOR, b"")
    ends = np.concatenate([[0], at - np.arange(len(at)), [len(data)]]).astype(np.int32)
    return pa.Array.from_buffers(
        pa.binary(), number, [None, pa.py_buffer(ends), pa.py_buffer(data)]
    )

"""Where a table's rows lie in an SQLite file: the row ids at which its pages end.

A table of SQLite is a tree of pages. Those inside say up to which row id each page below them goes;
those at the bottom, the leaves, hold the rows. What is read here only cuts the row ids into ranges
of about equal bytes; the rows themselves SQLite reads, so a page that lies costs no row.
https://www.sqlite.org/fileformat.html, section 1.6
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

INSIDE = 5  # the type of a page inside a table's tree
MAX_DEPTH = 20
FIRST_ID, LAST_ID = -(2**63), 2**63 - 1  # the least and the greatest row id
START = 100  # bytes of the file's header, on the first page


class Range(NamedTuple):
    """Row ids that lie beside each other."""

    first: int
    last: int
    leaves: int  # on how many, about
    above: list[tuple[int, int]]  # pages above these leaves, and where they end


class Tree:
    """The pages of a table.

    Args:
        file: the database, open to be read.
        root: the number of the table's first page.
    """

    def __init__(self, file: BinaryIO, root: int) -> None:
        file.seek(0)
        size = int.from_bytes(file.read(START)[16:18], "big")
        self.file, self.root = file, root
        self.page = 65536 if size == 1 else size  # bytes
        self.seen: set[int] = set()  # pages inside; each is looked at once

    def ranges(self, size: int) -> Iterator[Range]:
        """All row ids, cut into ranges of about so many bytes of leaves."""
        most = max(size // self.page, 1)
        first, leaves, above = FIRST_ID, 0, []
        for page, end in self._above_leaves():
            if end < first:
                continue  # no order, so no guide
            above.append((page, end))
            number = self._number(page) + 1
            cuts = [(end, number)]
            if number > most:
                ends = sorted(e for e in self._ends(page) if first <= e < end)[most - 1 :: most]
                cuts = [*((e, most) for e in ends), (end, number % most)]
            for last, below in cuts:
                leaves += below
                if leaves >= most or last == LAST_ID:
                    yield Range(first, last, leaves, above)
                    first, leaves, above = last + 1, 0, [(page, end)] if last < end else []

    def leaf_ends(self, some: Range) -> list[int]:
        """The row ids in a range at which leaves end, ascending; its own last one is the last."""
        ends = {end for page, upper in some.above for end in (*self._ends(page), upper)}
        return [*sorted(end for end in ends if some.first <= end < some.last), some.last]

    def _above_leaves(self) -> Iterator[tuple[int, int]]:
        """The pages above the leaves, each with the row id where it ends."""
        depth, page = 0, self.root
        while depth < MAX_DEPTH and (cells := self._cells(self._read(page))):
            page, depth = cells[0][0], depth + 1  # the leaves are equally deep everywhere
        yield from self._below(self.root, depth, LAST_ID)

    def _below(self, page: int, depth: int, end: int) -> Iterator[tuple[int, int]]:
        if depth <= 1:
            yield page, end
        elif page not in self.seen:
            self.seen.add(page)
            for child, key in self._cells(self._read(page)) or [(0, end)]:
                yield from self._below(child, depth - 1, end if key is None else key)

    def _ends(self, page: int) -> list[int]:
        """Where the pages below a page end, but for the last one."""
        return [end for _, end in self._cells(self._read(page)) if end is not None]

    def _read(self, page: int) -> bytes:
        """A page inside, without what stands before it; nothing where it is another one."""
        self.file.seek(max(page - 1, 0) * self.page)
        data = self.file.read(self.page)
        at = START if page == 1 else 0
        return data if len(data) == self.page and data[at] == INSIDE else b""

    def _number(self, page: int) -> int:
        """How many pages are below one, but for the last."""
        at = START if page == 1 else 0
        return int.from_bytes(self._read(page)[at + 3 : at + 5], "big")

    def _cells(self, data: bytes) -> list[tuple[int, int | None]]:
        """(page, the row id where it ends, None for the last one) of those below."""
        if not data:
            return []
        at = 0 if data[0] == INSIDE else START
        number = int.from_bytes(data[at + 3 : at + 5], "big")
        cells: list[tuple[int, int | None]] = []
        for pointer in range(at + 12, min(at + 12 + 2 * number, self.page - 1), 2):
            cell = int.from_bytes(data[pointer : pointer + 2], "big")
            key = _varint(data[cell + 4 : cell + 13])
            cells.append((int.from_bytes(data[cell : cell + 4], "big"), key))
        return [*cells, (int.from_bytes(data[at + 8 : at + 12], "big"), None)]


def _varint(data: bytes) -> int:
    """SQLite's integers of 1 to 9 bytes."""
    value = 0
    for byte in data[:8]:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value
    value = value << 8 | (data[8] if len(data) > 8 else 0)
    return value - 2**64 if value >= 2**63 else value

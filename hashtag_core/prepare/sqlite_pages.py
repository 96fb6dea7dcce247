"""Where a table's rows lie in an SQLite file: the row ids at which its pages end.

A table of SQLite is a tree of pages. Those inside say up to which row id each page below them goes;
those at the bottom, the leaves, hold the rows. What is read here only cuts the row ids into ranges
of about equal bytes; the rows themselves SQLite reads, so a page that lies costs no row.
https://www.sqlite.org/fileformat.html, section 1.6
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

INSIDE = 5  # the type of a page inside a table's tree
MAX_DEPTH = 20
FIRST_ID, LAST_ID = -(2**63), 2**63 - 1  # the least and the greatest row id
START = 100  # bytes of the file's header, on the first page


def page_size(start: bytes) -> int:
    """Bytes of a page, from the file's first ones."""
    size = int.from_bytes(start[16:18], "big")
    return 65536 if size == 1 else size


def leaf_ends(path: Path, root: int) -> Iterator[int]:
    """The row ids at which the leaves of a table end, ascending; the last one is `LAST_ID`.

    Args:
        path: of the database.
        root: the number of the table's first page.
    """
    with path.open("rb") as file:
        tree = _Tree(file)
        last = FIRST_ID
        for end in tree.ends(root, tree.depth(root)):
            if last < end < LAST_ID:
                yield end
                last = end
    yield LAST_ID


class _Tree:
    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = page_size(file.read(START))
        self.seen: set[int] = set()  # pages inside; each is looked at once

    def depth(self, page: int) -> int:
        """How many pages inside stand above a leaf: the same everywhere."""
        for depth in range(MAX_DEPTH):
            children = self._children(page)
            if not children:
                return depth
            page = children[0][0]
        return 0

    def ends(self, page: int, depth: int) -> Iterator[int]:
        """The row ids at which the leaves below a page end, but for the last."""
        if depth == 0 or page in self.seen:
            return
        self.seen.add(page)
        for child, end in self._children(page):
            yield from self.ends(child, depth - 1)
            if end is not None:
                yield end

    def _children(self, page: int) -> list[tuple[int, int | None]]:
        """(page, the row id where it ends) of those below; none where the page is not inside."""
        self.file.seek((page - 1) * self.size)
        data = self.file.read(self.size)
        at = START if page == 1 else 0
        if len(data) < self.size or data[at] != INSIDE:
            return []
        number, right = int.from_bytes(data[at + 3 : at + 5], "big"), data[at + 8 : at + 12]
        children: list[tuple[int, int | None]] = []
        for pointer in range(at + 12, min(at + 12 + 2 * number, self.size - 1), 2):
            cell = int.from_bytes(data[pointer : pointer + 2], "big")
            child, end = data[cell : cell + 4], _varint(data[cell + 4 : cell + 13])
            children.append((int.from_bytes(child, "big"), end))
        children.append((int.from_bytes(right, "big"), None))
        return [(child, end) for child, end in children if child > 0]


def _varint(data: bytes) -> int:
    """SQLite's integers of 1 to 9 bytes."""
    value = 0
    for byte in data[:8]:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value
    value = value << 8 | (data[8] if len(data) > 8 else 0)
    return value - 2**64 if value >= 2**63 else value

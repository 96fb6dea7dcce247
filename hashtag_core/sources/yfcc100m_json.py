"""YFCC100M's metadata as JSON lines: the `yfcc100m` package's shards, and the subset of the hub.

Arrow takes the few columns out of a block of lines; where it refuses one of them, the line is found
and read as Python reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hashtag_core.prepare.opening import Lines, blocks_of_lines
from hashtag_core.prepare.staging import Piece
from hashtag_core.sources.yfcc100m_rows import LONG_LINE, NO_OBJECT, Cells
from hashtag_core.sources.yfcc100m_text import BOM

if TYPE_CHECKING:
    import pyarrow as pa

NUMBERS = ("photoid", "dateuploaded", "marker")  # those that come as numbers, mostly
FEW = 50  # lines that Python reads, where Arrow refuses one


class JsonLines:
    """A file of JSON lines, as a form of the metadata.

    Args:
        path: of the file.
        wanted: the columns that are read if they are there -> what they are called.
        first: what its first lines have, all in one.
    """

    malformed: frozenset[str] = frozenset()
    numbered = "line"

    def __init__(self, path: Path, wanted: dict[str, str], first: dict) -> None:
        self.path = path
        # an address may be missing in the first line alone
        self.columns = {n: name for name, n in wanted.items() if name in first or n == "url"}

    def pieces(self, size: int) -> Iterator[Piece | str]:
        """Blocks of lines."""
        for block in blocks_of_lines(self.path, size):
            if not isinstance(block, str) and block.first == 1:
                block = block._replace(lines=[block.lines[0].removeprefix(BOM), *block.lines[1:]])
            yield block if isinstance(block, str) else Piece(block.position, block)

    def cells(self, data: Lines) -> Cells:
        """The columns of a block, as bytes, and their lines; what is no object is out."""
        import pyarrow as pa

        numbers = np.arange(data.first, data.first + len(data.lines))

        def text(number: int) -> str:
            return (
                data.lines[number - data.first].rstrip(b"\r\n").decode("utf-8", "backslashreplace")
            )

        parts = [([[] for _ in self.columns], [])] if data.is_cut else [*self._parts(data.lines)]
        columns = {
            new: pa.concat_arrays([pa.array(part[0][i], pa.binary()) for part in parts])
            for i, new in enumerate(self.columns)
        }
        if data.is_cut:
            return Cells(columns, numbers[:0], [(LONG_LINE, numbers)], text)
        fits = np.concatenate([np.asarray(part[1], bool) for part in parts])
        return Cells(columns, numbers[fits], [(NO_OBJECT, numbers[~fits])], text)

    def _parts(self, lines: list[bytes]) -> Iterator[tuple[list, np.ndarray | list[bool]]]:
        """(the columns of the lines that are objects, bool for each line), some lines at a time."""
        columns = self._by_arrow(lines)
        if columns is not None:
            yield columns, np.ones(len(lines), bool)
        elif len(lines) <= FEW:
            yield self._by_python(lines)
        else:
            yield from self._parts(lines[: len(lines) // 2])
            yield from self._parts(lines[len(lines) // 2 :])

    def _by_arrow(self, lines: list[bytes]) -> list[pa.Array] | None:
        """The columns; None where a line is not one object with values of the usual types."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.json as pj

        names = [*self.columns.values()]
        usual = [pa.int64() if name in NUMBERS else pa.string() for name in names]
        if not all(line[:1] == b"{" and line.rstrip(b"\r\n")[-1:] == b"}" for line in lines):
            return None
        data = b"".join(lines)
        try:
            table = pj.read_json(
                pa.BufferReader(data),
                pj.ReadOptions(use_threads=False, block_size=len(data) + 1),
                pj.ParseOptions(
                    explicit_schema=pa.schema([*zip(names, usual, strict=True)]),
                    unexpected_field_behavior="ignore",
                ),
            )
        except pa.ArrowException:
            return None
        if len(table) != len(lines):
            return None
        return [
            pc.fill_null(table[name].combine_chunks().cast(pa.string()).cast(pa.binary()), b"")
            for name in names
        ]

    def _by_python(self, lines: list[bytes]) -> tuple[list[list[bytes]], list[bool]]:
        """The same of any lines."""
        rows = [_cells(line, [*self.columns.values()]) for line in lines]
        good = [row for row in rows if row is not None]
        columns = [[row[i] for row in good] for i in range(len(self.columns))]
        return columns, [row is not None for row in rows]


def _cells(line: bytes, names: list[str]) -> list[bytes] | None:
    """The cells of a line; None where it is not as it should be."""
    try:
        found = json.loads(line.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    values = [found.get(name) for name in names]
    return None if any(isinstance(v, list | dict) for v in values) else [*map(_cell, values)]


def _cell(value: Any) -> bytes:
    """A value as the text that the other forms have in its place."""
    if value is None:
        return b""
    text = value if isinstance(value, str) else json.dumps(value)
    if text.isascii():
        return text.encode()
    return b"".join(
        c.encode("utf-8", "surrogateescape" if "\udc80" <= c <= "\udcff" else "surrogatepass")
        for c in text
    )

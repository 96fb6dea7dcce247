"""YFCC100M's metadata as text: 23 columns as first published, 25 as later, or with a header.

Columns are separated by tabs, or by bars as sqlite3 writes them; there is no quoting.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashtag_core.errors import InputError
from hashtag_core.prepare.opening import Lines, blocks_of_lines
from hashtag_core.prepare.staging import Piece
from hashtag_core.sources.yfcc100m_rows import LONG_LINE, NAMES, OF_PICTURES, Cells

if TYPE_CHECKING:
    import pyarrow as pa

FIRST_RELEASE = (
    "photoid", "uid", "unickname", "datetaken", "dateuploaded", "capturedevice", "title",
    "description", "usertags", "machinetags", "longitude", "latitude", "accuracy", "pageurl",
    "downloadurl", "licensename", "licenseurl", "serverid", "farmid", "secret", "secretoriginal",
    "ext", "marker",
)  # fmt: skip
LATER_RELEASE = ("line", "photoid", "hash", *FIRST_RELEASE[1:])
RELEASES = {len(names): names for names in (FIRST_RELEASE, LATER_RELEASE)}
SEPARATORS = b"\t", b"|"
BOM = b"\xef\xbb\xbf"


class Layout(NamedTuple):
    """How the lines of a file are made up."""

    separator: bytes
    names: tuple[str, ...]  # of its columns, in their order
    has_header: bool

    @property
    def wrong_width(self) -> str:
        """Why a line is left out that has more or fewer columns."""
        return f"not {len(self.names)} columns"


def layout_of(start: bytes, path: Path) -> Layout | None:
    """How a file is made up that begins like this; None where it is not YFCC100M's metadata.

    Raises:
        InputError: where it has a header that lacks columns.
    """
    lines = start.removeprefix(BOM).splitlines()
    for separator in SEPARATORS:
        names = (
            tuple(n.strip().lower().decode("utf-8", "replace") for n in lines[0].split(separator))
            if lines
            else ()
        )
        if "photoid" in names:
            check_names(names, path)
            return Layout(separator, names, has_header=True)
    for line in lines:
        for separator in SEPARATORS:
            if names := RELEASES.get(line.count(separator) + 1, ()):
                return Layout(separator, names, has_header=False)
    return None


def check_names(names: tuple[str, ...] | list[str], where: object) -> None:
    """Refuse what lacks a column that is needed, and a column that is there twice."""
    if missing := [name for name in NAMES if name not in names]:
        raise InputError(f"{where}: not YFCC100M's metadata: it has no {', '.join(missing)}.")
    if twice := [name for name in (*NAMES, *OF_PICTURES) if list(names).count(name) > 1]:
        raise InputError(f"{where}: the column {twice[0]} is there twice.")


class Text:
    """A file of text, as a form of the metadata.

    Args:
        path: of the file.
        layout: how it is made up.
        wanted: the columns that are read if they are there -> what they are called.
    """

    numbered = "line"

    def __init__(self, path: Path, layout: Layout, wanted: dict[str, str]) -> None:
        self.path, self.layout = path, layout
        self.malformed = frozenset({layout.wrong_width})
        self.columns = {new: name for name, new in wanted.items() if name in layout.names}

    def pieces(self, size: int) -> Iterator[Piece | str]:
        """Blocks of lines, without the header."""
        for block in blocks_of_lines(self.path, size):
            if self.layout.has_header and not isinstance(block, str) and block.first == 1:
                block = block._replace(first=2, lines=block.lines[1:])
            yield block if isinstance(block, str) else Piece(block.position, block)

    def cells(self, data: Lines) -> Cells:
        """The columns of a block, as bytes, and their lines; rows of other widths are out."""
        import pyarrow as pa

        lines, width = data.lines, len(self.layout.names)
        numbers = np.arange(data.first, data.first + len(lines))

        def text(number: int) -> str:
            return lines[number - data.first].rstrip(b"\r\n").decode("utf-8", "backslashreplace")

        if data.is_cut:
            nothing = {name: pa.array([], pa.binary()) for name in self.columns}
            return Cells(nothing, numbers[:0], [(LONG_LINE, numbers)], text)
        fits = np.array([line.count(self.layout.separator) for line in lines], int) == width - 1
        left_out = [(self.layout.wrong_width, numbers[~fits])]
        good = b"".join(lines) if fits.all() else b"".join(compress(lines, fits))
        if good[:1] == b"\xef" and numbers[fits][0] > 1:
            good = b"\xee" + good[1:]  # no BOM, which arrow drops; only a file begins with one
        return Cells(self._columns(good), numbers[fits], left_out, text)

    def _columns(self, good: bytes) -> dict[str, pa.Array]:
        """The wanted columns of lines that are as they should be."""
        import pyarrow as pa
        import pyarrow.csv as csv

        if not good:
            return {name: pa.array([], pa.binary()) for name in self.columns}
        numbered = [str(i) for i in range(len(self.layout.names))]
        places = {new: str(self.layout.names.index(name)) for new, name in self.columns.items()}
        table = csv.read_csv(
            pa.BufferReader(good),
            csv.ReadOptions(use_threads=False, block_size=len(good) + 1, column_names=numbered),
            csv.ParseOptions(
                delimiter=self.layout.separator.decode(), quote_char=False, ignore_empty_lines=False
            ),
            csv.ConvertOptions(
                column_types={place: pa.binary() for place in places.values()},
                include_columns=list(places.values()),
            ),
        )
        return {name: table[place].combine_chunks() for name, place in places.items()}

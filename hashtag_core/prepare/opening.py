"""Files as they come: plain, or compressed by gzip, bzip2 or xz, cut into blocks of whole lines."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from hashtag_core.errors import InputError
from hashtag_core.prepare.places import is_utf8

BLOCK = 8 * 2**20  # bytes; a line that has no end by then is too long
SMALL = 2**16  # bytes; as much is lost in front of where a compressed file is damaged
MAX_LINES = 50_000  # of a block
MAX_RATIO = 200  # of what is unpacked to the file, behind the first `FREE` bytes
FREE = 2**27
MAX_WINDOW = 2**28  # bytes that xz may ask for to unpack a file
DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError)
CUT = "the compressed file ends too early, or is damaged: read up to line {line:,}"
BOMB = f"it unpacks to more than {MAX_RATIO} times its size: read up to line {{line:,}}"


class Lines(NamedTuple):
    """Some whole lines of a file."""

    position: int  # how far the file on disk is read
    first: int  # number of the first line, from 1
    lines: list[bytes]  # with their ends
    is_cut: bool = False  # whether it is one line that is too long, and only its beginning


def check_files(paths: list[Path]) -> None:
    """Refuse what is not there, or no plain file, and what is given twice."""
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: {'not a plain file' if path.exists() else 'no such file'}.")
        if not is_utf8(path):
            raise InputError(f"{str(path)!r}: the file's name is not UTF-8; rename it.")
    if len({path.resolve() for path in paths}) < len(paths):
        raise InputError("the same file is given twice.")


def file_states(paths: list[Path]) -> list[list]:
    """Name, bytes and time of change: whether a job is the same."""
    stats = [(path, path.stat()) for path in paths]
    return [[str(path.resolve()), stat.st_size, stat.st_mtime_ns] for path, stat in stats]


class _Unpacked(io.BufferedIOBase):
    """What is in a compressed file; reading raises `Bomb` where it is more than can be meant."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self.file, self.left = file, most

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        return self._counted(self.file.read(size))

    def read1(self, size: int = -1) -> bytes:
        """As a file's: what can be had at once."""
        return self._counted(self.file.read1(size))

    def _counted(self, piece: bytes) -> bytes:
        self.left -= len(piece)
        if self.left < 0:
            raise Bomb
        return piece


class Bomb(OSError):
    """A file of which little is left when it is packed, because little is in it."""


def most_unpacked(size: int) -> int:
    """The bytes that a packed file of this size may hold."""
    return max(FREE, MAX_RATIO * size)


def what_ends(error: Exception) -> str:
    """The problem to tell, of up to which `line`, where reading raised this, one of `DAMAGED`."""
    return BOMB if isinstance(error, Bomb) else CUT


class _Streams(io.RawIOBase):
    """What is in a file of one stream behind the other, as pbzip2 and xz write them.

    `lzma.open` knows no bound of memory, and `bz2.open` takes a damaged stream for the end.
    """

    def __init__(self, file: BinaryIO, begin: Callable[[], Any]) -> None:
        self.file, self.begin, self.stream = file, begin, begin()

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: bytearray) -> int:
        """As a file's; raises one of `DAMAGED`."""
        piece = b""
        while not piece:
            packed = b""
            if self.stream.eof:  # another one may follow, behind some zeros
                packed = self.stream.unused_data.lstrip(b"\0")
                while not packed and (more := self.file.read(SMALL)):
                    packed = more.lstrip(b"\0")
                if not packed:
                    return 0
                self.stream = self.begin()
            elif self.stream.needs_input:
                packed = self.file.read(SMALL)
                if not packed:
                    raise EOFError
            piece = self.stream.decompress(packed, len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def _streams(begin: Callable[[], Any]) -> Callable[[BinaryIO], BinaryIO]:
    return lambda file: io.BufferedReader(_Streams(file, begin), SMALL)


MAGIC = {
    b"\x1f\x8b": gzip.open,
    b"BZh": _streams(bz2.BZ2Decompressor),
    b"\xfd7zXZ\x00": _streams(lambda: lzma.LZMADecompressor(memlimit=MAX_WINDOW)),
}


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """(the file's bytes without compression, the file itself, which tells how far it is read)."""
    try:
        raw = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    with raw:
        start = raw.read(6)
        raw.seek(0)
        for magic, unpack in MAGIC.items():
            if start.startswith(magic):
                with unpack(raw) as file:
                    yield _Unpacked(file, most_unpacked(path.stat().st_size)), raw
                return
        yield raw, raw


def blocks_of_lines(path: Path, size: int = BLOCK) -> Iterator[Lines | str]:
    r"""Cut a file into blocks of whole lines, which end with `\n`, `\r` or `\r\n`.

    A line that has no end after `size` bytes comes as a block of its own, without its rest.

    Yields:
        Some lines, or a text that says what is wrong with the file; nothing comes after it.
    """
    number, rest, too_long, damaged = 1, b"", False, ""
    with opened(path) as (file, raw):
        while True:
            piece = b""
            if not damaged:
                piece, damaged = read_some(file, size, size if file is raw else SMALL)
            lines = piece.splitlines(keepends=True)
            if rest.endswith(b"\r") and not piece.startswith(b"\n"):
                lines.insert(0, rest)
            elif rest:
                lines[:1] = [rest + b"".join(lines[:1])]
            rest = b""
            if piece and not lines[-1].endswith(b"\n"):
                rest = lines.pop()  # a `\r` at the very end may be half of one
            if too_long and lines:
                del lines[0]
                too_long = False
            for start in range(0, len(lines), MAX_LINES):
                yield Lines(raw.tell(), number + start, lines[start : start + MAX_LINES])
            number += len(lines)
            if len(rest) >= size and not too_long:
                yield Lines(raw.tell(), number, [rest[:size]], is_cut=True)
                number, too_long = number + 1, True
            if too_long:
                rest = rest[-1:]
            if not piece:
                if damaged:
                    yield damaged.format(line=number - 1)
                return


def read_some(file: BinaryIO, size: int, at_once: int = SMALL) -> tuple[bytes, str]:
    """(so many bytes, or those that are left; what is wrong with the file behind them, or "")."""
    pieces = []
    try:
        while size and (piece := file.read1(min(size, at_once))):
            pieces.append(piece)
            size -= len(piece)
    except DAMAGED as error:
        return b"".join(pieces), what_ends(error)
    return b"".join(pieces), ""

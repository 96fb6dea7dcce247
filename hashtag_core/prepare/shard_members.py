"""Which pictures are in a zip or tar, and where; nothing is unpacked, and nothing is believed.

Names, sizes and places come from the zip's directory or the tar's headers. A member that is too
large, lies over another one or outside of the file, is a link, or gets its name or size from
elsewhere (pax and GNU headers, sparse files) is refused with a reason.
"""

from __future__ import annotations

import io
import re
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from hashtag_core.data.pictures import MAX_BYTES
from hashtag_core.data.shards import DEFLATED, LOCAL_HEAD, STORED, TAR_BLOCK, tar_check, tar_header

PICTURE = re.compile(r".*\.(jpe?g|png|webp|gif|tiff?|bmp)", re.IGNORECASE | re.DOTALL)
MAX_DIRECTORY = 32 * 2**20  # bytes of a zip's directory: some 300,000 members
MAX_MEMBERS = 300_000  # of a tar; img2dataset writes 30,000
MAX_PAX = 2**16  # bytes of a pax header
LONGEST_END = 76 + 22 + 2**16  # bytes: the 64-bit record and its place, the record, a comment
NO_DATA = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE)  # kinds of a tar's members
NO_DATA += (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
LONG_NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
EXTRA = (*LONG_NAMES, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
RENAMES = re.compile(rb"\d (?:path|size|linkpath|GNU\.sparse\.[^=]*)=")  # records of a pax header

LARGE = "the picture in a zip or tar is too large: kept without it"
ENCRYPTED = "the picture is encrypted in its zip: kept without it"
COMPRESSION = "the picture's compression in its zip is not read: kept without it"
OVERLAPPING = "the picture lies over another one in its zip, or outside of it: kept without it"
NO_FILE = "the picture is a link, or sparse, in its tar: kept without it"
RENAMED = "an extra header names the picture in its tar: kept without it"
REASONS = (LARGE, ENCRYPTED, COMPRESSION, OVERLAPPING, NO_FILE, RENAMED)


class ShardError(Exception):
    """A zip or tar that cannot be read, or not beyond some member; `str` of it says why."""


class Member(NamedTuple):
    """A picture in a shard."""

    name: str
    start: int  # of its header
    size: int  # of its data, as they lie there
    check: int  # as in `Place`
    why_not: str | None  # of `REASONS`, where it is not read


def members(path: Path) -> Iterator[Member]:
    """The pictures of a zip or tar.

    Raises:
        ShardError: at once, or behind the last member that is whole.
    """
    try:
        yield from (_zip_members if path.name.endswith(".zip") else _tar_members)(path)
    except OSError as error:
        raise ShardError(f"cannot be read ({error.strerror})") from None


def _zip_members(path: Path) -> Iterator[Member]:
    try:
        with path.open("rb") as file:
            file.seek(-min(path.stat().st_size, LONGEST_END), io.SEEK_END)
            size = directory_size(file.read())
        if size <= MAX_DIRECTORY:
            with zipfile.ZipFile(path) as archive:
                infos, end = archive.infolist(), archive.start_dir
    except OSError:
        raise
    except Exception:  # zipfile raises whatever a broken directory makes it raise
        raise ShardError("not a zip file, or not a whole one: fetch it again") from None
    if size > MAX_DIRECTORY:
        raise ShardError(f"its directory has more than {MAX_DIRECTORY // 2**20} MiB: not read")
    infos.sort(key=lambda info: info.header_offset)
    starts = pairwise([*(info.header_offset for info in infos), end])
    for info, (start, next_start) in zip(infos, starts, strict=True):
        name = info.orig_filename  # as it stands in front of the data, too
        if not PICTURE.fullmatch(name):
            continue
        why_not = None
        if max(info.file_size, info.compress_size) > MAX_BYTES:
            why_not = LARGE
        elif info.flag_bits & 1:
            why_not = ENCRYPTED
        elif info.compress_type not in (STORED, DEFLATED):
            why_not = COMPRESSION
        elif start < 0 or start + LOCAL_HEAD.size + info.compress_size > next_start:
            why_not = OVERLAPPING
        yield Member(name, start, info.compress_size, info.CRC, why_not)


def directory_size(end: bytes) -> int:
    """Bytes of a zip's directory, from the last bytes of the file, read as zipfile reads them."""
    without_comment = end[-22:].startswith(b"PK\5\6") and end.endswith(b"\0\0")
    at = len(end) - 22 if without_comment else end.rindex(b"PK\5\6")
    (size,) = struct.unpack_from("<L", end, at + 12)
    if at >= 76 and (end[at - 20 : at - 16], end[at - 76 : at - 72]) == (b"PK\6\7", b"PK\6\6"):
        (size,) = struct.unpack_from("<Q", end, at - 36)  # of the 64-bit record before
    return size


def _tar_members(path: Path) -> Iterator[Member]:
    with path.open("rb") as file:
        end = file.seek(0, io.SEEK_END)
        at = number = 0
        renamed = False  # by a header in front
        while True:
            file.seek(at)
            block = file.read(TAR_BLOCK)
            if block == bytes(TAR_BLOCK):
                return
            header = _header(block, at)
            start, at = at, at + TAR_BLOCK
            if header.type == tarfile.GNUTYPE_SPARSE:
                at = _behind_sparse_map(file, block, at)
            has_data = header.type not in NO_DATA
            if has_data:
                at += -(-header.size // TAR_BLOCK) * TAR_BLOCK
            if header.size < 0 or start + TAR_BLOCK + header.size * has_data > end:
                raise ShardError(f"cut off, or damaged, at byte {start:,}: read up to there")
            if header.type in EXTRA:
                renamed |= header.type in LONG_NAMES or _renames(file, header.size)
                if renamed and header.type == tarfile.XGLTYPE:
                    raise ShardError(f"a header names all members anew at byte {start:,}: not read")
                continue
            number += 1
            if number > MAX_MEMBERS:
                raise ShardError(f"it has more than {MAX_MEMBERS:,} members: read up to there")
            why_not = RENAMED if renamed else None
            renamed = False
            if header.size > MAX_BYTES:
                why_not = LARGE
            elif not header.isreg() or header.type == tarfile.GNUTYPE_SPARSE:
                why_not = NO_FILE
            if PICTURE.fullmatch(header.name):
                yield Member(header.name, start, header.size, tar_check(header), why_not)


def _header(block: bytes, at: int) -> tarfile.TarInfo:
    try:
        return tar_header(block)
    except tarfile.HeaderError:
        what = "cut off" if len(block) < TAR_BLOCK else "damaged, or no tar file,"
        raise ShardError(f"{what} at byte {at:,}: read up to there") from None


def _behind_sparse_map(file: BinaryIO, block: bytes, at: int) -> int:
    """Where the data of a sparse file begin: further blocks may describe its holes."""
    more = block[482]
    while more and len(block) == TAR_BLOCK:
        block = file.read(TAR_BLOCK)
        at, more = at + TAR_BLOCK, block[504:505] not in (b"", b"\0")
    return at


def _renames(file: BinaryIO, size: int) -> bool:
    """Whether the pax header that begins here says more than times and owners."""
    return size > MAX_PAX or RENAMES.search(file.read(size)) is not None

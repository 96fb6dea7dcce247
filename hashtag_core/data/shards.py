"""Pictures in zips and tars, read where they lie: a byte range of a shard, which is never unpacked.

A photo's path names the shard, the member, where the member's header begins, how many bytes it
takes there, and a number that tells it from others (in a zip its CRC, in a tar its time):

    000.zip/data/images/abc/def/abcdef0123456789.jpg#3072+41822+2914039110
    00000.tar/000000017.jpg#1024+9120+1795808066

What stands there is compared each time, so a shard that was changed since gives no other photo's
picture.
"""

from __future__ import annotations

import re
import struct
import tarfile
import zlib
from typing import BinaryIO, NamedTuple

SHARDS = (".zip", ".tar")  # how their names end
PLACE = re.compile(
    r"(.+?\.(?:zip|tar))/(.+)#(\d{1,15})\+(\d{1,10})\+(\d{1,10})", re.ASCII | re.DOTALL
)
TAR_BLOCK = 512
LOCAL_HEAD = struct.Struct("<4s2xHH16xHH")  # signature, flags, method, sizes of name and extra
STORED, DEFLATED = 0, 8
ENCRYPTED, IN_UTF8 = 1, 0x800  # flags


class Place(NamedTuple):
    """Where a picture lies in a shard; `str` of it is the path."""

    shard: str  # path of the shard, from the pictures' folder
    member: str  # its name there
    start: int  # of its header, in bytes
    size: int  # of its data, as they lie there
    check: int  # the CRC of a zip's member, `tar_check` of a tar's

    def __str__(self) -> str:
        return f"{self.shard}/{self.member}#{self.start}+{self.size}+{self.check}"


def place_of(path: str) -> Place | None:
    """The place that a path names; None where it names a file."""
    match = PLACE.fullmatch(path)
    return None if match is None else Place(match[1], match[2], *map(int, match.groups()[2:]))


def read_place(file: BinaryIO, place: Place, most: int) -> bytes | None:
    """What lies at a place of an open shard; None where something else does, or it is damaged.

    Args:
        file: the shard.
        place: of the picture; so many bytes are read.
        most: bytes to unpack; one more where there are more.
    """
    file.seek(place.start)
    zipped = place.shard.endswith(".zip")
    return _read_zipped(file, place, most) if zipped else _read_tarred(file, place)


def tar_header(block: bytes) -> tarfile.TarInfo:
    """A header of a tar; raises `tarfile.HeaderError` where it is none."""
    return tarfile.TarInfo.frombuf(block, "utf-8", "replace")


def tar_check(header: tarfile.TarInfo) -> int:
    """The time of a member: another run writes the same names, and may write the same sizes."""
    return int(header.mtime) & 0xFFFFFFFF


def _read_tarred(file: BinaryIO, place: Place) -> bytes | None:
    try:
        header = tar_header(file.read(TAR_BLOCK))
    except tarfile.HeaderError:
        return None
    there = header.name, header.size, tar_check(header)
    if not header.isreg() or there != (place.member, place.size, place.check):
        return None
    data = file.read(place.size)
    return data if len(data) == place.size else None


def _read_zipped(file: BinaryIO, place: Place, most: int) -> bytes | None:
    head = file.read(LOCAL_HEAD.size)
    if len(head) < LOCAL_HEAD.size:
        return None
    mark, flags, method, name_size, extra = LOCAL_HEAD.unpack(head)
    if mark != b"PK\3\4" or flags & ENCRYPTED or method not in (STORED, DEFLATED):
        return None
    name = file.read(name_size).decode("utf-8" if flags & IN_UTF8 else "cp437", "replace")
    file.seek(extra, 1)
    data = file.read(place.size)
    if name != place.member or len(data) < place.size:
        return None
    if method == DEFLATED:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most + 1)
        except zlib.error:
            return None
    return data if len(data) > most or zlib.crc32(data) == place.check else None

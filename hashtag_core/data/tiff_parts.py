"""A TIFF's first picture, its directory written anew: the decoder gets the tags that it needs.

A directory may point to the same bytes thousands of times, to further directories, and name more
strips than a picture has: Pillow and libtiff follow all of that, each time that they are asked.
"""

from __future__ import annotations

import struct

from hashtag_core.data.exif import LONG, ORDERS, ORIENTATION, SHORT, entries_of
from hashtag_core.data.picture_formats import OtherFormatError, TooMuch

MAX_STRIPS = 100_000
MAX_TILE = 2**24  # pixels; programs write tiles of 512 x 512
WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC, FILL_ORDER, SAMPLES = 256, 257, 259, 262, 266, 277
STRIPS, ROWS, STRIP_SIZES, PLANES = 273, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_SIZES = 322, 323, 324, 325
KIND, DNG_VERSION = 254, 50706
XMP, IPTC = 700, 33723
PIXELS = {WIDTH, HEIGHT, 258, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIPS, SAMPLES, ROWS} | {
    STRIP_SIZES, PLANES, 292, 293, 317, 320, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_SIZES, 338, 339,
    347, 530, 531, 532,
}  # fmt: skip
ONE_NUMBER = [WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC, FILL_ORDER, SAMPLES, ROWS, PLANES]
ONE_NUMBER += [292, 293, 317, TILE_WIDTH, TILE_HEIGHT]
WANTED = PIXELS | {KIND, DNG_VERSION, XMP, IPTC}
# none, fax, LZW, JPEG, deflate (two numbers), runs; the others unpack without a bound
COMPRESSIONS = {1, 2, 3, 4, 5, 7, 8, 32773, 32946}


def tiff_of_first_picture(data: bytes) -> bytes:
    """A TIFF whose only directory holds what the first picture needs, XMP and IPTC.

    It says that the picture is upright: how it is turned stands in the old directory, which
    `exif.read_tags` reads.

    Args:
        data: the TIFF.

    Raises:
        TooMuch: where it holds more than a picture needs.
        OtherFormatError: where the first picture is the preview of a raw one, or packed in a way
            that is not read.
        ValueError: where it is broken.
    """
    order = ORDERS[data[:4]]
    (at,) = struct.unpack_from(order + "I", data, 4)
    entries, total = {}, 0
    try:
        for tag, _, entry, _, size in entries_of(data, order, at):
            if tag in WANTED and tag not in entries:
                entries[tag] = data[entry : entry + 12]
                total += size
    except struct.error:
        raise ValueError("a directory that is cut off") from None
    if total > len(data):
        raise TooMuch("values that lie over one another")
    if DNG_VERSION in entries or _number(entries, KIND, order, 0) & 1:
        raise OtherFormatError("raw")
    if _number(entries, COMPRESSION, order, 1) not in COMPRESSIONS:
        raise OtherFormatError("a TIFF of this compression")
    for tag in ONE_NUMBER:
        _number(entries, tag, order, 0)
    _check_strips(entries, order)
    upright = struct.pack(order + "HHIHH", ORIENTATION, SHORT, 1, 1, 0)
    kept = {tag: entry for tag, entry in entries.items() if tag not in (KIND, DNG_VERSION)}
    kept[ORIENTATION] = upright
    number, start = struct.pack(order + "H", len(kept)), len(data) + len(data) % 2
    head, rest = data[:4] + struct.pack(order + "I", start), data[8:].ljust(start - 8, b"\0")
    return b"".join([head, rest, number, *(kept[tag] for tag in sorted(kept)), bytes(4)])


def _check_strips(entries: dict[int, bytes], order: str) -> None:
    """Refuse more strips or tiles than cover the picture, and a tile far larger than that."""
    width, height = (_number(entries, tag, order, 0) for tag in (WIDTH, HEIGHT))
    if TILES in entries:
        across = _number(entries, TILE_WIDTH, order, 0)
        down = _number(entries, TILE_HEIGHT, order, 0)
    else:
        across, down = width, min(_number(entries, ROWS, order, height), height)
    if min(width, height, across, down) < 1:
        raise ValueError("no size")
    if across * down > MAX_TILE and TILES in entries:
        raise TooMuch("a tile that is too large")
    layers = _number(entries, SAMPLES, order, 1) if _number(entries, PLANES, order, 1) == 2 else 1
    needed = -(-width // across) * -(-height // down) * layers
    for tag in (STRIPS, STRIP_SIZES, TILES, TILE_SIZES):
        count = struct.unpack_from(order + "I", entries[tag], 4)[0] if tag in entries else 0
        if count > min(needed, MAX_STRIPS):
            raise TooMuch("more strips or tiles than it needs")


def _number(entries: dict[int, bytes], tag: int, order: str, default: int) -> int:
    """The number of an entry that has one, in its own bytes."""
    if tag not in entries:
        return default
    _, kind, count = struct.unpack_from(order + "HHI", entries[tag])
    if kind not in (SHORT, LONG) or count != 1:
        raise ValueError(f"tag {tag} is no number")
    return struct.unpack_from(order + ("H" if kind == SHORT else "I"), entries[tag], 8)[0]

"""HEIC and AVIF, a tree of boxes: bounded before the decoder walks it, EXIF and XMP found by hand.

    ftyp   which of them it is
    meta   the items (pictures, EXIF, XMP), and where each of them lies
    mdat   their bytes

So a photo's time and keywords are read also where there is no decoder for its pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from hashtag_core.data.picture_formats import TooMuch

MAX_BOXES = 10_000  # next to one another
MAX_TREE = 2**18  # bytes of what describes the items; telephones write some thousand
MAX_ITEM = 2**22  # bytes of EXIF or XMP
EXIF, MIME, OTHER = b"Exif", b"mime", b"skip"  # kinds of items
XMP_MIME = b"application/rdf+xml"


def heif_texts(data: bytes) -> tuple[bytes, dict[str, bytes]]:
    """What a decoder gets, and the "exif" and "xmp" of a file, where there are any.

    Args:
        data: the file.

    Returns:
        The file, its EXIF named as something else: decoders read the whole of it, and what turns
        the picture stands outside of it. And the texts.

    Raises:
        TooMuch: where it describes more than a picture needs.
        ValueError: where it is broken.
    """
    tree = [box for box in _boxes(data, 0, len(data)) if box[0] in (b"meta", b"moov")]
    if sum(end - start for _, start, end in tree) > MAX_TREE:
        raise TooMuch(f"more than {MAX_TREE // 1024} KiB describe what is in it")
    meta = next((box for box in tree if box[0] == b"meta"), None)
    if meta is None:
        return data, {}
    try:
        parts = {kind: (start, end) for kind, start, end in _boxes(data, meta[1] + 4, meta[2])}
        exif, xmp, named = _items(data, *parts[b"iinf"]) if b"iinf" in parts else (set(), set(), [])
        found: dict[str, bytes] = {}
        if exif or xmp:
            inside = parts.get(b"idat", (0, 0))
            for item, texts in _places(data, *parts[b"iloc"], exif | xmp):
                name = "exif" if item in exif else "xmp"
                found.setdefault(name, b"".join(_cut(data, *text, inside) for text in texts))
    except (struct.error, KeyError, IndexError):
        raise ValueError("boxes that are cut off") from None
    if "exif" in found:  # the first four bytes say how many more stand in front
        found["exif"] = found["exif"][4 + int.from_bytes(found["exif"][:4], "big") :]
    renamed = bytearray(data)
    for at in named:
        renamed[at : at + 4] = OTHER
    return bytes(renamed), found


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, begin and end of what is in it) of the boxes next to one another."""
    for _ in range(MAX_BOXES):
        if at + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= end:
            (size,), head = struct.unpack_from(">Q", data, at + 8), 16
        size = size or end - at  # 0: to the end
        if size < head:
            raise ValueError("a box smaller than its head")
        yield kind, at + head, min(at + size, end)
        at += size
    raise ValueError("too many boxes")


def _items(data: bytes, start: int, end: int) -> tuple[set[int], set[int], list[int]]:
    """The numbers of the items that are EXIF, of those that are XMP, and where EXIF is named."""
    exif, xmp, named = set(), set(), []
    for kind, at, stop in _boxes(data, start + (8 if data[start] else 6), end):
        if kind != b"infe" or data[at] < 2:
            continue
        wide = data[at] > 2
        (item,) = struct.unpack_from(">I" if wide else ">H", data, at + 4)
        at += 10 if wide else 8  # behind the number of its protection
        if data[at : at + 4] == EXIF:
            exif.add(item)
            named.append(at)
        elif data[at : at + 4] == MIME and XMP_MIME in data[at + 4 : stop]:
            xmp.add(item)
    return exif, xmp, named


def _places(
    data: bytes, start: int, end: int, wanted: set[int]
) -> Iterator[tuple[int, list[tuple[int, int, bool]]]]:
    """(item, its pieces as (begin, length, whether within idat)) of those that are wanted."""
    version, sizes, at = data[start], data[start + 4 : start + 6], start + 6
    offset_size, length_size, base_size, index_size = (
        sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4, sizes[1] & 15 if version else 0,
    )  # fmt: skip

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > end:
            raise IndexError
        return int.from_bytes(data[at - size : at], "big")

    for _ in range(number(4 if version > 1 else 2)):
        item = number(4 if version > 1 else 2)
        method = number(2) & 15 if version else 0
        number(2)  # another file
        base, pieces = number(base_size), []
        for _ in range(number(2)):
            number(index_size)
            offset, length = number(offset_size), number(length_size)
            pieces.append((base + offset, length, method == 1))
        if item in wanted and sum(length for _, length, _ in pieces) <= MAX_ITEM:
            yield item, pieces


def _cut(data: bytes, start: int, length: int, within: bool, inside: tuple[int, int]) -> bytes:
    first, end = inside if within else (0, len(data))
    return data[first + start : min(first + start + length, end)]

"""A picture's file, part by part: the decoder gets what it needs, and in numbers it can bear.

A JPEG is a chain of segments, a PNG of chunks, a GIF of blocks. Pillow walks such a chain in
Python and keeps what it meets; a file made for it has millions of parts, or thousands of passes
over the same pixels. Here each chain is walked once before, up to a bound.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, BinaryIO

from hashtag_core.data.exif import ORDERS, TIFF, read_tags
from hashtag_core.data.heif_parts import heif_texts
from hashtag_core.data.picture_formats import (
    LONGEST_START,
    OtherFormatError,
    TooMuch,
    format_of,
    reads_heic,
)
from hashtag_core.data.tiff_parts import XMP, tiff_of_first_picture

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MAX_PARTS = 100_000  # of a file; a PNG of 100 MB has 12,000 chunks as most programs write it
MAX_SCANS = 100  # passes over a JPEG's pixels; a progressive one has about ten
MAX_PART = 2**27  # bytes that are asked for at once, whatever a part says of its size

# JPEG, by the second byte of its markers; the first one is 255
END, SCAN, APP1 = 0xD9, 0xDA, 0xE1
ALONE = {0x01, *range(0xD0, 0xDA)}  # markers without a segment
NEXT = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")  # behind pixels, where 0 and restarts follow 255
EXIF = b"Exif\0\0"
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})  # the chunks of a PNG beside its first picture
CONTROL = b"\xf9"  # the extension of a GIF that says which colour is transparent


def open_header(file: BinaryIO, with_pixels: bool) -> ImageFile:
    """Let Pillow read a picture's header, by its class for the format; nothing is decoded yet.

    No warning is silenced for it: the filters for warnings are the whole program's, in all its
    threads. What Pillow would warn of (many pixels, odd EXIF, odd animations) it does not see.

    Args:
        file: the encoded picture, from its beginning.
        with_pixels: whether it is to be decoded; otherwise only its metadata are asked for.

    Raises:
        TooMuch: more than a picture needs.
        OtherFormatError: a format that is not read.
        Exception: what Pillow raises at a broken header; ValueError where it is no picture.
    """
    from PIL.BmpImagePlugin import BmpImageFile
    from PIL.GifImagePlugin import GifImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    start = file.read(LONGEST_START)
    file.seek(0)
    if start.startswith(b"\xff\xd8\xff"):
        file, exif = jpeg_without_exif(file, with_pixels)
        image = JpegImageFile(file)
        image.info["exif"] = exif
        return image
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile(png_without(file, ANIMATION if with_pixels else ANIMATION | {b"IDAT"}))
    if start.startswith((b"GIF87a", b"GIF89a")):
        return GifImageFile(gif_of_first_picture(file))
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return WebPImageFile(file)
    if start.startswith(b"BM"):
        return BmpImageFile(file)
    name = format_of(start)
    if name in ("AVIF", "HEIC"):
        return _open_heif(file.read(), name, with_pixels)
    if name is not None:
        raise OtherFormatError(name)
    if start[:4] in ORDERS:
        return _open_tiff(file.read())
    raise ValueError("no picture")


def _open_tiff(data: bytes) -> ImageFile:
    from PIL.TiffImagePlugin import TiffImageFile

    image = TiffImageFile(io.BytesIO(tiff_of_first_picture(data)))
    if image.mode in ("F", "I"):  # heights and depths: no colours to look at
        raise OtherFormatError("a TIFF of numbers that are no colours")
    image.info.update(_texts_of_tiff(data))
    return image


def _open_heif(data: bytes, name: str, with_pixels: bool) -> ImageFile:
    data, texts = heif_texts(data)
    image = _heif_class(name)(io.BytesIO(data))
    image.info.pop("xmp", None)  # how these are turned is said outside of EXIF and XMP
    if not with_pixels:
        image.info.update(texts)
    return image


def _heif_class(name: str) -> type[ImageFile]:
    """What reads AVIF or HEIC, where there is something that does."""
    from PIL import features

    if name == "AVIF" and features.check("avif"):
        from PIL.AvifImagePlugin import AvifImageFile

        return AvifImageFile
    if name == "HEIC" and reads_heic():
        from pillow_heif import HeifImageFile

        return HeifImageFile
    raise OtherFormatError(name)


def texts_without_pixels(file: BinaryIO) -> dict[str, bytes]:
    """EXIF and XMP, as `open_header` names them, of a picture that is not decoded; empty: none.

    Args:
        file: a HEIC or AVIF, or a raw picture that is a TIFF, as most are.
    """
    file.seek(0)
    start = file.read(LONGEST_START)
    file.seek(0)
    try:
        if format_of(start) in ("AVIF", "HEIC"):
            return heif_texts(file.read())[1]
        return _texts_of_tiff(file.read()) if start[:4] in ORDERS else {}
    except ValueError:
        return {}


def _texts_of_tiff(data: bytes) -> dict[str, bytes]:
    xmp = read_tags(data, {XMP}).get(XMP)
    return {TIFF: data} | ({"xmp": xmp} if isinstance(xmp, bytes) else {})


def jpeg_without_exif(file: BinaryIO, with_pixels: bool) -> tuple[BinaryIO, bytes]:
    """A JPEG without its EXIF, and that.

    Args:
        file: the JPEG, from its beginning.
        with_pixels: whether what follows the first scan's head is read, too.

    Raises:
        TooMuch: more than `MAX_PARTS`, or more than `MAX_SCANS`.
    """
    parts, exif = [file.read(2)], [b""]
    for marker, segment in _segments(file):
        if marker == APP1 and segment[2:].startswith(EXIF):
            exif.append(segment[2 + len(EXIF) :])  # a long one is cut into several segments
        else:
            parts += [bytes([0xFF, marker]), segment]
    if with_pixels:
        parts.append(file.read())
        _check_scans(parts[-1])
    return io.BytesIO(b"".join(parts)), b"".join(exif)


def _segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(marker, its segment with the length in front) up to the head of the first scan."""
    byte = b""
    for _ in range(MAX_PARTS):
        before, byte = byte, file.read(1)
        if not byte:
            return
        if before != b"\xff" or byte in (b"\xff", b"\0"):
            continue  # between two segments may be anything
        marker, segment = byte[0], b""
        if marker not in ALONE:
            segment = file.read(2)
            segment += file.read(max(int.from_bytes(segment, "big") - 2, 0))
        yield marker, segment
        if marker == SCAN:
            return
        byte = b""
    raise TooMuch(f"more than {MAX_PARTS:,} segments before its pixels")


def _check_scans(data: bytes) -> None:
    """Count the scans from behind the first one's head to the JPEG's end."""
    at, scans = 0, 1
    for _ in range(MAX_PARTS):
        match = NEXT.search(data, at)
        if match is None or match[0][1] == END:
            return
        scans += match[0][1] == SCAN
        if scans > MAX_SCANS:
            raise TooMuch(f"more than {MAX_SCANS} scans")
        at = match.end() + max(int.from_bytes(data[match.end() : match.end() + 2], "big"), 2)
    raise TooMuch(f"more than {MAX_PARTS:,} segments between its scans")


def png_without(file: BinaryIO, kinds: Collection[bytes]) -> BinaryIO:
    """A PNG without the chunks of these kinds, which are not read, and what is cut off behind.

    Raises:
        TooMuch: more than `MAX_PARTS`.
    """
    chunks = [file.read(8)]
    for _ in range(MAX_PARTS):
        head = file.read(8)
        size, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind in kinds:
            file.seek(size + 4, io.SEEK_CUR)
            continue
        chunk = head + file.read(min(size, MAX_PART) + 4)
        if len(chunk) < size + 12:
            last = chunk if kind == b"IDAT" else PNG_END  # all the pixels may be there
            return io.BytesIO(b"".join([*chunks, last]))
        chunks.append(chunk)
        if kind == b"IEND":
            return io.BytesIO(b"".join(chunks))
    raise TooMuch(f"more than {MAX_PARTS:,} chunks")


def gif_of_first_picture(file: BinaryIO) -> BinaryIO:
    """A GIF without what stands before its first picture, and with a screen that has room for it.

    Raises:
        TooMuch: more than `MAX_PARTS`.
    """
    head = file.read(13)
    version, *screen, flags = struct.unpack_from("<6sHHB", head)
    palette = file.read(6 << (flags & 7)) if flags & 128 else b""
    controls = []
    parts = 0
    while parts < MAX_PARTS:
        parts += 1
        kind = file.read(1)
        if kind == b"!":
            extension = [kind, file.read(1)]
            while (size := file.read(1)) not in (b"", b"\0") and parts < MAX_PARTS:
                extension += [size, file.read(size[0])]
                parts += 1
            if extension[1] == CONTROL and len(extension) > 2:
                controls.append(b"".join([*extension, b"\0"]))
        elif kind == b",":
            place = file.read(8)
            left, top, width, height = struct.unpack("<4H", place)
            room = max(screen[0], left + width), max(screen[1], top + height)
            if max(room) > 0xFFFF:
                raise TooMuch("a picture far beyond its screen")
            head = version + struct.pack("<HH", *room) + head[10:]
            return io.BytesIO(b"".join([head, palette, *controls, kind, place, file.read()]))
        elif kind in (b";", b""):
            raise ValueError("no picture in it")
    raise TooMuch(f"more than {MAX_PARTS:,} blocks before its picture")

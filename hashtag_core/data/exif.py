"""The few values of EXIF that are asked for here, read from its bytes: a TIFF without pixels.

An EXIF of some kilobytes may point to its own bytes thousands of times: only the tags that are
asked for are followed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterator
from typing import Any

SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8)  # bytes, by the number of a type
SHORT, LONG = 3, 4
ORDERS = {b"II*\0": "<", b"II\0*": "<", b"MM\0*": ">", b"MM*\0": ">"}  # some turn the 42
ORIENTATION = 0x0112
TURNS = {  # by what EXIF says of the orientation
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
TIFF = "the whole TIFF"  # the name of one among its own `info`: at "exif" Pillow would look
IN_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def exif_of(info: dict) -> bytes:
    """The EXIF among what Pillow found in a file; empty: none."""
    exif = info.get("exif") or info.get(TIFF, b"")
    profile = info.get("Raw profile type exif")  # as ImageMagick writes it: lines of hexadecimals
    if not exif and isinstance(profile, str):
        try:
            exif = bytes.fromhex("".join(profile.split("\n")[3:]))
        except ValueError:
            return b""
    return re.sub(rb"^(?:Exif\0\0)+", b"", exif) if isinstance(exif, bytes) else b""


def read_tags(exif: bytes, tags: Collection[int], part: int | None = None) -> dict[int, Any]:
    """Values of EXIF.

    Args:
        exif: without the `Exif` before it.
        tags: the numbers of those that are read.
        part: the tag that points to the directory they are in; not given: the first one.

    Returns:
        tag -> an int where it is of a whole number (the first of several), else its bytes. One
        whose value is not wholly there is left out.

    Raises:
        ValueError: where it is no EXIF.
    """
    order = ORDERS.get(exif[:4])
    if order is None or len(exif) < 8:
        raise ValueError("no EXIF")
    (at,) = struct.unpack_from(order + "I", exif, 4)
    if part is not None:
        at = read_tags(exif, {part}).get(part)
    if not isinstance(at, int):
        return {}
    found: dict[int, Any] = {}
    try:
        for tag, kind, _, start, size in entries_of(exif, order, at):
            if tag not in tags or tag in found:
                continue
            value = exif[start : start + size]
            if kind in (SHORT, LONG):
                (found[tag],) = struct.unpack_from(order + ("H" if kind == SHORT else "I"), value)
            else:
                found[tag] = value
    except struct.error:  # the directory is cut off
        pass
    return found


def entries_of(data: bytes, order: str, at: int) -> Iterator[tuple[int, int, int, int, int]]:
    """(tag, type, where it stands, where its value stands, the value's bytes) of a directory.

    Those whose value is empty or not wholly there are passed over.

    Args:
        data: a TIFF, or EXIF.
        order: of `ORDERS`.
        at: where the directory begins.

    Raises:
        struct.error: where the directory is cut off.
    """
    (number,) = struct.unpack_from(order + "H", data, at)
    for entry in range(at + 2, at + 2 + 12 * number, 12):
        tag, kind, count, start = struct.unpack_from(order + "HHII", data, entry)
        size = count * (SIZES[kind] if kind < len(SIZES) else 0)
        start = entry + 8 if size <= 4 else start
        if 0 < size <= len(data) - start:
            yield tag, kind, entry, start, size


def turn_of(info: dict) -> str | None:
    """The turn, of `PIL.Image.Transpose`, that puts a picture upright; None where it is.

    Args:
        info: what Pillow found in its file.
    """
    try:
        told = read_tags(exif_of(info), {ORIENTATION}).get(ORIENTATION)
    except ValueError:
        told = None
    xmp = info.get("xmp", b"")
    if told is None and isinstance(xmp, bytes) and (match := IN_XMP.search(xmp)):
        told = int(match[1])
    return TURNS.get(told) if isinstance(told, int) else None

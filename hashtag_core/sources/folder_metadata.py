"""What photo programs write into a picture's file: its keywords, and when it was taken.

    keywords   EXIF XPKeywords (Windows), XMP dc:subject, IPTC 2:25
    time       EXIF, XMP, IPTC, in this order: the first one that can be

XMP is read from the file itself and from sidecars. Pillow finds them in the file, and reads IPTC.
Zones are dropped: the clock of the place is what orders one person's photos, and most cameras know
no other. The date of the file itself is not asked: every copy changes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from hashtag_core.data.exif import exif_of, read_tags
from hashtag_core.data.pictures import open_picture
from hashtag_core.sources.folder_xmp import MAX_XMP, read_xmp

if TYPE_CHECKING:
    from PIL.Image import Image

FIRST_YEAR = 1826  # of the first photograph; an older time is an error

# EXIF, by the numbers of its tags
TIME_OF_FILE, X_KEYWORDS, EXIF_PART = 0x0132, 0x9C9E, 0x8769
TIMES_OF_PHOTO = (0x9003, 0x9004)  # when it was taken, and when it was scanned
# IPTC, by its records
KEYWORDS, DATE, CLOCK, CHARSET = (2, 25), (2, 55), (2, 60), (1, 90)
UTF8 = b"\x1b%G"  # as an IPTC charset

TIME = re.compile(
    r"(\d{4})[-:/](\d\d)[-:/](\d\d)(?!\d)(?:[ T](\d\d):(\d\d)(?::(\d\d))?)?", re.ASCII
)

Found = tuple[list[str], list[datetime | None]]  # keywords, times


@dataclass(frozen=True)
class Metadata:
    """What a picture's file tells."""

    keywords: list[str]  # as they were typed, each once
    time: datetime | None  # when it was taken, by the clock of the place; None: nothing tells
    unread: list[str]  # of "EXIF", "XMP", "IPTC", "a sidecar": those broken or too large


def read_metadata(file: BinaryIO, sidecars: Sequence[bytes] = ()) -> Metadata:
    """Read the metadata of a picture; its pixels are not decoded.

    Args:
        file: of the picture, from its beginning.
        sidecars: what stands in its .xmp files.

    Raises:
        PictureError: where `load_picture` would refuse the picture for what its header says.
    """
    image = open_picture(file, "picture", with_pixels=False)
    places: list[tuple[str, Callable[[], Found]]] = [
        ("EXIF", partial(_exif, exif_of(image.info))),
        ("XMP", partial(_xmp, image.info.get("xmp", b""))),
        *(("a sidecar", partial(_xmp, sidecar)) for sidecar in sidecars),
        ("IPTC", partial(_iptc, image)),
    ]
    keywords, times, unread = [], [], []
    for place, read in places:
        try:
            read_keywords, read_times = read()
        except Exception:  # each of these parsers raises what it likes at broken data
            unread.append(place)
        else:
            keywords += read_keywords
            times += read_times
    time = next((time for time in times if time is not None), None)
    keywords = [keyword for keyword in keywords if keyword.strip()]
    return Metadata(list(dict.fromkeys(keywords)), time, unread)


def _exif(exif: bytes) -> Found:
    if not exif:
        return [], []
    first = read_tags(exif, {TIME_OF_FILE, X_KEYWORDS})
    part = read_tags(exif, TIMES_OF_PHOTO, EXIF_PART)
    times = [*(part.get(tag) for tag in TIMES_OF_PHOTO), first.get(TIME_OF_FILE)]
    typed = first.get(X_KEYWORDS, b"")
    if not isinstance(typed, bytes):
        return [], [_time(time) for time in times]
    if len(typed) > MAX_XMP:
        raise ValueError("too large")
    keywords = typed.decode("utf-16-le", errors="replace").rstrip("\0").split(";")
    return keywords, [_time(time) for time in times]


def _xmp(packet: bytes) -> Found:
    keywords, times = read_xmp(packet)
    return keywords, [_time(time) for time in times]


def _iptc(image: Image) -> Found:
    from PIL.IptcImagePlugin import getiptcinfo

    info = getiptcinfo(image) or {}

    def texts(record: tuple[int, int]) -> list[str]:
        values = info.get(record, [])
        values = values if isinstance(values, list) else [values]
        return [_iptc_text(value, info.get(CHARSET)) for value in values if value]

    date, clock = (next(iter(texts(record)), "") for record in (DATE, CLOCK))
    digits = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", date)
    hours = re.match(r"(\d\d)(\d\d)(\d\d)", clock) or re.match("(00)(00)(00)", "000000")
    times = [_time(":".join(digits.groups()) + " " + ":".join(hours.groups()))] if digits else []
    return texts(KEYWORDS), times


def _iptc_text(value: bytes, charset: Any) -> str:
    """Programs that name no charset write UTF-8, too, or one byte a character."""
    try:
        text = value.decode("utf-8", errors="replace" if charset == UTF8 else "strict")
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return text.rstrip("\0")


def _time(value: Any) -> datetime | None:
    """`2020:01:02 03:04:05`, or with `-` and `T`, or a date alone; None: no time, or nonsense."""
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    match = TIME.match(value.strip()) if isinstance(value, str) else None
    if match is None or int(match[1]) < FIRST_YEAR:
        return None
    try:
        return datetime(*(int(number or 0) for number in match.groups()))
    except ValueError:
        return None

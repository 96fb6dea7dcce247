"""What photo programs write into a picture's file: its keywords, and when it was taken.

    keywords   EXIF XPKeywords (Windows), XMP (`folder_xmp.KEYWORDS`), IPTC 2:25
    time       EXIF, XMP, IPTC, in this order: the first one that can be

XMP is read from the file itself and from sidecars, which may be JSON. Pillow finds all of them in
the file; of a picture that is not decoded here, a HEIC or a raw one, EXIF and XMP are read too.
Zones are dropped: the clock of the place is what orders one person's photos, and most cameras know
no other. The date of the file itself is not asked: every copy changes it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from hashtag_core.data.exif import exif_of, read_tags
from hashtag_core.data.picture_parts import texts_without_pixels
from hashtag_core.data.pictures import PictureError, open_picture
from hashtag_core.sources.folder_iptc import read_iptc
from hashtag_core.sources.folder_json import is_json, read_json
from hashtag_core.sources.folder_keywords import keywords_of
from hashtag_core.sources.folder_xmp import MAX_XMP, read_xmp

if TYPE_CHECKING:
    from PIL.Image import Image

FIRST_YEAR = 1826  # of the first photograph; an older time is an error

# EXIF, by the numbers of its tags
TIME_OF_FILE, X_KEYWORDS, EXIF_PART = 0x0132, 0x9C9E, 0x8769
TIMES_OF_PHOTO = (0x9003, 0x9004)  # when it was taken, and when it was scanned

TIME = re.compile(
    r"(\d{4})[-:/](\d\d)[-:/](\d\d)(?!\d)(?:[ T](\d\d):(\d\d)(?::(\d\d))?)?", re.ASCII
)


@dataclass
class Found:
    """What one place tells."""

    keywords: list[str]
    times: list[datetime | None]
    paths: list[tuple[str, str]] = field(default_factory=list)  # with what is between their levels
    notes: list[str] = field(default_factory=list)  # what was guessed


@dataclass(frozen=True)
class Metadata:
    """What a picture's file tells."""

    keywords: list[str]  # each once
    time: datetime | None  # when it was taken, by the clock of the place; None: nothing tells
    unread: list[str]  # of "EXIF", "XMP", "IPTC", "a sidecar": those broken or too large
    refused: PictureError | None = None  # why its pixels cannot be read
    has_texts: bool = True  # whether EXIF or XMP was found in the file, or could have been
    notes: Counter[str] = field(default_factory=Counter)  # what was guessed, or done to keywords
    of_programs: int = 0  # keywords that a program wrote for itself, left out


def read_metadata(file: BinaryIO, sidecars: Sequence[bytes] = ()) -> Metadata:
    """Read the metadata of a picture; its pixels are not decoded.

    Args:
        file: of the picture, from its beginning.
        sidecars: what stands in its .xmp and .json files.

    Returns:
        What is told of it; `refused` where `load_picture` would refuse it for what its header says.
    """
    image, refused = None, None
    try:
        image = open_picture(file, "picture", with_pixels=False)
        info = image.info
    except PictureError as error:
        refused, info = error, texts_without_pixels(file)
    places: list[tuple[str, Callable[[], Found]]] = [
        ("EXIF", partial(_exif, exif_of(info))),
        ("XMP", partial(_xmp, info.get("xmp", b""))),
        *(("a sidecar", partial(_sidecar, sidecar)) for sidecar in sidecars),
        *([("IPTC", partial(_iptc, image))] if image else []),
    ]
    found, unread = [], []
    for place, read in places:
        try:
            found.append(read())
        except Exception:  # each of these parsers raises what it likes at broken data
            unread.append(place)
    time = next((time for one in found for time in one.times if time is not None), None)
    keywords, notes, of_programs = keywords_of(
        [keyword for one in found for keyword in one.keywords],
        [path for one in found for path in one.paths],
    )
    notes.update(note for one in found for note in one.notes)
    has_texts = bool(info) or refused is None
    return Metadata(keywords, time, unread, refused, has_texts, notes, of_programs)


def _exif(exif: bytes) -> Found:
    if not exif:
        return Found([], [])
    first = read_tags(exif, {TIME_OF_FILE, X_KEYWORDS})
    part = read_tags(exif, TIMES_OF_PHOTO, EXIF_PART)
    times = [*(part.get(tag) for tag in TIMES_OF_PHOTO), first.get(TIME_OF_FILE)]
    typed = first.get(X_KEYWORDS, b"")
    if not isinstance(typed, bytes):
        return Found([], [_time(time) for time in times])
    if len(typed) > MAX_XMP:
        raise ValueError("too large")
    keywords = typed.decode("utf-16-le", errors="replace").rstrip("\0").split(";")
    return Found(keywords, [_time(time) for time in times])


def _xmp(packet: bytes) -> Found:
    keywords, paths, times = read_xmp(packet)
    return Found(keywords, [_time(time) for time in times], paths)


def _sidecar(sidecar: bytes) -> Found:
    if not is_json(sidecar):
        return _xmp(sidecar)
    keywords, paths, times = read_json(sidecar)
    return Found(keywords, [_time(time) for time in times], paths)


def _iptc(image: Image) -> Found:
    keywords, time, notes = read_iptc(image)
    return Found(keywords, [_time(time)], notes=notes)


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

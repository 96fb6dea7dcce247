"""What photo programs write into a picture's file: its keywords, and when it was taken.

    keywords   EXIF XPKeywords (Windows), XMP dc:subject, IPTC 2:25
    time       EXIF, XMP, IPTC, in this order: the first one that can be

XMP is read from the file itself and from sidecars. Pillow finds EXIF and IPTC, defusedxml reads
XMP. Zones are dropped: the clock of the place is what orders one person's photos, and most cameras
know no other. The date of the file itself is not asked: every copy changes it.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from hashtag_core.data.pictures import FORMATS, MAX_ASPECT, MAX_PIXELS, TOO_LARGE, PictureError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_XMP = 2**20  # bytes
FIRST_YEAR = 1826  # of the first photograph; an older time is an error

# EXIF, by the numbers of its tags
TIME_OF_FILE, X_KEYWORDS, EXIF_PART = 0x0132, 0x9C9E, 0x8769
TIMES_OF_PHOTO = (0x9003, 0x9004)  # when it was taken, and when it was scanned
# IPTC, by its records
KEYWORDS, DATE, CLOCK, CHARSET = (2, 25), (2, 55), (2, 60), (1, 90)
UTF8 = b"\x1b%G"  # as an IPTC charset
# XMP, by its namespaces
SUBJECT = "{http://purl.org/dc/elements/1.1/}subject"
ITEM = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
XMP_TIMES = (
    "{http://ns.adobe.com/exif/1.0/}DateTimeOriginal",
    "{http://ns.adobe.com/photoshop/1.0/}DateCreated",
    "{http://ns.adobe.com/xap/1.0/}CreateDate",
)

TIME = re.compile(
    r"(\d{4})[-:/](\d\d)[-:/](\d\d)(?!\d)(?:[ T](\d\d):(\d\d)(?::(\d\d))?)?", re.ASCII
)
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"
UTF16 = (b"\xff\xfe", b"\xfe\xff")

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
    with warnings.catch_warnings():  # of Pillow, about what is counted here
        warnings.simplefilter("ignore")
        image = _open(file)
        places: list[tuple[str, Callable[[], Found]]] = [
            ("EXIF", partial(_exif, image)),
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


def _open(file: BinaryIO) -> Image:
    """The picture with its header read, and checked as `load_picture` does."""
    from PIL import Image

    try:
        if file.read(len(PNG_START)) == PNG_START:
            file = _without_pixels(file)
        file.seek(0)
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError:
        raise PictureError("too many pixels", TOO_LARGE) from None
    except Exception:
        raise PictureError("not a picture") from None
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_ASPECT * min(width, height):
        raise PictureError("too many pixels, or too long a strip", TOO_LARGE)
    return image


def _without_pixels(file: BinaryIO) -> BinaryIO:
    """A PNG without its pixels: of a whole one, Pillow reads what stands behind them only last."""
    chunks = [PNG_START]
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        if kind == b"IDAT":
            file.seek(size + 4, io.SEEK_CUR)
            continue
        data = file.read(size + 4)
        if kind == b"IEND" or len(data) < size + 4:
            break
        chunks += [head, data]
    return io.BytesIO(b"".join([*chunks, PNG_END]))


def _exif(image: Image) -> Found:
    from PIL import Image as pillow

    exif = pillow.Image.getexif(image)  # not the PNG's own, which decodes the pixels to find more
    part = exif.get_ifd(EXIF_PART)
    times = [*(part.get(tag) for tag in TIMES_OF_PHOTO), exif.get(TIME_OF_FILE)]
    typed = exif.get(X_KEYWORDS)
    typed = bytes(typed) if isinstance(typed, bytes | tuple) else b""
    keywords = typed.decode("utf-16-le", errors="replace").rstrip("\0").split(";")
    return keywords, [_time(time) for time in times]


def _xmp(packet: bytes) -> Found:
    """An XMP packet; empty: there is none."""
    from defusedxml.ElementTree import fromstring

    if len(packet) > MAX_XMP:
        raise ValueError("too large")
    if not packet.startswith(UTF16):
        packet = packet.strip(b"\0 \r\n\t")  # programs leave room behind it
    if not packet:
        return [], []
    root = fromstring(packet)
    items = [item for subject in root.iter(SUBJECT) for item in subject.iter(ITEM)]
    times = [_time(value) for name in XMP_TIMES for value in _values(root, name)]
    return [item.text or "" for item in items], times


def _values(root: Any, name: str) -> Iterator[str | None]:
    """A property may stand in XML as an element or as an attribute."""
    for element in root.iter():
        if element.tag == name:
            yield element.text
        elif name in element.attrib:
            yield element.attrib[name]


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

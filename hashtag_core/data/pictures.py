"""Pictures from outside: opened, decoded within bounds, turned upright, laid on white, RGB.

Which pictures a collection has stands in `picture_store.py`.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hashtag_core.data.exif import turn_of
from hashtag_core.data.picture_formats import OtherFormatError, TooMuch
from hashtag_core.data.picture_parts import FORMATS, open_header
from hashtag_core.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

MAX_BYTES = 100_000_000
MAX_ASPECT = 50  # a strip of one pixel's height would be blown up before the ConvNet crops it
MAX_PIXELS = 64_000_000  # a decompression bomb says in its header how large it will be
MAX_RUNS = 4_000_000  # pixels or bytes of a BMP packed by run lengths: Pillow takes its time

# Why a picture cannot be used, in general words that can be counted.
NO_PICTURE = "no picture"
OUTSIDE = "the path leaves the folder of the pictures"
MISSING = "the file is missing"
NO_FILE = "not a plain file"
UNREADABLE = "the file cannot be read"
TOO_LARGE = "too large"
BROKEN = "not a picture, or broken"
FOREIGN = "a format that is not read: export it as JPEG (HEIC: or pip install pillow-heif)"
CHANGED = "its zip or tar is damaged, or was changed since: prepare the collection again"
REASONS = (NO_PICTURE, OUTSIDE, MISSING, NO_FILE, UNREADABLE, TOO_LARGE, BROKEN, FOREIGN, CHANGED)


class PictureError(InputError):
    """A picture that cannot be used: the message is about this one, `reason` is of `REASONS`."""

    def __init__(self, message: str, reason: str = BROKEN) -> None:
        super().__init__(message)
        self.reason = reason


@cache
def grey_picture() -> bytes:
    """What is shown where a photo has no picture, encoded."""
    from PIL import Image

    packed = io.BytesIO()
    Image.new("RGB", (96, 96), "#c8c8c8").save(packed, "PNG")
    return packed.getvalue()


def load_picture(source: str | Path | bytes | Image, name: str | None = None) -> Image:
    """Decode one picture to RGB, its EXIF rotation applied and transparency laid on white.

    Args:
        source: a path, the encoded bytes themselves, or an image that somebody has opened.
        name: what to call the picture in an error; the path where there is one.

    Returns:
        A PIL image in mode RGB. Of an animation, the first frame.

    Raises:
        PictureError: where it is missing, empty, broken, of another format, or over one of the
            bounds: `MAX_BYTES`, `MAX_PIXELS`, `MAX_ASPECT`, those of `picture_parts`.
    """
    from PIL.Image import Image

    name = name or (str(source) if isinstance(source, str | Path) else "picture")
    if isinstance(source, Image):
        check_size(source, name)
        opened = source
    else:
        opened = _open_bytes(source, name)
    try:
        opened.load()
        picture = _upright(opened)
        del opened  # the decoder holds memory
        return _on_white(picture)
    except Exception as error:  # decoders raise whatever a broken file makes them raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PictureError(f"{name}: the picture is broken ({reason}).") from None


def _open_bytes(source: str | Path | bytes, name: str) -> ImageFile:
    """The picture of a path or bytes whose header is read."""
    data = source if isinstance(source, bytes) else read_plain(Path(source), name)
    if not data:
        raise PictureError(f"{name}: the file is empty.")
    if len(data) > MAX_BYTES:
        raise too_many_bytes(name, len(data))
    opened = open_picture(io.BytesIO(data), name)
    if opened.tile and opened.tile[0][0] == "bmp_rle" and max(len(data), _area(opened)) > MAX_RUNS:
        raise PictureError(
            f"{name}: a BMP packed by run lengths, of more than {MAX_RUNS:,} pixels or bytes.",
            TOO_LARGE,
        )
    return opened


def open_picture(file: BinaryIO, name: str, with_pixels: bool = True) -> ImageFile:
    """A picture whose header is read and within the bounds; nothing is decoded yet.

    Args:
        file: the encoded picture, from its beginning.
        name: what to call it in an error.
        with_pixels: whether it is to be decoded; otherwise only its metadata are asked for.

    Raises:
        PictureError: where it is of another format, has a broken header, or is too large.
    """
    from PIL.Image import DecompressionBombError

    try:
        image = open_header(file, with_pixels)
    except (TooMuch, DecompressionBombError) as error:
        raise PictureError(f"{name}: {error}, so it is not decoded.", TOO_LARGE) from None
    except OtherFormatError as error:
        raise PictureError(f"{name}: {error}.", FOREIGN) from None
    except Exception:  # a broken header makes them raise what it likes
        raise PictureError(f"{name}: not a picture ({', '.join(FORMATS)} are read).") from None
    check_size(image, name)
    return image


def check_size(image: Image, name: str) -> None:
    """Refuse a picture of too many pixels, or a strip."""
    width, height = image.size
    if not _area(image):
        raise PictureError(f"{name}: {width} x {height} pixels: there is nothing to see.")
    if _area(image) > MAX_PIXELS:
        raise PictureError(
            f"{name}: {width} x {height} pixels, at most {MAX_PIXELS:,} in all are decoded.",
            TOO_LARGE,
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise PictureError(
            f"{name}: {width} x {height} pixels: more than {MAX_ASPECT} times as long as wide.",
            TOO_LARGE,
        )


def _area(image: Image) -> int:
    return image.width * image.height


def read_plain(path: Path, name: str) -> bytes:
    """What is in a plain file, and errors, as `open_plain`."""
    with open_plain(path, name) as file:
        return file.read(MAX_BYTES + 1)  # a file that grows meanwhile is refused later


@contextmanager
def open_plain(path: Path, name: str, is_bounded: bool = True) -> Iterator[BinaryIO]:
    """A plain file, open to read; a pipe or a device is not waited for.

    Args:
        path: of the file.
        name: what an error calls it.
        is_bounded: whether more than `MAX_BYTES` bytes are refused.

    Raises:
        PictureError: where it is anything else, or cannot be read; it calls the file `name`.
    """
    try:
        if not path.is_file():
            raise _not_plain(name) if path.exists() else FileNotFoundError
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            about = os.fstat(file.fileno())  # of what is open now, whatever has the name by then
            if not stat.S_ISREG(about.st_mode):
                raise _not_plain(name)
            if is_bounded and about.st_size > MAX_BYTES:
                raise too_many_bytes(name, about.st_size)
            yield file
    except FileNotFoundError:
        raise PictureError(f"{name}: no such file.", MISSING) from None
    except OSError as error:
        raise PictureError(f"{name}: cannot be read ({error.strerror}).", UNREADABLE) from None


def _not_plain(name: str) -> PictureError:
    return PictureError(f"{name}: not a plain file.", NO_FILE)


def too_many_bytes(name: str, size: int) -> PictureError:
    """The error for a picture of so many bytes."""
    return PictureError(f"{name}: {size:,} bytes, at most {MAX_BYTES:,} are read.", TOO_LARGE)


def _upright(image: Image) -> Image:
    from PIL.Image import Transpose

    turn = turn_of(image.info)
    return image.copy() if turn is None else image.transpose(Transpose[turn])


def _on_white(image: Image) -> Image:
    from PIL import Image

    if image.mode.startswith("I"):  # 16-bit grey: scale, where convert() would clip
        return image.convert("I").point(lambda grey: grey * (1 / 256)).convert("L").convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")

"""Pictures from outside: decoded within bounds, turned upright, on white, as RGB."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MAX_BYTES = 100_000_000
MAX_ASPECT = 50  # a strip of one pixel's height would be blown up before the ConvNet crops it
MAX_PIXELS = 64_000_000  # a decompression bomb says in its header how large it will be


def load_picture(source: str | Path | bytes, name: str | None = None) -> Image:
    """Decode one picture to RGB, its EXIF rotation applied and transparency laid on white.

    Args:
        source: a path, or the encoded bytes themselves.
        name: what to call the picture in an error; the path where there is one.

    Returns:
        A PIL image in mode RGB. Of an animation, the first frame.

    Raises:
        InputError: where it is missing, empty, broken, of another format, or over
            `MAX_BYTES`, `MAX_PIXELS` or `MAX_ASPECT`.
    """
    import warnings

    from PIL import Image, ImageOps

    name = name or ("picture" if isinstance(source, bytes) else str(source))
    data = source if isinstance(source, bytes) else _read(Path(source), name)
    if not data:
        raise InputError(f"{name}: the file is empty.")
    if len(data) > MAX_BYTES:
        raise InputError(f"{name}: {len(data):,} bytes, at most {MAX_BYTES:,} are read.")
    try:
        with warnings.catch_warnings():  # what matters of them is an error below
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=FORMATS)  # reads no more than the header
    except Image.DecompressionBombError as error:
        raise InputError(f"{name}: too large to decode ({error}).") from None
    except Exception:
        raise InputError(f"{name}: not a picture ({', '.join(FORMATS)} are read).") from None
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{name}: {width} x {height} pixels, at most {MAX_PIXELS:,} in all are decoded."
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InputError(
            f"{name}: {width} x {height} pixels: more than {MAX_ASPECT} times as long as wide."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _on_white(ImageOps.exif_transpose(image))
    except Exception as error:  # decoders raise whatever a broken file makes them raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{name}: the picture is broken ({reason}).") from None


def _read(path: Path, name: str) -> bytes:
    if not path.is_file():
        raise InputError(f"{name}: no such file.")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{name}: {path.stat().st_size:,} bytes, at most {MAX_BYTES:,} are read.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror}).") from None


def _on_white(image: Image) -> Image:
    from PIL import Image

    if image.mode.startswith("I"):  # 16-bit grey: scale, where convert() would clip
        return image.convert("I").point(lambda grey: grey * (1 / 256)).convert("L").convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")

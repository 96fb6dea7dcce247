"""Encoded pictures, small and made on the spot, and broken ones."""

import io
import struct
import zlib

from PIL import Image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def red_and_blue(width: int = 40, height: int = 20) -> Image.Image:
    """The left half red, the right half blue."""
    picture = Image.new("RGB", (width, height), RED)
    picture.paste(BLUE, (width // 2, 0, width, height))
    return picture


def noise(size: int = 64) -> Image.Image:
    """A picture that does not compress well."""
    return Image.effect_noise((size, size), 80).convert("RGB")


def encode(picture: Image.Image, kind: str, **options) -> bytes:
    """The bytes of a picture file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def lying_on_its_side(picture: Image.Image, kind: str = "JPEG", **options) -> bytes:
    """Stored turned by 90 degrees, with the EXIF note that tells viewers to turn it back."""
    exif = Image.Exif()
    exif[0x0112] = 6  # the orientation: turn clockwise by 90 degrees to see it upright
    return encode(picture.transpose(Image.Transpose.ROTATE_90), kind, exif=exif, **options)


def claims_to_be(width: int, height: int) -> bytes:
    """A PNG of some hundred bytes whose header claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)


NO_PICTURES = {
    "empty": b"",
    "text": b"<svg onload='alert(1)'/>",
    "cut off": encode(noise(), "JPEG")[:300],
    "bomb": claims_to_be(50_000, 50_000),
    "strip": claims_to_be(5_000, 10),
}

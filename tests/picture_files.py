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


def heif(brand: bytes = b"heic", exif: bytes = b"", xmp: bytes = b"") -> bytes:
    """A HEIC without its pixels: the boxes that say where EXIF and XMP lie, and those."""

    def box(kind: bytes, data: bytes, full: bool = False) -> bytes:
        data = bytes(4) + data if full else data
        return struct.pack(">I4s", len(data) + 8, kind) + data

    exif = struct.pack(">I", 6) + b"Exif\0\0" + exif
    head = box(b"ftyp", brand + bytes(4) + b"mif1" + brand)
    infos = [(1, b"Exif", exif, b"\0"), (2, b"mime", xmp, b"\0application/rdf+xml\0")]
    entries = b"".join(
        box(b"infe", b"\2\0\0\0" + struct.pack(">HH", item, 0) + kind + name)
        for item, kind, _, name in infos
    )

    def meta(at: int) -> bytes:
        places = b"\x44\0" + struct.pack(">H", len(infos))
        for item, _, data, _ in infos:
            places += struct.pack(">HHHII", item, 0, 1, at, len(data))
            at += len(data)
        iinf = box(b"iinf", struct.pack(">H", len(infos)) + entries, full=True)
        return box(b"meta", iinf + box(b"iloc", places, full=True), full=True)

    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b"mdat", exif + xmp)


NO_PICTURES = {
    "empty": b"",
    "text": b"<svg onload='alert(1)'/>",
    "cut off": encode(noise(), "JPEG")[:300],
    "bomb": claims_to_be(50_000, 50_000),
    "strip": claims_to_be(5_000, 10),
}

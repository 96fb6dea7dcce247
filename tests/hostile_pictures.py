"""Pictures, XMP and zips made to cost their reader memory or time; most of them small."""

import struct
import zlib

from picture_files import encode, noise, red_and_blue
from PIL import Image

SMALL_JPEG = encode(red_and_blue(), "JPEG")
SMALL_PNG = encode(red_and_blue(), "PNG")
IHDR_END = 33  # bytes of a PNG


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(*chunks: bytes) -> bytes:
    """A small PNG with these in front of its pixels."""
    return SMALL_PNG[:IHDR_END] + b"".join(chunks) + SMALL_PNG[IHDR_END:]


def jpeg_with(*parts: bytes) -> bytes:
    """A small JPEG with these in front of everything else."""
    return SMALL_JPEG[:2] + b"".join(parts) + SMALL_JPEG[2:]


def app1(data: bytes) -> bytes:
    """A segment of a JPEG."""
    return b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data


def scans(number: int, side: int, progressive: bool = True) -> bytes:
    """A JPEG whose last scan's head stands there `number` times more."""
    data = encode(Image.new("L", (side, side), 100), "JPEG", progressive=progressive)
    at = data.rindex(b"\xff\xda")
    head = data[at : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")]
    return data[:-2] + head * number + data[-2:]


def bmp_of_runs(width: int, height: int, data: bytes) -> bytes:
    """A BMP packed by run lengths."""
    start = 14 + 40 + 1024
    sizes = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start, 0, 0, start) + sizes + bytes(1024) + data


def gif(screen: tuple[int, int], frame: tuple[int, int], before: bytes = b"") -> bytes:
    """A GIF without its pixels."""
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + bytes([0, 0, 0, 9, 9, 9])
    return head + before + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\2\2\x4c\1\0;"


def exif_of_one_value(entries: int, size: int) -> bytes:
    """EXIF whose entries all point to the same bytes."""
    head = struct.pack(">2sHIH", b"MM", 42, 8, entries)
    tags = b"".join(struct.pack(">HHII", tag, 7, size, 8) for tag in range(entries))
    return (head + tags).ljust(size + 8, b"\0")


def exif_of_keywords(size: int) -> bytes:
    """EXIF with so many bytes of Windows' keywords, each of a letter."""
    head = struct.pack(">2sHIHHHII", b"MM", 42, 8, 1, 0x9C9E, 1, size, 26)
    return head + bytes(4) + ";a".encode("utf-16-le") * (size // 4)


def turned(orientation: int, order: str = ">", kind: int = 3) -> bytes:
    """EXIF with an orientation, as a short (3) or a long number (4)."""
    value = struct.pack(order + "H2x" if kind == 3 else order + "I", orientation)
    head = (b"MM" if order == ">" else b"II") + struct.pack(order + "HIH", 42, 8, 1)
    return head + struct.pack(order + "HHI", 0x0112, kind, 1) + value + bytes(4)


def tiff(entries: list[tuple[int, int, int, int]], data: bytes = b"") -> bytes:
    """A TIFF of these (tag, kind, count, value), behind its first 8 bytes and some data."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    at = 8 + len(data)
    return struct.pack("<2sHI", b"II", 42, at) + data + struct.pack("<H", len(entries)) + packed


def tiff_of_grey(width: int, height: int, *more: tuple[int, int, int, int], data=b"") -> bytes:
    """A TIFF that says it is grey and of this size, with further entries."""
    size = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (262, 3, 1, 1)]
    return tiff([*size, *more], data)


def avif_of_many_items(number: int) -> bytes:
    """An AVIF that describes so many items."""
    data = encode(red_and_blue(), "AVIF")
    at = data.index(b"iinf") - 4
    entry = struct.pack(">I4sIHH4sB", 21, b"infe", 2 << 24, 7, 0, b"av01", 0)
    size = int.from_bytes(data[at : at + 4], "big")
    longer = struct.pack(">I", size + 21 * number) + data[at + 4 : at + size] + entry * number
    meta = data.index(b"meta") - 4
    whole = struct.pack(">I", int.from_bytes(data[meta : meta + 4], "big") + 21 * number)
    return data[:meta] + whole + data[meta + 4 : at] + longer + data[at + size :]


# name -> how it is made; each is refused as too large
REFUSED = {
    "a progressive JPEG of 20,000 scans": lambda: scans(20_000, 7_900),
    "a plain JPEG of 20,000 scans": lambda: scans(20_000, 7_900, progressive=False),
    "a JPEG of 10,000,000 segments": lambda: jpeg_with(b"\xff\xfe\0\2" * 10_000_000),
    "a JPEG padded with 50,000,000 bytes": lambda: jpeg_with(b"\xff" * 50_000_000),
    "a JPEG of 5,000,000 segments between its scans": lambda: (
        SMALL_JPEG[:-2] + b"\xff\xfe\0\2" * 5_000_000 + SMALL_JPEG[-2:]
    ),
    "a PNG of 4,000,000 chunks": lambda: png_with(chunk(b"teSt", b"") * 4_000_000),
    "a PNG of 1,000,000 empty chunks of pixels": lambda: png_with(chunk(b"IDAT", b"") * 1_000_000),
    "a GIF of 20,000,000 blocks of a comment": lambda: gif(
        (8, 8), (8, 8), b"!\xfe" + b"\1a" * 20_000_000 + b"\0"
    ),
    "a GIF of 5,000,000 controls": lambda: gif((8, 8), (8, 8), b"!\xf9\4\0\0\0\0\0" * 5_000_000),
    "a GIF of a large screen": lambda: gif((65_535, 65_535), (8, 8)),
    "a GIF of a picture larger than its screen": lambda: gif((8, 8), (9_800, 9_800)),
    "a BMP of 64,000,000 pixels in 8,000 runs": lambda: bmp_of_runs(
        8_000, 8_000, b"\1\1\0\0" * 8_000
    ),
    "a BMP of 50,000,000 bytes of runs": lambda: bmp_of_runs(1_000, 1_000, bytes(50_000_000)),
    "a BMP that says it is huge": lambda: bmp_of_runs(60_000, 60_000, b""),
    "a TIFF that says it is huge": lambda: tiff_of_grey(60_000, 60_000, (273, 4, 1, 8)),
    "a TIFF of 100,000 strips, each the whole picture": lambda: tiff_of_grey(
        7_000, 7_000, (273, 4, 100_000, 8), (278, 4, 1, 6_999), data=bytes(400_000)
    ),
    "a TIFF of one tile of 4,000,000,000 pixels": lambda: tiff_of_grey(
        8,
        8,
        (259, 3, 1, 8),
        (322, 4, 1, 65_000),
        (323, 4, 1, 65_000),
        (324, 4, 1, 8),
        data=bytes(9),
    ),
    "a TIFF whose values lie over one another": lambda: tiff_of_grey(
        8,
        8,
        (273, 4, 1, 8),
        (700, 1, 50_000_000, 8),
        (33723, 1, 50_000_000, 8),
        data=bytes(50_000_000),
    ),
    "an AVIF of 1,000,000 items": lambda: avif_of_many_items(1_000_000),
}

RDF = b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
DC = b' xmlns:dc="http://purl.org/dc/elements/1.1/"'


def packet(inside: bytes, namespaces: bytes = b"") -> bytes:
    """An XMP packet."""
    return RDF + DC + namespaces + b">" + inside + b"</rdf:RDF>"


def nested_subjects(number: int) -> bytes:
    """A keyword in so many subjects."""
    inside = b"<rdf:li>cat</rdf:li>" * (number // 2)
    return packet(b"<dc:subject>" * number + inside + b"</dc:subject>" * number)


# name -> (how it is made, whether it is read)
XMP = {
    "10,000 nested subjects": (lambda: nested_subjects(10_000), False),
    "28,000 nested subjects": (lambda: nested_subjects(28_000), False),
    "50 nested subjects": (lambda: nested_subjects(50), True),
    "150,000 elements deep": (lambda: packet(b"<a>" * 140_000 + b"</a>" * 140_000), False),
    "a long namespace for 40,000 names": (
        lambda: packet(
            b"".join(b"<p:a%x/>" % i for i in range(40_000)),
            b' xmlns:p="' + b"n" * 500_000 + b'"',
        ),
        True,
    ),
    "10,000 namespaces": (
        lambda: packet(b"", b"".join(b' xmlns:p%d="x"' % i for i in range(10_000))),
        False,
    ),
    "40,000 keywords": (
        lambda: packet(b"<dc:subject>" + b"<rdf:li>cat</rdf:li>" * 40_000 + b"</dc:subject>"),
        True,
    ),
    "90,000 attributes": (
        lambda: packet(b"<a " + b" ".join(b'b%d=""' % i for i in range(80_000)) + b"/>"),
        True,
    ),
    "a million entities": (
        lambda: b"<!DOCTYPE a [<!ENTITY b 'b'>]>" + packet(b"&b;" * 300_000),
        False,
    ),
    "two megabytes": (lambda: packet(b" " * 2_000_000), False),
}

# what is mutated; what is not among the formats that are read is refused whatever its bytes
SEEDS = {
    "JPEG": encode(noise(48), "JPEG", quality=60, exif=b"Exif\0\0" + turned(6)),
    "progressive JPEG": encode(noise(48), "JPEG", quality=60, progressive=True),
    "PNG": png_with(chunk(b"eXIf", turned(6)), chunk(b"zTXt", b"a\0\0" + zlib.compress(b"b"))),
    "animated PNG": encode(
        red_and_blue(), "PNG", save_all=True, append_images=[noise(40).resize((40, 20))]
    ),
    "PNG with a palette": encode(red_and_blue().quantize(4), "PNG", transparency=0),
    "WebP": encode(noise(48), "WEBP", exif=turned(6), xmp=b"<x/>"),
    "animated WebP": encode(noise(48), "WEBP", save_all=True, append_images=[red_and_blue(48, 48)]),
    "lossless WebP": encode(red_and_blue(), "WEBP", lossless=True),
    "GIF": encode(noise(48), "GIF", comment=b"a comment"),
    "animated GIF": encode(
        red_and_blue(), "GIF", save_all=True, append_images=[noise(40)], transparency=0
    ),
    "BMP": encode(red_and_blue(), "BMP"),
    "BMP of runs": bmp_of_runs(16, 16, b"\x10\1\0\0" * 15 + b"\0\2\1\1\0\1"),
    "TIFF": encode(red_and_blue(), "TIFF", compression="tiff_lzw"),
    "TIFF of JPEG": encode(noise(48), "TIFF", compression="jpeg"),
    "plain TIFF": encode(noise(48), "TIFF"),
    "AVIF": encode(noise(48), "AVIF", exif=turned(6), xmp=b"<x/>"),
    "JPEG 2000": encode(red_and_blue(), "JPEG2000"),
    "ICO": encode(red_and_blue(), "ICO"),
}

"""Formats that are not read, or not everywhere: their names by a file's first bytes, and advice.

What cannot be read is told by its name, for a photo of a telephone is a picture to its owner.
"""

from __future__ import annotations

from importlib.util import find_spec

CONVERT = "export it as JPEG"
ADVICE = {  # format -> what to do
    "HEIC": f"`pip install pillow-heif`, or {CONVERT}",
    "AVIF": f"`pip install -U pillow`, or {CONVERT}",
}
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
AVIF_BRANDS = {b"avif", b"avis"}
OF_SEVERAL_CODECS = {b"mif1", b"msf1"}  # containers of HEIC or AVIF: the other brands tell
VIDEO_BRANDS = {b"isom", b"iso2", b"mp41", b"mp42", b"qt  ", b"M4V ", b"3gp4", b"3gp5"}
MAX_BRANDS = 32
STARTS = {
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xffO\xffQ": "JPEG 2000",
    b"8BPS": "Photoshop",
    b"II+\0": "BigTIFF",
    b"MM\0+": "BigTIFF",
    b"II*\0\x10\0\0\0CR": "raw",  # Canon
    b"FUJIFILMCCD-RAW": "raw",
    b"IIU\0": "raw",  # Panasonic
    b"IIRO": "raw",  # Olympus
    b"IIRS": "raw",
    b"MMOR": "raw",
    b"FOVb": "raw",  # Sigma
    b"%PDF": "PDF",
}
LONGEST_START = 8 + 4 * MAX_BRANDS  # bytes that tell a format
RAW = {".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"} | {
    ".x3f", ".raw",
}  # fmt: skip
BY_SUFFIX = {".heic": "HEIC", ".heif": "HEIC", ".jxl": "JPEG XL", ".psd": "Photoshop"} | (
    dict.fromkeys(RAW, "raw")
)


class TooMuch(ValueError):
    """A file that holds more than a picture needs."""


class OtherFormatError(ValueError):
    """A picture of a format that is not read; `str` of it says which one, and what to do."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not read: {ADVICE.get(name, CONVERT)}")


def reads_heic() -> bool:
    """Whether the package for it is installed."""
    return find_spec("pillow_heif") is not None


def format_of(start: bytes) -> str | None:
    """The name of a format, of those told here.

    Args:
        start: the first `LONGEST_START` bytes of a file.
    """
    if start[4:8] == b"ftyp":
        end = min(int.from_bytes(start[:4], "big"), len(start))
        brands = {start[8:12], *(start[at : at + 4] for at in range(16, end - 3, 4))}
        if start[8:12] in AVIF_BRANDS or (
            start[8:12] in OF_SEVERAL_CODECS and brands & AVIF_BRANDS
        ):
            return "AVIF"
        if brands & HEIC_BRANDS:
            return "HEIC"
        if start[8:12] == b"crx ":
            return "raw"  # Canon
        return "a video" if brands & VIDEO_BRANDS else None
    return next((name for begin, name in STARTS.items() if start.startswith(begin)), None)

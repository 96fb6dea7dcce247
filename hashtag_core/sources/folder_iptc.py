"""IPTC, the oldest place of keywords, whose encoding most programs do not tell.

Without a charset it is UTF-8, or one byte a character, as on Windows or as on old Macs: whichever
makes fewer signs stand amid letters. UTF-8 that was encoded as such bytes once more is undone.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

KEYWORDS, DATE, CLOCK, CHARSET = (2, 25), (2, 55), (2, 60), (1, 90)
UTF8 = b"\x1b%G"  # as a charset
TWICE = re.compile("[ÂÃÐÑØÙâãå][\x80-\xbf‘-”€™šœžŸ]")  # how UTF-8 looks in one byte a character

GUESSED = "IPTC that does not name its encoding: guessed"
UNDONE = "IPTC that was encoded twice: undone"


def read_iptc(image: Image) -> tuple[list[str], str | None, list[str]]:
    """(keywords, time as EXIF has it, what was guessed) of a picture.

    Raises:
        Exception: Pillow's, where the record is broken.
    """
    from PIL.IptcImagePlugin import getiptcinfo

    info = getiptcinfo(image) or {}

    def values(record: tuple[int, int]) -> list[bytes]:
        found = info.get(record, [])
        return [value for value in (found if isinstance(found, list) else [found]) if value]

    keywords, notes = _decoded(values(KEYWORDS), info.get(CHARSET) == UTF8)
    date, clock = (
        next(iter(values(record)), b"").decode("ascii", "replace") for record in (DATE, CLOCK)
    )
    digits = re.match(r"(\d{4})(\d\d)(\d\d)\0*$", date)
    hours = re.match(r"(\d\d)(\d\d)(\d\d)", clock)
    time = None
    if digits:
        time = ":".join(digits.groups()) + " " + (":".join(hours.groups()) if hours else "00:00:00")
    return keywords, time, notes


def _decoded(values: list[bytes], is_utf8: bool) -> tuple[list[str], list[str]]:
    """The texts of values, which are all in one encoding, and what was guessed."""
    notes = []
    try:
        texts = [value.decode("utf-8", "replace" if is_utf8 else "strict") for value in values]
    except UnicodeDecodeError:
        windows, mac = (
            [_of_bytes(value, name) for value in values] for name in ("cp1252", "mac_roman")
        )
        texts = mac if sum(map(_oddity, mac)) < sum(map(_oddity, windows)) else windows
        if any(0x80 <= byte < 0xA0 for value in values for byte in value):
            notes.append(GUESSED)
    undone = [_once(text) for text in texts]
    if undone != texts:
        notes.append(UNDONE)
    return [text.rstrip("\0") for text in undone], notes


def _of_bytes(value: bytes, encoding: str) -> str:
    """One byte a character; those that the encoding does not have stay control characters."""
    return "".join(bytes([byte]).decode(encoding, "ignore") or chr(byte) for byte in value)


def _oddity(text: str) -> int:
    """How many characters stand where they do not in a word: a sign or a capital amid letters."""
    odd = 0
    for before, character, after in zip(" " + text, text, text[1:] + " ", strict=False):
        kind = unicodedata.category(character)
        if character < "\x80":
            continue
        inside = before.isalpha() and (after.isalpha() or after == " ")
        is_sign = kind[0] not in "LN" and character != "’"
        odd += kind in ("Cc", "Lm", "Sk") or (inside and is_sign)
        odd += kind == "Lu" and before.islower()
    return odd


def _once(text: str) -> str:
    """UTF-8 that was encoded twice, encoded once."""
    if not TWICE.search(text):
        return text
    for encoding in ("cp1252", "latin-1"):
        try:
            return text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
    return text

"""Text that was encoded on its way into a table: percent signs, entities, escapes, wrong charsets.

Each is undone where it is certain: what comes out has to be whole UTF-8.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from urllib.parse import unquote_to_bytes

from hashtag_core.sources.table_notations import unescaped

TIMES = 2  # that a text may be encoded
SELDOM = 0.02  # of form-encoded hashtags have a character in them that forms encode

SIGNS = re.compile("[%&\\\\\xc2-\xf4]")  # one of them is in whatever is encoded
PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
PLUS = re.compile(r"(?<=[^+])\+(?=[^+])")  # between words
REAL_PLUS = re.compile(r"\+\+|^\+|\+$")
FORM = re.compile(r"[\w.*~!'()+%-]*", re.ASCII)  # what is left of a text when a form is sent
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
ESCAPED = re.compile(r"\\u[0-9a-fA-F]{4}")
LATIN = re.compile(  # the bytes of a character in UTF-8, each as a character
    "[\xc2-\xdf\xe0-\xf4][\x80-\xbf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc"
    "\u2013\u2014\u2018-\u201e\u2020-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122]"
)
CP1252 = {chr(byte): bytes([byte]) for byte in range(256)}
CP1252 |= {bytes([byte]).decode("cp1252", "ignore"): bytes([byte]) for byte in range(0x80, 0xA0)}

PERCENTS = "percent-encoded hashtags (%20): decoded"
ENTITIES = "hashtags with HTML entities (&amp;): decoded"
ESCAPES = "hashtags with escapes (\\u00e9): decoded"
LATIN_1 = "hashtags in UTF-8 that was read as Latin-1: decoded"


def without_entities(typed: str) -> str:
    """`b&amp;w` as b&w."""
    for _ in range(TIMES):
        if "&" not in typed or not ENTITY.search(typed):
            break
        typed = ENTITY.sub(lambda match: html.unescape(match[0]), typed)
    return typed


def is_percent_encoded(typed: str) -> bool:
    """Whether there are percent signs in a text that stand for UTF-8."""
    return "%" in typed and _without_percents(typed) != typed


def is_form_encoded(hashtags: Sequence[str]) -> bool:
    """Whether `+` is a blank in hashtags: they are encoded as forms are, and none says otherwise.

    Where a blank is `%20` or a blank, or a hashtag is `c++` or `google+`, a plus is a plus. Else it
    is a blank where a plus is `%2B`, or next to all characters are encoded that forms encode.
    """
    if any(re.search("%(?:25)?20", h) or REAL_PLUS.search(h.strip()) for h in hashtags):
        return False
    if any(re.search("%(?:25)?2[Bb]", h) for h in hashtags):
        return True
    odd = sum(FORM.fullmatch(h) is None for h in hashtags)
    return any(map(is_percent_encoded, hashtags)) and odd <= SELDOM * len(hashtags)


def decoded(typed: str, plus: bool, note: Callable[[str], None]) -> str:
    """A hashtag as somebody typed it.

    Args:
        typed: as it stands in the table.
        plus: whether `+` between words stands for a space: `is_form_encoded`.
        note: told what was undone, once each.
    """
    if not SIGNS.search(typed) and not (plus and "+" in typed):  # most are fine
        return typed
    for undo, what in UNDO:
        spaced = PLUS.sub(" ", typed) if plus and what == PERCENTS else typed
        meant = undo(spaced)
        if meant != typed:
            note(what)
            typed = meant
    return typed


def _without_percents(typed: str) -> str:
    for _ in range(TIMES):
        if "%" not in typed or not PERCENT.search(typed):
            break
        try:
            typed = unquote_to_bytes(typed).decode("utf-8")
        except UnicodeError:
            break
    return typed


def _without_escapes(typed: str) -> str:
    if "\\" not in typed:
        return typed
    return re.sub(rf"(?:{ESCAPED.pattern})+", lambda match: unescaped(match[0]), typed)


def _without_latin_1(typed: str) -> str:
    for _ in range(TIMES):
        if typed.isascii() or not LATIN.search(typed):
            break
        try:
            typed = b"".join(CP1252[letter] for letter in typed).decode("utf-8")
        except (KeyError, UnicodeError):
            break
    return typed


UNDO = (
    (_without_percents, PERCENTS),
    (without_entities, ENTITIES),
    (_without_escapes, ESCAPES),
    (_without_latin_1, LATIN_1),
)

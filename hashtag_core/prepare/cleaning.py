"""From what people typed to hashtags: one rule for every way in.

A hashtag is lower case, with one space between its words and without the `#` in front. What looks
the same is one hashtag: characters without a shape go, and full or half width is the usual one.
Machine tags (`geo:lat=48.2`) are written by programs and left out; so is what is empty, broken or
too long. The capitals that tell where its words end (`TheRapist`) are noted beside it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from hashtag_core.data.history_reading import MAX_CHARACTERS, MAX_HASHTAGS
from hashtag_core.data.splitting import with_capitals
from hashtag_core.data.words import known_words
from hashtag_core.errors import InputError

MAX_NAME = 200  # characters of a user or a photo id
MANY_HASHTAGS = f"more than {MAX_HASHTAGS:,} hashtags"

MAX_TYPED = 2**18  # characters of a photo's hashtags where they stand in one text

MAX_ENCODED = 12 * MAX_CHARACTERS  # %F0%9F%90%88 is one
MACHINE_TAG = re.compile(r"[a-z][a-z0-9_]*:[a-z][a-z0-9_]*=.*", re.IGNORECASE | re.DOTALL)
NO_TEXT = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]+")
SHAPELESS = re.compile(  # soft hyphens, zero width, direction marks, variants of one character
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\ufe00-\ufe0f"
    "\U000e0100-\U000e01ef]+"
)
JOINERS = "\u200c\u200d"  # within a hashtag they have a meaning: in Persian, in emoji of several
WIDTHS = re.compile("[\uff01-\uffee]+")  # full and half
TURKISH = "i\u0307", "i"  # of its capital
RUNS = re.compile("[a-z]+|[0-9]+")
HALF = re.compile("[\ud800-\udfff]")

Spelled: TypeAlias = dict[str, str | None]  # the hashtags of a photo -> `spelling`

NO_HASHTAG = "no hashtag among the tags"
EMPTY = "an empty hashtag"
MACHINE = "a machine tag"
BROKEN = "a hashtag of broken characters"
LONG = f"a hashtag of more than {MAX_CHARACTERS} characters"
TWICE = "the same hashtag twice in a photo"
UNKNOWN = "a hashtag without a word vector"


def clean_hashtag(text: str) -> tuple[str | None, str | None]:
    """One hashtag as typed: (hashtag, None), or (None, why it is left out)."""
    if len(text) > MAX_ENCODED:
        return None, LONG
    if is_broken(text):
        return None, BROKEN
    if MACHINE_TAG.fullmatch(text.strip()):
        return None, MACHINE
    text = _lower(_in_one_form(text))
    if not text:
        return None, EMPTY
    if len(text) > MAX_CHARACTERS:
        return None, LONG
    return text, None


def spelling(text: str, hashtag: str) -> str | None:
    """How the words of a hashtag are told by the capitals of the text it was cleaned from.

    Returns:
        It as `with_capitals`, `theRapist`; None where capitals inside do not tell.
    """
    if text[1:].islower() or text.isupper():  # most are, and this is faster
        return None
    spelled = (with_capitals(_in_one_form(text)) or "").replace(*TURKISH)
    return spelled if spelled and _lower(spelled) == hashtag else None


def _in_one_form(text: str) -> str:
    """In one line, without the `#` and without what tells no two hashtags apart, but capitals."""
    text = NO_TEXT.sub(" ", text)
    if not text.isascii():
        text = WIDTHS.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
        text = unicodedata.normalize("NFC", SHAPELESS.sub("", text)).strip(JOINERS)
    return " ".join(text.split()).lstrip("#＃ ")


def _lower(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", text.lower().replace(*TURKISH))


def is_broken(text: str) -> bool:
    """Whether there are characters in it that could not be decoded, or halves of one."""
    return "\ufffd" in text or HALF.search(text) is not None


def clean_encoded(tag: bytes) -> tuple[str | None, str | None]:
    """The same of a percent-encoded one, with `+` for a space."""
    if tag.isalnum() and len(tag) <= MAX_CHARACTERS:  # of ASCII: most are, and this is faster
        return tag.lower().decode(), None
    return (None, LONG) if len(tag) > MAX_ENCODED else clean_hashtag(decoded(tag))


def decoded(tag: bytes) -> str:
    """A percent-encoded hashtag as it was typed."""
    if b"%" in tag or b"+" in tag:
        tag = unquote_to_bytes(tag.replace(b"+", b" "))
    return tag.decode("utf-8", errors="replace")


def clean_hashtags(typed: Iterable[str]) -> tuple[Spelled, list[str]]:
    """All hashtags of a photo, in their order.

    Returns:
        (hashtag -> its `spelling`, where it first stands; why each of the others is left out).
    """
    kept: Spelled = {}
    left_out = []
    for text in typed:
        hashtag, why = clean_hashtag(text)
        if hashtag is not None and hashtag in kept:
            why = TWICE
        if why is None:
            kept[hashtag] = spelling(text, hashtag)
        else:
            left_out.append(why)
    return kept, left_out


def clean_user(name: Any) -> str | None:
    """A user's name in one line; None where it cannot be one."""
    name = NO_TEXT.sub(" ", name).strip() if isinstance(name, str) else ""
    return name if 0 < len(name) <= MAX_NAME and not is_broken(name) else None


def given_user(name: str) -> str:
    """The name in `--user`, as `clean_user`; raises InputError where it cannot be one."""
    if (cleaned := clean_user(name)) is None:
        raise InputError(f"--user: a name of 1 to {MAX_NAME} characters.")
    return cleaned


def has_word_vector(words: Iterable[str]) -> Callable[[str], bool]:
    """Whether a hashtag, in lower case, holds one of these words, as `known_words` finds them."""
    known = {word: i for i, word in enumerate(words)}
    vocabulary = SimpleNamespace(key_to_index=known)

    def has(hashtag: str) -> bool:
        plain = hashtag.isascii() and "%" not in hashtag
        if plain and any(run in known for run in RUNS.findall(hashtag)):
            return True  # most have, and this is faster
        return bool(known_words(hashtag, vocabulary))

    return has

"""Hashtags as people type them: a list of texts, with blanks, capitals and `#`."""

from __future__ import annotations

from collections.abc import Iterable

from hashtag_core.errors import InputError


def clean(hashtags: Iterable[str]) -> list[str]:
    """Lower case, without blanks and `#` around them, each once, none empty.

    Raises:
        InputError: where it is a single text.
    """
    return [*as_typed(hashtags)]


def as_typed(hashtags: Iterable[str]) -> dict[str, str]:
    """The same, each with its capitals: {"therapist": "TheRapist"}."""
    several = [*no_text(hashtags)]
    for name in several:
        if not isinstance(name, str):
            raise InputError(f"hashtags are texts, and {name!r} is none.")
    typed: dict[str, str] = {}
    for text in (name.strip(" \t\n\r#") for name in several):
        if text:
            typed.setdefault(text.lower(), text)
    return typed


def no_text(hashtags: Iterable[str]) -> Iterable[str]:
    """The same hashtags, if they are not a single text, whose letters would be taken for them."""
    if isinstance(hashtags, str | bytes) or not isinstance(hashtags, Iterable):
        raise InputError(f"hashtags are a list of texts, as ['cat'], not {hashtags!r}.")
    return hashtags

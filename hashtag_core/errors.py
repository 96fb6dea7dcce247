"""The one exception for what comes from outside and is not what it should be."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """Bad input: the message is one line that says what was wrong, where, and what to do."""


@contextmanager
def reading(path: Path) -> Iterator[Path]:
    """Turn whatever a reader raises at a broken file into an InputError that names the file."""
    try:
        yield path
    except Exception as error:  # each format has exceptions of its own
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: damaged, or of another version ({reason}).") from None

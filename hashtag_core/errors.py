"""The one exception for what comes from outside and is not what it should be."""

import errno
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


@contextmanager
def enough_disk(where: Path, kept: str) -> Iterator[None]:
    """Turn the error of a full disk, whoever raises it, into an InputError.

    Args:
        where: what was being written.
        kept: what is not lost, to say so.
    """
    try:
        yield
    except Exception as error:  # OSError, but some libraries only tell it in their own words
        told = str(error).lower()
        quota = getattr(errno, "EDQUOT", errno.ENOSPC)  # Windows has none
        full = getattr(error, "errno", None) in (errno.ENOSPC, quota)
        if not (full or "no space left" in told or "max_temp_directory_size" in told):
            raise
        raise InputError(
            f"{where}: the disk is full; {kept}. Make room and start the same command again."
        ) from None

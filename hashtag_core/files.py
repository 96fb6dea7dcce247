"""Files: read with one clear error, written whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hashtag_core.errors import InputError


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


@contextmanager
def whole_file(path: Path, kept: str = "what was written before") -> Iterator[Path]:
    """Where to write, so that `path` is the whole new file or what it was.

    Args:
        path: the file; its folder is made where it is not there.
        kept: what is still there where the disk is full, to say so.

    Raises:
        InputError: where the disk is full.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with enough_disk(path, f"{kept} is still there"):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            with partial.open("rb+") as file:
                os.fsync(file.fileno())  # on the disk, before its name says so
            partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with whole_file(path) as partial:
        partial.write_bytes(data)

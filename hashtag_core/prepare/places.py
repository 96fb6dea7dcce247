"""Where a way in writes: checked before the work, held by one run at a time, errors in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from hashtag_core.errors import InputError

REJECTED = "file", "line", "reason", "text"  # the columns of the file of rejected rows


def check_places(out: Path, rejected: Path | None) -> None:
    """Refuse what cannot be written to, or would write over something else.

    Args:
        out: the collection's folder, absolute.
        rejected: where the rows left out shall be written; an older file of them is written over.
    """
    if not out.name:
        raise InputError(f"{out} cannot be a collection's folder. Name another.")
    for path in (out, rejected):
        if path is not None and not is_utf8(path):
            raise InputError(f"{str(path)!r}: the name is not UTF-8. Name another.")
    if rejected is None:
        return
    where = f"--rejected {rejected}"
    if not rejected.parent.is_dir():
        raise InputError(f"{where}: there is no folder {rejected.parent}.")
    if rejected.resolve().is_relative_to(out):
        raise InputError(f"{where}: it cannot be in the collection's folder, which is replaced.")
    if not rejected.exists():
        return
    if not rejected.is_file():
        raise InputError(f"{where} is there, and no plain file.")
    with rejected.open("rb") as file:
        start = file.read(100)
    if start and not start.startswith(",".join(REJECTED).encode()):
        raise InputError(f"{where} is there, and holds something else. Name another.")


def is_utf8(path: Path) -> bool:
    """Whether a path can be written down as text."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold `<out>.lock`: a second run that writes to the same folder is refused meanwhile.

    The system lets go of the file when a run ends, however it ends.
    """
    path = out.with_name(out.name + ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab")
    try:
        if not _lock(file) or not _is_same(file, path):  # another one may just have removed it
            raise InputError(f"{out}: another run is writing to it. Wait for it, or name another.")
        try:
            yield
        finally:
            if os.name != "nt":  # where an open file cannot be removed
                path.unlink(missing_ok=True)
    finally:
        file.close()


def _lock(file: BinaryIO) -> bool:
    """Whether it is ours now; true, too, where the file system knows no locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _is_same(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def errors_in_one_line(where: Path) -> Iterator[None]:
    """One line for what the system refuses; ctrl-C in the database is ctrl-C."""
    import duckdb

    try:
        yield
    except (OSError, duckdb.IOException) as error:
        name = getattr(error, "filename", None) or where
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [""])[0]
        raise InputError(f"{name}: {reason}.") from None
    except (RuntimeError, duckdb.Error) as error:
        if "interrupted" in str(error).lower():
            raise KeyboardInterrupt from None
        raise

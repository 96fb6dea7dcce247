"""Files: read with one clear error, written whole or not at all, and by one run at a time."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

from hashtag_core.errors import InputError

OURS = ".hashtag-core"  # in the names of what is there only while something is written


@contextmanager
def reading(path: Path) -> Iterator[Path]:
    """Turn whatever a reader raises at a broken file into an InputError that names the file."""
    try:
        yield path
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except Exception as error:  # each format has exceptions of its own
        if isinstance(error, OSError) and error.strerror:  # its text names the file again
            error = OSError(error.strerror)
        reason = " ".join(str(error).split()) or type(error).__name__
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
        full = errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)  # Windows has no quota
        words = "max_temp_directory_size", *(os.strerror(number).lower() for number in full)
        told = str(error).lower()
        if getattr(error, "errno", None) not in full and not any(word in told for word in words):
            raise
        raise InputError(
            f"{where}: the disk is full; {kept}. Make room and start the same command again."
        ) from None


@contextmanager
def whole_file(path: Path, kept: str = "what was written before") -> Iterator[Path]:
    """Where to write, so that `path` is the whole new file or what it was.

    Args:
        path: the file, or a link to it; its folder is made where it is not there.
        kept: what is still there where the disk is full, to say so.

    Raises:
        InputError: where the disk is full.
    """
    path = path.resolve()
    partial = path.with_name(f".{path.name}{OURS}.partial")
    try:
        with enough_disk(path, f"{kept} is still there"):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.unlink(missing_ok=True)  # of a killed run, or a link to somewhere
            yield partial
            to_disk(partial)  # before its name says so
            partial.replace(path)
            to_disk(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def to_disk(path: Path) -> None:
    """Have a file's bytes, or a folder's names, on the disk: a power cut leaves them there."""
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":  # where folders cannot be opened
        return
    file = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        with suppress(OSError) if is_folder else nullcontext():  # some systems need it not
            os.fsync(file)
    finally:
        os.close(file)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    with whole_file(path) as partial:
        partial.write_bytes(data)


FIRST_KEYS = (
    b"model|candidates|vocabulary|relevant|table|statement|benchmark|what|fold|section|hashtag|user"
)
OURS_BY = {  # what a file that this program wrote is known by, at its beginning or its end
    "json": re.compile(rb'\A\[(\]\n|\n  \{\n    "(' + FIRST_KEYS + rb')": )'),
    "csv": re.compile(rb"\A# command: hashtag-core "),
    "rejected": re.compile(rb"\Afile,(line|row|row_id|number),reason,text\n"),
    "urls": re.compile(rb"hashtag-core urls"),
    "figure": re.compile(rb"hashtag-core figure"),
    "page": re.compile(rb"<!-- hashtag-core (tutorial|reproduce) -->\n\Z"),
}


def refuse_others(path: Path, kind: str, where: str = "") -> None:
    """Refuse to write over a file that is not one that this program wrote.

    Args:
        path: the file; nothing is refused where there is none, or an empty one.
        kind: what is to be written there, of `OURS_BY`.
        where: what the message calls the file.
    """
    what = "is no plain file"
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(4096)
            file.seek(max(path.stat().st_size - 4096, len(start)))
            if not start or OURS_BY[kind].search(start + file.read(4096)):
                return
        what = "holds something else"
    if path.exists():
        raise InputError(f"{where or path} is there, and {what}. Name another, or move it.")


def is_device(path: Path) -> bool:
    """Whether it is there and no file or folder, as /dev/stdout: nothing in it can be lost."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file or folder that is written: a second run that would write it is refused meanwhile.

    The lock is an empty file beside it, `.<name>.hashtag-core.lock`, which the system lets go of
    when a run ends, however it ends.

    Raises:
        InputError: where another run holds it, or a file of that name is somebody's own.
    """
    lock = path.with_name(f".{path.name}{OURS}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("ab") as file:
        if file.tell():
            raise InputError(f"{lock} is needed as a lock, and holds something. Move it.")
        if not _lock(file) or not _is_same(file, lock):  # another one may just have removed it
            raise InputError(f"{path}: another run is writing to it. Wait for it, or name another.")
        try:
            yield
        finally:
            if os.name != "nt":  # where an open file cannot be removed
                lock.unlink(missing_ok=True)


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

"""Paths on the command line: what is read, what is written, and that they do not meet.

Each option that names a file or folder has one of these as its argparse `type`. Before a command
begins, `check_paths` looks at all that it was given: nothing of the user's is written over, and
what cannot be written is known before the work.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from itertools import combinations, product
from pathlib import Path
from typing import Any

from hashtag_core.errors import InputError
from hashtag_core.files import OURS, is_device, refuse_others

LONGEST_NAME = 255 - len(f".{OURS}.partial")  # bytes


class Read(str):
    """A file that is read, or a folder with all that is in it."""


class ReadSome(Read):
    """A folder of which only certain files are read: others may be written there."""


class Written(str):
    """A file that is written; one that is there is replaced only where it is of this `kind`."""

    kind = "json"  # of `files.OURS_BY`


class Rejected(Written):
    """The rows that a way in left out, as CSV."""

    kind = "rejected"


class Urls(Written):
    """The URLs of the photos that a way in kept, as Parquet."""

    kind = "urls"


class Figure(Written):
    """A figure."""

    kind = "figure"


class WrittenFolder(str):
    """A folder that files are written to."""


class Replaced(WrittenFolder):
    """A photo collection's folder, which takes the place of an older one."""


def check_paths(options: Mapping[str, Any]) -> None:
    """Refuse paths that cannot be written, or would be written over what is read.

    Args:
        options: names and values, as argparse gives them; those that are no paths do not count.

    Raises:
        InputError: which option, and what is wrong with it.
    """
    given = [*_paths(options)]
    written = [(name, path) for name, path in given if not isinstance(path, Read)]
    for name, path in written:
        _check_writable(f"--{name} {path}", path)
    for (name, path), (other, read) in product(written, given):
        if isinstance(read, Read) and _meet(path, read):
            raise InputError(f"--{name} {path}: it would be written over, or into, what is read "
                             f"as {other.replace('_', '-')}, {read}. Name another.")  # fmt: skip
    for (name, path), (other, same) in combinations(written, 2):
        if Path(path).resolve() == Path(same).resolve():
            raise InputError(f"--{name} and --{other} are both {path}. Name another.")


def _paths(options: Mapping[str, Any]) -> Iterator[tuple[str, Read | Written | WrittenFolder]]:
    for name, value in options.items():
        for path in value if isinstance(value, list) else [value]:
            if isinstance(path, Read | Written | WrittenFolder):
                yield name.replace("_", "-"), path


def _check_writable(where: str, path: Written | WrittenFolder) -> None:
    here = Path(path).absolute()
    if any(OURS in part for part in here.parts):
        raise InputError(f"{where}: names with `{OURS}` are for the work itself. Name another.")
    if isinstance(path, Written):
        if not here.parent.is_dir():
            raise InputError(f"{where}: there is no folder {Path(path).parent}.")
        if is_device(here):
            return
        if here.is_file() and here.is_relative_to("/dev"):
            raise InputError(f"{where} leads to a file: name the file itself.")
        if path.kind == "figure" and here.suffix.lower() not in (".png", ".svg", ".pdf"):
            raise InputError(f"{where}: a figure is a .png, .svg or .pdf.")
        if len(os.fsencode(here.name)) > LONGEST_NAME:
            raise InputError(f"{where}: the name is too long.")
        refuse_others(here, path.kind, where)
    place = here.parent if isinstance(path, Written | Replaced) else here
    place = next(place for place in (place, *place.parents) if place.exists())
    if not place.is_dir():
        raise InputError(f"{where}: {place} is a file. Name a folder.")
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise InputError(f"{where}: {place} cannot be written to ({error.strerror}).") from None


def _meet(path: Written | WrittenFolder, read: Read) -> bool:
    """Whether writing `path` could change `read`."""
    ours, theirs = Path(path).resolve(), Path(read).resolve()
    if ours == theirs or (ours.exists() and theirs.exists() and ours.samefile(theirs)):
        return True
    if isinstance(path, Replaced) and theirs.is_relative_to(ours):
        return True
    return not isinstance(read, ReadSome) and ours.is_relative_to(theirs)

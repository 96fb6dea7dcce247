"""A Flickr archive that was unpacked, as some browsers do it: a folder in the place of a zip."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hashtag_core.data.pictures import open_plain
from hashtag_core.errors import InputError
from hashtag_core.prepare.opening import check_files, file_states
from hashtag_core.prepare.places import is_utf8


@dataclass(frozen=True)
class UnpackedMember:
    """A file of a folder, named from there as a zip would name it."""

    filename: str


class UnpackedFolder:
    """The files of a folder, and of all folders in it, as `flickr_zips.Archive` has members.

    Links are not followed, and names that are not UTF-8 not looked at: Flickr writes neither.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members = []
        for folder, folders, files in os.walk(path):
            folders.sort()
            here = Path(folder)
            for name in sorted(files):
                if is_utf8(here / name) and not (here / name).is_symlink():
                    relative = (here / name).relative_to(path).as_posix()
                    self._members.append(UnpackedMember(relative))

    def __enter__(self) -> UnpackedFolder:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        """Nothing is open."""

    def infolist(self) -> list[UnpackedMember]:
        """All files, in the order of their paths."""
        return self._members

    def read(self, member: UnpackedMember, limit: int) -> bytes:
        """A file's bytes, one more than `limit` at most.

        Raises:
            PictureError: where it is no plain file, too large, or cannot be read.
        """
        with open_plain(self.path / member.filename, member.filename) as file:
            return file.read(limit + 1)


def expanded(paths: Iterable[Path]) -> list[Path]:
    """The zips and folders of an archive; of a folder, the zips in it come before itself.

    Raises:
        InputError: where something is missing, given twice, or one of the archive's own files.
    """
    found = []
    for path in paths:
        if path.suffix.lower() == ".json":
            raise InputError(f"{path}: give the folder it lies in, with the pictures, or the zips.")
        if path.is_dir():
            found += sorted(path.glob("*.zip"))
        found.append(path)
    check_files([path for path in found if not path.is_dir()])
    if len({path.resolve() for path in found}) < len(found):
        raise InputError("the same folder is given twice.")
    return found


def states(paths: Iterable[Path]) -> list[list]:
    """What tells whether zips and folders are as they were."""
    found = []
    for path in paths:
        members = UnpackedFolder(path).infolist() if path.is_dir() else []
        files = [path / member.filename for member in members] if path.is_dir() else [path]
        found += file_states(files)
    return found

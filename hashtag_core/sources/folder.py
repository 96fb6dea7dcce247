"""Somebody's own photos: a folder of pictures, with the keywords that photo programs write.

The pictures stay where they are; a photo's id is its path from the folder. A photo without a
keyword, or without a time in its metadata, is left out. GIF and BMP hold no keywords that Pillow
finds, but they may have a sidecar.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashtag_core.data.pictures import NO_PICTURE, OUTSIDE, REASONS, PictureError, open_plain
from hashtag_core.errors import InputError
from hashtag_core.prepare.cleaning import MANY_HASHTAGS, given_user
from hashtag_core.prepare.report import Report
from hashtag_core.prepare.staging import Piece, Understood, understood
from hashtag_core.sources.folder_metadata import read_metadata
from hashtag_core.sources.folder_xmp import MAX_XMP

PHOTOS_OF_PIECE = 256
READ = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"}
NOT_READ = {".heic", ".heif", ".avif", ".jxl", ".tif", ".tiff", ".psd", ".dng", ".cr2", ".cr3"} | {
    ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw", ".x3f", ".raw",
}  # fmt: skip
SIDECAR = ".xmp"
HIDDEN = {"@eadir", "__macosx", "lost+found", "$recycle.bin", "thumbs.db", "desktop.ini"}

NO_KEYWORD = "no keyword"
NO_TIME = "no time in the metadata"
NO_HASHTAG = "no hashtag among the keywords"
UNREAD = "no keyword or no time, but metadata that cannot be read"
ODD_NAME = "the name of the file is not UTF-8"
MALFORMED = frozenset({*REASONS, UNREAD, ODD_NAME, MANY_HASHTAGS} - {NO_PICTURE, OUTSIDE})

# What is not looked at, counted
OTHER = "a file that is no picture by its name: not read"
HIDDEN_FILE = "a hidden file or folder, or one that a program keeps for itself: not read"
LINK = "a link to a folder, or out of this one: not followed"
LONE_SIDECAR = "a sidecar without its picture: not read"


@dataclass(frozen=True)
class PhotoFile:
    """A file that is a photo by its name, and the sidecars beside it, as paths from the folder."""

    path: str
    sidecars: tuple[str, ...] = ()


class PhotoFolder:
    """A folder of pictures, with all folders in it, as a `Source`.

    Args:
        folder: where the pictures lie.
        user: whose they are.

    Raises:
        InputError: where there is no such folder, no picture in it, or no such name for a user.
    """

    name = "folder"
    unit = " photos"
    malformed = MALFORMED

    def __init__(self, folder: str | Path, user: str = "me") -> None:
        self.folder = Path(folder)
        self.user = given_user(user)
        if not self.folder.is_dir():
            raise InputError(f"{folder}: no such folder.")
        if readable(str(self.folder.resolve())) != str(self.folder.resolve()):
            raise InputError(f"{readable(str(folder))}: the folder's name is not UTF-8; rename it.")
        listed = _Listed(self.folder)
        self.photos = sorted(listed.photos, key=lambda photo: os.fsencode(photo.path))
        if not self.photos:
            why = (listed.problems or [", ".join(sorted(READ))])[0]
            raise InputError(f"{folder}: no picture in it ({why}).")
        self.skipped, self.problems = listed.skipped, listed.problems
        self.inputs, self.sizes = [str(folder)], [len(self.photos)]
        self.files = [readable(photo.path) for photo in self.photos]
        self.job = {
            "folder": str(self.folder.resolve()),
            "user": self.user,
            "files": _digest(self.folder, self.photos),
        }
        self.meta = {"source": "a folder of one's own photos", "licence": "one's own"}

    def pieces(self, number: int) -> Iterator[Piece | str]:
        """Some files each."""
        yield from self.problems
        for start in range(0, len(self.photos), PHOTOS_OF_PIECE):
            some = self.photos[start : start + PHOTOS_OF_PIECE]
            yield Piece(start + len(some), (start, some))

    def understand(self, data: Any, with_texts: bool) -> Understood:
        """Rows from files; what was not looked at in the folder is told with the first ones."""
        start, some = data
        report = Report()
        for what, count in self.skipped.items() if start == 0 else ():
            report.note(what, count)
        rows = (((n, 0), self._photo(file, report), "") for n, file in enumerate(some, start))
        return understood(rows, report, str if with_texts else None)

    def _photo(self, file: PhotoFile, report: Report) -> dict | str:
        """The photo of a file, or why it is left out."""
        suffix = _suffix(file.path)
        if suffix in NOT_READ:
            return f"a format that is not read: {suffix}"
        if readable(file.path) != file.path:
            return ODD_NAME
        sidecars, unread = [], []
        for path in file.sidecars:
            try:
                with open_plain(self.folder / path, path) as sidecar:
                    sidecars.append(sidecar.read(MAX_XMP + 1))
            except PictureError:
                unread.append("a sidecar")
        try:
            with open_plain(self.folder / file.path, file.path) as picture:
                metadata = read_metadata(picture, sidecars)
        except PictureError as error:
            return error.reason
        keywords, time, unread = metadata.keywords, metadata.time, unread + metadata.unread
        if not keywords or time is None:
            return UNREAD if unread else NO_TIME if keywords else NO_KEYWORD
        hashtags = report.hashtags_of(keywords, NO_HASHTAG)
        if isinstance(hashtags, str):
            return hashtags
        for place in unread:
            report.note(f"{place} cannot be read: kept with the other metadata", 1)
        photo = {"photo_id": file.path, "user": self.user, "time": time, "image": file.path}
        return {**photo, "hashtags": hashtags}


class _Listed:
    """The photos of a folder, and how many files were not looked at, and why."""

    def __init__(self, root: Path) -> None:
        self.root, self.real_root = root, root.resolve()
        self.photos: list[PhotoFile] = []
        self.skipped: Counter[str] = Counter()
        self.problems: list[str] = []
        waiting = [root]  # of the folders within one another there may be thousands
        while waiting:
            folder = waiting.pop()
            _, folders, files = next(os.walk(folder, onerror=self._cannot_read), (None, [], []))
            for name in folders:
                hidden = _is_hidden(name)
                if hidden or (folder / name).is_symlink():
                    self.skipped[HIDDEN_FILE if hidden else LINK] += 1
                else:
                    waiting.append(folder / name)
            self._add_files(folder, files)

    def _add_files(self, folder: Path, names: list[str]) -> None:
        here = folder.relative_to(self.root)
        sidecars: dict[str, list[str]] = {}  # by the name before .xmp, in lower case
        photos = []
        for name in names:
            if _is_hidden(name):
                self.skipped[HIDDEN_FILE] += 1
            elif _suffix(name) not in READ | NOT_READ | {SIDECAR}:
                self.skipped[OTHER] += 1
            elif self._leads_out(folder / name):
                self.skipped[LINK] += 1
            elif _suffix(name) == SIDECAR:
                sidecars.setdefault(name.lower()[: -len(SIDECAR)], []).append(str(here / name))
            else:
                photos.append(name)
        used = set()
        for name in photos:
            keys = (name.lower(), Path(name.lower()).stem)
            own = sorted(path for key in keys for path in sidecars.get(key, []))
            self.photos.append(PhotoFile((here / name).as_posix(), tuple(own)))
            used.update(own)
        self.skipped[LONE_SIDECAR] += sum(map(len, sidecars.values())) - len(used)

    def _leads_out(self, path: Path) -> bool:
        try:
            return path.is_symlink() and not path.resolve().is_relative_to(self.real_root)
        except (OSError, RuntimeError):  # links in a circle
            return True

    def _cannot_read(self, error: OSError) -> None:
        path = os.path.relpath(error.filename, self.root)
        self.problems.append(f"{readable(path)}: the folder cannot be read ({error.strerror})")


def readable(name: str) -> str:
    r"""A file's name as text that can be written: bytes that are not UTF-8 as \xff."""
    return os.fsencode(name).decode("utf-8", errors="backslashreplace")


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in HIDDEN


def _digest(folder: Path, photos: list[PhotoFile]) -> str:
    """Of all names, sizes and times of change: whether a job is the same."""
    digest = hashlib.sha256()
    for path in (path for photo in photos for path in (photo.path, *photo.sidecars)):
        try:
            about = (folder / path).stat()
            state = about.st_size, about.st_mtime_ns
        except OSError:
            state = None
        digest.update(os.fsencode(path) + f"\0{state}\n".encode())
    return digest.hexdigest()

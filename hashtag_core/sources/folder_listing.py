"""Which files of a folder are photos, and which sidecars lie beside each; nothing is opened.

A sidecar of `a.jpg` is `a.jpg.xmp`, `a.xmp` or `a.jpg.json`, and `a_01.jpg.xmp`, darktable's of a
second version. Google Takeout's .json are told by their names, which it shortens.
Picasa's file has a section for each picture of its folder.
A raw `a.dng` beside it is the same photo once more, and its sidecars are the picture's.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from hashtag_core.data.picture_formats import BY_SUFFIX, RAW
from hashtag_core.sources.folder_picasa import NAMES as PICASA

READ = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp"} | {
    ".tif", ".tiff", ".avif",
}  # fmt: skip
PHOTOS = READ | set(BY_SUFFIX)
SIDECAR, JSON = ".xmp", ".json"
HIDDEN = {"@eadir", "__macosx", "lost+found", "$recycle.bin", "thumbs.db", "desktop.ini"}
TAKEOUT_ENDS = re.compile(r"\.sup[a-z-]*(\(\d+\))?$", re.ASCII)  # before .json, cut off at will
SHORTENED = 40  # characters that a shortened name has at least
VERSION = re.compile(r"_\d\d(?=\.\w+$)", re.ASCII)  # of darktable, in front of the picture's suffix

# What is not looked at, counted
OTHER = "a file that is no picture by its name: not read"
HIDDEN_FILE = "a hidden file or folder, or one that a program keeps for itself: not read"
LINK = "a link to a folder, or out of this one: not followed"
TAKEOUT = "a .json of Google Takeout: people and a description, no keywords: not read"
LONE_SIDECAR = "a sidecar without its picture: not read"
TWIN = "a raw file beside its picture: the same photo, counted once"


@dataclass(frozen=True)
class PhotoFile:
    """A file that is a photo by its name, and what lies beside it, as paths from the folder."""

    path: str
    sidecars: tuple[str, ...] = ()
    picasa: tuple[str, ...] = ()  # that have a section for it, perhaps


class Listing:
    """The photos of a folder, and how many files were not looked at, and why.

    Args:
        root: the folder.

    Attributes:
        photos: in the order of their paths.
        skipped: reason -> how many.
        problems: folders that cannot be read.
    """

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
        self.photos.sort(key=lambda photo: os.fsencode(photo.path))

    def _add_files(self, folder: Path, names: list[str]) -> None:
        here = folder.relative_to(self.root)
        sidecars: dict[str, list[str]] = {}  # by the name before .xmp, in lower case
        photos, tables, picasa = [], [], []
        for name in sorted(names):
            if name.lower() in PICASA and not self._leads_out(folder / name):
                picasa.append(str(here / name))
            elif _is_hidden(name):
                self.skipped[HIDDEN_FILE] += 1
            elif suffix_of(name) not in PHOTOS | {SIDECAR, JSON}:
                self.skipped[OTHER] += 1
            elif self._leads_out(folder / name):
                self.skipped[LINK] += 1
            elif suffix_of(name) == SIDECAR:
                sidecars.setdefault(name.lower()[: -len(SIDECAR)], []).append(str(here / name))
            elif suffix_of(name) == JSON:
                tables.append(name)
            else:
                photos.append(name)
        lower = {name.lower() for name in photos}
        for name in tables:
            key = name.lower()[: -len(JSON)]
            if key in lower:
                sidecars.setdefault(key, []).append(str(here / name))
            else:
                self.skipped[TAKEOUT if _is_takeout(key, lower) else OTHER] += 1
        for key in list(sidecars):
            if key not in lower and (whole := VERSION.sub("", key)) != key:
                sidecars.setdefault(whole, []).extend(sidecars.pop(key))
        twins = self._twins(photos)
        hidden = {raw for raws in twins.values() for raw in raws}
        used = set()
        for name in photos:
            if name in hidden:
                continue
            stem = Path(name.lower()).stem
            keys = (name.lower(), stem, *map(str.lower, twins.get(stem, ())))
            own = sorted(path for key in keys for path in sidecars.get(key, []))
            self.photos.append(PhotoFile((here / name).as_posix(), tuple(own), tuple(picasa)))
            used.update(own)
        self.skipped[LONE_SIDECAR] += sum(map(len, sidecars.values())) - len(used)

    def _twins(self, photos: list[str]) -> dict[str, list[str]]:
        """By the name before the suffix, the raw files beside a picture that is read."""
        read = {Path(name.lower()).stem for name in photos if suffix_of(name) in READ}
        twins: dict[str, list[str]] = {}
        for name in photos:
            stem = Path(name.lower()).stem
            if suffix_of(name) in RAW and stem in read:
                twins.setdefault(stem, []).append(name)
                self.skipped[TWIN] += 1
        return twins

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


def suffix_of(name: str) -> str:
    """The end of a file's name, `.jpg`."""
    return Path(name).suffix.lower()


def _is_takeout(key: str, photos: set[str]) -> bool:
    """Whether a .json is Google Takeout's, by its name without that."""
    shortened = len(key) >= SHORTENED and any(photo.startswith(key) for photo in photos)
    return shortened or TAKEOUT_ENDS.search(key) is not None


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in HIDDEN

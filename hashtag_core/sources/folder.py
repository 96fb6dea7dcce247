"""Somebody's own photos: a folder of pictures, with the keywords that photo programs write.

The pictures stay where they are; a photo's id is its path from the folder. A photo without a
keyword, or without a time in its metadata, is left out. One whose picture cannot be read, as raw
ones and those of many telephones, is kept for its hashtags where its file or a sidecar tells them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from hashtag_core.data.picture_formats import BY_SUFFIX, RAW, OtherFormatError, reads_heic
from hashtag_core.data.pictures import (
    BROKEN,
    FOREIGN,
    NO_PICTURE,
    OUTSIDE,
    REASONS,
    PictureError,
    open_plain,
)
from hashtag_core.errors import InputError
from hashtag_core.prepare.cleaning import MANY_HASHTAGS, given_user
from hashtag_core.prepare.report import Report
from hashtag_core.prepare.staging import Piece, Understood, understood
from hashtag_core.sources.folder_keywords import OF_PROGRAM
from hashtag_core.sources.folder_listing import READ, Listing, PhotoFile, readable, suffix_of
from hashtag_core.sources.folder_metadata import Metadata, read_metadata
from hashtag_core.sources.folder_picasa import MAX_BYTES, read_picasa
from hashtag_core.sources.folder_xmp import MAX_XMP

PHOTOS_OF_PIECE = 256
NO_KEYWORD = "no keyword"
NO_TIME = "no time in the metadata"
NO_HASHTAG = "no hashtag among the keywords"
UNREAD = "no keyword or no time, but metadata that cannot be read"
ODD_NAME = "the name of the file is not UTF-8"
MALFORMED = frozenset({*REASONS, UNREAD, ODD_NAME, MANY_HASHTAGS} - {NO_PICTURE, OUTSIDE, FOREIGN})


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
        listed = Listing(self.folder)
        self.photos = listed.photos
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
            "HEIC": reads_heic(),
        }
        self._picasa = lru_cache(16)(self._keywords_of_picasa)
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
        if readable(file.path) != file.path:
            return ODD_NAME
        sidecars, unread = [], []
        for path in file.sidecars:
            try:
                with open_plain(self.folder / path, path) as sidecar:
                    sidecars.append(sidecar.read(MAX_XMP + 1))
            except PictureError:
                unread.append("a sidecar")
        for path in file.picasa:
            try:
                keywords = self._picasa(path).get(Path(file.path).name.lower())
            except (PictureError, ValueError):
                unread.append(".picasa.ini")
            else:
                sidecars += [json.dumps({"Keywords": keywords}).encode()] if keywords else []
        try:
            with open_plain(self.folder / file.path, file.path) as picture:
                metadata = read_metadata(picture, sidecars)
        except PictureError as error:
            return error.reason
        keywords, time, unread = metadata.keywords, metadata.time, unread + metadata.unread
        refused = _refused(metadata, suffix_of(file.path))
        if not keywords or time is None:
            if refused and not metadata.has_texts:
                return refused
            return UNREAD if unread else NO_TIME if keywords else NO_KEYWORD
        report.hashtags_read += metadata.of_programs
        report.leave_out_hashtags(OF_PROGRAM, metadata.of_programs)
        hashtags = report.hashtags_of(keywords, NO_HASHTAG)
        if isinstance(hashtags, str):
            return hashtags
        for what, count in metadata.notes.items():
            report.note(what, count)
        for place in unread:
            report.note(f"{place} cannot be read: kept with the other metadata", 1)
        if refused:
            report.note(f"kept without its picture: {refused}", 1)
        image = None if refused else file.path
        photo = {"photo_id": file.path, "user": self.user, "time": time, "image": image}
        return {**photo, "hashtags": hashtags}

    def _keywords_of_picasa(self, path: str) -> dict[str, list[str]]:
        """`read_picasa`, which is asked for each picture of its folder."""
        with open_plain(self.folder / path, path) as file:
            return read_picasa(file.read(MAX_BYTES + 1))


def _refused(metadata: Metadata, suffix: str) -> str | None:
    """Why the picture is not read; None: it is."""
    error, name = metadata.refused, BY_SUFFIX.get(suffix)
    is_broken = error is not None and error.reason == BROKEN
    if name is not None and (is_broken or (error is None and suffix in RAW)):
        return str(OtherFormatError(name))  # whatever its preview may be
    if error is not None and error.reason == FOREIGN:
        return str(error).removeprefix("picture: ").removesuffix(".")
    return error and error.reason


def _digest(folder: Path, photos: list[PhotoFile]) -> str:
    """Of all names, sizes and times of change: whether a job is the same."""
    digest = hashlib.sha256()
    for path in (path for photo in photos for path in (photo.path, *photo.sidecars, *photo.picasa)):
        try:
            about = (folder / path).stat()
            state = about.st_size, about.st_mtime_ns
        except OSError:
            state = None
        digest.update(os.fsencode(path) + f"\0{state}\n".encode())
    return digest.hexdigest()

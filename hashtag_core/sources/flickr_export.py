"""The archive that Flickr gives its members (Account > Request my Flickr data): several zip files.

    72157…_part1.zip      photo_<id>.json: tags, dates; account_profile.json: whose they are
    data-download-1.zip   the pictures and videos: title_<id>_o.jpg, or <id>_<secret>_o.jpg

A photo's description and its picture have the id in common, and may be in any of the zips, or in a
folder into which they were unpacked. Small copies of the pictures go into the collection; nothing
is extracted to disk. All photos are read, private ones, too: it is the member's own archive. Flickr
does not publish the format: this follows what users of the archives wrote down.
"""

from __future__ import annotations

import html
import io
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from hashtag_core.data.pictures import MAX_BYTES, PictureError, load_picture
from hashtag_core.errors import InputError
from hashtag_core.prepare.cleaning import MANY_HASHTAGS, Spelled, clean_user, given_user
from hashtag_core.prepare.report import Report
from hashtag_core.prepare.staging import Piece, Understood, understood
from hashtag_core.sources.flickr_folder import expanded, states
from hashtag_core.sources.flickr_zips import (
    PHOTO,
    REASONS,
    Archive,
    Archives,
    MemberError,
    Zips,
    open_zip,
    read_member,
)

PHOTOS_OF_PIECE = 32
MAX_JSON = 2**20  # bytes
SIDE = 512  # pixels, of the longer side of a picture's copy
QUALITY = 90  # of its JPEG
FIRST_YEAR = 1900  # of a date that is believed
ID = re.compile(r"[0-9]{1,20}")

NO_OBJECT = "no JSON object"
WRONG_ID = "the photo id is not a number"
VIDEO = "a video"
WRONG_TAGS = "tags that are no list"
NO_TAGS = "no tags"
NO_DATE = "no date, neither taken nor imported"
MALFORMED = frozenset({*REASONS, NO_OBJECT, WRONG_ID, WRONG_TAGS, NO_DATE, MANY_HASHTAGS})
NO_TEXT_TAG = "a tag that is no text"

IMPORT_DATE = "the date taken is missing or cannot be: imported counts"
NO_PICTURE = "no picture in these zips: kept without it"
WRONG_PICTURE = "the picture cannot be read: kept without it"
LONE_PICTURE = "a picture or video without its photo_….json: not read"


class FlickrExport:
    """The zips of one member as a `Source`.

    Args:
        zips: all that Flickr gave, in any order, or folders with them, or with what was in them.
        user: whose photos they are; what the archive says where not given, or else "me".

    Raises:
        InputError: where a file is missing, or there is no photo in any of them.
    """

    name = "flickr-export"
    unit = " photos"
    malformed = MALFORMED

    def __init__(self, zips: Sequence[str | Path], user: str | None = None) -> None:
        self.paths = expanded(map(Path, zips))
        self.zips, self.archives = Zips(self.paths), Archives(self.paths)
        self.files, self.inputs = self.zips.names, [str(path) for path in self.paths]
        self.sizes = [len(photos) for photos in self.zips.photos]  # described in each
        if not self.files:
            wrong = next((what for problems in self.zips.problems for what in problems), None)
            why = f"({wrong})" if wrong else "(is the zip with the account data there?)"
            raise InputError(f"{', '.join(self.inputs)}: no photo_….json in it {why}.")
        self.user = _user_of(self.zips.profile) or "me" if user is None else given_user(user)
        self.job = {"files": states(self.paths), "user": self.user}
        self.meta = {
            "source": "the archive of a member of Flickr",
            "licence": "each photo its own; see the archive",
        }

    def pieces(self, number: int) -> Iterator[Piece | str]:
        """Some descriptions each, as JSON, or why they cannot be read."""
        yield from self.zips.problems[number]
        photos = self.zips.photos[number]
        if not photos:
            return
        first = sum(self.sizes[:number])
        try:
            with open_zip(self.paths[number]) as archive:
                members = archive.infolist()
                for start in range(0, len(photos), PHOTOS_OF_PIECE):
                    some = photos[start : start + PHOTOS_OF_PIECE]
                    read = [_read(archive, members[at]) for at in some]
                    yield Piece(start + len(some), (first + start, read))
        except MemberError as error:
            yield str(error)

    def understand(self, data: Any, with_texts: bool) -> Understood:
        """Rows from descriptions; with the first ones, what is in the zips and was not read."""
        first, descriptions = data
        report = Report()
        if first == 0:
            report.note(LONE_PICTURE, self.zips.lone)
        rows = (
            ((number, 0), self._photo(number, description, report), description)
            for number, description in enumerate(descriptions, first)
        )
        return understood(rows, report, _as_text if with_texts else None)

    def _photo(self, number: int, description: bytes | str, report: Report) -> dict | str:
        """The photo of a description, or why it is left out."""
        if isinstance(description, str):
            return description
        try:
            told = json.loads(description)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            return NO_OBJECT
        photo_id = str(told.get("id") or PHOTO.search(self.files[number])[1])
        if not ID.fullmatch(photo_id):
            return WRONG_ID
        if photo_id in self.zips.videos:
            return VIDEO
        tags = told.get("tags") or []
        if not isinstance(tags, list):
            return WRONG_TAGS
        if not tags:
            return NO_TAGS
        taken, imported = (_time(told.get(name)) for name in ("date_taken", "date_imported"))
        if taken is None and imported is None:
            return NO_DATE
        hashtags = _hashtags(tags, report)
        if isinstance(hashtags, str):
            return hashtags
        report.note(IMPORT_DATE, int(taken is None))
        photo = {"photo_id": photo_id, "user": self.user, "time": taken or imported}
        return photo | {"hashtags": hashtags, "picture": self._picture(photo_id, report)}

    def _picture(self, photo_id: str, report: Report) -> bytes | None:
        """A small copy of a photo's picture."""
        from PIL import Image

        if photo_id not in self.zips.media:
            report.note(NO_PICTURE, 1)
            return None
        try:
            picture = load_picture(self.archives.read(*self.zips.media[photo_id], MAX_BYTES))
        except (MemberError, PictureError):
            report.note(WRONG_PICTURE, 1)
            return None
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=QUALITY)
        return file.getvalue()


def _read(archive: Archive, member: zipfile.ZipInfo) -> bytes | str:
    """A description, or why it cannot be read."""
    try:
        return read_member(archive, member, MAX_JSON)
    except MemberError as error:
        return str(error)


def _as_text(description: bytes | str) -> str:
    """A description for the file of rejected rows; "" where it could not be read."""
    return "" if isinstance(description, str) else description[:100_000].decode(errors="replace")


def _hashtags(tags: list, report: Report) -> Spelled | str:
    """`{"tag": "black &amp; white", …}`, or the text alone; as `Report.hashtags_of`.

    What was typed is `raw` in what Flickr's API answers, and `_content` is that without blanks.
    """
    texts = [_text(tag) for tag in tags]
    typed = [html.unescape(text) for text in texts if isinstance(text, str)]
    report.hashtags_read += len(tags) - len(typed)
    report.leave_out_hashtags(NO_TEXT_TAG, len(tags) - len(typed))
    return report.hashtags_of(typed)


def _text(tag: Any) -> Any:
    if not isinstance(tag, dict):
        return tag
    return next((tag[name] for name in ("raw", "tag", "_content") if name in tag), None)


def _time(text: Any) -> datetime | None:
    """`2012-05-04 12:31:02`, the clock of the place; None where it is missing or cannot be."""
    try:
        time = datetime.fromisoformat(text.strip()).replace(tzinfo=None)
    except (AttributeError, ValueError):
        return None
    return time if time.year >= FIRST_YEAR else None


def _user_of(profile: bytes | None) -> str | None:
    """Whose archive it is, as `30302697@N00`."""
    try:
        return clean_user(json.loads(profile)["nsid"])
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return None

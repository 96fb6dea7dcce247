"""The archives that sites give their members: which files of them are tables, and how to read one.

Their rows name no user: an archive is of one person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashtag_core.sources.table_decoding import LATIN_1

TABLES = ("tweets.js", "tweet.js", "outbox.json", "posts_1.json")  # as they are called in archives
MOST_NAMES = 3
LEVELS = 4  # of folders above an archive's table, in which its pictures may lie


@dataclass(frozen=True)
class Archive:
    """How the rows of an archive are read: columns, by the options of `prepare table`."""

    name: str
    columns: dict[str, str]
    image: str | None = None


TWITTER = Archive(
    "an archive of Twitter (X)",
    {
        "time": "tweet.created_at",
        "hashtags": "tweet.entities.hashtags",
        "photo-id": "tweet.id_str",
    },
)
MASTODON = Archive(
    "an archive of Mastodon", {"time": "published", "hashtags": "object.tag", "photo-id": "id"}
)
INSTAGRAM = Archive(
    "an archive of Instagram",
    {"time": "creation_timestamp", "hashtags": "title", "separator": "caption"},
    "uri",
)


def archive_of(row: Any) -> Archive | None:
    """Which archive a row is of, as `lifted` gives it; None: of none that is known."""
    if not isinstance(row, dict):
        return None
    if isinstance(row.get("tweet"), dict) and "created_at" in row["tweet"]:
        return TWITTER
    if row.keys() >= {"actor", "object", "published", "type"}:
        return MASTODON
    return INSTAGRAM if _is_posted(row) else None


def lifted(item: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """(an object with what is in its only part on top, a note of what was decoded or "").

    Of a feature of GeoJSON these are its `properties`. Of a post of Instagram, its first picture:
    of several, the post has a title and a time, and of one, the picture has them.
    """
    if isinstance(item.get("properties"), dict):
        return {**item, **item["properties"]}, ""
    media = item.get("media")
    if isinstance(media, list) and media and _is_posted(media[0]):
        item = {**media[0], **{name: value for name, value in item.items() if value != ""}}
    title = item.get("title") if _is_posted(item) else None
    if isinstance(title, str) and (meant := _in_utf_8(title)) != title:
        return {**item, "title": meant}, LATIN_1
    return item, ""


def _is_posted(item: Any) -> bool:
    return isinstance(item, dict) and item.keys() >= {"uri", "creation_timestamp"}


def _in_utf_8(text: str) -> str:
    """A text whose bytes were each written as a character."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def pictures_root(table: Path, picture: Any) -> Path | None:
    """The folder from which the path of a picture counts, above an archive's table."""
    if not isinstance(picture, str):
        return None
    for folder in list(table.absolute().parents)[:LEVELS]:
        try:
            if (folder / picture).is_file():
                return folder
        except (OSError, ValueError):
            return None
    return None


def tables_among(names: Iterable[str]) -> list[str]:
    """Those of an archive's files that are tables."""
    found = [name for name in names if name.replace("\\", "/").rpartition("/")[2] in TABLES]
    return sorted(found, key=len)[:MOST_NAMES]

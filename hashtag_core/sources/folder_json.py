"""Sidecars in JSON, as ExifTool and osxphotos write them: one object of names and values.

Google Takeout's hold titles, people and places, and no keywords.
"""

from __future__ import annotations

import json
from typing import Any

MAX_JSON = 2**20  # bytes
PLAIN = ("Subject", "Keywords", "XPKeywords", "LastKeywordIPTC")
PATHS = {"HierarchicalSubject": "|", "TagsList": "/", "LastKeywordXMP": "/"}
TIMES = ("DateTimeOriginal", "CreateDate", "DateCreated")


def is_json(sidecar: bytes) -> bool:
    """Whether a sidecar is of this kind, and not XMP."""
    return sidecar.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] in (b"[", b"{")


def read_json(sidecar: bytes) -> tuple[list[str], list[tuple[str, str]], list[str]]:
    """(keywords, paths with what stands between their levels, times) of a sidecar.

    Raises:
        ValueError: where it is over the bounds, or no JSON.
    """
    if len(sidecar) > MAX_JSON:
        raise ValueError("too large")
    try:
        told = json.loads(sidecar)
    except RecursionError:
        raise ValueError("nested too deep") from None
    told = told[0] if isinstance(told, list) and told else told
    if not isinstance(told, dict):
        raise ValueError("no object")
    by_name: dict[str, list[str]] = {}
    for key, value in told.items():  # "XMP:Subject", "IPTC:Keywords"
        by_name.setdefault(key.rpartition(":")[2], []).extend(_texts(value))
    keywords = [text for name in PLAIN for text in by_name.get(name, [])]
    paths = [(text, between) for name, between in PATHS.items() for text in by_name.get(name, [])]
    return keywords, paths, [text for name in TIMES for text in by_name.get(name, [])]


def _texts(value: Any) -> list[str]:
    """A value, or several, as texts: ExifTool writes the keyword 2024 as a number."""
    several = value if isinstance(value, list) else [value]
    return [str(one) for one in several if isinstance(one, str | int) and one is not True]

"""JSON lines, and the objects of a JSON list or of GeoJSON, one after the other.

A value is decoded by itself, so memory does not grow with the file; how large and how deep one may
be is bounded. A bad line is left out alone; behind broken JSON in a list, nothing can be read.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from hashtag_core.prepare.opening import DAMAGED, opened
from hashtag_core.sources.table_csv import LONG_LINE, MAX_TEXT, Found, Refused, text_lines

MAX_ITEM = 8 * 2**20  # characters of one value in a list
MAX_DEPTH = 64  # of objects and lists in an object
PIECE = 2**18  # bytes

NO_OBJECT = "not a JSON object"
DEEP = f"an object nested more than {MAX_DEPTH} deep"
SPACE = re.compile(r"[ \t\r\n]*")
DECODER = json.JSONDecoder()


def json_lines(path: Path, encoding: str) -> Iterator[Found | str]:
    """An object in each line; as `Opened.rows`."""
    for numbered in text_lines(path, encoding):
        if isinstance(numbered, str):
            yield numbered
            return
        position, number, line = numbered
        if line is None:
            yield position, number, Refused(), LONG_LINE
        elif line.strip():
            try:
                cells = json.loads(line)
                why = _why_not(cells)
            except RecursionError:
                why = DEEP
            except ValueError:
                why = NO_OBJECT
            yield position, number, Refused(line[:MAX_TEXT]) if why else cells, why


def json_items(path: Path, encoding: str, member: str | None = None) -> Iterator[Found | str]:
    """The objects of a list, by their number; as `Opened.rows`.

    Args:
        path: of the file.
        encoding: of its text.
        member: the list's name in the object that the file is; None where the file is a list. Of
            a GeoJSON feature, the `properties` are on top.
    """
    number = 0
    with opened(path) as (file, raw):
        text = _Json(file, encoding)
        try:
            if member is not None:
                text.find(member)
            text.expect("[")
            ended = text.skip("]")
            while not ended:
                item = text.value()
                number += 1
                why = _why_not(item)
                if not why and isinstance(item.get("properties"), dict):
                    item = {**item, **item["properties"]}
                shown = Refused("" if why == DEEP else str(item)[:MAX_TEXT]) if why else item
                yield raw.tell(), number, shown, why
                ended = text.skip("]")
                if not ended:
                    text.expect(",")
            text.end(member is not None)
        except RecursionError:
            yield f"broken JSON after object {number:,}: {DEEP}"
        except (ValueError, *DAMAGED) as error:
            reason = " ".join(str(error).split())[:100]
            yield f"broken JSON after object {number:,}: {reason}"


def _why_not(value: Any) -> str:
    if not isinstance(value, dict):
        return NO_OBJECT
    return DEEP if _is_deeper(value, MAX_DEPTH) else ""


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether there are more than so many objects and lists in one another."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    return not depth or any(_is_deeper(part, depth - 1) for part in value)


class _Json:
    """A file of JSON, taken apart from its beginning; what was taken is forgotten."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self.file, self.text, self.at, self.is_whole = file, "", 0, False
        self.decode = codecs.getincrementaldecoder(encoding)(errors="replace").decode

    def skip(self, mark: str) -> bool:
        """Whether the next character, spaces aside, is this one; if so, it is taken."""
        while True:
            self.at = SPACE.match(self.text, self.at).end()
            if self.at < len(self.text):
                found = self.text[self.at] == mark
                self.at += found
                return found
            if self.is_whole:
                return False
            self._read_on()

    def expect(self, mark: str) -> None:
        """Take this character; raises ValueError where it is another."""
        if not self.skip(mark):
            raise ValueError(f"no {mark} where one has to be")

    def value(self) -> Any:
        """Take the next value; raises ValueError where it is broken or too large."""
        while True:
            try:
                start = SPACE.match(self.text, self.at).end()
                value, end = DECODER.raw_decode(self.text, start)
                if end < len(self.text) or self.is_whole:  # else, a number may go on
                    self.at = end
                    return value
            except json.JSONDecodeError as error:
                if self.is_whole:
                    raise ValueError(error.msg) from None
            self._read_on()

    def find(self, member: str) -> None:
        """Take what stands in front of the value of this member."""
        self.expect("{")
        while self.value() != member:
            self.expect(":")
            self.value()
            self.expect(",")
        self.expect(":")

    def end(self, is_member: bool) -> None:
        """Take what stands behind a list; raises ValueError where it is more than there may be."""
        while is_member and self.skip(","):
            self.value()
            self.expect(":")
            self.value()
        if is_member:
            self.expect("}")
        if not self.skip("") and self.at < len(self.text):
            raise ValueError("more text behind its end")

    def _read_on(self) -> None:
        left = self.text[self.at :]
        if len(left) > MAX_ITEM:
            raise ValueError(f"a value of more than {MAX_ITEM:,} characters")
        piece = self.file.read(max(PIECE, len(left)))
        self.is_whole = not piece
        self.text, self.at = left + self.decode(piece, final=self.is_whole), 0

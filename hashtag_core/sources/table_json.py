"""JSON lines, and the objects of a list in JSON, wherever it is, one after the other.

A value is decoded by itself, so memory does not grow with the file; how large and how deep one may
be is bounded. A bad line is left out alone; behind broken JSON in a list, nothing can be read.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from hashtag_core.prepare.opening import DAMAGED, opened
from hashtag_core.sources.table_archives import lifted
from hashtag_core.sources.table_csv import LONG_LINE, MAX_TEXT, Found, Refused, text_lines

MAX_ITEM = 8 * 2**20  # characters of one value in a list
MAX_DEPTH = 64  # of objects and lists in an object
MAX_NESTED = 4  # objects and lists in one another, in which a list of rows is looked for
MAX_LOOK = 64 * 2**20  # bytes that are looked through for it
FIRST = 20  # rows that tell whether a list is meant
MAX_LISTS, MAX_KEPT = 1000, 16 * 2**20  # lists, and characters of their first rows
CLOSING = {"{": "}", "[": "]"}
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


def json_items(
    path: Path, encoding: str, within: Sequence[str] = (), skipped: int = 0
) -> Iterator[Found | str]:
    """The objects of a list, by their number; as `Opened.rows`.

    Args:
        path: of the file.
        encoding: of its text.
        within: the names of the objects that the list is in, and its own; none where the file is a
            list. What is in an object's only part is on top (`lifted`).
        skipped: characters of a script in front.
    """
    number = 0
    with opened(path) as (file, raw):
        text = _Json(file, encoding)
        try:
            text.drop(skipped)
            for name in within:
                text.find(name)
            text.expect("[")
            ended = text.skip("]")
            while not ended:
                item, note = text.value(), ""
                number += 1
                why = _why_not(item)
                if not why:
                    item, note = lifted(item)
                shown = Refused("" if why == DEEP else str(item)[:MAX_TEXT]) if why else item
                yield raw.tell(), number, shown, why or note
                ended = text.skip("]")
                if not ended:
                    text.expect(",")
            text.end(len(within), skipped > 0)
        except RecursionError:
            yield f"broken JSON after object {number:,}: {DEEP}"
        except (ValueError, *DAMAGED) as error:
            reason = " ".join(str(error).split())[:100]
            yield f"broken JSON after object {number:,}: {reason}"


@dataclass
class Rows:
    """A list of objects in a file: the first of them, and how many were seen."""

    first: list[dict] = field(default_factory=list)
    number: int = 0


def json_lists(path: Path, encoding: str, skipped: int) -> dict[tuple[str, ...], Rows]:
    """The lists of objects in the one object that a file is: {their names: what is in them}.

    Args:
        path: of the file, of which `MAX_LOOK` bytes are looked through.
        encoding: of its text.
        skipped: characters of a script in front.
    """
    lists: dict[tuple[str, ...], Rows] = {}
    kept = [0]  # characters of first rows

    def look(names: tuple[str, ...]) -> bool:
        """Take an object; returns whether enough was read."""
        text.expect("{")
        ended = text.skip("}")
        while not ended:
            inner = (*names, str(text.value()))
            text.expect(":")
            if text.next() == "{" and len(inner) < MAX_NESTED:
                if look(inner):
                    return True
            elif text.next() == "[":
                if look_at_list(inner):
                    return True
            else:
                text.pass_over()
            ended = text.skip("}")
            if not ended:
                text.expect(",")
        return False

    def look_at_list(names: tuple[str, ...]) -> bool:
        text.expect("[")
        rows, ended = Rows(), text.skip("]")
        while not ended:
            if text.next() == "{":
                rows.number += 1
                lists[names] = rows
                before = text.taken + text.at
                if rows.number <= FIRST and kept[0] < MAX_KEPT:
                    rows.first.append(lifted(text.value())[0])
                    kept[0] += text.taken + text.at - before
                else:
                    text.pass_over()
            else:
                text.pass_over()
            ended = text.skip("]")
            if text.bytes_read > MAX_LOOK or len(lists) == MAX_LISTS:
                return True
            if not ended:
                text.expect(",")
        return False

    with opened(path) as (file, _):
        text = _Json(file, encoding)
        try:
            text.drop(skipped)
            look(())
        except (ValueError, RecursionError, *DAMAGED):
            pass  # told when the rows are read
    return lists


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
        self.bytes_read = 0
        self.taken = 0  # characters in front of `text`
        self.decode = codecs.getincrementaldecoder(encoding)(errors="replace").decode

    def drop(self, characters: int) -> None:
        """Take so many characters."""
        while len(self.text) < characters and not self.is_whole:
            self._read_on()
        self.at = min(characters, len(self.text))

    def next(self) -> str:
        """The next character, spaces aside, which is not taken; "" at the end."""
        while True:
            self.at = SPACE.match(self.text, self.at).end()
            if self.at < len(self.text) or self.is_whole:
                return self.text[self.at : self.at + 1]
            self._read_on()

    def skip(self, mark: str) -> bool:
        """Whether the next character, spaces aside, is this one; if so, it is taken."""
        found = self.next() == mark != ""
        self.at += found
        return found

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

    def pass_over(self, depth: int = MAX_DEPTH) -> None:
        """Take the next value; of one that is too large, its parts one by one."""
        try:
            self.value()
        except ValueError:
            opening = self.next()
            if opening not in CLOSING or not depth or len(self.text) - self.at <= MAX_ITEM:
                raise
            self.expect(opening)
            ended = self.skip(CLOSING[opening])
            while not ended:
                if opening == "{":
                    self.value()
                    self.expect(":")
                self.pass_over(depth - 1)
                ended = self.skip(CLOSING[opening])
                if not ended:
                    self.expect(",")

    def find(self, member: str) -> None:
        """Take what stands in front of the value of this member."""
        self.expect("{")
        while self.value() != member:
            self.expect(":")
            self.pass_over()
            self.expect(",")
        self.expect(":")

    def end(self, levels: int, is_script: bool) -> None:
        """Take what stands behind a list; raises ValueError where it is more than there may be.

        Args:
            levels: of the objects that the list is in.
            is_script: whether a script may close what it opened in front.
        """
        for _ in range(levels):
            while self.skip(","):
                self.value()
                self.expect(":")
                self.pass_over()
            self.expect("}")
        while is_script and (self.skip(")") or self.skip(";")):
            pass
        if self.next():
            raise ValueError("more text behind its end")

    def _read_on(self) -> None:
        left = self.text[self.at :]
        if len(left) > MAX_ITEM:
            raise ValueError(f"a value of more than {MAX_ITEM:,} characters")
        piece = self.file.read(max(PIECE, len(left)))
        self.bytes_read += len(piece)
        self.is_whole = not piece
        self.taken += self.at
        self.text, self.at = left + self.decode(piece, final=self.is_whole), 0

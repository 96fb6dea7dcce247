"""Text files row by row: their encoding, their lines, and CSV with any delimiter.

A bad row stops nothing: it comes out as a reason, with its line, and the next one follows.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashtag_core.errors import InputError
from hashtag_core.prepare.opening import DAMAGED, opened, what_ends

MAX_LINE = 2**20  # characters; also of a row's lines together
MAX_LINES_OF_ROW = 200  # of a quoted cell with line breaks; a quote that nobody closes has no more
MAX_TEXT = 100_000  # characters of a row that is left out
SAMPLE_LINES = 1000
UNBOUNDED = {"utf-7", "punycode", "idna"}  # whose decoders keep what they wait for the end of
BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

BACKSLASH = re.compile(r'\\(["\\])?')
LONG_LINE = f"a line of more than {MAX_LINE:,} characters"
LONG_CELL = f"a cell of more than {csv.field_size_limit():,} characters"
QUOTES = "quotes that do not match"
PLAIN_QUOTES = "quotes that do not match: read as they stand"
WIDTH = "another number of columns than most rows"
LONGER = (
    "more cells than the header has names, left out: one that holds the delimiter needs quotes "
    "around it"
)
GOES_ON = "more cells than names of columns: the further ones read as hashtags"
BAD_LINES = {LONG_LINE, LONG_CELL, QUOTES, WIDTH}
SEP_LINE = re.compile(r'"?sep=([^\r\n"])"?[ \t;,]*\r?\n', re.IGNORECASE)  # for a spreadsheet

Cells = dict[str, Any] | Sequence[Any]


class Refused(str):
    """The text of a row that could not be taken apart."""


class Longer(Refused):
    """The same, of one that has more cells than the header has names."""


@dataclass(frozen=True)
class Dialect:
    r"""How the cells of a row are told apart.

    Attributes:
        delimiter: between them.
        width: how many there are.
        backslash: whether a quote in a cell is written `\"`, and a backslash `\\`.
        goes_on: whether a row may be longer: what stands behind the last cell belongs to it.
        is_broken: whether many rows are longer though they may not be.
        blanks: whether blanks stand between a delimiter and the quote behind it.
    """

    delimiter: str
    width: int
    backslash: bool = False
    goes_on: bool = False
    is_broken: bool = False
    blanks: bool = False


Found = tuple[int, int, Cells | Refused, str]  # position in the file, line, cells, note or reason


def find_encoding(
    path: Path, sample: bytes, given: str | None, whole: bool = False
) -> tuple[str, str]:
    """(encoding, how it is known), from the beginning of a file, or the whole of it.

    Raises:
        InputError: where it cannot be known, or the given one does not exist.
    """
    if given is not None:
        try:
            name = codecs.lookup(given).name
            "".encode(given)
        except (LookupError, ValueError, TypeError):
            raise InputError(f"--encoding {given}: there is no such encoding.") from None
        if name in UNBOUNDED:
            raise InputError(f"--encoding {given}: not read. Convert the file to UTF-8.")
        bom = name == "utf-8" and sample.startswith(codecs.BOM_UTF8)
        return "utf-8-sig" if bom else given, f"encoding {given}, as told"
    for bom, name in BOMS.items():
        if sample.startswith(bom):
            return name, f"encoding {name}, as its first bytes say"
    lines = [line for line in sample.splitlines() if not line.isascii()][:SAMPLE_LINES]
    if not whole:
        del lines[-1:]  # it may be cut off
    broken = sum("\ufffd" in line.decode("utf-8", errors="replace") for line in lines)
    if sample.count(b"\0") > len(sample) / 4:
        first = sample.index(b"\0") % 2 == 0
        raise InputError(
            f"{path}: UTF-16 that does not say so. Tell its --encoding: "
            f"{'utf-16-be' if first else 'utf-16-le'} (or the other one)."
        )
    if broken > len(lines) / 2:
        raise InputError(
            f"{path}: not UTF-8. Tell its --encoding: cp1252, utf-16-le, gb18030, koi8-r …"
        )
    return "utf-8", "encoding utf-8"


def text_lines(path: Path, encoding: str) -> Iterator[tuple[int, int, str | None] | str]:
    """(position, number, the line with its end, or None where it is too long), or a problem."""
    with opened(path) as (file, raw):
        text = io.TextIOWrapper(file, encoding, errors="replace", newline="")
        number = 0
        while True:
            try:
                line = text.readline(MAX_LINE)
                number += 1
                too_long = len(line) == MAX_LINE and not line.endswith(("\n", "\r"))
                while too_long and (more := text.readline(MAX_LINE)):
                    if len(more) < MAX_LINE or more.endswith(("\n", "\r")):
                        break
            except (*DAMAGED, UnicodeError) as error:
                yield what_ends(error).format(line=number - 1)
                return
            if not line:
                return
            yield raw.tell(), number, None if too_long else line


def csv_rows(path: Path, encoding: str, dialect: Dialect, header: bool) -> Iterator[Found | str]:
    """The rows of a file, but for the header where there is one; as `Opened.rows`."""
    position, problem, width = 0, None, dialect.width

    def lines() -> Iterator[tuple[int, str | None]]:
        nonlocal position, problem
        for numbered in text_lines(path, encoding):
            if isinstance(numbered, str):
                problem = numbered
                return
            position, number, line = numbered
            if number > 1 or line is None or not SEP_LINE.fullmatch(line):
                yield number, line

    for number, cells, why in parse_csv(lines(), dialect):
        if cells is None:
            yield position, number, Refused(), why
        elif header and len(cells) == width:
            header = False
        elif len(cells) == width:
            yield position, number, cells, why
        elif dialect.goes_on and not why and len(cells) > width:
            last = [cell for cell in cells[width - 1 :] if cell.strip()]
            note = GOES_ON if len(last) > 1 else ""
            yield position, number, [*cells[: width - 1], last if note else "".join(last)], note
        else:
            kind = Longer if dialect.is_broken and len(cells) > width else Refused
            text = kind(dialect.delimiter.join(cells)[:MAX_TEXT])
            yield position, number, text, QUOTES if why else WIDTH
    if problem:
        yield problem


def parse_csv(
    lines: Iterator[tuple[int, str | None]], dialect: Dialect
) -> Iterator[tuple[int, list[str] | None, str]]:
    """(line, cells, note or "") or (line, None, reason); blank lines are passed over.

    Where quotes do not match, the lines that the parser took for the row's continuation are read
    again, and its first line is split as if quotes meant nothing.
    """
    again: deque[tuple[int, str | None]] = deque()
    delimiter = dialect.delimiter
    how = {"delimiter": delimiter, "escapechar": "\\" if dialect.backslash else None}
    how |= {"skipinitialspace": dialect.blanks}

    def following(taken: list) -> Iterator[str]:
        left = MAX_LINE
        while len(taken) < MAX_LINES_OF_ROW and left > 0:
            line = again.popleft() if again else next(lines, None)
            if line is None:
                return
            taken.append(line)
            if line[1] is None:
                raise csv.Error(LONG_LINE)
            left -= len(line[1])
            yield _escaped(line[1]) if dialect.backslash and "\\" in line[1] else line[1]

    while True:
        taken: list[tuple[int, str | None]] = []
        try:
            cells = next(csv.reader(following(taken), strict=True, **how), None)
            why = ""
        except csv.Error as error:
            again.extendleft(reversed(taken[1:]))
            if taken[0][1] is None:
                cells, why = None, LONG_LINE
            elif "field larger" in str(error) and len(taken) == 1:
                cells, why = None, LONG_CELL
            else:
                cells, why = taken[0][1].rstrip("\r\n").split(delimiter), PLAIN_QUOTES
        if not taken:
            return
        if cells or why:
            yield taken[0][0], cells, why


def _escaped(line: str) -> str:
    """A line in which all backslashes are escaped that escape no quote and no backslash."""
    return BACKSLASH.sub(lambda match: match[0] if match[1] else r"\\", line)


def as_text(cells: Cells | Refused) -> str:
    """A row for the file of rejected rows."""
    if isinstance(cells, Refused):
        return cells.encode("utf-8", "backslashreplace").decode().rstrip("\r\n")[:MAX_TEXT]
    return str(cells if isinstance(cells, dict) else list(cells))[:MAX_TEXT]

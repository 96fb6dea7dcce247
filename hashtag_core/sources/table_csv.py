"""Text files row by row: their encoding, their lines, and CSV with any delimiter.

A bad row stops nothing: it comes out as a reason, with its line, and the next one follows.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hashtag_core.errors import InputError
from hashtag_core.prepare.opening import DAMAGED, opened, what_ends

MAX_LINE = 2**20  # characters; also of a row's lines together
MAX_LINES_OF_ROW = 200  # of a quoted cell with line breaks; a quote that nobody closes has no more
MAX_TEXT = 100_000  # characters of a row that is left out
SAMPLE_ROWS = 1000
DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
UNBOUNDED = {"utf-7", "punycode", "idna"}  # whose decoders keep what they wait for the end of
BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

LONG_LINE = f"a line of more than {MAX_LINE:,} characters"
LONG_CELL = f"a cell of more than {csv.field_size_limit():,} characters"
QUOTES = "quotes that do not match"
PLAIN_QUOTES = "quotes that do not match: read as they stand"
WIDTH = "another number of columns than most rows"
BAD_LINES = {LONG_LINE, LONG_CELL, QUOTES, WIDTH}

Cells = dict[str, Any] | Sequence[Any]


class Refused(str):
    """The text of a row that could not be taken apart."""


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
    lines = [line for line in sample.splitlines() if not line.isascii()][:SAMPLE_ROWS]
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


def guess_delimiter(path: Path, text: str) -> tuple[str, int]:
    """(what separates the columns, how many there are), from the beginning of a file."""
    widths = {delimiter: usual_width(text, delimiter) for delimiter in DELIMITERS}
    share, width, best = max((*usual, delimiter) for delimiter, usual in widths.items())
    if width < 2 or share < 0.5:
        raise InputError(
            f"{path}: no delimiter gives rows of equal length (commas, tabs, semicolons and bars "
            f"were tried). {_why_unequal(text)}"
        )
    return best, width


def _why_unequal(text: str) -> str:
    if '\\"' in text:
        return "Quotes in cells are written as \\\" here: write them twice (in Spark: escape='\"')."
    return "Tell the --delimiter; a cell that holds it, of hashtags say, needs quotes around it."


def usual_width(text: str, delimiter: str) -> tuple[float, int]:
    """(share of the rows that have the most frequent width, that width); 0 for a width of 1."""
    lines = islice(io.StringIO(text, newline=""), SAMPLE_ROWS)
    rows = _parse_csv(enumerate(lines, 1), delimiter)
    widths = Counter(len(cells) for _, cells, _ in rows if cells is not None)
    width, count = widths.most_common(1)[0] if widths else (0, 0)
    return (count / widths.total() if width > 1 else 0.0), width


def csv_rows(
    path: Path, encoding: str, delimiter: str, width: int, header: bool
) -> Iterator[Found | str]:
    """The rows of a file, but for the header where there is one; as `Opened.rows`."""
    position, problem = 0, None

    def lines() -> Iterator[tuple[int, str | None]]:
        nonlocal position, problem
        for numbered in text_lines(path, encoding):
            if isinstance(numbered, str):
                problem = numbered
                return
            position, number, line = numbered
            yield number, line

    for number, cells, why in _parse_csv(lines(), delimiter):
        if cells is None:
            yield position, number, Refused(), why
        elif header and len(cells) == width:
            header = False
        elif len(cells) != width:
            text = Refused(delimiter.join(cells)[:MAX_TEXT])
            yield position, number, text, QUOTES if why else WIDTH
        else:
            yield position, number, cells, why
    if problem:
        yield problem


def _parse_csv(
    lines: Iterator[tuple[int, str | None]], delimiter: str
) -> Iterator[tuple[int, list[str] | None, str]]:
    """(line, cells, note or "") or (line, None, reason); blank lines are passed over.

    Where quotes do not match, the lines that the parser took for the row's continuation are read
    again, and its first line is split as if quotes meant nothing.
    """
    again: deque[tuple[int, str | None]] = deque()

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
            yield line[1]

    while True:
        taken: list[tuple[int, str | None]] = []
        try:
            cells = next(csv.reader(following(taken), delimiter=delimiter, strict=True), None)
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

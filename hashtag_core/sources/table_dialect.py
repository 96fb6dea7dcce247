r"""How the cells of a CSV file are told apart, found out from its beginning.

What separates them; whether a quote in a cell is written `\"`, as Spark, MySQL and Athena do;
whether blanks stand before quotes; and whether hashtags without quotes make rows longer than the
header.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from hashtag_core.errors import InputError
from hashtag_core.sources.table_csv import SEP_LINE, Dialect, parse_csv

DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
SAMPLE_LINES = 1000
HEADER_WITHIN = 20  # rows
OFTEN = 0.2  # of the rows are longer than the header, where hashtags stand without quotes
SELDOM = 0.02  # of them are shorter then, or have quotes around their hashtags
EQUAL = 0.95  # of the rows are equally long, where that is no chance

Rows = list[tuple[list[str], str]]  # cells, note


def find_dialect(
    path: Path, text: str, delimiter: str | None = None, columns: Mapping[str, str] | None = None
) -> tuple[Dialect, str]:
    """(how the cells are told apart, the same in words), from the beginning of a file.

    Args:
        path: of the file, for errors.
        text: its beginning.
        delimiter: where it is told.
        columns: those of `Table` that are told, by name, or all by number where no row names them.

    Raises:
        InputError: where it cannot be found out.
    """
    how = ""
    if said := SEP_LINE.match(text):
        text = text[said.end() :]
        if delimiter is None:
            delimiter, how = said[1], " (line 1 says so)"
    samples = {mark: _sample(text, mark) for mark in ([delimiter] if delimiter else DELIMITERS)}
    usual = {mark: _usual_width(rows) for mark, (rows, _) in samples.items()}
    best = max(usual, key=lambda mark: (*usual[mark], mark))
    share, width = usual[best]
    found = None
    for rows, dialect in samples.values():
        if named := _named(rows, columns or {}, share < EQUAL):
            found = found or _longer_rows(path, replace(dialect, width=named.width), named)
    if found is None and delimiter is None and (width < 2 or share < 0.5):
        raise InputError(
            f"{path}: no delimiter gives rows of equal length (commas, tabs, semicolons and bars "
            "were tried). Tell the --delimiter; a cell that holds it, of hashtags say, needs "
            "quotes around it."
        )
    found = found or replace(samples[best][1], width=width)
    how = f"separated by {DELIMITERS.get(found.delimiter, found.delimiter)}{how}"
    how += '; a quote in a cell is written \\"' * found.backslash
    how += "; blanks before a quote count for nothing" * found.blanks
    how += "; further cells of a row are hashtags, too" * found.goes_on
    return found, f"{found.width} columns, {how}"


def _sample(text: str, delimiter: str) -> tuple[Rows, Dialect]:
    """(rows, how they were read: so that quotes match)."""
    dialect = Dialect(delimiter, 0)
    rows = _rows(text, dialect, SAMPLE_LINES)
    if '\\"' in text:
        escaped = replace(dialect, backslash=True)
        plain, found = _rows(text, dialect), _rows(text, escaped)
        if 2 * _odd(found) < _odd(plain):
            dialect, rows = escaped, found[:SAMPLE_LINES]
    if re.search(re.escape(delimiter) + ' +"', text):
        skipping = replace(dialect, blanks=True)
        found = _rows(text, skipping, SAMPLE_LINES)
        if _odd(found) <= _odd(rows):
            return found, skipping
    return rows, dialect


def _rows(text: str, dialect: Dialect, lines: int | None = None) -> Rows:
    numbered = enumerate(islice(io.StringIO(text, newline=""), lines), 1)
    rows = parse_csv(numbered, dialect)
    return [(cells, why) for _, cells, why in rows if cells is not None]


def _usual_width(rows: Rows) -> tuple[float, int]:
    """(share of the rows that have the most frequent width, that width); 0 for a width of 1."""
    widths = Counter(len(cells) for cells, _ in rows)
    width, count = widths.most_common(1)[0] if widths else (0, 0)
    return (count / widths.total() if width > 1 else 0.0), width


def _odd(rows: Rows) -> int:
    """How many have quotes that do not match, or another width than most."""
    width = _usual_width(rows)[1]
    return sum(bool(why) or len(cells) != width for cells, why in rows)


@dataclass(frozen=True)
class _Named:
    """Columns that have names, and the rows below them.

    Attributes:
        width: how many there are.
        at: which of them holds the hashtags, from 0.
        rows: below the names.
        is_header: whether they stand in a row; else, it is the user who told numbers.
    """

    width: int
    at: int
    rows: list[list[str]]
    is_header: bool


def _named(rows: Rows, columns: Mapping[str, str], with_numbers: bool) -> _Named | None:
    """The told columns; without names, if wanted, those up to the hashtags where they come last."""
    told = list(columns.values())
    body = [cells for cells, _ in rows]
    if told and all(map(str.isdecimal, told)):
        at = int(columns["hashtags"])
        is_last = with_numbers and at == max(map(int, told))
        return _Named(at, at - 1, body, False) if is_last else None
    for number, cells in enumerate(body[:HEADER_WITHIN], 1):
        names = [cell.strip() for cell in cells]
        if told and all(names.count(name) == 1 for name in told):
            return _Named(len(names), names.index(columns["hashtags"]), body[number:], True)
    return None


def _longer_rows(path: Path, dialect: Dialect, named: _Named) -> Dialect | None:
    """How rows are read of which many are longer than the header; None where they are not.

    Raises:
        InputError: where which cell belongs to which name is not known.
    """
    rows, width, at = named.rows, named.width, named.at
    lengths = Counter(map(len, rows))
    longer = sum(count for length, count in lengths.items() if length > width)
    shorter = sum(count for length, count in lengths.items() if length < width)
    if longer <= OFTEN * len(rows) or shorter > SELDOM * len(rows):
        return None
    is_last = at == width - 1 and not _has(rows, at, dialect.delimiter)
    often = {length for length, count in lengths.items() if count > SELDOM * len(rows)}
    is_blank = not any(cell.strip() for cells in rows for cell in cells[width:])
    if is_last and (len(often) > 1 or is_blank):
        return replace(dialect, goes_on=True)
    if not named.is_header:
        return None
    if width in often:  # hashtags are right in those, and what is longer is left out
        return replace(dialect, is_broken=True)
    raise InputError(
        f"{path}: rows have up to {max(often)} cells, but the header has {width} names. Give each "
        "column a name; a cell that holds the delimiter, of hashtags say, needs quotes around it."
    )


def _has(rows: list[list[str]], at: int, delimiter: str) -> bool:
    """Whether hashtags stand in quotes where there are several."""
    quoted = sum(delimiter in cells[at] for cells in rows if len(cells) > at)
    return quoted > SELDOM * len(rows)

"""Times in the usual ways, found out from the first rows, and told.

Where two readings fit equally, the one who knows has to choose.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from hashtag_core.errors import InputError
from hashtag_core.sources.table_cells import is_empty

EPOCH = datetime(1970, 1, 1)
ENOUGH = 0.5  # of the sample has to be understood
MAX_TIME = 100  # characters

DAYS = re.compile(
    r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})"
    r"(?:[T ,]+(\d{1,2}):(\d\d)(?::(\d\d)(?:\.\d+)?)?\s*([AaPp][Mm])?)?"
)
DOTS = re.compile(r"\d{1,2}\.\d{1,2}\.")  # the day comes first where people write dots


def _iso(text: str) -> datetime:
    if re.fullmatch(r"\d{4}", text):
        return datetime(int(text), 1, 1)
    if re.fullmatch(r"\d{4}-\d\d", text):
        return datetime.fromisoformat(text + "-01")
    if text.isdecimal() and len(text) == 14:
        return datetime.strptime(text, "%Y%m%d%H%M%S")
    if text.isdecimal() and len(text) != 8:
        raise ValueError(text)  # 1401010100000 is of 2014, in milliseconds
    return datetime.fromisoformat(text.replace("/", "-").removesuffix(" UTC"))


def _exif(text: str) -> datetime:
    return datetime.strptime(text[:19], "%Y:%m:%d %H:%M:%S" if len(text) > 10 else "%Y:%m:%d")


def _day_month_year(first: int, second: int) -> Callable[[str], datetime]:
    def read(text: str) -> datetime:
        match = DAYS.fullmatch(text)
        if match is None:
            raise ValueError(text)
        day, month, year = (int(match[group]) for group in (first, second, 3))
        hour = int(match[4] or 0)
        if match[7]:
            hour = hour % 12 + (12 if match[7].lower() == "pm" else 0)
        return datetime(year, month, day, hour, int(match[5] or 0), int(match[6] or 0))

    return read


def _epoch(unit: float, digits: range) -> Callable[[str], datetime]:
    def read(text: str) -> datetime:
        number = float(text)
        if not math.isfinite(number) or len(str(abs(int(number)))) not in digits:
            raise ValueError(text)
        return EPOCH + timedelta(seconds=number * unit)

    return read


TIMES: dict[str, Callable[[str], datetime]] = {
    "iso": _iso,
    "exif": _exif,
    "epoch": _epoch(1, range(9, 11)),
    "epoch ms": _epoch(1e-3, range(12, 14)),
    "epoch us": _epoch(1e-6, range(15, 17)),
    "epoch ns": _epoch(1e-9, range(18, 20)),
    "d/m/y": _day_month_year(1, 2),
    "m/d/y": _day_month_year(2, 1),
    "rfc 2822": parsedate_to_datetime,
    "twitter": lambda text: datetime.strptime(text, "%a %b %d %H:%M:%S %z %Y"),
}


class Times:
    """Cells -> times, in one way for the whole table.

    Args:
        name: of `TIMES`, or a format of `strptime` with its `%`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        if name not in TIMES and "%" not in name:
            raise InputError(
                f"--time-format {name}: one of {', '.join(TIMES)}, or like '%d %B %Y %H:%M'."
            )

    def __call__(self, cell: Any) -> datetime | None:
        """The time, without its zone (in UTC, where there was one); None: not understood."""
        try:
            if isinstance(cell, datetime):
                time = cell
            elif isinstance(cell, date):
                time = datetime(cell.year, cell.month, cell.day)
            else:
                text = str(cell).strip()
                if len(text) > MAX_TIME:
                    return None
                read = TIMES.get(self.name)
                time = read(text) if read else datetime.strptime(text, self.name)
            return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
        except (ValueError, TypeError, OverflowError, IndexError, re.error):
            return None


def guess_times(sample: Sequence[Any], column: str, given: str | None = None) -> Times:
    """The given way, or the one in which most of the cells are times.

    Raises:
        InputError: where less than half of them are, or where it could be the day or the month
            that comes first.
    """
    if given is not None:
        return Times(given)
    cells = [cell for cell in sample if not is_empty(cell)]
    counts = {name: sum(Times(name)(c) is not None for c in cells) for name in TIMES}
    best = max(counts, key=counts.get)
    if not cells or counts[best] < ENOUGH * len(cells):
        odd = next((cell for cell in cells if Times(best)(cell) is None), "")
        seen = f"as in {str(odd)[:40]!r}" if cells else "all are empty"
        raise InputError(
            f"column {column}: the times are not understood ({seen}). Is it the right column? "
            "Else tell the --time-format, like '%d %B %Y %H:%M'."
        )
    dots = any(DOTS.match(str(cell).strip()) for cell in cells)
    if best == "d/m/y" and counts["m/d/y"] == counts[best] and not dots:
        raise InputError(
            f"column {column}: is {str(cells[0])[:40]!r} day/month or month/day? No row tells. "
            "Say --time-format d/m/y or m/d/y."
        )
    return Times(best)

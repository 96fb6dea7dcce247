"""Times in the usual ways, found out from the first rows, and told.

Where two readings fit equally, the one who knows has to choose.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from hashtag_core.errors import InputError
from hashtag_core.sources.table_cells import is_empty

EPOCH = datetime(1970, 1, 1)
ENOUGH = 0.5  # of the sample has to be understood
FIRST = 1000  # cells that tell how times are written; all of them, whether the day comes first
CONTRARY = 0.05  # of the cells that tell the order may tell another one
MAX_TIME = 100  # characters

CLOCK = r"(\d{1,2})[:.](\d\d)(?:[:.](\d\d)(?:[.,]\d+)?)?"
ZONE = r"(?:\s*([+-]\d\d):?(\d\d)?)?(?:\s*\([^()]*\))?"
DAYS = re.compile(
    r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d\d)(?:[T ,]+(\d{1,2}):(\d\d)(?::(\d\d)(?:\.\d+)?)?)?"
    + ZONE
)
DOTS = re.compile(r"\d{1,2}\.\d{1,2}\.")  # the day comes first where people write dots
ORDERS = "d/m/y", "m/d/y", "y/m/d"
RFC = re.compile(
    r"(?:[A-Za-z]{3},?\s*)?\d{1,2}[ -][A-Za-z]{3}[ -]\d{2,4}\s+\d{1,2}:\d\d(?::\d\d)?"
    r"(?:\s+[+-]\d{4})?(?:\s*\([^()]*\))?"
)
BEHIND = rf"(?:(?:,| at)?[T ]+{CLOCK}{ZONE})?"
NTH = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
MONTH = r"(?P<month>[A-Za-z]{3,9})\.?"
NAMED = [  # what has no name is the clock, and the zone
    re.compile(r"(?:[A-Za-z]{3,9},? )?" + form)
    for form in (
        rf"{MONTH}[ -]+{NTH},?[ -]+(?P<year>\d{{4}}){BEHIND}",
        rf"{NTH}\.?[ -]+{MONTH},?[ -]+(?P<year>\d{{4}}|\d\d){BEHIND}",
        rf"{MONTH} {NTH} {CLOCK}{ZONE} (?P<year>\d{{4}})",
    )
]
MONTHS = "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"
DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
LETTERS = re.compile(r"[A-SU-Ya-z]|[^\x00-\x7f]|\s\s")
HALF_DAY = re.compile(r"\b(\d{1,2})((?:[:.]\d\d){0,2}(?:[.,]\d+)?) ?([AaPp])\.?[Mm]\b\.?")
ZONES = {"UTC": 0, "GMT": 0, "UT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7}
ZONES |= {"MDT": -6, "PST": -8, "PDT": -7, "BST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3}
ZONES |= {"MSK": 3, "JST": 9, "WET": 0, "WEST": 1}
ZONE_NAME = re.compile(rf"(?<=\d) ?\b({'|'.join(ZONES)})\b(?: ?([+-]\d))?")


def _usual(text: str) -> str:
    """The text with a clock of 24 hours and the zone as a number."""
    if not LETTERS.search(text):
        return text
    return ZONE_NAME.sub(_as_number, HALF_DAY.sub(_of_24_hours, " ".join(text.split())))


def _of_24_hours(match: re.Match) -> str:
    hour = int(match[1])
    if hour <= 12:
        hour = hour % 12 + (12 if match[3] in "Pp" else 0)
    return f"{hour:02d}{match[2] or ':00'}"


def _as_number(match: re.Match) -> str:
    return f" {match[2]}" if match[2] else f" {ZONES[match[1]]:+03d}00"


def _iso(text: str) -> datetime:
    if re.fullmatch(r"\d{4}", text):
        return datetime(int(text), 1, 1)
    if re.fullmatch(r"\d{4}-\d\d", text):
        return datetime.fromisoformat(text + "-01")
    if text.isdecimal() and len(text) == 14:
        return datetime.strptime(text, "%Y%m%d%H%M%S")
    if text.isdecimal() and len(text) != 8:
        raise ValueError(text)  # 1401010100000 is of 2014, in milliseconds
    return datetime.fromisoformat(text.replace("/", "-"))


def _exif(text: str) -> datetime:
    return datetime.strptime(text[:19], "%Y:%m:%d %H:%M:%S" if len(text) > 10 else "%Y:%m:%d")


def _in_order(order: str) -> Callable[[str], datetime]:
    def read(text: str) -> datetime:
        match = DAYS.fullmatch(text)
        if match is None or (order[0] == "y" and len(match[3]) > 2):
            raise ValueError(text)
        part = dict(zip(order.split("/"), match.groups(), strict=False))
        return _time(part["y"], int(part["m"]), part["d"], match.groups()[3:])

    return read


def _named(text: str) -> datetime:
    for form in NAMED:
        if match := form.fullmatch(text):
            month = MONTHS.index(match["month"][:3].lower()) + 1
            names = form.groupindex.values()
            rest = [group for n, group in enumerate(match.groups(), 1) if n not in names]
            return _time(match["year"], month, match["day"], rest)
    raise ValueError(text)


def _time(year: str, month: int, day: str, rest: Sequence[str | None]) -> datetime:
    """Of `rest`, hour, minute and second, and the hours and minutes of the zone."""
    hour, minute, second, zone, zone_minutes = (int(part or 0) for part in rest)
    number = int(year) + (0 if len(year) > 2 else 2000 if int(year) < 69 else 1900)
    time = datetime(number, month, int(day), hour, minute, second)
    if rest[3] is None:
        return time
    sign = -1 if rest[3][0] == "-" else 1
    return time.replace(tzinfo=timezone(timedelta(hours=zone, minutes=sign * zone_minutes)))


def _rfc_2822(text: str) -> datetime:
    if not RFC.fullmatch(text):  # the parser of emails passes over what it does not know
        raise ValueError(text)
    return parsedate_to_datetime(text)


def _epoch(unit: float, digits: range) -> Callable[[str], datetime]:
    def read(text: str) -> datetime:
        number = float(text)
        if not math.isfinite(number) or len(str(abs(int(number)))) not in digits:
            raise ValueError(text)
        return EPOCH + timedelta(seconds=number * unit)

    return read


def _any_epoch(text: str) -> datetime:
    """Also of 1970 and the years around, where the column is known to hold such seconds."""
    if DATE.fullmatch(text):
        raise ValueError(text)  # 19700131 is a day
    return _epoch(1, range(5, 11))(text)


TIMES: dict[str, Callable[[str], datetime]] = {
    "iso": _iso,
    "exif": _exif,
    "epoch": _epoch(1, range(9, 11)),
    "epoch ms": _epoch(1e-3, range(12, 14)),
    "epoch us": _epoch(1e-6, range(15, 17)),
    "epoch ns": _epoch(1e-9, range(18, 20)),
    **{order: _in_order(order) for order in ORDERS},
    "rfc 2822": _rfc_2822,
    "twitter": lambda text: datetime.strptime(text, "%a %b %d %H:%M:%S %z %Y"),
    "names of months": _named,
}


class Times:
    """Cells -> times, in one way for the whole table.

    Args:
        name: of `TIMES`, or a format of `strptime` with its `%`.
        is_sure: whether they are known to be written so: a few digits are an epoch then.
    """

    def __init__(self, name: str, is_sure: bool = True) -> None:
        self.name = self.how = name
        self.one_way = _any_epoch if name == "epoch" and is_sure else TIMES.get(name)
        if name not in TIMES and "%" not in name:
            raise InputError(
                f"--time-format {name}: one of {', '.join(TIMES)}, or like '%d %B %Y %H:%M'."
            )

    def __call__(self, cell: Any) -> datetime | None:
        """The time, without its zone (in UTC, where there was one); None: not understood."""
        try:
            time = self._read(cell)
            return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
        except (ValueError, TypeError, OverflowError, IndexError, re.error):
            return None

    def tell_zones(self, cells: Sequence[Any]) -> None:
        """Say in `how` which of these times have a zone."""
        with_zone = [self._read(cell).tzinfo is not None for cell in cells if self(cell)]
        if all(with_zone) and with_zone:
            self.how = f"{self.name}, with their zone: turned into UTC"
        elif any(with_zone):
            self.how = (
                f"{self.name}; {sum(with_zone):,} of the first {len(with_zone):,} have a zone and "
                "are turned into UTC, the others are taken as they stand"
            )

    def _read(self, cell: Any) -> datetime:
        if isinstance(cell, datetime):
            return cell
        if isinstance(cell, date):
            return datetime(cell.year, cell.month, cell.day)
        text = str(cell).strip()
        if len(text) > MAX_TIME:
            raise ValueError(text)
        if self.one_way is None:
            return datetime.strptime(text, self.name)
        return self.one_way(_usual(text))


def guess_times(sample: Sequence[Any], column: str, given: str | None = None) -> Times:
    """The given way, or the one in which most of the cells are times.

    Raises:
        InputError: where less than half of them are, or where it could be the day or the month
            that comes first.
    """
    cells = [cell for cell in sample if not is_empty(cell)]
    some = cells[:FIRST]
    if given is not None:
        times = Times(given)
        times.tell_zones(some)
        return times
    counts = {name: sum(Times(name, False)(c) is not None for c in some) for name in TIMES}
    best = max(counts, key=counts.get)
    if not cells or counts[best] < ENOUGH * len(some):
        odd = next((cell for cell in some if Times(best)(cell) is None), "")
        seen = f"as in {str(odd)[:40]!r}" if cells else "all are empty"
        raise InputError(
            f"column {column}: the times are not understood ({seen}). Is it the right column? "
            "Else tell the --time-format, like '%d %B %Y %H:%M'."
        )
    times = Times(_order(cells, column) if best in ORDERS else best)
    times.tell_zones(some)
    return times


def _order(cells: Sequence[Any], column: str) -> str:
    """Whether the day or the month comes first: of all these cells, as many as are needed tell."""
    fits = {o: [Times(o)(cell) is not None for cell in cells] for o in ORDERS}
    best = max(ORDERS, key=lambda order: sum(fits[order]))
    if best == "d/m/y" and any(DOTS.match(str(cell).strip()) for cell in cells):
        return best
    for order in ORDERS:
        alone, other = (
            sum(a and not b for a, b in zip(fits[first], fits[second], strict=True))
            for first, second in ((best, order), (order, best))
        )
        if order != best and other >= CONTRARY * alone:
            why = "The rows do not agree." if other else "No row tells."
            third = ", or year/month/day (y/m/d)" if order == "y/m/d" else ""
            raise InputError(
                f"column {column}: is {str(cells[0])[:40]!r} day/month or month/day{third}? {why} "
                "Say --time-format d/m/y or m/d/y."
            )
    return best

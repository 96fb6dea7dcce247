"""What a cell means: times in the usual ways, and hashtags between separators.

Both are found out from the first rows, and told; where two readings fit equally, one has to choose.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from hashtag_core.errors import InputError

EPOCH = datetime(1970, 1, 1)
ENOUGH = 0.5  # of the sample has to be understood
OFTEN = 0.2  # of the cells have a separator in them, if it is one
SEPARATORS = {";": "semicolons", "|": "bars", ",": "commas", "\t": "tabs"}
MAX_TIME = 100  # characters

DAYS = re.compile(
    r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})"
    r"(?:[T ,]+(\d{1,2}):(\d\d)(?::(\d\d)(?:\.\d+)?)?\s*([AaPp][Mm])?)?"
)
DOTS = re.compile(r"\d{1,2}\.\d{1,2}\.")  # the day comes first where people write dots
ITEM = re.compile(
    r"""\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^,\s][^,]*))\s*,?""", re.DOTALL
)
TEXTS = "text", "tag", "name", "_content"  # what a hashtag is called in an object
MAX_DEPTH = 3  # of lists in lists


# ---- times


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


# ---- hashtags


class Separator:
    """Cells -> hashtags as typed.

    Args:
        name: one of "list", "#" and " ", or the text between two hashtags.
    """

    def __init__(self, name: str) -> None:
        if not name:
            raise InputError("--separator: at least one character.")
        self.name = name = "\t" if name == r"\t" else name
        usual = {"list": "in a list", "#": "each after a #", " ": "separated by spaces"}
        self.how = usual.get(name, f"separated by {SEPARATORS.get(name, repr(name))}")

    def __call__(self, cell: Any) -> list[str]:
        """The pieces; they are cleaned elsewhere."""
        if isinstance(cell, list | tuple):
            return list(_texts(cell))
        typed = text(cell)
        if self.name == "list":
            return _items(typed)
        if self.name == "#":
            pieces = typed.split("#")[1:]  # in front of the first, there may be other text
            return [piece.rstrip(",;| \t") for piece in pieces if piece.strip(",;| \t")]
        pieces = typed.split() if self.name == " " else typed.split(self.name)
        return [piece.strip().strip("\"'") if len(piece) < 1000 else piece for piece in pieces]


def _items(typed: str) -> list[str]:
    """Of `["a", "b"]`, `['a', 'b']`, `['a' 'b']`, `[a, b]`, `{a,b}` or `{a,"b c"}`."""
    try:
        items = json.loads(typed)
    except (ValueError, RecursionError):
        items = None
    if isinstance(items, list):
        return list(_texts(items))
    matches = ITEM.findall(typed.strip().strip("[]{}()"))
    return [re.sub(r"\\(.)", r"\1", one or two) or plain.strip() for one, two, plain in matches]


def _texts(items: Sequence[Any], depth: int = 1) -> Iterator[str]:
    """The hashtags of a list: texts, objects that hold one, and lists of them; "" for the rest."""
    for item in items:
        if isinstance(item, dict):
            item = next((item[name] for name in TEXTS if isinstance(item.get(name), str)), "")
        if isinstance(item, list | tuple):
            yield from _texts(item, depth + 1) if depth < MAX_DEPTH else [""]
        elif item is not None:
            yield text(item)


def guess_separator(sample: Sequence[Any], given: str | None = None) -> Separator:
    """The given one, or what most probably stands between the hashtags of these cells."""
    if given is not None:
        return Separator(given)
    cells = [text(cell).strip() for cell in sample if not is_empty(cell)]
    brackets = sum(cell[:1] + cell[-1:] in ("[]", "{}") for cell in cells)
    if any(isinstance(cell, list | tuple) for cell in sample) or brackets > ENOUGH * len(cells):
        return Separator("list")
    if sum(cell.startswith("#") for cell in cells) > ENOUGH * len(cells):
        return Separator("#")
    counts = {mark: sum(mark in cell for cell in cells) for mark in SEPARATORS}
    best = max(counts, key=counts.get)
    return Separator(best if counts[best] > OFTEN * len(cells) else " ")


# ---- cells


def is_empty(cell: Any) -> bool:
    """Whether there is nothing in a cell."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return True
    return (isinstance(cell, str) and not cell.strip()) or cell in ([], ())


def text(cell: Any) -> str:
    """A cell as text; whole numbers without a decimal point."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)

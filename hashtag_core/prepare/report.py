"""What a way in did with every row it read: nothing is lost, and nothing is silent.

    rows read     = rows kept     + rows left out, by reason
    hashtags read = hashtags kept + hashtags left out, by reason

`Report.check` holds both. A row is told by the number of its file and its number there, which is
that of its line where the file has lines; 0 means the whole file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NotRequired

from typing_extensions import TypedDict

from hashtag_core.errors import printable
from hashtag_core.prepare.cleaning import (
    MANY_HASHTAGS,
    MAX_HASHTAGS,
    NO_HASHTAG,
    Spelled,
    clean_hashtags,
)
from hashtag_core.prepare.doubts import Doubt, doubt_about
from hashtag_core.prepare.outlook import Outlook, outlook_lines

FIRST = 100  # rows of each reason that are named
SHOWN = 3  # of them, in the text
MAX_SHOWN = 300  # characters of what comes from outside, in the text
Row = tuple[int, int]  # number of the file, number of the row in it
NUMBERED = ("line", "row", "row_id")  # what the number can be


class Place(TypedDict):
    """A row, in report.json, with one of `NUMBERED`; without any it is the whole file."""

    file: str
    line: NotRequired[int]
    row: NotRequired[int]
    row_id: NotRequired[int]


class Reason(TypedDict):
    """How many rows were left out for it, and the first of them, in report.json."""

    count: int
    first: list[Place]


class Rows(TypedDict):
    """The rows, in report.json."""

    read: int
    kept: int
    left_out: dict[str, Reason]


class Counted(TypedDict):
    """The hashtags, in report.json."""

    read: int
    kept: int
    left_out: dict[str, int]


class Doubtful(TypedDict):
    """What looks misread, how often, and the first of it, in report.json."""

    count: int
    examples: list[str]


class Problem(TypedDict):
    """What is wrong with a whole input, in report.json."""

    file: str
    what: str


class Account(TypedDict):
    """What report.json holds."""

    rows: Rows
    hashtags: Counted
    notes: dict[str, int]
    doubts: NotRequired[dict[str, Doubtful]]
    problems: list[Problem]
    outlook: NotRequired[Outlook]


@dataclass
class LeftOut:
    """How many were left out for one reason, and the first of them."""

    count: int = 0
    first: list[Row] = field(default_factory=list)


@dataclass
class Report:
    """The account of one block, or of all of them; `left_out` is by reason."""

    rows_read: int = 0  # lines, or files, or whatever holds one photo
    rows_kept: int = 0
    rows_left_out: dict[str, LeftOut] = field(default_factory=dict)
    hashtags_read: int = 0  # of the rows whose hashtags were looked at
    hashtags_kept: int = 0
    hashtags_left_out: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)  # what was done to rows that were kept
    doubts: dict[str, Doubt] = field(default_factory=dict)  # what looks misread
    problems: list[tuple[int, str]] = field(default_factory=list)  # (input's number, what is wrong)

    def leave_out(self, reason: str, count: int, first: Iterable[Row]) -> None:
        """Count rows that are left out; `first` may name more than are kept in mind."""
        if count:
            entry = self.rows_left_out.setdefault(reason, LeftOut())
            entry.count += count
            for row in first:
                if len(entry.first) == FIRST:
                    break
                entry.first.append(tuple(row))

    def leave_out_hashtags(self, reason: str, count: int) -> None:
        """Count hashtags that are left out."""
        if count:
            self.hashtags_left_out[reason] = self.hashtags_left_out.get(reason, 0) + count

    def hashtags_of(self, typed: Sequence[str], none: str = NO_HASHTAG) -> Spelled | str:
        """The hashtags of a photo, cleaned and counted; or why it is left out: too many, `none`."""
        if len(typed) > MAX_HASHTAGS:
            return MANY_HASHTAGS
        hashtags, left_out = clean_hashtags(typed)
        self.hashtags_read += len(typed)
        self.hashtags_kept += len(hashtags)
        for why in left_out:
            self.leave_out_hashtags(why, 1)
        return hashtags or none

    def note(self, what: str, count: int) -> None:
        """Count rows that were kept, but not as they stood."""
        if count:
            self.notes[what] = self.notes.get(what, 0) + count

    def doubt(self, what: str, count: int, examples: list[str]) -> None:
        """Count what looks as if it was misread."""
        self.doubts.setdefault(what, Doubt()).add(count, examples)

    def look_at(self, hashtags: Iterable[str]) -> None:
        """Count those of a photo that look as if they were misread."""
        for hashtag in hashtags:
            if (what := doubt_about(hashtag)) is not None:
                self.doubt(what, 1, [hashtag])

    def add(self, other: Report) -> None:
        """Add the account of a later block."""
        self.rows_read += other.rows_read
        self.rows_kept += other.rows_kept
        for reason, entry in other.rows_left_out.items():
            self.leave_out(reason, entry.count, entry.first)
        self.hashtags_read += other.hashtags_read
        self.hashtags_kept += other.hashtags_kept
        for reason, count in other.hashtags_left_out.items():
            self.leave_out_hashtags(reason, count)
        for what, count in other.notes.items():
            self.note(what, count)
        for what, doubt in other.doubts.items():
            self.doubt(what, doubt.count, doubt.examples)
        self.problems += [tuple(problem) for problem in other.problems]

    def check(self) -> None:
        """Raise where the account does not add up, which would be an error of ours."""
        rows = self.rows_kept + sum(entry.count for entry in self.rows_left_out.values())
        hashtags = self.hashtags_kept + sum(self.hashtags_left_out.values())
        if (rows, hashtags) != (self.rows_read, self.hashtags_read):
            raise RuntimeError(
                f"read {self.rows_read} rows and {self.hashtags_read} hashtags, "
                f"but accounted for {rows} and {hashtags}"
            )

    def as_dict(
        self, names: Sequence[str], inputs: Sequence[str], numbered: Sequence[str] = ()
    ) -> dict:
        """Plain data for report.json.

        Args:
            names: of the files.
            inputs: the names of the inputs.
            numbered: of each file, how its rows are (`NUMBERED`); by lines where not given.
        """

        def place(row: Row) -> Place:
            return place_of(row, names, numbered)

        return {
            "rows": {
                "read": self.rows_read,
                "kept": self.rows_kept,
                "left_out": {
                    reason: {"count": entry.count, "first": [place(row) for row in entry.first]}
                    for reason, entry in self.rows_left_out.items()
                },
            },
            "hashtags": {
                "read": self.hashtags_read,
                "kept": self.hashtags_kept,
                "left_out": self.hashtags_left_out,
            },
            "notes": self.notes,
            "doubts": {what: {**vars(doubt)} for what, doubt in self.doubts.items()},
            "problems": [{"file": inputs[file], "what": what} for file, what in self.problems],
        }

    def to_json(self) -> dict:
        """Everything as plain data, for `from_json`."""
        left_out = {r: [entry.count, entry.first] for r, entry in self.rows_left_out.items()}
        doubts = {what: [doubt.count, doubt.examples] for what, doubt in self.doubts.items()}
        return {**vars(self), "rows_left_out": left_out, "doubts": doubts}

    @classmethod
    def from_json(cls, data: dict) -> Report:
        """What `to_json` gave."""
        left_out = {
            reason: LeftOut(count, [tuple(row) for row in first])
            for reason, (count, first) in data["rows_left_out"].items()
        }
        problems = [tuple(problem) for problem in data["problems"]]
        doubts = {what: Doubt(*doubt) for what, doubt in data.get("doubts", {}).items()}
        read = {"rows_left_out": left_out, "doubts": doubts, "problems": problems}
        return cls(**{**data, **read})


def report_text(report: dict) -> str:
    """The report to read, from `Report.as_dict`; safe for a terminal."""
    rows, hashtags = report["rows"], report["hashtags"]
    files = {place["file"] for entry in rows["left_out"].values() for place in entry["first"]}
    lines = [f"{rows['read']:12,d}  rows read", f"{rows['kept']:12,d}  kept"]
    for reason, entry in rows["left_out"].items():
        places = [_place(place, len(files) > 1) for place in entry["first"][:SHOWN]]
        more = ", …" if entry["count"] > len(places) else ""
        lines.append(
            f"{entry['count']:12,d}  left out: {_shown(reason)}  ({', '.join(places)}{more})"
        )
    lines += [f"{hashtags['read']:12,d}  hashtags read", f"{hashtags['kept']:12,d}  kept"]
    lines += [
        f"{count:12,d}  left out: {_shown(reason)}"
        for reason, count in hashtags["left_out"].items()
    ]
    lines += [f"{count:12,d}  note: {_shown(what)}" for what, count in report["notes"].items()]
    lines += [
        f"{doubt['count']:12,d}  LOOK: {_shown(what)}  ({_shown(', '.join(doubt['examples']))})"
        for what, doubt in report.get("doubts", {}).items()
    ]
    lines += [f"{_shown(p['file'])}: {_shown(p['what'])}" for p in report["problems"]]
    lines += outlook_lines(report["outlook"]) if "outlook" in report else []
    return "\n".join(lines)


def _shown(text: str) -> str:
    """Text from outside in one line that is not too long."""
    return printable(text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…")


def _place(place: Place, with_file: bool) -> str:
    name, number = _shown(place["file"]), number_in(place)
    if not number or not with_file:
        return number or name
    return f"{name}:{place['line']}" if "line" in place else f"{name}, {number}"


def place_of(row: Row, names: Sequence[str], numbered: Sequence[str]) -> Place:
    """A row, for report.json; arguments as in `Report.as_dict`."""
    file, number = row
    place = Place(file=names[file])
    if number:
        place[numbered[file] if numbered else "line"] = number
    return place


def number_in(place: Place) -> str:
    """`line 1,234`; nothing for the whole file."""
    numbers = ((how, place.get(how)) for how in NUMBERED)
    return next((f"{how.replace('_', ' ')} {number:,}" for how, number in numbers if number), "")

"""Any table with a row for each photo: who, when, which hashtags, and perhaps a picture.

CSV with its relatives, JSON and GeoJSON, compressed or not, Parquet, Arrow and SQLite. What the
table does not say itself is guessed from its first rows, and told in `Table.understood`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from sys import getsizeof
from typing import Any

from hashtag_core.errors import InputError
from hashtag_core.prepare.cleaning import (
    MANY_HASHTAGS,
    MAX_HASHTAGS,
    MAX_NAME,
    MAX_TYPED,
    Spelled,
    clean_user,
    is_broken,
)
from hashtag_core.prepare.opening import check_files, file_states
from hashtag_core.prepare.report import Report
from hashtag_core.prepare.staging import Piece, Understood, understood
from hashtag_core.sources.table_cells import (
    MAX_PATH,
    cell_at,
    is_address,
    is_empty,
    is_word_for_nothing,
    name_in,
    picture_in,
)
from hashtag_core.sources.table_columns import keys_of, sample_of
from hashtag_core.sources.table_csv import LONGER, Cells, Found, Longer, Refused, as_text
from hashtag_core.sources.table_decoding import (
    ENTITIES,
    decoded,
    is_form_encoded,
    is_percent_encoded,
    without_entities,
)
from hashtag_core.sources.table_reading import BAD_ROWS, open_table
from hashtag_core.sources.table_refused import refuse_folder
from hashtag_core.sources.table_separators import guess_separator
from hashtag_core.sources.table_times import guess_times

ROWS_OF_PIECE = 5000
SAMPLE_ROWS = 20_000  # that guesses are made from; less where they fill a piece
BYTES_OF_PIECE = 16 * 2**20  # in memory, about; a row has no more, and a piece is full with it

NO_USER = "no user"
LONG_USER = f"a user of more than {MAX_NAME} characters"
NO_ID = "no photo id"
LONG_ID = f"a photo id of more than {MAX_NAME} characters"
NO_TIME = "no time"
WRONG_TIME = "a time that is not understood"
LARGE_ROW = f"a row of more than {BYTES_OF_PIECE // 2**20} MiB in memory"
LONG_HASHTAGS = f"hashtags of more than {MAX_TYPED:,} characters"
BROKEN_NAME = "a user or photo id with characters that are not of the encoding"
NO_HASHTAGS = "no hashtags"
ADDRESS = "an address (https://…) in place of hashtags"
NOTHING = "cells that say NA, NULL, None … for nothing: taken as empty"
SHORTENED = (
    "users or ids like 9.06E+17: a spreadsheet cut their digits off, and different ones may have "
    "become one. Export them as text"
)
SCIENTIFIC = re.compile(r"\d[.,]\d+[eE]\+?\d{1,3}|\d[eE]\+\d{1,3}")
CUT_LIST = "a list of hashtags that was cut off (...): its rest is not in the table"
SEVERAL_PICTURES = "several pictures: the first is taken"
WRONG_PATH = "the picture's path is too long or broken: kept without it"

MALFORMED = frozenset(
    {*BAD_ROWS, NO_USER, LONG_USER, NO_ID, LONG_ID, NO_TIME, WRONG_TIME, BROKEN_NAME, MANY_HASHTAGS}
    | {LARGE_ROW, LONG_HASHTAGS, ADDRESS}
)


class Table:
    """A table as a `Source`. A column is a name, or its number from 1 where there is no header.

    Args:
        path: of the file.
        user, time, hashtags: the columns.
        photo_id, image: further columns, where there are any. Without the first, a photo's id is
            the number of its line. The second holds pictures, or their paths.
        separator: what stands between two hashtags; " ", "#" (before each), "list", "caption" (a
            text in which hashtags stand) and "row" (a row has one, and `photo_id` says of which
            photo) are meant as such. Guessed where not given, like the following.
        time_format: "iso", "exif", "epoch", "d/m/y" … (`table_times.TIMES`), or strptime's.
        encoding: of a text file.
        delimiter: of a CSV file.
        one_user: whose all rows are, in place of the column `user`, which is None then.
        table: of an SQLite file of several.

    Attributes:
        understood: what was guessed or told, a sentence each.

    Raises:
        InputError: where the file or a column is missing, or a guess fails.
    """

    name = "table"
    unit = "B"
    malformed = MALFORMED

    def __init__(
        self,
        path: str | Path,
        user: str | None,
        time: str,
        hashtags: str,
        photo_id: str | None = None,
        image: str | None = None,
        separator: str | None = None,
        time_format: str | None = None,
        encoding: str | None = None,
        delimiter: str | None = None,
        one_user: str | None = None,
        table: str | None = None,
    ) -> None:
        self.path = Path(path)
        refuse_folder(self.path)
        check_files([self.path])
        self.files = self.inputs = [str(path)]
        self.sizes = [self.path.stat().st_size]
        if (user is None) == (one_user is None):
            raise InputError("tell either --user, a column, or --one-user, a name for all rows.")
        self.one_user = None if one_user is None else clean_user(one_user)
        if one_user is not None and self.one_user is None:
            raise InputError(f"--one-user: a name of 1 to {MAX_NAME} characters.")
        given = {"user": user, "time": time, "hashtags": hashtags, "photo_id": photo_id}
        columns = {k: c for k, c in {**given, "image": image}.items() if c is not None}
        by_number = all(column.isdecimal() for column in columns.values())
        self.opened = open_table(self.path, not by_number, encoding, delimiter, columns, table)
        self.numbered = ["line" if self.opened.kind in ("csv", "json lines") else "row"]
        self.columns = keys_of(self.path, self.opened, columns)
        sample = self._sample()
        self.times = guess_times([row["time"] for row in sample], time, time_format)
        cells = [row["hashtags"] for row in sample]
        whose = [(self._user(row), name_in(row["photo_id"])) for row in sample if photo_id]
        self.separator = guess_separator(cells, separator, whose or None)
        self.joins_rows = self.separator.name == "row"
        if self.joins_rows and photo_id is None:
            raise InputError("--separator row: tell the column of the photo's id (--photo-id).")
        encoded = any(isinstance(c, str) and is_percent_encoded(c) for c in cells)
        self.plus = encoded and is_form_encoded([t for c in cells for t in self.separator(c)[0]])
        self.understood = [
            f"{self.path.name}: {self.opened.kind}",
            *self.opened.understood,
            f"times: {self.times.how}" + (", as told" if time_format else ""),
            f"hashtags {self.separator.how}" + (", as told" if separator else ""),
            *["a + between words of a hashtag is a blank: they are form-encoded"] * self.plus,
        ]
        self.job = {"files": file_states([self.path]), "columns": columns, "user": self.one_user}
        self.job["understood"] = self.understood
        self.meta = {"source": self.path.name, "licence": "not known", "read as": self.understood}

    def _sample(self) -> list[dict[str, Any]]:
        """The cells of the first rows, without pictures; no other column is read from here on."""
        opened, keys, first = self.opened, dict(self.columns), self.opened.rows
        if opened.of_columns is not None:
            tops = {w: k if k in opened.names else k.split(".")[0] for w, k in keys.items()}
            picture = keys.get("image") if keys.get("image") == tops.get("image") else None
            opened.rows = partial(opened.of_columns, sorted({*tops.values()}), picture)
            if picture is not None:
                del keys["image"], tops["image"]
            first = partial(opened.of_columns, sorted({*tops.values()}), None)
        return sample_of(self.path, opened, keys, _next(first(), SAMPLE_ROWS))

    def pieces(self, number: int) -> Iterator[Piece | str]:
        """Some rows each."""
        rows = self.opened.rows()
        while some := _next(rows, ROWS_OF_PIECE):
            problem = some.pop() if isinstance(some[-1], str) else None
            if some:
                yield Piece(some[-1][0], some)
            if problem:
                yield problem

    def understand(self, data: Any, with_texts: bool) -> Understood:
        """Rows from rows."""
        report = Report()
        rows = (
            ((0, line), self._photo(line, cells, why, report), cells)
            for _, line, cells, why in data
        )
        return understood(rows, report, as_text if with_texts else None)

    def _photo(self, line: int, cells: Cells | Refused, why: str, report: Report) -> dict | str:
        """The photo of a row, or why it is left out."""
        if isinstance(cells, Refused):
            if isinstance(cells, Longer):
                report.doubt(LONGER, 1, [cells[:MAX_NAME]])
            return why
        report.note(why, int(why != ""))
        row = {what: cell_at(cells, key) for what, key in self.columns.items()}
        nothing = [cell for cell in row.values() if is_word_for_nothing(cell)]
        if nothing:
            report.doubt(NOTHING, len(nothing), nothing)
        user = self._user(row)
        photo_id = name_in(row["photo_id"]) if "photo_id" in row else f"{line:012d}"
        for name, missing, long in ((user, NO_USER, LONG_USER), (photo_id, NO_ID, LONG_ID)):
            if not name:
                return missing
            if len(name) > MAX_NAME:
                return long
            if name[0].isdecimal() and SCIENTIFIC.fullmatch(name):
                report.doubt(SHORTENED, 1, [name])
        if is_broken(user + photo_id):
            return BROKEN_NAME
        if is_empty(row["time"]):
            return NO_TIME
        time = self.times(row["time"])
        if time is None:
            return WRONG_TIME
        if is_empty(row["hashtags"]):
            return NO_HASHTAGS
        if isinstance(row["hashtags"], str | bytes) and len(row["hashtags"]) > MAX_TYPED:
            return LONG_HASHTAGS
        if is_address(row["hashtags"]):
            return ADDRESS
        hashtags = self._hashtags(row["hashtags"], report)
        if isinstance(hashtags, str):
            return hashtags
        photo = {"photo_id": photo_id, "user": user, "time": time, "hashtags": hashtags}
        return photo | _picture(row.get("image"), report)

    def _user(self, row: dict[str, Any]) -> str:
        return name_in(row["user"]) if self.one_user is None else self.one_user

    def _hashtags(self, cell: Any, report: Report) -> Spelled | str:
        """Those of a cell, or why there is none."""
        typed, is_cut = self.separator(cell)
        undone = {ENTITIES} if isinstance(cell, str) and without_entities(cell) != cell else set()
        if len(typed) <= MAX_HASHTAGS:
            typed = [decoded(piece, self.plus, undone.add) for piece in typed]
        hashtags = report.hashtags_of(typed)
        if not isinstance(hashtags, str):
            for what in sorted(undone) + [CUT_LIST] * is_cut:
                report.note(what, 1)
            report.look_at(hashtags)
        return hashtags


def _picture(cell: Any, report: Report) -> dict[str, Any]:
    """The columns of a cell's picture: its bytes, or the path where it lies."""
    picture = picture_in(cell)
    if isinstance(picture, bytes):
        return {"picture": picture}
    if isinstance(cell, list) and len(cell) > 1:
        report.note(SEVERAL_PICTURES, 1)
    if picture is not None and (len(picture) > MAX_PATH or is_broken(picture)):
        report.note(WRONG_PATH, 1)
        picture = None
    return {"image": picture}


def _next(rows: Iterator[Found | str], number: int) -> list[Found | str]:
    """So many rows, or those that are left, or those that fill a piece, or end with a problem."""
    some, filled = [], 0
    for row in islice(rows, number):
        if not isinstance(row, str):
            size = _size(row[2])
            if size > BYTES_OF_PIECE:
                row, size = (*row[:2], Refused(), LARGE_ROW), 0
            filled += size
        some.append(row)
        if filled > BYTES_OF_PIECE:
            break
    return some


def _size(value: Any) -> int:
    """Bytes that a value takes in memory, with all that is in it."""
    size = getsizeof(value)
    if isinstance(value, dict):
        return size + sum(map(_size, value)) + sum(map(_size, value.values()))
    return size + sum(map(_size, value)) if isinstance(value, list | tuple) else size

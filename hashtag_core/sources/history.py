"""One user's history from any table that `prepare table` reads: `predict --history`.

A CSV file in UTF-8 with the columns `image` and `hashtags` is read as `data.history_reading` says.
Other tables may be separated, encoded and named as they like; what was guessed is told.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hashtag_core.data.history_reading import (
    MAX_BYTES,
    MAX_CHARACTERS,
    MAX_HASHTAGS,
    MAX_PHOTOS,
    read_history,
)
from hashtag_core.errors import InputError
from hashtag_core.sources.table_cells import is_empty, picture_in, text
from hashtag_core.sources.table_opened import is_read
from hashtag_core.sources.table_reading import open_table
from hashtag_core.sources.table_separators import guess_separator

IMAGE = ("image", "picture", "photo", "file", "path")  # names of columns, the first that is there
HASHTAGS = ("hashtags", "tags", "keywords")
SEVERAL = re.compile("[,;、，]")
LIST = re.compile(r"\s*\[.*\]\s*", re.DOTALL)  # as Python and JSON write one

History = list[tuple[Path | bytes, list[str]]]  # a picture, or where it lies


def read_any_history(table: str | Path) -> tuple[History, list[str]]:
    """A user's history: (picture, hashtags) of each photo, in the order of the table.

    Args:
        table: of the file; paths of pictures are relative to its folder.

    Returns:
        The history, and what was understood of the file, a sentence each; none where it is as
        `read_history` wants it.

    Raises:
        InputError: where a column or a cell is missing, or something is larger than a history can
            be, with the line.
    """
    path = Path(table)
    if not path.is_file() or path.stat().st_size > MAX_BYTES or _is_plain(path):
        history = read_history(path)
        return [(image, _hashtags(",".join(hashtags))) for image, hashtags in history], []
    try:
        opened = open_table(path, header=True)
    except InputError as error:  # what may be told of a table may not be told here
        what, told, _ = str(error).partition(" Tell its --")
        raise InputError(what + " Save it as CSV in UTF-8." * bool(told)) from None
    columns: tuple[str | int, ...] | None = None
    rows = opened.rows()
    if opened.of_columns is not None:
        columns = tuple(_column(opened.names, wanted, path, True) for wanted in (IMAGE, HASHTAGS))
        rows = opened.of_columns(sorted({*columns}), columns[0])
    found: History = []
    for row in rows:
        if isinstance(row, str):
            raise InputError(f"{path}: {row}.")
        _, line, cells, why = row
        where = f"{path}, line {line}"
        if not is_read(row):
            raise InputError(f"{where}: {why}.")
        if columns is None:
            by_name = isinstance(cells, Mapping)
            names = list(cells) if by_name else opened.names or []
            columns = tuple(_column(names, wanted, path, by_name) for wanted in (IMAGE, HASHTAGS))
        image, hashtags = (_cell(cells, column) for column in columns)
        picture = picture_in(image)
        typed = [] if is_empty(hashtags) else _hashtags(hashtags)
        if picture is None or not typed:
            raise InputError(f"{where}: a photo needs an image and hashtags.")
        if len(typed) > MAX_HASHTAGS or max(map(len, typed)) > MAX_CHARACTERS:
            most = f"{MAX_HASHTAGS:,} hashtags of {MAX_CHARACTERS} characters"
            raise InputError(f"{where}: a photo has at most {most}.")
        if len(found) == MAX_PHOTOS:
            raise InputError(f"{where}: more than {MAX_PHOTOS:,} photos.")
        found.append((path.parent / picture if isinstance(picture, str) else picture, typed))
    if not found:
        raise InputError(f"{path}, line 1: no photo below it.")
    return found, [f"{path.name}: {opened.kind}", *opened.understood]


def _is_plain(path: Path) -> bool:
    """Whether it is a CSV file for `read_history`, or nothing that a table could be."""
    try:
        content = path.read_bytes().decode("utf-8-sig")
        header = next(csv.reader(content.splitlines()[:1], skipinitialspace=True), [])
    except (OSError, ValueError, csv.Error):
        return False
    return not content.strip() or {"image", "hashtags"} <= set(header)


def _column(names: Sequence[Any], wanted: tuple[str, ...], path: Path, by_name: bool) -> str | int:
    """The name of a column, or its number where cells have none."""
    folded = [str(name).strip().casefold() for name in names]
    for name in wanted:
        if name in folded:
            at = folded.index(name)
            return names[at] if by_name else at
    listed = ", ".join(str(name)[:MAX_CHARACTERS] for name in names[:20])
    raise InputError(
        f"{path}, line 1: no column {wanted[0]} (or {', '.join(wanted[1:])}). There are: {listed}"
    )


def _cell(cells: Any, column: str | int) -> Any:
    if isinstance(cells, Mapping):
        return cells.get(column)
    return cells[column] if column < len(cells) else None


def _hashtags(typed: Any) -> list[str]:
    """The hashtags of a cell: a list, the text of one, or a text with commas or semicolons."""
    if not isinstance(typed, str | bytes) or LIST.fullmatch(text(typed)):
        pieces, _ = guess_separator([typed], "list")(typed)
        return [str(one) for one in pieces]
    return [one for one in SEVERAL.split(text(typed)) if one.strip()]

"""Which cell of a row a column is, and that there is something in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hashtag_core.errors import InputError
from hashtag_core.prepare.cleaning import MAX_NAME
from hashtag_core.sources.table_cells import cell_at
from hashtag_core.sources.table_csv import Found
from hashtag_core.sources.table_opened import Opened, is_read

MOST_NAMES = 40  # of columns, in an error

Key = str | int  # a name, or a number from 0


def keys_of(path: Path, opened: Opened, columns: Mapping[str, str]) -> dict[str, Key]:
    """By what a row's cells are looked up, of each column that was told.

    Raises:
        InputError: where there is no such column, or several, as far as the file names them.
    """
    return {what: _key(path, opened, what, column) for what, column in columns.items()}


def sample_of(
    path: Path, opened: Opened, keys: Mapping[str, Key], rows: Sequence[Found | str]
) -> list[dict[str, Any]]:
    """The cells of the first rows: {what: cell} of each.

    Raises:
        InputError: where no row can be read, or there is nothing in a column.
    """
    good = [cells for _, _, cells, _ in filter(is_read, rows)]
    if not rows:
        raise InputError(f"{path}: there is no row in it.")
    if not good:
        why = f" ({rows[-1] if isinstance(rows[-1], str) else rows[0][-1]})"
        raise InputError(f"{path}: no row of it can be read as {opened.kind}{why}.")
    sample = [{what: cell_at(cells, key) for what, key in keys.items()} for cells in good]
    for what, key in keys.items():
        sparse = what == "image" and opened.names is not None
        if not sparse and all(cells[what] is None for cells in sample):
            names = ""
            if isinstance(good[0], dict):
                names = sorted({str(k) for cells in good[:10] for k in cells})
                names = f" There are: {_listed(names)}"
            column = key + 1 if isinstance(key, int) else key
            hint = _hint(what, column)
            raise InputError(f"{path}: nothing in column {column} for --{what}.{names}{hint}")
    return sample


def _key(path: Path, opened: Opened, what: str, column: str) -> Key:
    names, is_csv = opened.names, opened.kind == "csv"
    if names is None and not is_csv:
        return column.removeprefix(f"{opened.within}.") if opened.within else column
    if names is not None and names.count(column) == 1:
        return names.index(column) if is_csv else column
    if not is_csv and names.count(column.split(".")[0]) == 1:
        return column  # nested
    if names is not None and names.count(column) > 1:
        raise InputError(f"{path}: there are several columns {column}; use their numbers.")
    width = len(names) if names is not None else None
    if column.isdecimal() and int(column) >= 1 and (width is None or int(column) <= width):
        at = int(column) - 1
        return at if is_csv else names[at]
    why = f" (the first row with {width} columns names them)" if is_csv else ""
    listed = "" if names is None else f" There are: {_listed(names)}{why}"
    raise InputError(f"{path}: there is no column {column}.{listed}{_hint(what, column)}")


def _hint(what: str, column: Key) -> str:
    """What somebody may have meant who names a user where a column is asked for."""
    name = column if isinstance(column, str) and "." not in column else "NAME"
    return f"; `--one-user {name}` gives all rows to one user" if what == "user" else ""


def _listed(names: Sequence[str]) -> str:
    more = ", …" if len(names) > MOST_NAMES else ""
    return ", ".join(name[:MAX_NAME] for name in names[:MOST_NAMES]) + more

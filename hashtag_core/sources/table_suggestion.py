"""A table whose columns nobody has told: what they are called, what is in them, and a command."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from hashtag_core.errors import InputError, printable
from hashtag_core.sources.table_archives import Archive, archive_of, pictures_root
from hashtag_core.sources.table_cells import text
from hashtag_core.sources.table_opened import is_read
from hashtag_core.sources.table_reading import open_table

ROWS = 3
MOST_COLUMNS = 40
MAX_NESTED = 4  # objects in one another whose names are shown
MAX_SHOWN = 24  # characters of a cell, and of a name
USUAL = {  # what columns are called, in lower case without _ and blanks, the most usual name first
    "user": (
        "user", "userid", "uid", "username", "owner", "nsid", "ownername", "author", "account",
        "photographer", "who", "user.id", "user.name", "owner.nsid", "account.id",
    ),
    "time": (
        "time", "datetaken", "taken", "timestamp", "datetime", "date", "createdat", "created",
        "datetimeoriginal", "when", "datecreated", "dates.taken", "dateupload",
        "takenat",
    ),
    "hashtags": (
        "hashtags", "tags", "usertags", "keywords", "hashtag", "tag", "keyword", "subject",
        "tags.tag", "entities.hashtags", "caption",
    ),
}  # fmt: skip


def suggest(
    path: str | Path,
    encoding: str | None = None,
    delimiter: str | None = None,
    table: str | None = None,
) -> tuple[list[str], str]:
    """What a table holds, and how it could be read.

    Args:
        path: of the file.
        encoding: of a text file; found out where not given.
        delimiter: of a CSV file; found out where not given.
        table: of an SQLite file of several.

    Returns:
        Lines for the user: what was found out, and each column with its first cells; and a command,
        with COL where no column has a usual name.

    Raises:
        InputError: where it is no table, or has no row.
    """
    opened = open_table(Path(path), True, encoding, delimiter, table=table)
    first = [row[2] for row in islice(filter(is_read, opened.rows()), ROWS)]
    rows = [dict(_cells(cells)) for cells in first]
    if not rows:
        raise InputError(f"{path}: there is no row in it that can be read as {opened.kind}.")
    names = (
        opened.names if opened.kind == "csv" else list(dict.fromkeys(n for r in rows for n in r))
    )
    keys = range(len(names)) if opened.kind == "csv" else names
    lines = [f"{Path(path).name}: {opened.kind}", *opened.understood]
    shown = [_short(name) for name in names[:MOST_COLUMNS]]
    width = max(map(len, shown), default=0)
    for number, (name, key) in enumerate(zip(shown, keys, strict=False), start=1):
        cells = " | ".join(_short(row[key]) for row in rows if row.get(key) is not None)
        lines.append(f"{number:4d}  {name:{width}s}  {cells}")
    if len(names) > MOST_COLUMNS:
        lines.append(f"      and {len(names) - MOST_COLUMNS:,} columns more")
    archive = archive_of(first[0])
    if archive is not None:
        lines.append(f"It is {archive.name}: all rows are of one user.")
    parts = _columns(names) if archive is None else _of_archive(Path(path), archive, first)
    told = {"encoding": encoding, "delimiter": delimiter, "table": table}
    parts |= {option: value for option, value in told.items() if value is not None}
    options = " ".join(f"--{option} {shlex.quote(value)}" for option, value in parts.items())
    return lines, f"hashtag-core prepare table {shlex.quote(str(path))} {options} --dry-run"


def _cells(cells: Any, above: str = "", depth: int = 1) -> Iterator[tuple[str | int, Any]]:
    """(name or number, cell); of an object in an object, names with dots."""
    if not isinstance(cells, dict):
        yield from enumerate(cells)
        return
    for name, cell in cells.items():
        if isinstance(cell, dict) and depth < MAX_NESTED:
            yield from _cells(cell, f"{above}{name}.", depth + 1)
        else:
            yield f"{above}{name}", cell


def _columns(names: list[str]) -> dict[str, str]:
    """Option -> the column that is most probably the user, the time or the hashtags; else COL."""
    plain = [name.lower().replace("_", "").replace(" ", "") for name in names]
    found = {}
    for what, usual_names in USUAL.items():
        once = [names[plain.index(usual)] for usual in usual_names if plain.count(usual) == 1]
        found[what] = once[0] if once else "COL"
    return found


def _of_archive(path: Path, archive: Archive, rows: list[dict]) -> dict[str, str]:
    """Option -> its value, for a table of an archive."""
    parts = {"one-user": "me", **archive.columns}
    for picture in (row.get(archive.image) for row in rows):
        if (root := pictures_root(path, picture)) is not None:
            return {**parts, "image": archive.image, "image-root": str(root)}
    return parts


def _short(cell: Any) -> str:
    shown = printable(text(cell)[: 2 * MAX_SHOWN])
    return shown if len(shown) <= MAX_SHOWN else shown[: MAX_SHOWN - 1] + "…"

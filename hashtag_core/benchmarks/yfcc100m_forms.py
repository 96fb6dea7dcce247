"""Made-up metadata of YFCC100M in each form in which it is published, with the same photos."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import unquote_plus

from hashtag_core.errors import InputError
from hashtag_core.sources.yfcc100m_pictures import key_of
from hashtag_core.sources.yfcc100m_text import FIRST_RELEASE

FORMS = "23 columns", "25 columns", "sqlite", "shards", "hub"
INTEGERS = ("accuracy", "serverid", "farmid", "marker")  # of the SQLite file
NUMBERS = ("photoid", "dateuploaded", "longitude", "latitude", *INTEGERS)  # of JSON lines
PAGE = 1024  # bytes, as in the published SQLite file
ROWS_OF_FILE = 24_414  # of JSON lines: a 4,096th of 100 million
Row = dict[str, str]


def write_form(sample: Path, out: Path, form: str, page: int = PAGE) -> Path:
    """Write the rows of a sample (`write_yfcc100m_sample`, 23 columns) that every form can hold.

    Args:
        sample: the file.
        out: a file for text and SQLite, a folder for JSON lines.
        form: one of `FORMS`.
        page: bytes of a page of an SQLite file.
    """
    if form not in FORMS:
        raise InputError(f"{form}: no form of YFCC100M; there are {', '.join(FORMS)}.")
    rows = rows_of(sample)
    if form == "sqlite":
        _write_sqlite(out, rows, page)
    elif form in ("shards", "hub"):
        _write_json(out, rows, form)
    else:
        with out.open("w", encoding="utf-8", newline="") as file:
            for number, row in enumerate(rows):
                cells = [*row.values()]
                if form == "25 columns":
                    cells = [str(number), cells[0], _key(row), *cells[1:]]
                file.write("\t".join(cells) + "\n")
    return out


def rows_of(sample: Path) -> Iterator[Row]:
    """Whole rows with a number for an id, each id once."""
    known = set()
    with sample.open("rb") as file:
        for line in file:
            cells = line.rstrip(b"\r\n").decode("utf-8", "replace").split("\t")
            usual = len(cells) == len(FIRST_RELEASE) and _is_number(cells[0])
            if usual and cells[0] not in known:
                known.add(cells[0])
                yield dict(zip(FIRST_RELEASE, cells, strict=True))


def _write_sqlite(path: Path, rows: Iterator[Row], page: int) -> None:
    types = dict.fromkeys(FIRST_RELEASE, "text") | dict.fromkeys(INTEGERS, "integer")
    types["photoid"] = "integer primary key"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript(f"PRAGMA page_size={page:d}; PRAGMA journal_mode=off; BEGIN;")
        columns = ", ".join(f"{name} {kind}" for name, kind in types.items())
        database.execute(f"CREATE TABLE yfcc100m_dataset ({columns})")
        places = ", ".join("?" for _ in types)
        insert = f"INSERT INTO yfcc100m_dataset VALUES ({places})"
        database.executemany(insert, ([*row.values()] for row in rows))
        database.execute("COMMIT")


def _write_json(folder: Path, rows: Iterator[Row], form: str) -> None:
    folder = folder / "metadata" if form == "hub" else folder
    folder.mkdir(parents=True)
    with ExitStack() as last:
        file = None
        for number, row in enumerate(rows):
            if number % ROWS_OF_FILE == 0:
                last.close()
                part = number // ROWS_OF_FILE
                name = f"metadata_{part:03d}.jsonl.gz" if form == "hub" else f"{part:03x}.gz"
                file = last.enter_context(gzip.open(folder / name, "wt", 6, encoding="utf-8"))
            found = {name: _value(name, cell) for name, cell in row.items()} | {"key": _key(row)}
            if form == "hub":
                clean = {f"{n}_clean": unquote_plus(row[n]) for n in ("title", "description")}
                found |= clean
            file.write(json.dumps(found, ensure_ascii=form == "shards") + "\n")


def _value(name: str, cell: str) -> str | int | float | None:
    """A cell as JSON lines have it."""
    if name not in NUMBERS:
        return cell
    if cell in ("", "null"):
        return None
    return int(cell) if _is_number(cell) else float(cell) if "." in cell else cell


def _is_number(cell: str) -> bool:
    return cell.isascii() and cell.isdecimal() and str(int(cell)) == cell


def _key(row: Row) -> str:
    return key_of(row["downloadurl"])

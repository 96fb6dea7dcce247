"""Which lines or list of a JSON file are the rows, and what of a script stands in front."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hashtag_core.errors import InputError
from hashtag_core.sources.table_cells import cell_at
from hashtag_core.sources.table_json import json_items, json_lines, json_lists
from hashtag_core.sources.table_opened import Opened

FEATURES = re.compile(r'"features"\s*:\s*\[\s*\{\s*"(type|geometry|properties|id|bbox)"')
SCRIPT = re.compile(
    r"\s*(?:/\*[^*]{0,100}\*/\s*)?(?:(?:var|let|const)\s+)?"
    r"[A-Za-z_$][\w.$\[\]\"']{0,100}\s*(?:=|\()\s*(?=[\[{])"
)


def script_before(text: str) -> str:
    """The beginning of a script that hands JSON on, `window.YTD.tweets.part0 = `; else ""."""
    match = SCRIPT.match(text)
    return match[0] if match else ""


def open_json(
    path: Path, encoding: str, start: str, skipped: int, columns: Sequence[str]
) -> Opened:
    """How a file of JSON is read.

    Args:
        path: of the file.
        encoding: of its text.
        start: the beginning of the JSON in it.
        skipped: characters of a script in front.
        columns: those that will be read, if they are known.

    Raises:
        InputError: where it is one object without a list of objects in it.
    """
    if start[0] == "[":
        return Opened("json", partial(json_items, path, encoding, (), skipped), None)
    if '"FeatureCollection"' in start[:2000] or FEATURES.search(start):
        return Opened("geojson", partial(json_items, path, encoding, ("features",), skipped), None)
    lines = Opened("json lines", partial(json_lines, path, encoding), None)
    line, _, rest = start.partition("\n")
    whole = None if skipped else _object(line)
    own = sum(_is_in(whole, c) for c in columns)  # columns of the object itself
    if whole is not None and (rest.strip() or own == len(columns) > 0):
        return lines
    if whole is None and not skipped and rest and not _goes_on(line):
        return lines

    lists = json_lists(path, encoding, skipped)
    most = max((_found(columns, names, rows.first) for names, rows in lists.items()), default=0)
    if whole is not None and (not lists or own >= max(most, 1)):
        return lines
    if not lists:
        what = "one JSON object, not one in each line, and there is no list of objects in it"
        raise InputError(f"{path}: {what}.")
    within = max(lists, key=lambda n: (_found(columns, n, lists[n].first), lists[n].number))
    place = ".".join(within)
    others = sorted(".".join(names) for names in lists if names != within)[:3]
    told = f"rows: those in {place}" + (f", not in {', '.join(others)}" if others else "")
    read = partial(json_items, path, encoding, within, skipped)
    return Opened("json", read, None, [told], within=place)


def _object(line: str) -> dict | None:
    """What a line says, where it is a whole object."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_in(row: Any, column: str) -> bool:
    """Whether a row has a column itself, not in a list of objects."""
    for name in column.split("."):
        if not isinstance(row, dict) or name not in row:
            return False
        row = row[name]
    return True


def _goes_on(line: str) -> bool:
    """Whether an object goes on behind this line, its first."""
    line = line.strip()
    return line == "{" or line.endswith((",", "{", "[", ":"))


def _found(columns: Sequence[str], within: Sequence[str], rows: list[dict[str, Any]]) -> int:
    """How many of these columns are in rows of this list."""
    above = "".join(f"{name}." for name in within)
    keys = [column.removeprefix(above) for column in columns]
    return sum(any(cell_at(row, key) is not None for row in rows) for key in keys)

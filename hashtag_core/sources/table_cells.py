"""What a cell of a table holds: nothing, or a text.

R, pandas and databases have words for nothing; those are told from a person called Null by how they
are written.
"""

from __future__ import annotations

import math
import re
from typing import Any

from hashtag_core.prepare.cleaning import NO_TEXT
from hashtag_core.sources.table_csv import Cells

MAX_PATH = 1000  # characters
OTHERS = {"mention", "emoji"}  # `type` of an object that is no hashtag
MISSING = {"NA", "N/A", "#N/A", "<NA>", "NaN", "nan", "NaT", "NULL", "null", "None", "\\N"}
ADDRESSES = re.compile(r"\s*(?:https?://|www\.)[^\s,;|]+(?:[\s,;|]+https?://[^\s,;|]+)*\s*")


def is_empty(cell: Any) -> bool:
    """Whether there is nothing in a cell."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return True
    if isinstance(cell, str):
        return not cell.strip() or is_word_for_nothing(cell)
    return cell in ([], ())


def is_word_for_nothing(cell: Any) -> bool:
    """Whether a cell says in a word that there is nothing: NA, NULL, None."""
    return isinstance(cell, str) and len(cell) < 10 and cell.strip() in MISSING


def is_address(cell: Any) -> bool:
    """Whether there is nothing but the address of a page or a picture in a cell, or several."""
    return isinstance(cell, str) and ADDRESSES.fullmatch(cell) is not None


def text(cell: Any) -> str:
    """A cell as text; whole numbers without a decimal point."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)


def cell_at(cells: Cells, key: str | int) -> Any:
    """A cell by its number, its name, or names with dots between them, where objects are nested.

    Of a list of objects, that of each, but for mentions and the like among hashtags.
    """
    if isinstance(key, int):
        return cells[key] if key < len(cells) else None
    if key in cells:
        return cells[key]
    for name in key.split("."):
        if isinstance(cells, list):
            parts = [cell for cell in cells if isinstance(cell, dict) and not is_other(cell)]
            cells = [part[name] for part in parts if name in part] or None
        else:
            cells = cells.get(name) if isinstance(cells, dict) else None
    return cells


def is_other(item: dict[str, Any]) -> bool:
    """Whether an object in a list of hashtags is none: it says that it is somebody's mention."""
    kind = item.get("type")
    return isinstance(kind, str) and kind.lower() in OTHERS


def picture_in(cell: Any) -> str | bytes | None:
    """A picture, as its path or its bytes; also of {bytes, path}, as data sets on the Hub have it.

    Of several, as in posts, the first.
    """
    if isinstance(cell, list) and cell:
        cell = cell[0]
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes) and (len(cell) > MAX_PATH or "\ufffd" in text(cell)):
        return cell
    return None if is_empty(cell) else text(cell).strip()


def name_in(cell: Any) -> str:
    """The name of a user or a photo in one line; "" where there is none."""
    if isinstance(cell, dict | list | tuple):
        return ""
    return "" if is_empty(cell) else NO_TEXT.sub(" ", text(cell)).strip()

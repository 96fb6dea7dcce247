"""Hashtags in a cell: in a list, each after a #, or between separators.

How, is found out from the first rows, and told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hashtag_core.errors import InputError
from hashtag_core.sources.table_cells import is_empty, text
from hashtag_core.sources.table_decoding import without_entities
from hashtag_core.sources.table_notations import is_list, list_items, texts_of

ENOUGH = 0.5  # of the cells have to look like it
OFTEN = 0.2  # of the cells have a separator in them, if it is one
SELDOM = 0.02  # of the cells with several words have it, if each of its pieces is like other cells
ALIKE = 1.5  # times as many words in the other cells, at most
WORDS = 3  # that a caption has beside its hashtags, at least, on average

SEPARATORS = {";": "semicolons", "|": "bars", ",": "commas", "\t": "tabs"}
WIDE = {";": "；؛", "|": "｜", ",": "，、،", "\t": ""}  # as keyboards of Asia write them
ANY_WIDE = "".join(WIDE.values())
ENDS = ",;|" + ANY_WIDE
USUAL = {
    "list": "in a list",
    "#": "each after a #",
    " ": "separated by spaces",
    "caption": "in captions, each after a #",
    "row": "one in each row; the rows of a photo's id are one photo",
}
WORD = re.compile(r'(?<!\S)["“]([^"“”]+)["”](?!\S)|(\S+)')
IN_CAPTION = re.compile(
    r"(?<![\w&/])[#＃](?=[^\W_]|[^\x00-\x7f])([^\s#＃.,;:!?()\[\]{}<>\"“”…|/\\，、。！？；：（）]+)"
)
QUOTED_ENTITY = re.compile(r"\W{1,3}(?:&quot;|&#0?3[49];|&#x2[27];)", re.IGNORECASE)


class Separator:
    """Cells -> hashtags as typed.

    Args:
        name: one of `USUAL`, or the text between two hashtags.
        is_guess: whether other keyboards' form of the mark separates, too.
    """

    def __init__(self, name: str, is_guess: bool = False) -> None:
        if not name:
            raise InputError("--separator: at least one character.")
        self.name = name = "\t" if name == r"\t" else name
        self.how = USUAL.get(name, f"separated by {SEPARATORS.get(name, repr(name))}")
        self.is_guess = is_guess
        self.split = re.compile(f"[{re.escape(name)}{ANY_WIDE}]" if is_guess else re.escape(name))

    def __call__(self, cell: Any) -> tuple[list[str], bool]:
        """(the pieces, which are cleaned elsewhere; whether it is a list that was cut off)."""
        if isinstance(cell, list | tuple):
            return list(texts_of(cell)), False
        typed = text(cell)
        if self.name == "list":
            return list_items(without_entities(typed) if QUOTED_ENTITY.match(typed) else typed)
        return self._pieces(without_entities(typed)), False

    def _pieces(self, typed: str) -> list[str]:
        if self.name == "#":
            pieces = typed.replace("＃", "#").split("#")[1:]  # in front, there may be other text
            return [piece.rstrip(ENDS + " \t") for piece in pieces if piece.strip(ENDS + " \t")]
        if self.name == "caption":
            return IN_CAPTION.findall(typed)
        if self.name == " ":
            if self.is_guess:
                typed = typed.translate(dict.fromkeys(map(ord, ANY_WIDE), " "))
            pieces = [one or two for one, two in WORD.findall(typed)]
            pieces = [piece.strip(ENDS) or piece for piece in pieces] if self.is_guess else pieces
        else:
            pieces = [typed] if self.name == "row" else self.split.split(typed)
        return [piece.strip().strip("\"'") if len(piece) < 1000 else piece for piece in pieces]


def guess_separator(
    sample: Sequence[Any], given: str | None = None, photos: Sequence[Any] | None = None
) -> Separator:
    """The given one, or what most probably stands between the hashtags of these cells.

    Args:
        sample: cells.
        given: what somebody told.
        photos: of each cell, whose and which photo it belongs to, where the table says so.
    """
    if given is not None:
        return Separator(given)
    if any(isinstance(cell, list | tuple) for cell in sample):
        return Separator("list")
    cells = [without_entities(text(cell)).strip() for cell in sample if not is_empty(cell)]
    several = [cell for cell in cells if re.search(rf"[\s;|,{ANY_WIDE}]", cell)]
    lists = sum(map(is_list, cells))
    if lists > ENOUGH * len(cells) or lists > ENOUGH * max(len(several), OFTEN * len(cells)):
        return Separator("list")
    if sum(cell.startswith(("#", "＃")) for cell in cells) > ENOUGH * len(cells):
        return Separator("#")
    if _are_captions(cells):
        return Separator("caption")
    if photos is not None and _are_rows(sample, photos):
        return Separator("row")
    marked = {mark: [c for c in cells if re.search(_any_of(mark), c)] for mark in SEPARATORS}
    best = max(marked, key=lambda mark: len(marked[mark]))
    number = len(marked[best])
    if number > OFTEN * len(cells) or (
        number > SELDOM * len(several) and _are_alike(cells, marked[best], best)
    ):
        return Separator(best, is_guess=True)
    return Separator(" ", is_guess=True)


def _any_of(mark: str) -> str:
    return f"[{re.escape(mark)}{WIDE[mark]}]"


def _are_alike(cells: list[str], marked: list[str], mark: str) -> bool:
    """Whether the pieces between marks are about as many words as the cells without any."""
    has_mark = re.compile(_any_of(mark))
    others = [cell for cell in cells if not has_mark.search(cell)]
    pieces = [piece for cell in marked for piece in has_mark.split(cell) if piece.strip()]
    return not others or _words(others) <= ALIKE * _words(pieces)


def _words(texts: list[str]) -> float:
    """On average."""
    return sum(len(text.split()) for text in texts) / max(len(texts), 1)


def _are_captions(cells: list[str]) -> bool:
    """Whether there are sentences, with hashtags between or behind the words."""
    tagged = [cell for cell in cells if IN_CAPTION.search(cell)]
    beside = [" ".join(w for w in cell.split() if w[0] not in "#＃") for cell in tagged]
    return len(tagged) > OFTEN * len(cells) and _words(beside) >= WORDS


def _are_rows(sample: Sequence[Any], photos: Sequence[Any]) -> bool:
    """Whether photos have several rows, with a hashtag in each."""
    cells_of: dict[Any, list[str]] = {}
    for photo, cell in zip(photos, sample, strict=True):
        if not is_empty(cell):
            cells_of.setdefault(photo, []).append(text(cell))
    groups = [cells for cells in cells_of.values() if len(cells) > 1]
    repeated = sum(len(cells) - 1 for cells in groups)
    total = sum(map(len, cells_of.values()))
    apart = sum(len(set(cells)) == len(cells) for cells in groups)
    marks = sum(bool(re.search(f"[;|,{ANY_WIDE}]", c)) for cells in groups for c in cells)
    return repeated > OFTEN * total and apart > 0.9 * len(groups) and marks <= SELDOM * total

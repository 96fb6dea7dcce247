"""Lists that a program printed into a cell: JSON, Python, numpy, R, PostgreSQL, Spark.

Nothing is evaluated: a list is cut into its quoted texts and what stands between commas, within
bounds. One that was cut off ends where it was.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from hashtag_core.sources.table_cells import is_other, text

MAX_DEPTH = 3  # of lists in lists
MAX_BRACKETS = 16  # in one another, in a text
MAX_NESTED = 2**17  # characters of lists in lists
PAIRS = {"[": "]", "{": "}", "(": ")"}
NAME = re.compile(
    r"(?:np\.|numpy\.)?(?:c|list|tuple|(?:frozen)?set|array|index|series|deque|vector|"
    r"wrappedarray|arraybuffer|arrayseq|dict_keys|character)(?=\()",
    re.IGNORECASE,
)
EMPTY = {"character(0)", "null"}
DTYPE = re.compile(r",\s*dtype=[^\s,]*\s*$")
NESTED = re.compile(r"[\[({,]\s*[\[({]")
TOKEN = re.compile(
    r"""\s*(?:([uUbB]?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))|(\.\.\.|…)|([^,\s][^,]*))\s*,?""",
    re.DOTALL,
)
ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
BLANKS = dict.fromkeys("nrt", " ")
NOTHING = {"NA", "NaN", "nan", "NULL", "null", "None"}  # where they stand without quotes
TEXTS = "raw", "text", "tag", "name", "_content"  # what a hashtag is called in an object


def is_list(cell: str) -> bool:
    """Whether a cell is a list in one of these notations, perhaps cut off."""
    cell = cell.strip()
    first, last = cell[:1], cell[-1:]
    if NAME.match(cell):
        return True
    if first == "(" and cell[1:].lstrip("uUbB \n")[:1] not in ("'", '"', ")"):
        return False
    return first in PAIRS and (last == PAIRS[first] or cell.endswith(("...", "…")))


def list_items(typed: str) -> tuple[list[str], bool]:
    """(the texts of a list, whether it was cut off)."""
    typed = typed.strip()
    items: Any = None
    try:
        items = json.loads(typed)
    except (ValueError, RecursionError):
        if NESTED.search(typed) and _is_shallow(typed):
            items = _literal(typed)
    if isinstance(items, list | tuple):
        return list(texts_of(items)), False
    if typed.lower() in EMPTY:
        return [], False
    return _tokens(_inside(typed))


def texts_of(items: Sequence[Any], depth: int = 1) -> Iterator[str]:
    """The hashtags of a list: texts, objects that hold one, and lists of them; "" for the rest."""
    for item in items:
        if isinstance(item, dict):
            name = next((n for n in TEXTS if _is_text(item.get(n))), None)
            item = None if is_other(item) else "" if name is None else item[name]
        if isinstance(item, list | tuple):
            yield from texts_of(item, depth + 1) if depth < MAX_DEPTH else [""]
        elif item is not None:
            yield text(item)


def unescaped(typed: str) -> str:
    r"""A text without its escapes: `caf\u00e9`, `caf\xe9`, `it\'s`."""

    def meant(match: re.Match) -> str:
        number = match[1] or match[2] or match[3]
        if number is None:
            return BLANKS.get(match[4], match[4])
        return chr(int(number, 16)) if int(number, 16) < 0x110000 else "\ufffd"

    if "\\" not in typed:
        return typed
    halves = ESCAPE.sub(meant, typed).encode("utf-16-le", "surrogatepass")
    return halves.decode("utf-16-le", "replace")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_shallow(typed: str) -> bool:
    depth = deepest = 0
    for mark in re.findall(r"[\[\](){}]", typed[:MAX_NESTED]):
        depth += 1 if mark in PAIRS else -1
        deepest = max(deepest, depth)
    return len(typed) <= MAX_NESTED and deepest <= MAX_BRACKETS


def _literal(typed: str) -> Any:
    """What Python printed; None where it is nothing of the kind."""
    try:
        return ast.literal_eval(typed)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _inside(typed: str) -> str:
    """What stands in the brackets of a list, of which the last may be missing."""
    for _ in range(MAX_DEPTH):
        name = NAME.match(typed)
        typed = typed[name.end() :] if name else typed
        if typed[:1] not in PAIRS:
            break
        closing, typed = PAIRS[typed[0]], typed[1:].strip()
        typed = typed[:-1] if typed.endswith(closing) else typed
        if name is None:
            break
        typed = DTYPE.sub("", typed).strip()
    return typed


def _tokens(inside: str) -> tuple[list[str], bool]:
    items, is_cut = [], False
    for quoted, dots, plain in TOKEN.findall(inside):
        plain = plain.strip()
        if quoted:
            items.append(unescaped(quoted.lstrip("uUbB")[1:-1]))
        elif dots or plain.endswith(("...", "…")):
            is_cut = True  # and the last text is not whole
        else:
            items.append("" if plain in NOTHING else unescaped(plain))
    return items, is_cut

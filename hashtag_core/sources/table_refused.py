"""Files that are no table, or none that is read here: what each is, and how to get a table."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hashtag_core.errors import InputError

CSV = "Save it as CSV."
UNPACK = "Unpack it."
PARQUET = "Write it as Parquet"
KINDS = {  # how a file begins -> what it is, and what to do
    b"\xd0\xcf\x11\xe0": f"a spreadsheet. {CSV}",
    b"FEA1": f"a Feather file of version 1. {PARQUET}: pandas.read_feather(FILE).to_parquet(…).",
    b"\x89HDF": f"an HDF5 file. {PARQUET}: pandas.read_hdf(FILE).to_parquet(…).",
    b"\x93NUMPY": f"an array of numpy. {CSV}",
    b"ORC": f"an ORC file. {PARQUET}: pandas.read_orc(FILE).to_parquet(…).",
    b"Obj\x01": f"an Avro file. {PARQUET}.",
    b"%PDF": f"a PDF. {CSV}",
    b"\x28\xb5\x2f\xfd": f"compressed by zstd. {UNPACK}",
    b"7z\xbc\xaf": f"a 7z archive. {UNPACK}",
    b"Rar!": f"a RAR archive. {UNPACK}",
}
EITHER = "a spreadsheet, or a zip. Save it as CSV, or unpack it."
PICKLE = re.compile(rb"\x80[\x02-\x05][\x95c}\](]")
TAR = slice(257, 262)
HTML = re.compile(r"<(?:!doctype\s+html|html|head|body|table)\b", re.IGNORECASE)
SCRIPT = re.compile(r"[A-Za-z_$][\w.$\[\]\"']{0,100}\s*(?:=|\()\s*(?=[\[{])")
MEMBER = re.compile(r'"(\w{1,60})"\s*:\s*\[\s*\{')
MAX_DEPTH = 3  # of objects, that a list of rows is looked for in


def refuse(path: Path, sample: bytes) -> None:
    """Raise InputError where a file begins like one of `KINDS`, and other ones of their sort."""
    what = next((what for start, what in KINDS.items() if sample.startswith(start)), None)
    if sample.startswith(b"PK\x03\x04"):
        is_excel = b"xl/" in sample or b"[Content_Types].xml" in sample[:200]
        what = f"a spreadsheet. {CSV}" if is_excel else EITHER
    elif PICKLE.match(sample):
        what = f"a pickle of Python, which could run code. {PARQUET}: table.to_parquet(…)."
    elif sample[TAR] == b"ustar":
        what = f"a tar archive. {UNPACK}"
    if what is not None:
        raise InputError(f"{path}: {what}")


def refuse_text(path: Path, text: str) -> None:
    """Raise InputError where the beginning of a text is of a page, a script, or one JSON object."""
    start = text[:1000].lstrip()
    what = None
    if HTML.match(start):
        what = (
            "an HTML page: often one that says what went wrong, or a spreadsheet in disguise. "
            f"Look at it in a browser, get the table itself, or open it as a spreadsheet. {CSV}"
        )
    elif start.startswith("<?xml"):
        what = f"XML. {CSV}"
    elif match := SCRIPT.match(start):
        what = (
            f"JavaScript. Cut off its beginning, {match[0].strip()!r}, and what closes it at the "
            "end; what is left is JSON."
        )
    elif start[:1] == "{" and _is_spread(text.lstrip()):
        names = [f"`{name}`" for name in dict.fromkeys(MEMBER.findall(text))][:3]
        where = f", perhaps in {' or '.join(names)}" if names else ""
        what = f"one JSON object, not one in each line. {_inside(where)}"
    if what is not None:
        raise InputError(f"{path}: {what}")


def rows_inside(cells: Any) -> str:
    """What to do where a row is an object with the list of rows in it; else ""."""
    path = _path_of_list(cells, MAX_DEPTH)
    return "" if path is None else ". " + _inside(f", perhaps in `{path}`")


def _inside(where: str) -> str:
    return (
        f"Its rows are inside{where}: write that list to a file of its own, as "
        "`jq .NAME FILE > rows.json` does."
    )


def _is_spread(text: str) -> bool:
    """Whether an object goes on behind its first line."""
    line = text.partition("\n")[0].strip()
    try:
        json.loads(line)
    except RecursionError:
        return False
    except ValueError:
        return line in ("{", "{}") or line.endswith((",", "{", "["))
    return False


def _path_of_list(value: Any, depth: int) -> str | None:
    if not isinstance(value, dict) or not depth:
        return None
    for name, inner in value.items():
        if isinstance(inner, list) and len(inner) > 1 and isinstance(inner[0], dict):
            return name
        if (rest := _path_of_list(inner, depth - 1)) is not None:
            return f"{name}.{rest}"
    return None

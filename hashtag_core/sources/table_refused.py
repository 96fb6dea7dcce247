"""Files that are no table, or none that is read here: what each is, and how to get a table."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

from hashtag_core.errors import InputError
from hashtag_core.sources.flickr_zips import MemberError, open_zip
from hashtag_core.sources.table_archives import tables_among

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
TAKEOUT, BEGINNING = '"photoTakenTime"', 5000
MOST_FILES = 10_000  # of a folder, that are looked at


def refuse(path: Path, sample: bytes) -> None:
    """Raise InputError where a file begins like one of `KINDS`, and other ones of their sort."""
    what = next((what for start, what in KINDS.items() if sample.startswith(start)), None)
    if sample.startswith(b"PK\x03\x04"):
        is_excel = b"xl/" in sample or b"[Content_Types].xml" in sample[:200]
        what = f"a spreadsheet. {CSV}" if is_excel else _in_zip(path)
    elif PICKLE.match(sample):
        what = f"a pickle of Python, which could run code. {PARQUET}: table.to_parquet(…)."
    elif sample[TAR] == b"ustar":
        what = f"a tar archive. {UNPACK}"
    if what is not None:
        raise InputError(f"{path}: {what}")


def refuse_text(path: Path, start: str) -> None:
    """Raise InputError where a text begins like a page, XML, or what is known to be no table."""
    what = None
    if HTML.match(start):
        what = (
            "an HTML page: often one that says what went wrong, or a spreadsheet in disguise. "
            f"Look at it in a browser, get the table itself, or open it as a spreadsheet. {CSV}"
        )
    elif start.startswith("<?xml"):
        what = f"XML. {CSV}"
    elif start[:1] == "{" and TAKEOUT in start[:BEGINNING]:
        what = (
            "what Google Takeout says of one picture: there are no hashtags in it. "
            "`hashtag-core prepare folder DIR` reads those that are in the pictures themselves."
        )
    if what is not None:
        raise InputError(f"{path}: {what}")


def refuse_folder(path: Path) -> None:
    """Raise InputError where a folder is given, and name the table in it if it is an archive."""
    if path.is_dir():
        names = islice(path.rglob("*"), MOST_FILES)
        raise InputError(f"{path}: a folder. {_look_in(tables_among(map(str, names)))}")


def _in_zip(path: Path) -> str:
    """What to do with a zip."""
    try:
        with open_zip(path) as archive:
            tables = tables_among(archive.namelist())
    except MemberError:
        return EITHER
    return f"a zip. {UNPACK} {_look_in(tables)}"


def _look_in(tables: list[str]) -> str:
    return f"Its table: {', '.join(tables)}" if tables else "Name the table in it."

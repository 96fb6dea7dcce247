"""A user's history from outside: a CSV file, or a collection of somebody's own photos."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError

MAX_BYTES = 32 * 2**20  # of a history
MAX_PHOTOS = 100_000
MAX_LINE = 2**20  # characters
MAX_HASHTAGS = 1000  # of a photo
MAX_CHARACTERS = 200  # of a hashtag; Flickr lets people type 255 bytes


def read_history(table: str | Path) -> list[tuple[Path, list[str]]]:
    """A user's history from a CSV file: (picture, hashtags) of each photo, oldest first.

    The file has a header with the columns `image` and `hashtags`. Image paths are relative to the
    file; the hashtags of a photo are separated by commas (then quoted) or semicolons.

    Raises:
        InputError: where the file, a column or a cell is missing, or something is larger than a
            history can be, with the line.
    """
    table = Path(table)
    if not table.is_file():
        raise InputError(f"{table}: no such file.")
    if table.stat().st_size > MAX_BYTES:
        raise InputError(f"{table}: more than {MAX_BYTES // 2**20} MiB; leave photos out.")
    history: list[tuple[Path, list[str]]] = []
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(_lines(file, table), skipinitialspace=True)
            missing = {"image", "hashtags"} - set(rows.fieldnames or ())
            if missing:
                raise InputError(
                    f"{table}, line 1: no column {' and no column '.join(sorted(missing))}; "
                    "the header must be `image,hashtags`."
                )
            for row in rows:
                where = f"{table}, line {rows.line_num}"
                hashtags = [h for h in re.split(r"[,;]", row["hashtags"] or "") if h.strip()]
                if not (row["image"] or "").strip() or not hashtags:
                    raise InputError(f"{where}: a photo needs an image and hashtags.")
                if len(hashtags) > MAX_HASHTAGS or max(map(len, hashtags)) > MAX_CHARACTERS:
                    most = f"{MAX_HASHTAGS:,} hashtags of {MAX_CHARACTERS} characters"
                    raise InputError(f"{where}: a photo has at most {most}.")
                if row.get(None):
                    what = "more than two cells; put hashtags with commas in quotes."
                    raise InputError(f"{where}: {what}")
                if len(history) == MAX_PHOTOS:
                    raise InputError(f"{where}: more than {MAX_PHOTOS:,} photos.")
                history.append((table.parent / row["image"].strip(), hashtags))
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{table}: not a CSV file in UTF-8 ({error}).") from None
    return history


def _lines(file: TextIO, table: Path) -> Iterator[str]:
    """The lines of a table, none of which is longer than a bound."""
    number = 1
    while line := file.readline(MAX_LINE + 1):
        if len(line) > MAX_LINE:
            raise InputError(f"{table}, line {number}: more than {MAX_LINE:,} characters.")
        yield line
        number += 1


def collection_history(folder: str | Path, convnet: str | None) -> list[tuple[np.ndarray, list]]:
    """The history of the one user of a collection: (feature, hashtags) of each photo, oldest first.

    Args:
        folder: of the collection, from `hashtag-core prepare folder` or `flickr-export`, say.
        convnet: whose features the model knows.

    Raises:
        InputError: where there are several users, or the features are of another ConvNet.
    """
    photos = PhotoCollection.load(folder)
    if len(photos.users) > 1:
        raise InputError(f"{folder}: {len(photos.users)} users; a history is of one.")
    own = photos.convnet
    if own != convnet:
        raise InputError(
            f"{folder}: features of {own or 'no ConvNet'}; the model knows those of {convnet}. "
            f"`hashtag-core prepare features {folder} --convnet {convnet}` makes them."
        )
    return list(photos.history(range(len(photos))))

"""A user's history from outside: a CSV file, or a collection of somebody's own photos."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np

from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError


def read_history(table: str | Path) -> list[tuple[Path, list[str]]]:
    """A user's history from a CSV file: (picture, hashtags) of each photo, oldest first.

    The file has a header with the columns `image` and `hashtags`. Image paths are relative to the
    file; the hashtags of a photo are separated by commas (then quoted) or semicolons.

    Raises:
        InputError: where the file, a column or a cell is missing, with the line.
    """
    table = Path(table)
    if not table.is_file():
        raise InputError(f"{table}: no such file.")
    history = []
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, skipinitialspace=True)
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
                if row.get(None):
                    what = "more than two cells; put hashtags with commas in quotes."
                    raise InputError(f"{where}: {what}")
                history.append((table.parent / row["image"].strip(), hashtags))
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{table}: not a CSV file in UTF-8 ({error}).") from None
    return history


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

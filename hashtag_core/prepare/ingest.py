"""Every way in from files, from beginning to end: stage, select, write, report.

It can be killed at any moment. Until the collection is in its place, `<out>.hashtag-core` beside it
holds the blocks that are understood, and the same command goes on with them.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashtag_core.data.meta import features_path, said_by
from hashtag_core.data.photos import COLUMNS
from hashtag_core.errors import InputError
from hashtag_core.files import enough_disk, locked, write_whole
from hashtag_core.formats import read_json
from hashtag_core.prepare.outlook import outlook
from hashtag_core.prepare.places import (
    check_places,
    check_replaceable,
    errors_in_one_line,
    leave_workplace,
    put_back,
    workplace,
)
from hashtag_core.prepare.report import Account, report_text
from hashtag_core.prepare.selection import Selected, Selection
from hashtag_core.prepare.staging import Source, Staging, refuse_malformed, same_job
from hashtag_core.prepare.writing import (
    ROWS_PER_GROUP,
    photo_fields,
    replacing,
    write_json,
    write_meta,
)

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_WITHOUT_BYTES = 8192  # in a row group, where the pictures are not in it
KEPT = "what is understood so far is kept"
PREVIEW = 10  # photos that a dry run shows
LEAVES = "the picture's path leaves its folder: kept without it"
MISSING = "the picture's file is missing: kept without it"


class NothingKept(InputError):
    """No photo is left; `report` says why."""

    def __init__(self, message: str, report: dict) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class Images:
    """Where the pictures lie that a collection names by their path.

    Attributes:
        root: the folder; what leaves it, by `..` or by a link, is not taken.
        candidates: (photo_id, path as the source has it) -> paths to try in turn.
    """

    root: Path
    candidates: Callable[[str, str], list[str]] = lambda photo_id, path: [path]

    def __post_init__(self) -> None:
        if not self.root.is_dir():
            raise InputError(f"{self.root}: no such folder of pictures.")

    def find(self, photo_id: str, given: str | None) -> tuple[str | None, str | None]:
        """(path from the root, None), or (None, why there is no picture)."""
        why = None
        for path in [] if given is None else self.candidates(photo_id, given):
            why = self._why_not(path)
            if why is None:
                return path, None
        return None, why

    def _why_not(self, path: str) -> str | None:
        try:
            picture = (self.root / path).resolve()
            if not picture.is_relative_to(self.root.resolve()):
                return LEAVES
            return None if picture.is_file() else MISSING
        except (OSError, RuntimeError, ValueError):  # too long, links in a circle, a NUL
            return MISSING


def prepare(
    source: Source,
    out: str | Path,
    selection: Selection | None = None,
    images: Images | None = None,
    rejected: str | Path | None = None,
    strict: bool = False,
) -> Path:
    """Make a photo collection of a source; its features are (P, 0) until somebody extracts them.

    Memory does not grow with the source. The folder also holds report.json and report.txt: what
    was kept, what was not, and why.

    Args:
        source: what is read.
        out: the collection's folder. One that was made by the same job is left as it is.
        selection: which users are kept; all of them where not given.
        images: where pictures lie that stay outside the collection.
        rejected: a CSV file for the rows that are left out.
        strict: stop at the first malformed row; also where `out` was made without it.

    Returns:
        The folder, for `PhotoCollection.load`.

    Raises:
        InputError: where `strict` and something is malformed, where the disk is full, where `out`
            holds something else than a collection, or cannot be written, or another run writes it.
        NothingKept: where no photo is left.
    """
    out = Path(out).resolve()
    rejected = None if rejected is None else Path(rejected)
    root = None if images is None else images.root
    check_places(out, rejected, map(Path, source.inputs), root)
    with errors_in_one_line(out), locked(out):
        _prepare(source, out, selection or Selection(), images, rejected, strict)
    return out


def _prepare(
    source: Source,
    out: Path,
    selection: Selection,
    images: Images | None,
    rejected: Path | None,
    strict: bool,
) -> None:
    """The same, when nobody else writes there."""
    root = None if images is None else str(images.root.resolve())
    job = {"way in": source.name, **source.job, "rejected": rejected is not None}
    whole_job = {**job, "selection": asdict(selection), "images": root}
    digest = hashlib.sha256(json.dumps(whole_job, sort_keys=True).encode()).hexdigest()
    put_back(out)
    if _is_there(out, digest) and (rejected is None or rejected.is_file()):
        if strict:
            account = read_json(out / "report.json", Account, "Prepare the collection again.")
            refuse_malformed(account, source.malformed)
        leave_workplace(out)
        return
    check_replaceable(out)
    staging = workplace(out)
    with enough_disk(staging, KEPT):
        same_job(staging, job)
        report = Staging(source, staging, strict, rejected is not None).run()
        with closing(Selected(staging, selection, _joins_rows(source))) as selected:
            selected.account(report)
            if rejected is not None:
                selected.write_rejected(rejected, source.files)
            account = report.as_dict(source.files, source.inputs)
            if not report.rows_kept:
                raise NothingKept(
                    f"{out}: no photo is left to keep. {staging.name} stays for another selection.",
                    account,
                )
            with replacing(out, staging) as partial:
                pictures, notes = _write_photos(selected, partial, images)
                account["notes"] = {**account["notes"], **notes}
                account["outlook"] = outlook(
                    partial / "photos.parquet", pictures, _all_known(source)
                )
                np.save(partial / "features.npy", np.zeros((report.rows_kept, 0), np.float16))
                write_json(partial / "report.json", account)
                write_whole(partial / "report.txt", (report_text(account) + "\n").encode())
                meta = {**source.meta, "job": digest, "selection": asdict(selection)}
                meta |= {} if root is None else {"images": root}
                users = selected.number_of_users()
                counts = {"photos": report.rows_kept, "users": users, "pictures": pictures}
                write_meta(partial, {**meta, "report": _summary(account)}, counts)
    leave_workplace(out)


def dry_run(source: Source, selection: Selection | None = None) -> tuple[dict, list[dict]]:
    """The report of all rows, and the first photos as they were understood; nothing is kept.

    Returns:
        (report, photos): photos have photo_id, user, time, hashtags and image.
    """
    with tempfile.TemporaryDirectory() as folder, errors_in_one_line(Path(folder)):
        staging = Path(folder) / "staging"
        with enough_disk(staging, "a dry run keeps nothing"):
            same_job(staging, {})
            report = Staging(source, staging).run()
            with closing(
                Selected(staging, selection or Selection(), _joins_rows(source))
            ) as selected:
                selected.account(report)
                account = report.as_dict(source.files, source.inputs)
                if report.rows_kept:
                    path = staging / "photos.parquet"
                    selected.write_without_pictures(path)
                    pictures = selected.number_of_pictures()
                    account["outlook"] = outlook(path, pictures, _all_known(source))
                return account, selected.first(PREVIEW)


def _joins_rows(source: Source) -> bool:
    """Whether several rows of a source can be one photo; most sources do not say."""
    return getattr(source, "joins_rows", False)


def _all_known(source: Source) -> bool:
    """Whether a source keeps hashtags with a word vector alone; it says then which `words` have."""
    return hasattr(source, "words")


def _write_photos(selected: Selected, folder: Path, images: Images | None) -> tuple[int, Counter]:
    """photos.parquet, batch by batch; returns how many have a picture, and why others do not."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    notes: Counter = Counter()
    pictures = 0
    if images is None and not selected.has_pictures():
        selected.write_without_pictures(folder / "photos.parquet")
        return pictures, notes
    schema = pa.schema(photo_fields())
    with pq.ParquetWriter(folder / "photos.parquet", schema, compression="zstd") as writer:
        for table in selected.photos():
            image = pa.array(_images(table, images, notes), schema.field("image").type)
            table = table.select(COLUMNS[:-1]).append_column("image", image).cast(schema)
            pictures += len(image) - image.null_count
            with_bytes = image.field("bytes").null_count < len(image)
            writer.write_table(table, ROWS_PER_GROUP if with_bytes else ROWS_WITHOUT_BYTES)
    return pictures, notes


def _images(table: pa.Table, images: Images | None, notes: Counter) -> list[dict | None]:
    """The column `image` of some photos."""
    columns = (table[name].to_pylist() for name in ("photo_id", "image", "picture"))
    column: list[dict | None] = []
    for photo_id, given, picture in zip(*columns, strict=True):
        path = None
        if picture is None and images is not None:
            path, why = images.find(photo_id, given)
            notes.update([why] if why else [])
        is_none = picture is None and path is None
        column.append(None if is_none else {"bytes": picture, "path": path})
    return column


def _is_there(out: Path, digest: str) -> bool:
    """Whether the collection of this job is there, and whole."""
    meta = said_by(out)
    if meta.get("job") != digest:
        return False
    needed = "photos.parquet", "report.json", "report.txt", features_path(out, meta).name
    return all((out / name).is_file() for name in needed)


def _summary(account: dict) -> dict:
    """For meta.json: the counts, without the rows."""
    rows = account["rows"]
    left_out = {reason: entry["count"] for reason, entry in rows["left_out"].items()}
    return {**account, "rows": {**rows, "left_out": left_out}}

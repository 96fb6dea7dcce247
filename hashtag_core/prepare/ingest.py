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
from contextlib import closing, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashtag_core.data.meta import capitals_path, features_path, said_by
from hashtag_core.data.photos import COLUMNS
from hashtag_core.errors import InputError
from hashtag_core.files import enough_disk, locked, write_whole
from hashtag_core.formats import read_json
from hashtag_core.prepare.capitals import Capitals
from hashtag_core.prepare.images import Images
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
from hashtag_core.prepare.staging import Source, Staging, numbered, refuse_malformed, same_job
from hashtag_core.prepare.url_list import UrlList
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


class NothingKept(InputError):
    """No photo is left; `report` says why."""

    def __init__(self, message: str, report: dict) -> None:
        super().__init__(message)
        self.report = report


def prepare(
    source: Source,
    out: str | Path,
    selection: Selection | None = None,
    images: Images | None = None,
    rejected: str | Path | None = None,
    strict: bool = False,
    urls: UrlList | None = None,
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
        urls: a list of the kept photos' pictures to download.

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
    if urls is not None:
        urls.check(out)
    with errors_in_one_line(out), locked(out):
        _prepare(source, out, selection or Selection(), images, rejected, strict, urls)
    return out


def _prepare(
    source: Source,
    out: Path,
    selection: Selection,
    images: Images | None,
    rejected: Path | None,
    strict: bool,
    urls: UrlList | None,
) -> None:
    """The same, when nobody else writes there."""
    root = None if images is None else str(images.root.resolve())
    job = {"way in": source.name, **source.job, "rejected": rejected is not None}
    digest = digest_of(source, selection, root, rejected is not None)
    put_back(out)
    others = (rejected is None or rejected.is_file()) and (urls is None or urls.is_of(digest))
    if others and _is_there(out, digest):
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
                selected.write_rejected(rejected, source.files, numbered(source))
            account = report.as_dict(source.files, source.inputs, numbered(source))
            if not report.rows_kept:
                raise NothingKept(
                    f"{out}: no photo is left to keep. {staging.name} stays for another selection.",
                    account,
                )
            with replacing(out, staging) as partial:
                problems = [] if images is None else images.look_up(selected)
                account["problems"] += problems
                if strict:
                    refuse_malformed(account, frozenset())
                notes: Counter = Counter()
                with nullcontext() if urls is None else urls.writer(digest, notes) as listed:
                    pictures = _write_photos(selected, partial, images, listed, notes)
                path = partial / "photos.parquet"
                capitals = Capitals(selected.database, path)
                account["notes"] = {**account["notes"], **notes, **capitals.notes()}
                account["outlook"] = outlook(path, pictures, _all_known(source))
                np.save(partial / "features.npy", np.zeros((report.rows_kept, 0), np.float16))
                write_json(partial / "report.json", account)
                write_whole(partial / "report.txt", (report_text(account) + "\n").encode())
                meta = {**source.meta, "job": digest, "selection": asdict(selection)}
                meta |= {} if root is None else {"images": root}
                meta |= capitals.write(partial)
                users = selected.number_of_users(partial / "photos.parquet")
                counts = {"photos": report.rows_kept, "users": users, "pictures": pictures}
                write_meta(partial, {**meta, "report": _summary(account)}, counts)
    leave_workplace(out)


def digest_of(
    source: Source, selection: Selection, root: str | None = None, rejected: bool = False
) -> str:
    """What meta.json says as `job` of a collection that was made like this.

    Args:
        source: what is read.
        selection: which users are kept.
        root: the folder of the pictures, resolved; None where there are none outside.
        rejected: whether the rows left out are written, too.
    """
    job = {"way in": source.name, **source.job, "rejected": rejected}
    job |= {"selection": asdict(selection), "images": root}
    return hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()


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
                account = report.as_dict(source.files, source.inputs, numbered(source))
                account["notes"] = {**account["notes"], **Capitals(selected.database).notes()}
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


def _write_photos(
    selected: Selected,
    folder: Path,
    images: Images | None,
    listed: Callable[[pa.Table], None] | None,
    notes: Counter,
) -> int:
    """photos.parquet, batch by batch; returns how many have a picture, notes why others do not."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pictures = 0
    if images is None and listed is None and not selected.has_pictures():
        selected.write_without_pictures(folder / "photos.parquet")
        return pictures
    schema = pa.schema(photo_fields())
    with pq.ParquetWriter(folder / "photos.parquet", schema, compression="zstd") as writer:
        for table in selected.photos():
            if listed is not None:
                listed(table)
            image = pa.array(_images(table, images, notes), schema.field("image").type)
            table = table.select(COLUMNS[:-1]).append_column("image", image).cast(schema)
            pictures += len(image) - image.null_count
            with_bytes = image.field("bytes").null_count < len(image)
            writer.write_table(table, ROWS_PER_GROUP if with_bytes else ROWS_WITHOUT_BYTES)
    return pictures


def _images(table: pa.Table, images: Images | None, notes: Counter) -> list[dict | None]:
    """The column `image` of some photos."""
    names = "picture", "photo_id", "image", "path", "why_not"
    columns = (table[name].to_pylist() for name in names)
    column: list[dict | None] = []
    for picture, *about in zip(*columns, strict=True):
        path = None
        if picture is None and images is not None:
            path, why = images.find(*about)
            notes.update([why] if why else [])
        is_none = picture is None and path is None
        column.append(None if is_none else {"bytes": picture, "path": path})
    return column


def _is_there(out: Path, digest: str) -> bool:
    """Whether the collection of this job is there, and whole."""
    meta = said_by(out)
    if meta.get("job") != digest:
        return False
    needed = [out / name for name in ("photos.parquet", "report.json", "report.txt")]
    needed += [features_path(out, meta), capitals_path(out, meta) or out / "meta.json"]
    return all(path.is_file() for path in needed)


def _summary(account: dict) -> dict:
    """For meta.json: the counts, without the rows."""
    rows = account["rows"]
    left_out = {reason: entry["count"] for reason, entry in rows["left_out"].items()}
    return {**account, "rows": {**rows, "left_out": left_out}}

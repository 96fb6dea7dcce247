"""Photo collections are written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashtag_core.data.meta import FORMAT_VERSION, HISTORY, MADE_BY, QUERY
from hashtag_core.data.photos import (
    COLUMNS,
    ON_DISK,
    SORT_KEYS,
    WANTED,
    PhotoCollection,
    check_table,
)
from hashtag_core.errors import InputError
from hashtag_core.files import enough_disk, locked, to_disk, write_whole
from hashtag_core.formats import check_columns, to_json
from hashtag_core.prepare.feature_files import FeatureFiles, begin_features
from hashtag_core.prepare.places import (
    check_replaceable,
    leave_workplace,
    put_back,
    remove_collection,
    workplace,
)

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_GROUP = 256  # pictures that one random access reads from photos.parquet


def write_collection(
    folder: str | Path,
    table: pa.Table,
    meta: dict,
    extract: Callable[[list[bytes | None], Path], object],
) -> PhotoCollection:
    """Write a collection whole or not at all, and return it loaded.

    Everything is written to a folder beside it (`places.workplace`), which is renamed when
    complete. A run that was killed leaves it; started again, `extract` finds the features it
    already has there.

    Args:
        folder: where the collection shall be. An older one there is replaced at the end; a folder
            with anything else in it is refused.
        table: P rows with the columns of `COLUMNS` and any more, in any order of rows.
        meta: what meta.json shall say; the format version and the counts are added.
        extract: called with the P pictures, None where there is none, and the path of
            features.npy, which it writes.

    Raises:
        InputError: where a column is missing, a row is not valid, or another run writes there.
    """
    import pyarrow.parquet as pq

    folder = Path(folder).resolve()
    missing = [c for c in COLUMNS if c not in table.column_names]
    if missing:
        raise InputError(f"{folder}: the table lacks the column(s) {', '.join(missing)}.")
    check_columns(table.schema, WANTED | ON_DISK, folder, optional=True)
    table = table.sort_by(SORT_KEYS)  # a time that is null comes last
    check_table(table, folder)
    with written_alone(folder, keep="features.npy") as new:
        pq.write_table(
            table, new / "photos.parquet", compression="zstd", row_group_size=ROWS_PER_GROUP
        )
        pictures = [image and image["bytes"] for image in table["image"].to_pylist()]
        extract(pictures, new / "features.npy")
        counts = {"photos": len(table), "users": len(table["user"].unique())}
        write_meta(new, meta, counts)
    return PhotoCollection.load(folder)


def stream_collection(
    folder: str | Path,
    parts: Iterable[tuple[pa.Table, np.ndarray]],
    num_photos: int,
    d_i: int,
    meta: dict,
    extra_files: Mapping[str, Iterable[str]],
) -> PhotoCollection:
    """Write a collection without pictures part by part, with one part in memory at a time.

    Like `write_collection` it is written whole or not at all, but a killed run starts anew.

    Args:
        folder: as in `write_collection`.
        parts: (table, features) of some whole users each: n rows with photo_id, user, time,
            hashtags and any more columns, the same ones in every part, and (n, d_i) float16.
            Rows are sorted by (user, time, photo_id), within the parts and over all of them.
        num_photos: P, the rows of all parts together.
        d_i: size of the features.
        meta: what meta.json shall say; the format version and the counts are added.
        extra_files: further text files of the folder: name -> its lines without their ends. They
            are asked for after the last part.

    Raises:
        InputError: where a row is not valid or out of order, there are not P rows, or the disk is
            full.
    """
    folder = Path(folder).resolve()
    with enough_disk(folder, "what was there before is still there"), written_alone(folder) as new:
        row, users = _write_parts(new, parts, num_photos, d_i)
        if row != num_photos:
            raise InputError(f"{folder}: {row} photos were written, {num_photos} announced.")
        for name, lines in extra_files.items():
            with (new / name).open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(line + "\n" for line in lines)
        write_meta(new, meta, {"photos": row, "users": users})
        PhotoCollection.load(new)  # is it valid?
    return PhotoCollection.load(folder)


def _write_parts(
    folder: Path, parts: Iterable[tuple[pa.Table, np.ndarray]], num_photos: int, d_i: int
) -> tuple[int, int]:
    """photos.parquet and features.npy, part by part; returns how many photos and users they have.

    Raises:
        InputError: where there are more than `num_photos`, or a part does not fit its features.
    """
    import pyarrow.parquet as pq

    users, row = 0, 0
    with ExitStack() as files:
        features = files.enter_context((folder / "features.npy").open("wb"))
        begin_features(features, num_photos, d_i)
        writer = None
        for table, part in parts:
            if writer is None:
                path = folder / "photos.parquet"
                writer = files.enter_context(
                    pq.ParquetWriter(path, table.schema, compression="zstd")
                )
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)
            end = row + len(table)
            if end > num_photos or part.shape != (len(table), d_i):
                raise InputError(f"{folder}: rows {row} to {end} do not fit the {num_photos} rows.")
            features.write(part.astype("<f2").tobytes())
            users += len(table["user"].unique())
            row = end
    return row, users


@contextmanager
def written_alone(folder: Path, keep: str = "") -> Iterator[Path]:
    """`replacing`, in a folder that is removed in the end, while nobody else writes there.

    Where writing raises, that folder stays only if some of it may be of use (`keep`).
    """
    with locked(folder):
        put_back(folder)
        check_replaceable(folder)
        work = workplace(folder)
        try:
            with replacing(folder, work, keep) as new:
                yield new
        except BaseException:
            if not keep:
                leave_workplace(folder)
            raise
        leave_workplace(folder)


@contextmanager
def replacing(folder: Path, work: Path, keep: str = "") -> Iterator[Path]:
    """The folder to write a collection to; it takes the place of `folder` in the end.

    Args:
        folder: the collection's. Nothing is replaced where writing raises.
        work: its `workplace`; what a killed run left there is removed.
        keep: but for files whose names begin with this, where it is given.

    Raises:
        InputError: where `folder` holds something else than a collection of ours.
    """
    new, old = work / "new", work / "old"
    new.mkdir(exist_ok=True)
    for path in new.iterdir():
        if not (keep and path.name.startswith(keep)):
            path.unlink()
    yield new
    FeatureFiles(new / "features.npy").remove_notes()  # kept for a second start
    for path in (*new.iterdir(), new):
        to_disk(path)
    check_replaceable(folder)  # now: it may be another one than at the beginning
    remove_collection(old)
    try:
        if folder.exists():
            folder.replace(old)
        new.replace(folder)
    except BaseException:
        put_back(folder)  # a run that is killed here does so at its next start
        raise
    to_disk(folder.parent)
    remove_collection(old)


def write_meta(folder: Path, meta: dict, counts: dict[str, int]) -> None:
    """Write meta.json, with the format version and the counts; its features are features.npy."""
    meta = {"made_by": MADE_BY, "format_version": FORMAT_VERSION, **meta, "counts": counts}
    for key in (HISTORY.features, *QUERY[1:]):
        meta.pop(key, None)  # where it was another collection's
    write_json(folder / "meta.json", meta)


def write_json(path: Path, data: dict) -> None:
    """Write data as JSON, whole or not at all."""
    write_whole(path, (to_json(data, indent=2, ensure_ascii=False) + "\n").encode())


def photo_fields(unit: str = "us") -> list[pa.Field]:
    """The columns of photos.parquet that every collection has; `unit` is the one of times."""
    import pyarrow as pa

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    types = pa.string(), pa.string(), pa.timestamp(unit), pa.list_(pa.string()), image
    return [pa.field(name, kind) for name, kind in zip(COLUMNS, types, strict=True)]

"""Photo collections are written whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashtag_core.data.photos import (
    COLUMNS,
    FORMAT_VERSION,
    SORT_KEYS,
    PhotoCollection,
    check_columns,
    check_table,
)
from hashtag_core.errors import InputError
from hashtag_core.files import write_whole
from hashtag_core.prepare.feature_files import FeatureFiles

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

    Everything goes to `<folder>.partial`, which is renamed when complete. A run that was killed
    leaves that folder behind; started again, `extract` finds the features it already has there.

    Args:
        folder: where the collection shall be. An older collection there is replaced at the end;
            a folder with anything else in it is refused.
        table: P rows with the columns of `COLUMNS` and any more, in any order of rows.
        meta: what meta.json shall say; the format version and the counts are added.
        extract: called with the P pictures, None where there is none, and the path of
            features.npy, which it writes.

    Raises:
        InputError: where a column is missing or a row is not valid.
    """
    import pyarrow.parquet as pq

    folder = Path(folder).resolve()
    missing = [c for c in COLUMNS if c not in table.column_names]
    if missing:
        raise InputError(f"{folder}: the table lacks the column(s) {', '.join(missing)}.")
    check_columns(table, folder)
    table = table.sort_by(SORT_KEYS)  # a time that is null comes last
    check_table(table, folder)
    with replacing(folder) as partial:
        pq.write_table(
            table, partial / "photos.parquet", compression="zstd", row_group_size=ROWS_PER_GROUP
        )
        pictures = [image and image["bytes"] for image in table["image"].to_pylist()]
        extract(pictures, partial / "features.npy")
        counts = {"photos": len(table), "users": len(table["user"].unique())}
        write_meta(partial, meta, counts)
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
        InputError: where a row is not valid or out of order, or there are not P rows.
    """
    import pyarrow.parquet as pq

    folder = Path(folder).resolve()
    with replacing(folder, anew=True) as partial:
        features = np.lib.format.open_memmap(
            partial / "features.npy", mode="w+", dtype=np.float16, shape=(num_photos, d_i)
        )
        writer, users, row = None, 0, 0
        for table, part in parts:
            if writer is None:
                path = partial / "photos.parquet"
                writer = pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)
            end = row + len(table)
            if end > num_photos or part.shape != (len(table), d_i):
                raise InputError(f"{folder}: rows {row} to {end} do not fit the {num_photos} rows.")
            features[row:end] = part
            users += len(table["user"].unique())
            row = end
        features.flush()
        del features
        if writer is not None:
            writer.close()
        if row != num_photos:
            raise InputError(f"{folder}: {row} photos were written, {num_photos} announced.")
        for name, lines in extra_files.items():
            with (partial / name).open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(line + "\n" for line in lines)
        write_meta(partial, meta, {"photos": row, "users": users})
        PhotoCollection.load(partial)  # is it valid?
    return PhotoCollection.load(folder)


@contextmanager
def replacing(folder: Path, anew: bool = False) -> Iterator[Path]:
    """The folder to write to, `<folder>.partial`; it takes the place of `folder` in the end.

    It holds what a killed run left there, or nothing where it begins `anew`. Nothing is replaced
    where writing raises, nor where `folder` is no photo collection.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "meta.json").is_file():
        raise InputError(f"{folder} holds something else than a photo collection. Name another.")
    partial = folder.with_name(folder.name + ".partial")
    if anew:
        shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, exist_ok=True)
    yield partial
    replaced = folder.with_name(folder.name + ".replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        folder.replace(replaced)
    FeatureFiles(partial / "features.npy").remove_notes()  # kept for a second start
    partial.replace(folder)
    shutil.rmtree(replaced, ignore_errors=True)


def write_meta(folder: Path, meta: dict, counts: dict[str, int]) -> None:
    """Write meta.json, with the format version and the counts; its features are features.npy."""
    meta = {"format_version": FORMAT_VERSION, **meta, "counts": counts}
    meta.pop("features", None)  # where it was another collection's
    write_json(folder / "meta.json", meta)


def write_json(path: Path, data: dict) -> None:
    """Write data as JSON, whole or not at all."""
    write_whole(path, (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode())


def photo_fields(unit: str = "us") -> list[pa.Field]:
    """The columns of photos.parquet that every collection has; `unit` is the one of times."""
    import pyarrow as pa

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    types = pa.string(), pa.string(), pa.timestamp(unit), pa.list_(pa.string()), image
    return [pa.field(name, kind) for name, kind in zip(COLUMNS, types, strict=True)]

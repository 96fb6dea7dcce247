"""A PhotoCollection: who posted which picture when, with which hashtags (§4, Datasets).

On disk it is a folder of three files that any tool can open:

    photos.parquet   photo_id, user, time, hashtags, image {bytes, path}, and any more
    features.npy     float16 (P, d_i); row i is the ConvNet's view of row i of photos.parquet
    meta.json        where it came from, its licence, the ConvNet, and what was left out and why

Rows are sorted by (user, time, photo_id): the photos of one user are one contiguous slice.
Shapes: P photos, U users, d_i image feature.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashtag_core.errors import InputError, reading

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT_VERSION = 1
COLUMNS = ("photo_id", "user", "time", "hashtags", "image")
SORT_KEYS = [("user", "ascending"), ("time", "ascending"), ("photo_id", "ascending")]
ON_DISK = ("image", "oracle")  # columns that stay there until somebody asks: they are large
ROWS_PER_GROUP = 256  # pictures that one random access reads from photos.parquet


@dataclass(frozen=True)
class PhotoCollection:
    """Photos in (user, time) order, their hashtags and their image features.

    Attributes:
        table: pyarrow Table of P rows: photo_id (string), user (string), time (timestamp, null
            where unknown), hashtags (list<string>), and any column that the source added, but
            for those that stay on disk (`picture`, `column`).
        features: (P, d_i) float16, usually a memory map.
        meta: what meta.json says.
        folder: where the collection was loaded from, or None.
    """

    table: pa.Table
    features: np.ndarray
    meta: dict
    folder: Path | None = None

    def __post_init__(self) -> None:
        _check_table(self.table, self.folder)
        if self.features.ndim != 2 or len(self.features) != len(self.table):
            raise InputError(
                f"{self.folder or 'collection'}: features have shape {self.features.shape}, but "
                f"there are {len(self.table)} photos. Extract the features again."
            )

    @classmethod
    def load(cls, folder: str | Path) -> PhotoCollection:
        """Open a collection's folder; features become a memory map, pictures are not read.

        Raises:
            InputError: where the folder or one of its files is missing or does not fit.
        """
        import pyarrow.parquet as pq

        folder = Path(folder)
        for name in ("photos.parquet", "features.npy", "meta.json"):
            if not (folder / name).is_file():
                raise InputError(
                    f"{folder}: no {name}. A photo collection is a folder made by "
                    f"`hashtag-core prepare`; see `hashtag-core prepare --help`."
                )
        with reading(folder / "meta.json") as path:
            meta = json.loads(path.read_text(encoding="utf-8"))
        with reading(folder / "photos.parquet") as path:
            columns = [name for name in pq.read_schema(path).names if name not in ON_DISK]
            table = pq.read_table(path, columns=columns)
        with reading(folder / "features.npy") as path:
            features = np.load(path, mmap_mode="r", allow_pickle=False)
        version = meta.get("format_version") if isinstance(meta, dict) else None
        if version != FORMAT_VERSION:
            raise InputError(
                f"{folder}/meta.json: format version {version}, this "
                f"hashtag_core reads version {FORMAT_VERSION}. Prepare the collection again."
            )
        return cls(table, features, meta, folder)

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def users(self) -> list[str]:
        """The U user names, in row order."""
        return self.table["user"].unique().to_pylist()

    @cached_property
    def user_offsets(self) -> np.ndarray:
        """(U + 1,) int64: user u's photos are rows user_offsets[u] : user_offsets[u + 1]."""
        codes = self.table["user"].combine_chunks().dictionary_encode().indices.to_numpy()
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        return np.append(starts, len(codes)).astype(np.int64)

    @cached_property
    def hashtag_offsets(self) -> np.ndarray:
        """(P + 1,) int64: photo p's hashtags are hashtag_names[offsets[p] : offsets[p + 1]]."""
        import pyarrow.compute as pc

        counts = pc.list_value_length(self.table["hashtags"]).to_numpy()
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @cached_property
    def hashtag_names(self) -> pa.DictionaryArray:
        """All hashtags of all photos, one after the other, dictionary-encoded."""
        return self.table["hashtags"].combine_chunks().flatten().dictionary_encode()

    def checksum(self) -> str:
        """SHA-256 over photo ids, users and hashtags in their order, and the features."""
        import hashlib

        digest = hashlib.sha256(np.ascontiguousarray(self.features))
        for name in ("photo_id", "user", "hashtags"):  # each as one JSON list, piece by piece
            before = b"["
            for start in range(0, len(self), 65_536):
                piece = self.table[name].slice(start, 65_536).to_pylist()
                digest.update(before + json.dumps(piece).encode()[1:-1])
                before = b", "
            digest.update(b"]")
        return digest.hexdigest()

    def has(self, name: str) -> bool:
        """Whether there is such a column, in memory or on disk."""
        import pyarrow.parquet as pq

        path = None if self.folder is None else self.folder / "photos.parquet"
        on_disk = path is not None and name in pq.read_schema(path).names
        return on_disk or name in self.table.column_names

    def column(self, name: str) -> pa.ChunkedArray:
        """A column, P values; one of `ON_DISK` is read now."""
        import pyarrow.parquet as pq

        if name in self.table.column_names:
            return self.table[name]
        return pq.read_table(self.folder / "photos.parquet", columns=[name])[name]

    def rows_of(self, user: int) -> slice:
        """The rows of user number `user`, oldest photo first."""
        return slice(int(self.user_offsets[user]), int(self.user_offsets[user + 1]))

    def of_users(self, users: np.ndarray | Sequence[int]) -> np.ndarray:
        """(P,) bool: the photos of these users."""
        chosen = np.zeros(len(self.users), dtype=bool)
        chosen[users] = True
        return np.repeat(chosen, np.diff(self.user_offsets))

    def hashtags_of(self, row: int) -> list[str]:
        """The hashtags of the photo in this row."""
        return self.table["hashtags"][row].as_py()

    def picture(self, row: int) -> bytes:
        """The encoded picture (WebP, JPEG, PNG …) of the photo in this row.

        Raises:
            InputError: where the collection holds no picture for it.
        """
        image = self._picture_at(row)
        if image is None or (image["bytes"] is None and image["path"] is None):
            raise InputError(f"{self.folder or 'collection'}: row {row} has no picture.")
        if image["bytes"] is not None:
            return image["bytes"]
        path = (self.folder / image["path"]).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise InputError(f"{self.folder}: row {row}: {image['path']} leaves the folder.")
        with reading(path):
            return path.read_bytes()

    @cached_property
    def _picture_at(self) -> Callable[[int], dict | None]:
        import pyarrow.parquet as pq

        path = None if self.folder is None else self.folder / "photos.parquet"
        if path is None or "image" not in pq.read_schema(path).names:
            return lambda row: None
        file = pq.ParquetFile(path)
        sizes = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
        starts = np.concatenate([[0], np.cumsum(sizes)])

        @lru_cache(maxsize=8)
        def read_group(group: int) -> pa.ChunkedArray:
            return file.read_row_group(group, columns=["image"])["image"]

        def picture_at(row: int) -> dict | None:
            group = int(np.searchsorted(starts, row, side="right")) - 1
            return read_group(group)[row - int(starts[group])].as_py()

        return picture_at


def write_collection(
    folder: str | Path,
    table: pa.Table,
    meta: dict,
    extract: Callable[[list[bytes | None], Path], None],
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
    _check_columns(table, folder)
    table = table.sort_by(SORT_KEYS)  # a time that is null comes last
    _check_table(table, folder)
    with _replacing(folder) as partial:
        pq.write_table(
            table, partial / "photos.parquet", compression="zstd", row_group_size=ROWS_PER_GROUP
        )
        pictures = [image and image["bytes"] for image in table["image"].to_pylist()]
        extract(pictures, partial / "features.npy")
        counts = {"photos": len(table), "users": len(table["user"].unique())}
        _write_meta(partial, meta, counts)
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
    shutil.rmtree(folder.with_name(folder.name + ".partial"), ignore_errors=True)
    with _replacing(folder) as partial:
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
        _write_meta(partial, meta, {"photos": row, "users": users})
        PhotoCollection.load(partial)  # is it valid?
    return PhotoCollection.load(folder)


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """The folder to write to, `<folder>.partial`; it takes the place of `folder` in the end.

    Nothing is replaced where writing raises, nor where `folder` is no photo collection.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "meta.json").is_file():
        raise InputError(f"{folder} holds something else than a photo collection. Name another.")
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    yield partial
    replaced = folder.with_name(folder.name + ".replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        folder.replace(replaced)
    for note in partial.glob("*.job.json"):  # what `extract` may have kept for a second start
        note.unlink()
    partial.replace(folder)
    shutil.rmtree(replaced, ignore_errors=True)


def _write_meta(folder: Path, meta: dict, counts: dict[str, int]) -> None:
    meta = {"format_version": FORMAT_VERSION, **meta, "counts": counts}
    (folder / "meta.json").write_text(
        json.dumps(meta, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def _check_columns(table: pa.Table, where: Path | None) -> None:
    import pyarrow.types as types

    def is_text(kind: pa.DataType) -> bool:
        return types.is_string(kind) or types.is_large_string(kind)

    def is_texts(kind: pa.DataType) -> bool:
        return (types.is_list(kind) or types.is_large_list(kind)) and is_text(kind.value_type)

    wanted = {
        "photo_id": (is_text, "text"),
        "user": (is_text, "text"),
        "time": (types.is_timestamp, "timestamps"),
        "hashtags": (is_texts, "lists of text"),
    }
    where = where or "collection"
    for name, (fits, what) in wanted.items():
        if name not in table.column_names:
            raise InputError(f"{where}: photos.parquet has no column `{name}`.")
        kind = table.schema.field(name).type
        if not fits(kind):
            raise InputError(f"{where}: column `{name}` is of type {kind}; it must be {what}.")


def _check_table(table: pa.Table, where: Path | None) -> None:
    import pyarrow.compute as pc

    def fail(what: str) -> None:
        raise InputError(f"{where or 'collection'}: {what}")

    _check_columns(table, where)
    for name in ("photo_id", "user", "hashtags"):
        nulls = table[name].is_null().combine_chunks().to_numpy(zero_copy_only=False)
        if nulls.any():
            fail(f"row {int(nulls.argmax())}: column `{name}` is null.")
    if len(table) == 0:
        fail("there are no photos.")
    without = (pc.list_value_length(table["hashtags"]).to_numpy() == 0).nonzero()[0]
    if len(without):
        fail(f"row {int(without[0])}: a photo without hashtags. Leave such photos out.")
    photo_of = pc.list_parent_indices(table["hashtags"]).to_numpy()
    texts = table["hashtags"].combine_chunks().flatten()
    if texts.null_count:
        null = texts.is_null().to_numpy(zero_copy_only=False).argmax()
        fail(f"row {int(photo_of[null])}: a hashtag is null.")
    codes = texts.dictionary_encode()
    pairs = photo_of * max(len(codes.dictionary), 1) + codes.indices.to_numpy()
    first = np.unique(pairs, return_index=True)[1]
    if len(first) < len(pairs):
        twice = np.setdiff1d(np.arange(len(pairs)), first)[0]
        fail(f"row {int(photo_of[twice])}: the same hashtag twice. List each hashtag once.")
    if pc.count_distinct(table["photo_id"]).as_py() != len(table):
        fail("column `photo_id` has the same value twice.")
    order = pc.sort_indices(table.drop_columns("hashtags"), sort_keys=SORT_KEYS).to_numpy()
    unsorted = np.flatnonzero(order != np.arange(len(order)))
    if len(unsorted):
        fail(f"row {int(unsorted[0])} is out of order. Sort by (user, time, photo_id).")

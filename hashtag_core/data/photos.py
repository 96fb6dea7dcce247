"""A PhotoCollection: who posted which picture when, with which hashtags (§4, Datasets).

On disk it is a folder of files that any tool can open:

    photos.parquet   photo_id, user, time, hashtags, image {bytes, path}, and any more
    features.npy     float16 (P, d_i); row i is the ConvNet's view of row i of photos.parquet, NaN
                     where there was no picture that it could look at
    meta.json        where it came from, its licence, the ConvNet, and what was left out and why;
                     the name of the features' file, where it is another one than features.npy; that
                     of a second ConvNet's, where there are such (§3.2.1)
    capitals.parquet hashtag, typed: of hashtags that people typed with capitals where a word begins
                     (therapist, theRapist); only where there are such

Rows are sorted by (user, time, photo_id): the photos of one user are one contiguous slice.
Shapes: P photos, U users, d_i image feature.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashtag_core.data.meta import (
    HISTORY,
    OLD_NOTE,
    capitals_path,
    features_path,
    picture_root,
    present,
    query_features_path,
    read_meta,
    words_path,
)
from hashtag_core.data.picture_store import IMAGE, Pictures
from hashtag_core.data.pictures import NO_PICTURE, PictureError, grey_picture
from hashtag_core.errors import InputError, printable
from hashtag_core.files import reading
from hashtag_core.formats import check_columns, read_features, read_parquet

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("photo_id", "user", "time", "hashtags", "image")
SORT_KEYS = [("user", "ascending"), ("time", "ascending"), ("photo_id", "ascending")]
WANTED = {  # of photos.parquet, and what they hold
    "photo_id": "text",
    "user": "text",
    "time": "timestamps",
    "hashtags": "lists of text",
}
SPELLED = {"hashtag": "text", "typed": "text"}  # of capitals.parquet
ON_DISK = {  # columns that stay there until somebody asks: they are large
    **IMAGE,
    "oracle": "lists of text",
}


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
        query_features: (P, d_v) float16, of a second ConvNet for the pictures to predict (§3.2.1);
            None where one ConvNet serves both sides.
        capitals: hashtag -> how it was most often typed, where its capitals tell its words:
            {"therapist": "theRapist"}, of the + rapist.
    """

    table: pa.Table
    features: np.ndarray
    meta: dict
    folder: Path | None = None
    query_features: np.ndarray | None = None
    capitals: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_table(self.table, self.folder)
        for features in (self.features, self.to_predict):
            if features.ndim != 2 or len(features) != len(self.table):
                raise InputError(
                    f"{self.folder or 'collection'}: features have shape {features.shape}, but "
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
        meta = read_meta(folder)
        if (folder / OLD_NOTE).exists() and not (folder / HISTORY.files[1]).exists():
            why = "an older version was stopped while it switched features"
            raise InputError(f"{folder}: {why}. Start `hashtag-core prepare features` again.")
        path = folder / "photos.parquet"
        with reading(path):
            schema = pq.read_schema(path)
        check_columns(schema, WANTED, path)
        check_columns(schema, ON_DISK, path, optional=True)
        table = read_parquet(path, [name for name in schema.names if name not in ON_DISK])
        features = read_features(present(features_path(folder, meta)))
        second = query_features_path(folder, meta)
        query_features = None if second is None else read_features(present(second))
        return cls(table, features, meta, folder, query_features, _read_capitals(folder, meta))

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        source = self.meta.get("source", "no source named")
        return printable(
            f"PhotoCollection {self.folder.name if self.folder else '(in memory)'}: "
            f"{len(self):,} photos of {len(self.users):,} users, "
            f"{len(self.hashtag_names.dictionary):,} different hashtags, "
            f"features of {self.features.shape[1]} numbers "
            f"({self.convnet or 'no ConvNet named'}); from {source}"
        )

    @property
    def to_predict(self) -> np.ndarray:
        """(P, d_v): the features of the query side, those of both where there is one ConvNet."""
        return self.features if self.query_features is None else self.query_features

    @property
    def convnet(self) -> str | None:
        """The name of the ConvNet that made the features; None where meta.json does not say."""
        about = self.meta.get("convnet")
        return about.get("name") if isinstance(about, dict) else None

    @property
    def query_convnet(self) -> str | None:
        """The name of the second ConvNet; None where there is none, or meta.json does not say."""
        about = self.meta.get("query_convnet")
        return about.get("name") if isinstance(about, dict) else None

    @property
    def words(self) -> Path | None:
        """The file of the collection's own word vectors; None where it has none.

        Raises:
            InputError: where meta.json names something else than a file of the folder.
        """
        return None if self.folder is None else words_path(self.folder, self.meta)

    @property
    def has_pictures(self) -> bool:
        """Whether a model has something to see: features of no columns are no pictures."""
        return self.features.shape[1] > 0

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
        """SHA-256 over photo ids, users, hashtags in their order, features and capitals."""
        import hashlib

        digest = hashlib.sha256(np.ascontiguousarray(self.features).data)
        if self.query_features is not None:
            digest.update(np.ascontiguousarray(self.query_features).data)
        for name in ("photo_id", "user", "hashtags"):  # each as one JSON list, piece by piece
            before = b"["
            for start in range(0, len(self), 65_536):
                piece = self.table[name].slice(start, 65_536).to_pylist()
                digest.update(before + json.dumps(piece).encode()[1:-1])
                before = b", "
            digest.update(b"]")
        if self.capitals:
            digest.update(json.dumps(self.capitals, sort_keys=True).encode())
        return digest.hexdigest()

    def has(self, name: str) -> bool:
        """Whether there is such a column, in memory or on disk."""
        import pyarrow.parquet as pq

        if self.folder is None or name in self.table.column_names:
            return name in self.table.column_names
        with reading(self.folder / "photos.parquet") as path:
            return name in pq.read_schema(path).names

    def column(self, name: str) -> pa.ChunkedArray:
        """A column, P values; one of `ON_DISK` is read now."""
        if name in self.table.column_names:
            return self.table[name]
        if self.folder is None or not self.has(name):
            raise InputError(f"{self.folder or 'collection'}: no column `{name}`.")
        return read_parquet(self.folder / "photos.parquet", [name])[name]

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

    def history(self, rows: Iterable[int]) -> Iterator[tuple[np.ndarray, list[str]]]:
        """(feature, hashtags) of the photos in these rows: what `HashtagPredictor.user` takes.

        Hashtags have their `capitals`, from which it knows the words of one that is new to it.
        """
        for row in map(int, rows):
            spelled = [self.capitals.get(name, name) for name in self.hashtags_of(row)]
            yield np.array(self.features[row]), spelled

    def picture(self, row: int) -> bytes:
        """The encoded picture (WebP, JPEG, PNG …) of the photo in this row.

        Raises:
            InputError: where the collection holds no picture for it.
        """
        if self._pictures is None:
            raise PictureError(f"collection: row {row} has no picture.", NO_PICTURE)
        return self._pictures[row]

    def card(self, row: int) -> tuple[bytes, list[str]]:
        """A photo to show: its picture, a grey one where the collection holds none, and hashtags.

        Raises:
            InputError: where there is a picture and it cannot be read.
        """
        try:
            picture = self.picture(row)
        except PictureError as error:
            if error.reason != NO_PICTURE:
                raise
            picture = grey_picture()
        return picture, self.hashtags_of(row)

    @cached_property
    def _pictures(self) -> Pictures | None:
        if self.folder is None:
            return None
        return Pictures(self.folder / "photos.parquet", picture_root(self.folder, self.meta))


def _read_capitals(folder: Path, meta: dict) -> dict[str, str]:
    """What capitals.parquet says; nothing where there is none."""
    import pyarrow.parquet as pq

    path = capitals_path(folder, meta)
    if path is None:
        return {}
    with reading(present(path)):
        check_columns(pq.read_schema(path), SPELLED, path)
    hashtags, typed = (column.to_pylist() for column in read_parquet(path, [*SPELLED]).columns)
    if None in hashtags or None in typed:
        raise InputError(f"{path}: a text is null. Prepare the collection again.")
    return dict(zip(hashtags, typed, strict=True))


def check_table(table: pa.Table, where: Path | None) -> None:
    """Refuse a table that is no collection's; the error says in which row."""
    import pyarrow.compute as pc

    def fail(what: str) -> None:
        raise InputError(f"{where or 'collection'}: {what}")

    check_columns(table.schema, WANTED, where or "collection")
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
    ordered = np.sort(pairs)
    if (ordered[1:] == ordered[:-1]).any():
        first = np.unique(pairs, return_index=True)[1]
        twice = np.setdiff1d(np.arange(len(pairs)), first)[0]
        fail(f"row {int(photo_of[twice])}: the same hashtag twice. List each hashtag once.")
    if pc.count_distinct(table["photo_id"]).as_py() != len(table):
        fail("column `photo_id` has the same value twice.")
    unsorted = np.flatnonzero(~_in_order(table))
    if len(unsorted):
        fail(f"row {int(unsorted[0])} is out of order. Sort by (user, time, photo_id).")


def _in_order(table: pa.Table) -> np.ndarray:
    """(P - 1,) bool: whether each photo may stand before the next one; unknown times come last."""
    import pyarrow.compute as pc

    columns = [table[name].combine_chunks() for name in ("user", "time", "photo_id")]
    (user, time, photo), (next_user, next_time, next_photo) = (
        [column[part] for column in columns] for part in (slice(0, -1), slice(1, None))
    )
    same_time = pc.fill_null(
        pc.equal(time, next_time), pc.and_(time.is_null(), next_time.is_null())
    )
    earlier = pc.fill_null(pc.less(time, next_time), pc.and_(time.is_valid(), next_time.is_null()))
    in_order = pc.or_(earlier, pc.and_(same_time, pc.less_equal(photo, next_photo)))
    in_order = pc.or_(pc.less(user, next_user), pc.and_(pc.equal(user, next_user), in_order))
    return in_order.to_numpy(zero_copy_only=False)

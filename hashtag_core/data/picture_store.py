"""The pictures of a collection, found by the rows of their photos.

A picture is bytes in photos.parquet, or a path from the folder of the pictures: of a file, or of a
member of a zip or tar (`shards.py`). A path that leaves that folder is refused, and so is what is
no plain file.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from hashtag_core.data.pictures import (
    CHANGED,
    MAX_BYTES,
    MISSING,
    NO_PICTURE,
    OUTSIDE,
    PictureError,
    open_plain,
    read_plain,
    too_many_bytes,
)
from hashtag_core.data.shards import Place, place_of, read_place
from hashtag_core.errors import InputError
from hashtag_core.files import reading
from hashtag_core.formats import check_columns

IMAGE = {"image": "{bytes, path}"}  # the column of photos.parquet


class Pictures:
    """The encoded pictures of P photos, each read when it is asked for; goes to other processes.

    Args:
        parquet: photos.parquet; its column `image` holds {bytes, path}, if there is one.
        root: the folder that paths start from, and must not leave.
    """

    def __init__(self, parquet: str | Path, root: str | Path) -> None:
        self.parquet = Path(parquet)
        self.root = Path(root)

    def __reduce__(self) -> tuple:
        return Pictures, (self.parquet, self.root)  # without the open file

    def __len__(self) -> int:
        return int(self._file_and_starts[1][-1])

    def __getitem__(self, row: int) -> bytes:
        """The picture in this row.

        Raises:
            PictureError: where there is none, or not one that may be read.
        """
        if not 0 <= row < len(self):
            raise IndexError(row)
        image = self.image(row) or {"bytes": None, "path": None}
        name = f"{self.parquet.parent}: row {row}"
        if image["bytes"] is not None:
            return image["bytes"]
        if image["path"] is None:
            raise PictureError(f"{name} has no picture.", NO_PICTURE)
        shown = f"{name}: {image['path']!r}"  # with its control characters escaped
        place = place_of(image["path"])
        if place is not None and self._is_file(place.shard):  # no file is below a file
            return _read_in_shard(self._inside(place.shard, shown), place, shown)
        return read_plain(self._inside(image["path"], shown), shown)

    def _is_file(self, path: str) -> bool:
        try:
            return (self.root / path).is_file()
        except (OSError, ValueError):  # too long, no permission; told when it is read
            return False

    def _inside(self, given: str, shown: str) -> Path:
        """The path of what is given from the folder, which it must not leave."""
        try:
            path = (self.root / given).resolve()
            inside = path.is_relative_to(self.root.resolve())
        except (OSError, RuntimeError, ValueError):  # links in a circle; a NUL
            raise PictureError(f"{shown}: no such file.", MISSING) from None
        if not inside:
            raise PictureError(f"{shown} leaves the folder {self.root}.", OUTSIDE)
        return path

    def identity(self) -> dict:
        """What tells these pictures from others without reading them."""
        about = self.parquet.stat()
        return {"photos": [about.st_size, about.st_mtime_ns], "root": str(self.root.resolve())}

    def check(self) -> None:
        """Raise InputError where there is no column for pictures, or no folder of their files."""
        if "image" not in self._file_and_starts[0].schema_arrow.names:
            raise InputError(f"{self.parquet}: no column `image`: a collection without pictures.")
        if not self.root.is_dir():
            raise InputError(f"{str(self.root)!r} is not there: the folder of the pictures.")

    @cached_property
    def image(self) -> Callable[[int], dict | None]:
        """Row -> {"bytes", "path"}, or None."""
        file, starts = self._file_and_starts
        if "image" not in file.schema_arrow.names:
            return lambda row: None

        @lru_cache(maxsize=2)  # a group may hold the bytes of hundreds of photographs
        def read_group(group: int):
            with reading(self.parquet):
                return file.read_row_group(group, columns=["image"])["image"]

        def image(row: int) -> dict | None:
            group = int(np.searchsorted(starts, row, side="right")) - 1
            with reading(self.parquet):  # a path may be no UTF-8
                return read_group(group)[row - int(starts[group])].as_py()

        return image

    @cached_property
    def _file_and_starts(self) -> tuple:
        """The parquet file, and the rows at which its groups start; the last one is P."""
        import pyarrow.parquet as pq

        with reading(self.parquet):
            schema = pq.read_schema(self.parquet)
            check_columns(schema, IMAGE, self.parquet, optional=True)
            # what stands there often is held once
            often = ["image.bytes", "image.path"] if "image" in schema.names else []
            file = pq.ParquetFile(self.parquet, read_dictionary=often)
        sizes = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
        return file, np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


def _read_in_shard(path: Path, place: Place, name: str) -> bytes:
    if place.size > MAX_BYTES:
        raise too_many_bytes(name, place.size)
    with open_plain(path, name, is_bounded=False) as file:
        data = read_place(file, place, MAX_BYTES)
    if data is None:
        raise PictureError(f"{name}: {CHANGED}.", CHANGED)
    return data

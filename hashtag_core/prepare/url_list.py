"""The kept photos as a list to download: photo_id, url, key, in the order of the collection.

`img2dataset` reads it and keeps its order from shard to shard, so that pictures which belong to one
user lie near each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.errors import InputError
from hashtag_core.files import refuse_others, whole_file

if TYPE_CHECKING:
    import pyarrow as pa

MARK = b"hashtag-core urls"  # in the footer, with the job that wrote it: `files.OURS_BY`
NO_URL = "no download URL: not in the list of URLs"


@dataclass(frozen=True)
class UrlList:
    """Where the list goes.

    Attributes:
        path: a Parquet file; an older one of ours is replaced.
        key: URL -> the name by which the picture is known.
    """

    path: Path
    key: Callable[[str], str]

    def check(self, out: Path) -> None:
        """Raise InputError where something else is in its place, or it lies in the folder `out`."""
        where = f"--urls {self.path}"
        if self.path.resolve().is_relative_to(out):
            raise InputError(
                f"{where}: it cannot be in the collection's folder, which is replaced."
            )
        refuse_others(self.path, "urls", where)

    def is_of(self, job: str) -> bool:
        """Whether it is there, and this job wrote it."""
        import pyarrow.parquet as pq

        try:
            return (pq.read_schema(self.path).metadata or {}).get(MARK) == job.encode()
        except (OSError, ValueError):
            return False

    @contextmanager
    def writer(self, job: str, notes: Counter) -> Iterator[Callable[[pa.Table], None]]:
        """A function that writes some photos; those without a URL are counted in `notes`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = "photo_id", "url", "key"
        schema = pa.schema([(name, pa.string()) for name in names], {MARK: job.encode()})
        with whole_file(self.path) as partial, pq.ParquetWriter(partial, schema) as file:

            def write(table: pa.Table) -> None:
                rows = zip(table["photo_id"].to_pylist(), table["image"].to_pylist(), strict=True)
                listed = [(photo, url) for photo, url in rows if url and "://" in url]
                photos, urls = zip(*listed, strict=True) if listed else ((), ())
                keys = map(self.key, urls)
                columns = [pa.array(values, pa.string()) for values in (photos, urls, [*keys])]
                file.write_table(pa.table(columns, schema=schema))
                notes.update({NO_URL: len(table) - len(listed)} if len(listed) < len(table) else {})

            yield write

"""Where the pictures lie that are in shards or in numbered folders: found by name, once for all.

Looked through are the folder of the pictures and those right below it: zips, tars of img2dataset,
and the files of the folders below. What is found is written to a Parquet file, and DuckDB brings
photos and names together, so that memory does not depend on how many there are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from hashtag_core.data.shards import SHARDS, Place
from hashtag_core.errors import InputError
from hashtag_core.prepare.img2dataset import outcomes
from hashtag_core.prepare.places import is_utf8
from hashtag_core.prepare.shard_members import PICTURE, ShardError, members
from hashtag_core.printing import progress_bar

if TYPE_CHECKING:
    from hashtag_core.prepare.selection import Selected

ROWS = 50_000  # that are written at a time
LATER = 1 << 60  # added to the number of an entry without a picture: one with it comes first
MAX_PROBLEMS = 100  # that are named
MAX_REASONS = 50  # why pictures were not fetched; further ones are one
NAME = re.compile(r"[0-9A-Za-z_-]{1,64}")  # a photo id, or the key of a picture
LACKING = "img2dataset fetched the picture, but it is not in its shard: kept without it"
OUTSIDE = "its name is not UTF-8, or it leads out of the folder"
NOT_READ = "not looked into: only names in .zip or .tar are, and tars that are not compressed"
ALIKE = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar")
OTHER = "img2dataset did not fetch the picture (other reasons): kept without it"


class Found(NamedTuple):
    """An entry of the index: a name and its picture, or why there is none."""

    name: str
    path: str | None
    why_not: str | None


def _is_dir(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def as_name(text: str) -> str:
    """How an id or a key is looked up: 000123456 is 123456."""
    return text.lstrip("0") if text.isascii() and text.isdigit() else text


def stem_of(path: str) -> str:
    """The name of a picture without folders and ending."""
    return path[path.rfind("/") + 1 : path.rfind(".")]


class PictureIndex:
    """What is found below a folder of pictures.

    Args:
        root: the folder.

    Attributes:
        problems: shards that cannot be read, or not wholly: {"file", "what"}, for the report.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[dict[str, str]] = []
        self._more = 0
        self._reasons: set[str] = set()

    def write(self, path: Path) -> None:
        """Write the index: the entries, each with a number by which the first one is known."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = "number", *Found._fields
        types = pa.int64(), pa.string(), pa.string(), pa.string()
        schema = pa.schema(zip(names, types, strict=True))
        numbered = enumerate(self._entries())
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            while some := list(islice(numbered, ROWS)):
                rows = [(number + LATER * (found.path is None), *found) for number, found in some]
                columns = map(pa.array, zip(*rows, strict=True), types)
                writer.write_table(pa.table([*columns], schema=schema))
        if self._more:
            self.problems.append({"file": str(self.root), "what": f"and {self._more:,} more"})

    def _entries(self) -> Iterator[Found]:
        with progress_bar(total=None, desc="pictures", unit=" shards") as bar:
            for folder in [self.root, *self._folders()]:
                for shard in self._shards(folder):
                    yield from self._shard(self.root / shard, shard)
                    bar.update(1)
                if folder != self.root:  # whose own files are found by their paths
                    yield from self._files(folder)
                    bar.update(1)

    def _folders(self) -> list[Path]:
        """Those right below the root that do not leave it."""
        with os.scandir(self.root) as entries:
            names = sorted(e.name for e in entries if not e.name.endswith(SHARDS) and _is_dir(e))
        root, folders = self.root.resolve(), []
        for folder in map(self.root.joinpath, names):
            if not is_utf8(folder) or not folder.resolve().is_relative_to(root):
                self._problem(_shown(folder.name), OUTSIDE)
            elif not os.access(folder, os.R_OK | os.X_OK):
                self._problem(folder.name, "no permission to read it: not looked into")
            else:
                folders.append(folder)
        return folders

    def _shards(self, folder: Path) -> list[str]:
        """The paths of a folder's zips and tars."""
        where = PurePosixPath(*folder.relative_to(self.root).parts)
        with os.scandir(folder) as entries:
            files = sorted(entry.name for entry in entries if not _is_dir(entry))
        names = [name for name in files if name.endswith(SHARDS)]
        for name in files:
            if name not in names and name.lower().endswith(ALIKE):
                self._problem(_shown(str(where / name)), NOT_READ)
        return [str(where / name) for name in names]

    def _files(self, folder: Path) -> Iterator[Found]:
        """The pictures of a folder below the root, by id or key."""
        with os.scandir(folder) as entries:
            files = sorted(e.name for e in entries if PICTURE.fullmatch(e.name))
        pictures = {stem_of(name): (f"{folder.name}/{name}", None) for name in files}
        beside = folder.with_name(f"{folder.name}.parquet")
        if beside.is_file():  # img2dataset wrote files, not tars
            yield from self._fetched(beside, pictures)
            return
        if any((folder / f"{stem}.json").is_file() for stem in islice(pictures, 1)):
            self._problem(folder.name, f"img2dataset's, without {beside.name} beside it: not read")
            return  # its names are no ids of photos, and look like them
        for stem, (path, _) in pictures.items():
            if NAME.fullmatch(stem):
                yield Found(as_name(stem), path, None)

    def _shard(self, path: Path, shard: str) -> Iterator[Found]:
        try:
            is_inside = is_utf8(path) and path.resolve().is_relative_to(self.root.resolve())
            is_file = path.is_file()
        except (OSError, RuntimeError):  # links in a circle
            is_inside = is_file = False
        if not is_inside:
            self._problem(_shown(shard), OUTSIDE)
        if not is_inside or not is_file:
            return
        pictures = {}
        try:
            for member in members(path):
                *about, why_not = member
                of_it = (str(Place(shard, *about)), None) if why_not is None else (None, why_not)
                stem = stem_of(member.name)
                if shard.endswith(".tar"):
                    pictures[stem] = of_it
                elif NAME.fullmatch(stem):
                    yield Found(as_name(stem), *of_it)
        except ShardError as error:
            self._problem(shard, str(error))
        if shard.endswith(".tar"):
            yield from self._fetched(path.with_suffix(".parquet"), pictures)

    def _fetched(self, beside: Path, pictures: dict) -> Iterator[Found]:
        """The pictures of one shard of img2dataset, by stem, given to their photos."""
        name = str(beside.relative_to(self.root))
        if not beside.is_file():
            self._problem(name, "it is not there, and says whose pictures are in the tar: not read")
            return
        try:
            for outcome in outcomes(beside):
                path, why_not = None, outcome.why_not
                if why_not is None:
                    path, why_not = pictures.get(outcome.key, (None, LACKING))
                elif why_not not in self._reasons:
                    why_not = self._reason(why_not)
                for known in outcome.names:
                    yield Found(as_name(known), path, why_not)
        except InputError as error:
            self._problem(name, str(error).removeprefix(f"{beside}: "))

    def _reason(self, why_not: str) -> str:
        if len(self._reasons) >= MAX_REASONS:
            return OTHER
        self._reasons.add(why_not)
        return why_not

    def _problem(self, shard: str, what: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append({"file": shard, "what": what})
        else:
            self._more += 1


def find_pictures(
    selected: Selected, root: Path, names: Callable[[str, str | None], Iterable[str]]
) -> list[dict[str, str]]:
    """Look up the pictures of the kept photos: for `Selected.photos`.

    Args:
        selected: the photos.
        root: the folder of the pictures.
        names: (photo_id, image as the source has it) -> by what its picture may be called.

    Returns:
        What is wrong with shards, for the report's `problems`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    index = PictureIndex(root)
    index.write(selected.folder / "index")
    selected.write_kept(selected.folder / "photos")
    schema = pa.schema([("ord", pa.int64()), ("name", pa.string())])
    with (
        pq.ParquetFile(selected.folder / "photos") as photos,
        pq.ParquetWriter(selected.folder / "wanted", schema, compression="zstd") as writer,
    ):
        for batch in photos.iter_batches(ROWS):
            rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
            wanted = [(o, as_name(n)) for o, photo, image in rows for n in names(photo, image)]
            columns = [pa.array(values) for values in zip(*wanted, strict=True)]
            writer.write_table(pa.table(columns, schema=schema))
    selected.find(selected.folder / "wanted", selected.folder / "index")
    return index.problems

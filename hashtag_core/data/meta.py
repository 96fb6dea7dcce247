"""meta.json: where a collection came from, and which files and folders belong to it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, NamedTuple, NotRequired

from typing_extensions import TypedDict

from hashtag_core.errors import InputError
from hashtag_core.formats import read_json

FORMAT_VERSION = 1
MADE_BY = "hashtag_core"
CAPITALS = "capitals.parquet"
OLD_NOTE = "meta.next.json"  # of version 0.3, where it was stopped between two files
IN_FOLDER = re.compile(r"[\w.-]+")  # the name of a file of the folder


class Side(NamedTuple):
    """Whose features: of the ConvNet of the history, or of a second one for the query (§3.2.1).

    Attributes:
        files: where they may be; `prepare features` changes between the two.
        features: the key of their file in meta.json.
        convnet: that of what made them.
        pictures: that of the account of `prepare features`.
    """

    files: tuple[str, str]
    features: str
    convnet: str
    pictures: str


HISTORY = Side(("features.npy", "features.next.npy"), "features", "convnet", "pictures")
QUERY = Side(("query.npy", "query.next.npy"), "query_features", "query_convnet", "query_pictures")


class Named(TypedDict):
    """A ConvNet, in meta.json."""

    name: NotRequired[str | None]
    weights: NotRequired[str | None]


class Meta(TypedDict):
    """What of meta.json the library reads; a source adds what there is to say of its photos."""

    format_version: Literal[1]
    source: NotRequired[str]
    convnet: NotRequired[Named | None]  # that made the features
    words: NotRequired[str]  # the file of the collection's own word vectors
    capitals: NotRequired[str]  # `CAPITALS`, where there is such a file
    features: NotRequired[str]  # the file of the features, where it is not features.npy
    images: NotRequired[str]  # the folder of the pictures, where it is another one
    counts: NotRequired[dict[str, int]]  # photos, users, pictures
    report: NotRequired[dict[str, Any]]  # report.json in short, to read
    read: NotRequired[int]  # pictures that a source read
    left_out: NotRequired[dict[str, int]]  # of them, by reason
    job: NotRequired[str]  # digest of what was prepared
    made_by: NotRequired[str]  # `MADE_BY`: it may be replaced
    pictures: NotRequired[dict[str, Any]]  # the account of `prepare features`
    query_features: NotRequired[str]  # the file of a second ConvNet's, where there are such
    query_convnet: NotRequired[Named | None]
    query_pictures: NotRequired[dict[str, Any]]


def read_meta(folder: Path) -> dict:
    """What meta.json says.

    Raises:
        InputError: where it or photos.parquet is missing, or it is broken or of another version.
    """
    present(folder / "photos.parquet")
    return read_json(present(folder / "meta.json"), Meta, "Prepare the collection again.")


def present(path: Path) -> Path:
    """The path of a collection's file, which has to be there."""
    if not path.is_file():
        raise InputError(
            f"{path.parent}: no {path.name}. A photo collection is a folder made by "
            f"`hashtag-core prepare`; see `hashtag-core prepare --help`."
        )
    return path


def features_path(folder: Path, meta: dict) -> Path:
    """The file of the features that belong to this meta.json.

    Raises:
        InputError: where meta.json names something else than an .npy file of the folder.
    """
    return _in_folder(folder, "features", meta.get("features", HISTORY.files[0]), "NAME.npy")


def query_features_path(folder: Path, meta: dict) -> Path | None:
    """The same for the features of a second ConvNet; None where there are none."""
    name = meta.get(QUERY.features)
    return None if name is None else _in_folder(folder, QUERY.features, name, "NAME.npy")


def words_path(folder: Path, meta: dict) -> Path | None:
    """The file of the collection's own word vectors; None where it has none.

    Raises:
        InputError: where meta.json names something else than a text file of the folder.
    """
    name = meta.get("words")
    return None if name is None else _in_folder(folder, "words", name, "NAME.txt")


def capitals_path(folder: Path, meta: dict) -> Path | None:
    """The file of the hashtags whose capitals tell their words; None where there are none.

    Raises:
        InputError: where meta.json names something else than a parquet file of the folder.
    """
    name = meta.get("capitals")
    return None if name is None else _in_folder(folder, "capitals", name, "NAME.parquet")


def _in_folder(folder: Path, key: str, name: str, form: str) -> Path:
    suffix = form.removeprefix("NAME")
    if not isinstance(name, str) or not IN_FOLDER.fullmatch(name) or not name.endswith(suffix):
        raise InputError(f"{folder}/meta.json: `{key}` is {name!r}; it must be {form}.")
    return folder / name


def picture_root(folder: Path, meta: dict) -> Path:
    """The folder that the paths of pictures start from: the collection's, or the one it names.

    Raises:
        InputError: where meta.json names one that is not absolute.
    """
    root = meta.get("images", str(folder.resolve()))
    if not Path(root).is_absolute():
        raise InputError(
            f"{folder}/meta.json: `images` is {root!r}; it must be an absolute folder."
        )
    return Path(root)


def said_by(folder: Path) -> dict:
    """What the meta.json of any folder says; nothing where there is none of a collection."""
    try:
        return read_json(folder / "meta.json", Meta, "")
    except InputError:
        return {}


def is_ours(folder: Path) -> bool:
    """Whether a folder's meta.json says that this program made it."""
    return said_by(folder).get("made_by") == MADE_BY

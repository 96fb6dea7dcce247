"""Where a way in writes: nothing that is somebody else's is removed or written over.

Only a folder whose meta.json says that this program made it, and that holds nothing but what a
collection holds, is ever replaced, and not where it has features that took long. What a run needs
meanwhile lies in `<out>.hashtag-core` beside it, which says what it is; a folder of that name with
anything else in it is left alone.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hashtag_core.data.meta import HISTORY, QUERY, is_ours, said_by
from hashtag_core.errors import InputError
from hashtag_core.files import OURS, locked, refuse_others, write_whole
from hashtag_core.prepare.feature_files import COSTLY, FeatureFiles

OF_A_COLLECTION = re.compile(
    r"photos\.parquet|(features|query)(\.next)?\.npy(\.rows|\.job\.json)?|meta(\.next)?\.json"
    rf"|capitals\.parquet|report\.json|report\.txt|\..+{re.escape(OURS)}\.(partial|lock)"
)
WORDS = "words.txt"  # of a simulated one, whose meta.json names it
MARK = "README.txt"
ABOUT = (
    "hashtag-core works in this folder while it makes the photo collection beside it. If it was\n"
    "stopped, the same command goes on with what is here. When no run is going on, the folder may\n"
    "be removed; but if there is a folder `old` in it, that is the collection as it was before.\n"
)


def check_places(
    out: Path, rejected: Path | None, inputs: Iterable[Path] = (), root: Path | None = None
) -> None:
    """Refuse what cannot be written to, or would write over something else.

    Args:
        out: the collection's folder, absolute.
        rejected: where the rows left out shall be written; an older file of them is written over.
        inputs: the files that are read, and folders that are read with all that is in them.
        root: a folder of which only named pictures are read; None for none.
    """
    for path in (out, rejected):
        if path is not None and not is_utf8(path):
            raise InputError(f"{str(path)!r}: the name is not UTF-8. Name another.")
        if path is not None and any(OURS in part for part in path.parts):
            raise InputError(f"{path}: names with `{OURS}` are for the work itself. Name another.")
    inputs = [path.resolve() for path in inputs]
    for path in inputs if root is None else [*inputs, root.resolve()]:
        if path.is_relative_to(out):
            raise InputError(f"{path} is read, and {out} may be replaced. Name another --out.")
    for path in inputs:
        if out.is_relative_to(path):
            raise InputError(f"{out} lies in {path}, which is read. Name another --out.")
    if not out.name:
        raise InputError(f"{out} cannot be a collection's folder. Name another.")
    if rejected is not None:
        _check_rejected(rejected, out, inputs)


def _check_rejected(rejected: Path, out: Path, inputs: list[Path]) -> None:
    where = f"--rejected {rejected}"
    if not rejected.parent.is_dir():
        raise InputError(f"{where}: there is no folder {rejected.parent}.")
    path = rejected.resolve()
    if path.is_relative_to(out):
        raise InputError(f"{where}: it cannot be in the collection's folder, which is replaced.")
    if any(path.is_relative_to(other) for other in inputs):
        raise InputError(f"{where}: it is, or lies in, what is read. Name another.")
    refuse_others(rejected, "rejected", where)


def check_replaceable(out: Path) -> None:
    """Refuse a place for a collection where something is that is not this program's own.

    Raises:
        InputError: with the first name in the folder that is not a collection's, where another run
            extracts features in it, or where they were extracted of more than `COSTLY` pictures.
    """
    if Path.cwd().is_relative_to(out):
        raise InputError(f"{out} is the folder you are in, and would be replaced. Name another.")
    if _is_free(out):
        return
    if not is_ours(out):
        raise InputError(
            f"{out} holds something else than a photo collection that this version made. "
            "Name another, or remove it yourself."
        )
    words = said_by(out).get("words")
    for path in sorted(out.iterdir()):
        known = _is_known(path) or path.name == words == WORDS
        if path.is_symlink() or not path.is_file() or not known:
            raise InputError(
                f"{out} holds something that is not the collection's: {path.name}. "
                "Move it elsewhere, or name another --out."
            )
    with locked(out / "features"):  # nobody extracts features in it just now
        pass
    pictures = _features_in(out)
    if pictures > COSTLY:
        raise InputError(
            f"{out} holds the features of {pictures:,} pictures, which took long. Name another "
            "--out, or move or remove it yourself."
        )


def _features_in(out: Path) -> int:
    """Of how many pictures `prepare features` has features in a collection, finished or not."""
    meta = said_by(out)
    read = [meta.get(side.pictures, {}).get("read", 0) for side in (HISTORY, QUERY)]
    begun = [FeatureFiles(out / name).done() for side in (HISTORY, QUERY) for name in side.files]
    return max(n for n in read + begun if isinstance(n, int))


def _is_free(out: Path) -> bool:
    return not out.exists() or (out.is_dir() and not any(out.iterdir()))


def _is_known(path: Path) -> bool:
    return OF_A_COLLECTION.fullmatch(path.name) is not None


def remove_collection(folder: Path) -> None:
    """Remove a collection's files, and the folder where nothing else is in it."""
    for path in [*folder.iterdir()] if folder.is_dir() else []:
        if path.is_file() and (_is_known(path) or path.name == WORDS):
            path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def workplace_of(out: Path) -> Path:
    """The folder beside `out` that a run works in, whether it is there or not."""
    return out.with_name(out.name + OURS)


def workplace(out: Path) -> Path:
    """The folder beside `out` that a run works in; made where it is not there.

    Raises:
        InputError: where something else is in it.
    """
    folder = workplace_of(out)
    if not _is_marked(folder):
        there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        partial = f".{MARK}{OURS}.partial"  # of a run that was killed at its very beginning
        if (folder.exists() and not folder.is_dir()) or folder.is_symlink() or there - {partial}:
            raise InputError(f"{folder} is needed for the work, and holds something else. Move it.")
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / MARK, ABOUT.encode())
    for name in ("new", "old", "blocks"):
        if (folder / name).is_symlink():
            raise InputError(f"{folder / name} is a link, and needed for the work. Remove it.")
    return folder


def _is_marked(folder: Path) -> bool:
    mark = folder / MARK
    return not folder.is_symlink() and mark.is_file() and mark.read_bytes() == ABOUT.encode()


def put_back(out: Path) -> None:
    """The older collection in its place again, where a run was stopped that had just moved it."""
    old = workplace_of(out) / "old"
    if _is_marked(old.parent) and is_ours(old) and _is_free(out):
        if out.exists():
            out.rmdir()
        old.replace(out)


def leave_workplace(out: Path) -> None:
    """Remove the folder that a run worked in, its mark at the very end; no other folder."""
    put_back(out)
    folder = workplace_of(out)
    for path in folder.iterdir() if _is_marked(folder) else ():
        if path.name == "old" and not is_ours(out):
            return  # the only one that is there
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != MARK:
            path.unlink(missing_ok=True)
    if _is_marked(folder):
        (folder / MARK).unlink()
        with suppress(OSError):
            folder.rmdir()


def is_utf8(path: Path) -> bool:
    """Whether a path can be written down as text."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def errors_in_one_line(where: Path) -> Iterator[None]:
    """One line for what the system refuses; ctrl-C in the database is ctrl-C."""
    import duckdb

    try:
        yield
    except (OSError, duckdb.IOException) as error:
        name = getattr(error, "filename", None) or where
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [""])[0]
        raise InputError(f"{name}: {reason}.") from None
    except (RuntimeError, duckdb.Error) as error:
        if "interrupted" in str(error).lower():
            raise KeyboardInterrupt from None
        of_bytes = type(error) is duckdb.Error  # of Parquet; an error of ours would be of a kind
        if of_bytes or f"{where.name}{OURS}" in str(error):  # in the folder of the work
            work, reason = workplace_of(where), str(error).splitlines()[0]
            raise InputError(f"{work}: damaged ({reason}). Remove that folder.") from None
        raise

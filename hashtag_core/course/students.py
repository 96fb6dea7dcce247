"""Copies of the notebooks for a class: the same cells, without the solutions of the exercises."""

from __future__ import annotations

from pathlib import Path

from hashtag_core.course.tutorial import notebooks
from hashtag_core.errors import InputError
from hashtag_core.files import reading, write_whole


def write_copies(folder: str | Path) -> list[Path]:
    """Write every notebook of the course without the cells that are tagged `solution`.

    The outputs of the other cells stay. A copy finds the data wherever it lies; what it trains goes
    to `runs/notebooks` beside its folder.

    Args:
        folder: made where it is not there.

    Returns:
        The copies.

    Raises:
        InputError: where nbformat is missing, or a copy is there already: somebody may have worked
            in it. Then none is written.
    """
    try:
        import nbformat
    except ImportError:
        raise InputError('nbformat is not there: `pip install -e ".[notebooks]"`.') from None

    if not str(folder):
        raise InputError("no folder for the copies: name one.")
    folder, originals = Path(folder), notebooks()
    copies = [folder / path.name for path in originals]
    for copy in copies:
        if copy.exists() or copy.is_symlink():
            raise InputError(f"{copy} is there: somebody may have worked in it. Name a new folder.")
    for path, copy in zip(originals, copies, strict=True):
        with reading(path):
            notebook = nbformat.read(path, as_version=4)
        notebook.cells = [
            cell for cell in notebook.cells if "solution" not in cell.metadata.get("tags", ())
        ]
        notebook.metadata.pop("hashtag_core", None)  # that is about all cells
        write_whole(copy, (nbformat.writes(notebook) + "\n").encode())
    return copies

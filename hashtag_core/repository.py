"""What lies beside the package in the repository: the data, the notebooks, committed results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def repository_folder(name: str) -> Path:
    """A folder of the repository: "data/open_art", "data/results", "notebooks".

    Raises:
        InputError: where the package was installed without the repository.
    """
    folder = Path(__file__).parents[1] / name
    if not folder.is_dir():
        raise InputError(
            f"{folder} is not there: it comes with the repository, not the package. "
            "Clone the repository and install it with `pip install -e .`, or name photos of your "
            "own with `--data`."
        )
    return folder


def committed(name: str) -> pd.DataFrame:
    """A result of a full run, as `hashtag-core table` and `figure` wrote it.

    Args:
        name: such as "open_art-table-1".

    Returns:
        The table; its `attrs` say what made it: "command", "made with", "data", "settings".

    Raises:
        InputError: where there is no such result.
    """
    import pandas as pd

    folder = repository_folder("data/results")
    path = folder / f"{name}.csv"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in folder.glob("*.csv")))
        raise InputError(f"no result {name!r}. There are: {names}.")
    table = pd.read_csv(path, comment="#")
    lines = path.read_text(encoding="utf-8").splitlines()
    about = [line.removeprefix("# ") for line in lines if line.startswith("#")]
    table.attrs = dict(zip(("command", "made with", "data", "settings"), about, strict=False))
    table.attrs["command"] = table.attrs["command"].removeprefix("command: ")
    return table

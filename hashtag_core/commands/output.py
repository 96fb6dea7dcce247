"""What commands print and write: tables to read, CSV and JSON files."""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from hashtag_core.study.study import Study


def write_json(options: argparse.Namespace, rows: list[dict]) -> None:
    """Write what a command printed as plain data, where --json names a file."""
    if options.json:
        text = json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
        Path(options.json).write_text(text, encoding="utf-8")


def as_text(table: pd.DataFrame) -> str:
    """A table to read: mean ± standard deviation, the paper's number in brackets beside it."""
    import pandas as pd

    shown = pd.DataFrame()
    for column in table:
        beside = column.removesuffix(" std").removesuffix(" paper")
        if (beside != column and beside in table) or column == "left_out":
            continue
        forms = {f"{column} std": " ± {:.1f}", f"{column} paper": " ({:g})"}
        values, more = table[column], [name for name in forms if name in table]
        if not more and ("@" not in column or not pd.api.types.is_numeric_dtype(values)):
            shown[column] = [f"{v:,.4g}" if isinstance(v, float) else f"{v}" for v in values]
            continue
        shown[column] = [f"{v:.{0 if column == 'dim' else 1}f}" for v in values]
        for name in more:
            shown[column] += ["" if pd.isna(x) else forms[name].format(x) for x in table[name]]
    return shown.to_string(index=False)


def write_csv(table: pd.DataFrame, study: Study, path: Path, command: str) -> None:
    """Write a table with what made it in front: lines that begin with `#`.

    Read it with `pandas.read_csv(path, comment="#")`.
    """
    import torch

    from hashtag_core import __version__

    made = study.provenance
    lines = [
        f"command: hashtag-core {command}",
        f"hashtag_core {__version__}, torch {made['torch']}, threads {torch.get_num_threads()}",
        f"data: {made['source']}, sha256 {made['sha256']}",
        f"seed {made['seed']}, folds {len(study.splits)}, training {made['training']}, "
        f"fixed vocabulary {made['fixed_size']}",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"# {line}\n" for line in lines)
        quoted = csv.QUOTE_NONNUMERIC  # a name may begin with `#`
        table.round(4).to_csv(file, index=False, lineterminator="\n", quoting=quoted)

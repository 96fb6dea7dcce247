"""What commands print and write: tables to read, CSV and JSON files."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.errors import printable
from hashtag_core.files import is_device, whole_file, write_whole
from hashtag_core.formats import to_json
from hashtag_core.printing import AS_TEXT, FORMULA, say

if TYPE_CHECKING:
    import pandas as pd

    from hashtag_core.study.study import Study


def write_json(options: argparse.Namespace, rows: list[dict]) -> None:
    """Write what a command printed as plain data, where --json names a file."""
    if options.json:
        text = to_json(rows, indent=2, ensure_ascii=False) + "\n"
        # a byte of a name that is not UTF-8 becomes JSON's \udc..
        data = text.encode(errors="backslashreplace")
        path = Path(options.json)
        (Path.write_bytes if is_device(path) else write_whole)(path, data)


def as_lines(table: pd.DataFrame) -> list[str]:
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
            shown[column] = [
                printable(_number(v) if isinstance(v, float) else f"{v}") for v in values
            ]
            continue
        shown[column] = [f"{v:.{0 if column == 'dim' else 1}f}" for v in values]
        for name in more:
            shown[column] += ["" if pd.isna(x) else forms[name].format(x) for x in table[name]]
    return shown.to_string(index=False).split("\n")


def _number(value: float) -> str:
    """Four digits, and of a large number all that stand before the point: counts are whole."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.4g}"


NOT_LEARNED = "Not learned: "


def tell_failed(table: pd.DataFrame) -> None:
    """Name the trained rows that did not learn, if there are any."""
    if told := _failed(table):
        say(told)


def _failed(table: pd.DataFrame) -> str:
    if not (failed := table.attrs.get("failed")):
        return ""
    return (
        f"{NOT_LEARNED}{'; '.join(failed)}. On the validation users these are behind "
        "`frequency` (A@1): their numbers say nothing about the model."
    )


def write_csv(table: pd.DataFrame, study: Study, path: Path, command: str) -> None:
    """Write a table with what made it in front: lines that begin with `#`.

    Read it with `pandas.read_csv(path, comment="#")`. A text that a spreadsheet would take for a
    formula has a ' in front (`printing.FORMULA`); --json has the texts as they are.
    """
    made = study.provenance
    order = "" if study.order == "time" else f", order {study.order}"
    order += ", every hashtag" if study.every_hashtag else ""
    lines = [
        f"command: hashtag-core {command}",
        "; ".join(study.makers or [study.made_with]),
        f"data: {made['source']}, sha256 {made['sha256']}",
        f"seed {made['seed']}, folds {len(study.splits)}, training {made['training']}, "
        f"fixed vocabulary {made['fixed_size']}{order}",
        *filter(None, [_failed(table)]),
    ]
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"# {printable(line)}\n" for line in lines)
        quoted = csv.QUOTE_NONNUMERIC  # a name may begin with `#`
        table = table.round(4).replace(FORMULA, AS_TEXT, regex=True)
        table.to_csv(file, index=False, lineterminator="\n", quoting=quoted)

"""The paper's own numbers (Tables 1 to 5), to stand beside ours. They are of another collection.

Measured on a subset of YFCC100M with ResNet-50 features: what compares is the order of the rows
and how far apart they are, not the numbers. They stand in paper.csv.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FIVE = ("A@1", "A@10", "P@10", "R@1", "R@10")


def _read() -> dict[str, tuple[tuple[str, ...], dict[tuple[str, str], tuple[float, ...]]]]:
    tables: dict = {}
    with Path(__file__).with_name("paper.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            table, key = row.pop("table"), (row.pop("part"), row.pop("row"))
            numbers = {metric: float(number) for metric, number in row.items() if number}
            rows = tables.setdefault(table, (tuple(numbers), {}))[1]
            rows[key] = tuple(numbers.values())
    return tables


PAPER = _read()  # table -> (columns, {(setting or candidates, row): numbers})


def with_paper(table: pd.DataFrame, name: str, by: str) -> pd.DataFrame:
    """Add a column "<metric> paper" for each metric of one of the paper's tables.

    Args:
        table: our rows, with the columns `by` and model.
        name: "table 1" to "table 5".
        by: the column that says which part of the table a row is in.

    Returns:
        A new table; NaN where the paper has no such row.
    """
    metrics, numbers = PAPER[name]
    table = table.copy()
    for column, metric in enumerate(metrics):
        paper = (numbers.get(key) for key in zip(table[by], table["model"], strict=True))
        table[f"{metric} paper"] = [row[column] if row else float("nan") for row in paper]
    return table

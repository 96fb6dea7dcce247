"""The paper's own numbers (Tables 1 to 5), to stand beside ours. They are of another collection.

Measured on a subset of YFCC100M with ResNet-50 features: what compares is the order of the rows
and how far apart they are, not the numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FIVE = ("A@1", "A@10", "P@10", "R@1", "R@10")

PAPER = {  # table -> (columns, {(setting or candidates, row): numbers})
    "table 1": (
        FIVE,
        {
            ("fixed", "frequency"): (0.01, 0.13, 0.03, 0.00, 0.07),
            ("fixed", "user agnostic"): (14.57, 37.60, 7.52, 4.79, 15.86),
            ("fixed", "used hashtags"): (61.62, 80.43, 37.37, 26.02, 55.88),
            ("fixed", "hashtag occurrences"): (62.09, 80.56, 37.58, 26.26, 56.13),
            ("fixed", "tensor (MCLL)"): (14.75, 37.66, 7.53, 4.86, 15.94),
            ("fixed", "ours (hashtag)"): (71.90, 85.21, 47.60, 31.51, 62.83),
            ("fixed", "ours (image+hashtag)"): (74.13, 87.49, 50.88, 33.36, 66.49),
            ("open", "frequency"): (0.00, 0.01, 0.01, 0.00, 0.00),
            ("open", "user agnostic"): (13.47, 34.71, 6.64, 4.26, 13.49),
            ("open", "hashtag sum"): (59.93, 79.75, 36.24, 23.42, 54.20),
            ("open", "tensor (MCLL)"): (13.49, 34.73, 6.65, 4.26, 13.50),
            ("open", "ours (hashtag)"): (65.06, 83.31, 44.84, 26.87, 60.69),
            ("open", "ours w/o GloVe"): (46.24, 64.17, 20.36, 17.08, 31.49),
            ("open", "ours (image+hashtag)"): (67.46, 86.32, 46.68, 27.90, 62.99),
        },
    ),
    "table 2": (
        FIVE,
        {
            ("unseen", "user agnostic"): (0.06, 0.40, 0.08, 0.03, 0.25),
            ("unseen", "hashtag sum"): (36.41, 55.40, 32.51, 26.60, 48.12),
            ("unseen", "ours (hashtag)"): (44.07, 60.15, 39.35, 33.97, 53.05),
            ("unseen", "ours (image+hashtag)"): (45.98, 62.62, 41.31, 35.53, 55.30),
            ("all", "user agnostic"): (12.89, 33.21, 6.07, 3.78, 12.05),
            ("all", "hashtag sum"): (58.91, 79.47, 34.08, 21.35, 51.42),
            ("all", "ours (hashtag)"): (65.75, 83.90, 43.99, 26.09, 59.14),
            ("all", "ours (image+hashtag)"): (68.06, 86.91, 45.80, 27.03, 61.39),
        },
    ),
    "table 3": (
        FIVE,
        {
            ("transductive", "tensor (MCLL)"): (35.92, 63.07, 11.51, 15.91, 37.79),
            ("transductive", "ours-FH"): (48.20, 69.59, 33.03, 20.50, 46.41),
            ("transductive", "ours"): (73.19, 87.28, 50.44, 32.19, 65.86),
        },
    ),
    "table 4": (
        ("A@1", "A@10", "R@1", "R@10"),
        {
            ("open", "only hashtags"): (65.16, 83.26, 26.12, 60.89),
            ("open", "sum"): (65.29, 83.21, 26.19, 60.75),
            ("open", "concatenation"): (65.36, 83.24, 26.21, 60.71),
            ("open", "bilinear"): (65.95, 85.63, 26.69, 59.94),
            ("open", "GLU"): (66.02, 85.77, 26.73, 60.28),
            ("open", "TIRG"): (63.97, 81.94, 25.10, 59.35),
            ("open", "element-wise product"): (67.28, 86.27, 27.18, 62.88),
        },
    ),
    "table 5": (
        ("A@1", "A@10", "MR", "dim"),
        {
            ("fixed", "used hashtags"): (33.48, 46.95, 16, 18583),
            ("fixed", "hashtag occurrences"): (33.64, 46.94, 17, 18583),
            ("fixed", "ours (hashtag)"): (42.95, 58.47, 3, 1024),
            ("fixed", "ours (image+hashtag)"): (45.64, 61.45, 2, 1024),
            ("open", "hashtag sum"): (35.19, 44.81, 29, 300),
            ("open", "ours (hashtag)"): (45.15, 59.27, 3, 1024),
            ("open", "ours (image+hashtag)"): (47.90, 61.56, 2, 1024),
        },
    ),
}


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
        found = (numbers.get(key) for key in zip(table[by], table["model"], strict=True))
        table[f"{metric} paper"] = [row[column] if row else float("nan") for row in found]
    return table

"""Does it hold? The paper's seven observations under Table 1, and the order of the rows.

Numbers of other data do not compare, but statements do: which row is ahead of which. Rows are
compared in pairs, fold by fold, so that what makes one fold easier than another cancels.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

from hashtag_core.study.paper import PAPER
from hashtag_core.study.rows import TABLE_1
from hashtag_core.study.tables import (
    prediction_by_fold,
    table_1,
    table_2,
    table_3,
    table_4,
    table_5,
)

if TYPE_CHECKING:
    import pandas as pd

    from hashtag_core.study.study import Study

AGNOSTIC, MCLL = "user agnostic", "tensor (MCLL)"
USED, OCCURRENCES, SUM = "used hashtags", "hashtag occurrences", "hashtag sum"
HASHTAG, BOTH, NO_GLOVE = "ours (hashtag)", "ours (image+hashtag)", "ours w/o GloVe"
LIKE = "2. for new users [43] is like the user agnostic model"
STATEMENTS = {  # what is said, and the pairs (vocabulary, first, second): first shall be ahead
    "1. who knows the user's history is far ahead of who does not": [
        ("fixed", USED, AGNOSTIC),
        ("fixed", OCCURRENCES, AGNOSTIC),
        ("open", SUM, AGNOSTIC),
        *((vocabulary, row, AGNOSTIC) for vocabulary in TABLE_1 for row in (HASHTAG, BOTH)),
    ],
    LIKE: [(vocabulary, MCLL, AGNOSTIC) for vocabulary in TABLE_1],
    "3. how often [D] is slightly better than whether [C]": [("fixed", OCCURRENCES, USED)],
    "4. a GRU over the hashtags is better than pooling them": [
        ("fixed", HASHTAG, USED),
        ("fixed", HASHTAG, OCCURRENCES),
        ("open", HASHTAG, SUM),
    ],
    "5. images in the history help": [(vocabulary, BOTH, HASHTAG) for vocabulary in TABLE_1],
    "6. pretrained word vectors are very important": [("open", BOTH, NO_GLOVE)],
}
ALIKE = 1.0  # points; closer than that, or than the spread over folds, counts as alike


def observations(study: Study) -> pd.DataFrame:
    """The seven observations under Table 1, each with its numbers.

    Without pictures, only those are left whose rows can be measured.

    Returns:
        A row per statement and pair of rows. For A@1 and R@10: by how many points the first is
        ahead, its standard deviation over folds, in how many folds it is ahead, and the same
        difference in the paper; then whether the statement holds: "yes", "no", or in one metric
        only. The seventh compares the order by A@1 of the rows that both vocabularies have.
    """
    import pandas as pd

    rows = prediction_by_fold(study, TABLE_1)
    rows = rows[rows["candidates"] == "seen"]
    lines = []
    for statement, pairs in STATEMENTS.items():
        for vocabulary, first, second in pairs:
            block = rows[rows["vocabulary"] == vocabulary]
            if not {first, second} <= set(block["model"]):
                continue  # left out without pictures
            row = {"statement": statement, "vocabulary": vocabulary, "pair": f"{first} > {second}"}
            if statement == LIKE:
                row["pair"] = f"{first} = {second}"
            holds = {}
            for metric in ("A@1", "R@10"):
                here = in_pairs(block, first, second, metric)
                points = f"{metric} difference"
                row[points] = here["mean"]
                row[f"{points} std"] = here["std"]
                row[f"{metric} ahead"] = f"{here['ahead']} of {here['folds']}"
                row[f"{points} paper"] = _in_paper(vocabulary, first, metric) - _in_paper(
                    vocabulary, second, metric
                )
                close = max(ALIKE, 0.0 if math.isnan(here["std"]) else here["std"])
                near = abs(here["mean"]) <= close
                holds[metric] = near if statement == LIKE else here["mean"] > 0
            row["holds"] = _in_words(holds)
            lines.append(row)
    means = rows.groupby(["vocabulary", "model"])["A@1"].mean()
    common = [row for row in TABLE_1["fixed"] if _in_paper("open", row, "A@1") is not None]
    common = [row for row in common if ("open", row) in means]
    orders = [
        [means[vocabulary, a] > means[vocabulary, b] for a, b in combinations(common, 2)]
        for vocabulary in ("fixed", "open")
    ]
    same = sum(a == b for a, b in zip(*orders, strict=True))
    lines.append(
        {
            "statement": "7. fixed and open vocabulary behave alike",
            "vocabulary": "both",
            "pair": f"{same} of {len(orders[0])} pairs of rows in the same order",
            "holds": "yes" if same == len(orders[0]) else "no",
        }
    )
    return pd.DataFrame(lines)


def _in_paper(vocabulary: str, row: str, metric: str) -> float | None:
    metrics, numbers = PAPER["table 1"]
    row_numbers = numbers.get((vocabulary, row))
    return None if row_numbers is None else row_numbers[metrics.index(metric)]


def _in_words(holds: dict[str, bool]) -> str:
    if len(set(holds.values())) == 1:
        return "yes" if all(holds.values()) else "no"
    return f"in {next(metric for metric, true in holds.items() if true)} only"


def in_pairs(rows: pd.DataFrame, first: str, second: str, metric: str) -> dict[str, float]:
    """By how much one row is ahead of another, fold by fold.

    Args:
        rows: a row per fold and model, of one vocabulary.
        first: a model.
        second: another.
        metric: in which metric.

    Returns:
        {"mean": …, "std": …, "ahead": in how many folds, "folds": …}; std is NaN for one fold.
    """
    of = rows.set_index(["model", "fold"])[metric]
    difference = of[first] - of[second]
    return {
        "mean": float(difference.mean()),
        "std": float(difference.std()) if len(difference) > 1 else math.nan,
        "ahead": int((difference > 0).sum()),
        "folds": len(difference),
    }


def orders(study: Study, history: int = 20) -> pd.DataFrame:
    """The order of all rows of Tables 1 to 5 beside the paper's, pair by pair.

    Args:
        study: as in `table_1`.
        history: of `table_5`.

    Returns:
        A row per table, part of it (vocabulary or candidates) and metric: in how many pairs of
        rows the better one is the paper's better one (pairs that are equal in the paper are left
        out), and which pairs are the other way round, "better here > worse here". A pair that is
        equal here is neither.
    """
    import pandas as pd

    tables = {
        "table 1": (table_1(study), "vocabulary", ("A@1", "R@10")),
        "table 2": (table_2(study), "candidates", ("A@1", "R@10")),
        "table 3": (table_3(study), "vocabulary", ("A@1", "R@10")),
        "table 4": (table_4(study), "vocabulary", ("A@1", "R@10")),
        "table 5": (table_5(study, history=history), "vocabulary", ("A@1", "MR")),
    }
    lines = []
    for name, (table, by, metrics) in tables.items():
        for part, block in table.groupby(by, sort=False):
            for metric in metrics:
                rows = block.dropna(subset=f"{metric} paper").set_index("model")
                sign = -1 if metric == "MR" else 1  # the lower the better
                ours, theirs = sign * rows[metric], sign * rows[f"{metric} paper"]
                pairs = [(a, b) for a, b in combinations(rows.index, 2) if theirs[a] != theirs[b]]
                if not pairs:
                    continue  # a single row is left without pictures
                turned, same = [], 0
                for a, b in pairs:
                    better, worse = (a, b) if theirs[a] > theirs[b] else (b, a)
                    same += int(ours[better] > ours[worse])
                    if ours[better] < ours[worse]:
                        turned.append(f"{worse} > {better}")
                lines.append(
                    {
                        "table": name,
                        "part": part,
                        "metric": metric,
                        "as in the paper": same,
                        "pairs": len(pairs),
                        "the other way round": "; ".join(turned),
                    }
                )
    return pd.DataFrame(lines)

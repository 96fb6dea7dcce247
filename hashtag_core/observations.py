"""Does it hold? The paper's seven observations under Table 1, and the order of the rows.

Numbers of other data do not compare, but statements do: which row is ahead of which. Rows are
compared in pairs, fold by fold, so that what makes one fold easier than another cancels.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

from hashtag_core.experiments import (
    TABLE_1,
    prediction_by_fold,
    table_1,
    table_2,
    table_3,
    table_4,
    table_5,
)
from hashtag_core.paper import PAPER

if TYPE_CHECKING:
    import pandas as pd

    from hashtag_core.study import Study

AGNOSTIC, MCLL = "user agnostic", "tensor (MCLL)"
USED, OCCURRENCES, SUM = "used hashtags", "hashtag occurrences", "hashtag sum"
HASHTAG, BOTH, NO_GLOVE = "ours (hashtag)", "ours (image+hashtag)", "ours w/o GloVe"
STATEMENTS = {  # what is said, and the pairs (vocabulary, first, second): first shall be ahead
    "1. who knows the user's history is far ahead of who does not": [
        ("fixed", USED, AGNOSTIC),
        ("fixed", OCCURRENCES, AGNOSTIC),
        ("open", SUM, AGNOSTIC),
        *((vocabulary, row, AGNOSTIC) for vocabulary in TABLE_1 for row in (HASHTAG, BOTH)),
    ],
    "2. for new users [43] is like the user agnostic model": [
        (vocabulary, MCLL, AGNOSTIC) for vocabulary in TABLE_1
    ],
    "3. how often [D] is slightly better than whether [C]": [("fixed", OCCURRENCES, USED)],
    "4. a GRU over the hashtags is better than pooling them": [
        ("fixed", HASHTAG, USED),
        ("fixed", HASHTAG, OCCURRENCES),
        ("open", HASHTAG, SUM),
    ],
    "5. images in the history help": [(vocabulary, BOTH, HASHTAG) for vocabulary in TABLE_1],
    "6. pretrained word vectors are very important": [("open", BOTH, NO_GLOVE)],
}
ALIKE = 1.0  # points of A@1 within which two rows count as alike (observation 2)


def observations(study: Study) -> pd.DataFrame:
    """The seven observations under Table 1, each with its numbers.

    Returns:
        A row per statement and pair of rows: by how many points of A@1 the first is ahead (mean,
        std, in how many of the folds), the same in the paper, and whether that holds: the mean is
        above 0, or within `ALIKE` for the second statement. The seventh (both vocabularies behave
        alike) is the order of the rows that both have: "ahead" counts equal pairs of them.
    """
    import pandas as pd

    rows = prediction_by_fold(study, TABLE_1)
    rows = rows[rows["candidates"] == "seen"]
    paper = PAPER["table 1"][1]
    found = []
    for statement, pairs in STATEMENTS.items():
        for vocabulary, first, second in pairs:
            here = in_pairs(rows[rows["vocabulary"] == vocabulary], first, second, "A@1")
            alike = statement.startswith("2")
            found.append(
                {
                    "statement": statement,
                    "vocabulary": vocabulary,
                    "first": first,
                    "second": second,
                    **here,
                    "paper": paper[vocabulary, first][0] - paper[vocabulary, second][0],
                    "holds": abs(here["mean"]) <= ALIKE if alike else here["mean"] > 0,
                }
            )
    means = rows.groupby(["vocabulary", "model"])["A@1"].mean()
    common = [row for row in TABLE_1["fixed"] if row in TABLE_1["open"] and ("open", row) in paper]
    pairs = list(combinations(common, 2))
    same = sum(
        (means["fixed", a] > means["fixed", b]) == (means["open", a] > means["open", b])
        for a, b in pairs
    )
    found.append(
        {
            "statement": "7. fixed and open vocabulary behave alike",
            "vocabulary": "both",
            "first": f"{same} of {len(pairs)} pairs of rows in the same order",
            "second": "",
            "holds": same == len(pairs),
        }
    )
    return pd.DataFrame(found)


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


def orders(study: Study) -> pd.DataFrame:
    """The order of all rows of Tables 1 to 5 beside the paper's, pair by pair.

    Returns:
        A row per table, part of it (vocabulary or candidates) and metric: in how many pairs of
        rows the better one is the paper's better one (pairs that are equal in the paper are left
        out), and which pairs are the other way round, "better here > worse here".
    """
    import pandas as pd

    tables = {
        "table 1": (table_1(study), "vocabulary", ("A@1", "R@10")),
        "table 2": (table_2(study), "candidates", ("A@1", "R@10")),
        "table 3": (table_3(study), "vocabulary", ("A@1", "R@10")),
        "table 4": (table_4(study), "vocabulary", ("A@1", "R@10")),
        "table 5": (table_5(study), "vocabulary", ("A@1", "MR")),
    }
    found = []
    for name, (table, by, metrics) in tables.items():
        for part, block in table.groupby(by, sort=False):
            for metric in metrics:
                rows = block.dropna(subset=f"{metric} paper").set_index("model")
                sign = -1 if metric == "MR" else 1  # the lower the better
                ours, theirs = sign * rows[metric], sign * rows[f"{metric} paper"]
                pairs = [(a, b) for a, b in combinations(rows.index, 2) if theirs[a] != theirs[b]]
                turned = [
                    f"{a} > {b}" if ours[a] > ours[b] else f"{b} > {a}"
                    for a, b in pairs
                    if (ours[a] > ours[b]) != (theirs[a] > theirs[b])
                ]
                found.append(
                    {
                        "table": name,
                        "part": part,
                        "metric": metric,
                        "as in the paper": len(pairs) - len(turned),
                        "pairs": len(pairs),
                        "the other way round": "; ".join(turned),
                    }
                )
    return pd.DataFrame(found)

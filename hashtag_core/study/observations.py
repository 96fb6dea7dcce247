"""Does it hold? The paper's seven observations under Table 1, and the order of the rows.

Numbers of other data do not compare, but statements do: which row is ahead of which. Rows are
compared in pairs, fold by fold, so that what makes one fold easier than another cancels.
"""

from __future__ import annotations

import math
from itertools import combinations, product
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
    measured = set(zip(rows["vocabulary"], rows["model"], strict=True))  # others need pictures
    lines = [
        {"statement": statement, **_compared(rows, *pair, alike=statement == LIKE)}
        for statement, pairs in STATEMENTS.items()
        for pair in pairs
        if {(pair[0], pair[1]), (pair[0], pair[2])} <= measured
    ]
    means = rows.groupby(["vocabulary", "model"])["A@1"].mean()
    names = [name for name in TABLE_1["fixed"] if ("open", name) in PAPER["table 1"][1]]
    names = [name for name in names if ("open", name) in measured]
    same = [
        (means["fixed", a] > means["fixed", b]) == (means["open", a] > means["open", b])
        for a, b in combinations(names, 2)
    ]
    lines.append(
        {
            "statement": "7. fixed and open vocabulary behave alike",
            "vocabulary": "both",
            "pair": f"{sum(same)} of {len(same)} pairs of rows in the same order",
            "holds": "yes" if all(same) else "no",
        }
    )
    return pd.DataFrame(lines)


def _compared(
    rows: pd.DataFrame, vocabulary: str, first: str, second: str, alike: bool
) -> dict[str, object]:
    """One pair of rows: by how much the first is ahead, here and in the paper, and if it holds."""
    block = rows[rows["vocabulary"] == vocabulary]
    line = {"vocabulary": vocabulary, "pair": f"{first} {'=' if alike else '>'} {second}"}
    metrics, paper = PAPER["table 1"]
    holds = []  # the metrics in which it does
    for metric in ("A@1", "R@10"):
        here, column = in_pairs(block, first, second, metric), metrics.index(metric)
        line[f"{metric} difference"] = here["mean"]
        line[f"{metric} difference std"] = here["std"]
        line[f"{metric} ahead"] = f"{here['ahead']} of {here['folds']}"
        line[f"{metric} difference paper"] = (
            paper[vocabulary, first][column] - paper[vocabulary, second][column]
        )
        close = max(ALIKE, 0.0 if math.isnan(here["std"]) else here["std"])
        if abs(here["mean"]) <= close if alike else here["mean"] > 0:
            holds.append(metric)
    line["holds"] = ("no", f"in {''.join(holds)} only", "yes")[len(holds)]
    return line


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

    metrics = ("A@1", "R@10")
    tables = {
        "table 1": (table_1(study), "vocabulary", metrics),
        "table 2": (table_2(study), "candidates", metrics),
        "table 3": (table_3(study), "vocabulary", metrics),
        "table 4": (table_4(study), "vocabulary", metrics),
        "table 5": (table_5(study, history=history), "vocabulary", ("A@1", "MR")),
    }
    lines = []
    for name, (table, by, metrics) in tables.items():
        for (part, block), metric in product(table.groupby(by, sort=False), metrics):
            rows = block.dropna(subset=f"{metric} paper").set_index("model")
            sign = -1 if metric == "MR" else 1  # the lower the better
            ours, theirs = sign * rows[metric], sign * rows[f"{metric} paper"]
            pairs = [(a, b) for a in rows.index for b in rows.index if theirs[a] > theirs[b]]
            pairs.sort(key=lambda pair: sorted(map(rows.index.get_loc, pair)))  # rows from the top
            turned = [
                f"{worse} > {better}" for better, worse in pairs if ours[worse] > ours[better]
            ]
            same = sum(ours[better] > ours[worse] for better, worse in pairs)
            if pairs:  # a single row may be left without pictures
                lines.append(
                    {
                        "table": name,
                        "part": part,
                        "metric": metric,
                        "as in the paper": int(same),
                        "pairs": len(pairs),
                        "the other way round": "; ".join(turned),
                    }
                )
    return pd.DataFrame(lines)

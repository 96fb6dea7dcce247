"""The paper's numbers: typed as the paper has them, and beside the right rows of ours."""

import math

import pandas as pd
import pytest

from hashtag_core.study import tables as experiments
from hashtag_core.study.paper import FIVE, PAPER, with_paper
from hashtag_core.study.rows import RULES

ROWS = [
    pytest.param(columns, *key, numbers, id=f"{table} {' '.join(key)}")
    for table, (columns, rows) in PAPER.items()
    for key, numbers in rows.items()
]
LISTS = {  # table -> our rows; a part of a table -> its rows
    "table 1": experiments.TABLE_1,
    "table 2": {part: experiments.TABLE_2["open"] for part in ("unseen", "all")},
    "table 3": experiments.TABLE_3,
    "table 4": experiments.TABLE_4,
    "table 5": experiments.TABLE_5,
}
SUMS = {  # of the paper's columns, added up from its text: one digit mistyped shows
    "table 1": (564.72, 792.08, 349.93, 230.59, 509.56),
    "table 2": (332.13, 462.06, 243.19, 174.38, 340.72),
    "table 3": (157.31, 219.94, 94.98, 68.60, 150.06),
    "table 4": (459.03, 589.32, 184.22, 424.80),
    "table 5": (283.95, 379.45, 72, 41_562),
}


@pytest.mark.parametrize(("columns", "part", "row", "numbers"), ROWS)
def test_the_papers_numbers_fit_each_other(columns, part, row, numbers):
    of = dict(zip(columns, numbers, strict=True))
    assert 0 <= of["A@1"] <= of["A@10"] <= 100
    if "R@10" in of:
        assert 0 <= of["R@1"] <= of["R@10"] <= of["A@10"] and of["R@1"] <= of["A@1"]
    if "P@10" in of:  # with a hit among ten, a tenth to all of them are hits
        assert of["A@10"] / 10 - 0.01 <= of["P@10"] <= of["A@10"]
    if "MR" in of:
        assert of["MR"] == int(of["MR"]) >= 1 and of["dim"] in (300, 1024, 18_583)
        assert (of["MR"] <= 10) == (of["A@10"] >= 50)


def test_the_columns_are_the_papers():
    assert FIVE == experiments.METRICS == ("A@1", "A@10", "P@10", "R@1", "R@10")
    assert {table: columns for table, (columns, _) in PAPER.items()} == {
        "table 1": FIVE,
        "table 2": FIVE,
        "table 3": FIVE,
        "table 4": ("A@1", "A@10", "R@1", "R@10"),
        "table 5": ("A@1", "A@10", "MR", "dim"),
    }


@pytest.mark.parametrize("table", PAPER)
def test_the_papers_columns_add_up(table):
    rows = PAPER[table][1].values()
    assert [sum(column) for column in zip(*rows, strict=True)] == pytest.approx(SUMS[table])


@pytest.mark.parametrize("table", PAPER)
def test_every_row_of_the_paper_is_a_row_of_ours_and_the_other_way_round(table):
    ours = [(part, row) for part, rows in LISTS[table].items() for row in rows if row not in RULES]
    assert list(PAPER[table][1]) == ours  # in the paper's order, too
    assert all(len(row) == len(PAPER[table][0]) for row in PAPER[table][1].values())


@pytest.mark.parametrize("table", PAPER)
def test_the_papers_model_is_the_best_row_of_each_part(table):
    columns, rows = PAPER[table]
    best = "element-wise product" if table == "table 4" else "ours (image+hashtag)"
    best = "ours" if table == "table 3" else best
    for part in {part for part, _ in rows}:
        for column, metric in enumerate(columns):
            if metric != "dim":
                of = {row: numbers[column] for (p, row), numbers in rows.items() if p == part}
                assert of[best] == (min if metric == "MR" else max)(of.values())


@pytest.mark.parametrize(
    ("table", "part", "row", "metric", "number"),
    [
        ("table 1", "fixed", "tensor (MCLL)", "R@10", 15.94),
        ("table 1", "fixed", "hashtag occurrences", "A@10", 80.56),
        ("table 1", "open", "ours w/o GloVe", "P@10", 20.36),
        ("table 1", "open", "ours (image+hashtag)", "A@1", 67.46),
        ("table 2", "unseen", "hashtag sum", "P@10", 32.51),
        ("table 2", "all", "hashtag sum", "R@1", 21.35),
        ("table 2", "all", "user agnostic", "A@10", 33.21),
        ("table 3", "transductive", "ours-FH", "P@10", 33.03),
        ("table 3", "transductive", "ours", "A@1", 73.19),
        ("table 4", "open", "TIRG", "R@10", 59.35),
        ("table 4", "open", "bilinear", "R@1", 26.69),
        ("table 5", "fixed", "hashtag occurrences", "MR", 17),
        ("table 5", "open", "hashtag sum", "dim", 300),
    ],
)
def test_single_numbers_are_the_papers(table, part, row, metric, number):
    columns, rows = PAPER[table]
    assert rows[part, row][columns.index(metric)] == number


def test_the_user_representation_is_12_points_better_than_counting_as_the_paper_says():
    rows = PAPER["table 5"][1]
    counted = rows["fixed", "hashtag occurrences"][0]
    assert rows["fixed", "ours (image+hashtag)"][0] - counted == pytest.approx(12)


def test_the_papers_numbers_stand_beside_the_right_rows():
    table = pd.DataFrame(
        {
            "vocabulary": ["open", "fixed", "open", "fixed"],
            "model": ["ours (hashtag)", "ours (hashtag)", "repeat recent", "frequency"],
            "A@1": [1.0, 2.0, 3.0, 4.0],
        }
    )
    found = with_paper(table, "table 1", "vocabulary")
    assert found["A@1 paper"].tolist()[:2] == [65.06, 71.90]
    assert found["A@1"].tolist() == [1.0, 2.0, 3.0, 4.0]
    papers = [f"{metric} paper" for metric in ("A@1", "A@10", "P@10", "R@1", "R@10")]
    assert found.columns.tolist() == [*table.columns, *papers]
    assert found.loc[1, papers].tolist() == [71.90, 85.21, 47.60, 31.51, 62.83]
    assert found.loc[3, papers].tolist() == [0.01, 0.13, 0.03, 0.00, 0.07]  # 0 is a number
    assert all(math.isnan(number) for number in found.loc[2, papers])
    assert table.columns.tolist() == ["vocabulary", "model", "A@1"]  # the given one is as it was


def test_the_numbers_of_table_2_are_told_apart_by_their_candidates():
    table = pd.DataFrame({"candidates": ["all", "unseen", "seen"], "model": ["hashtag sum"] * 3})
    found = with_paper(table, "table 2", "candidates")
    assert found["R@10 paper"].tolist()[:2] == [51.42, 48.12]
    assert math.isnan(found["R@10 paper"][2])


def test_the_median_rank_and_the_size_of_table_5_stand_there_too():
    table = pd.DataFrame({"vocabulary": ["open"], "model": ["ours (hashtag)"]})
    found = with_paper(table, "table 5", "vocabulary")
    assert found.iloc[0].to_dict() == {
        "vocabulary": "open", "model": "ours (hashtag)",
        "A@1 paper": 45.15, "A@10 paper": 59.27, "MR paper": 3, "dim paper": 1024,
    }  # fmt: skip

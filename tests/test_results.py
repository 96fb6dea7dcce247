"""The committed results: complete, made from the committed data, and one row counted again."""

import csv
import math
import re
from pathlib import Path

import pandas as pd
import pytest
from test_tables import METRICS, by_hand, over_folds

from hashtag_core import repository as results
from hashtag_core.data.splits import split_users, user_folds
from hashtag_core.data.words import known_words
from hashtag_core.errors import InputError

RESULTS = Path(__file__).parents[1] / "data" / "results"
FILES = sorted(RESULTS.glob("*-table-*.csv"))
HEADER = {  # line -> what it says
    "command": r"command: (hashtag-core (?:table|figure) .+)",
    "versions": r"hashtag_core (\S+), torch (\S+), threads (\d+)(?:, \w+)?",
    "data": r"data: (\S+), sha256 ([0-9a-f]{64})",
    "settings": r"seed (\d+), folds (\d+), training (\{.+\}), fixed vocabulary (\d+)"
    r"(?:, order shuffled)?",
}


def header(path: Path) -> dict[str, tuple[str, ...]]:
    """The parts of each line in front of a table."""
    lines = path.read_text(encoding="utf-8").splitlines()
    lines = [line.removeprefix("# ") for line in lines if line.startswith("#")]
    assert len(lines) == len(HEADER)
    found = {}
    for line, (name, pattern) in zip(lines, HEADER.items(), strict=True):
        match = re.fullmatch(pattern, line)
        assert match, f"{path.name}: {line}"
        found[name] = match.groups()
    return found


def test_there_are_results():
    assert FILES, f"no tables in {RESULTS}"
    assert RESULTS / "open_art-table-1.csv" in FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_result_says_what_made_it(path):
    about = header(path)
    command, name = about["command"][0], path.stem.split("-table-")[1]
    assert re.search(rf"\btable {name.removesuffix('-shuffled')}\b", command)
    assert ("--order shuffled" in command) == name.endswith("-shuffled")
    folds = re.search(r"--folds[ =](\d+)", command)
    assert about["settings"][1] == (folds[1] if folds else "1")
    seed = re.search(r"--seed[ =](\d+)", command)
    assert about["settings"][0] == (seed[1] if seed else "0")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_result_is_a_table_of_numbers_that_can_be(path):
    table = pd.read_csv(path, comment="#")
    assert len(table)
    for column in [c for c in table if c in METRICS]:
        assert table[column].between(0, 100).all()
        several = header(path)["settings"][1] != "1"
        assert (f"{column} std" in table) == several
    if "R@10" in table:
        assert (table["R@1"] <= table["R@10"]).all() and (table["P@10"] <= table["A@10"]).all()
    if "A@1" in table:
        assert (table["A@1"] <= table["A@10"]).all()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_results_of_open_art_are_of_the_committed_photos(path, open_art):
    source, checksum = header(path)["data"]
    assert (source == "open_art") == path.stem.startswith("open_art-table-")
    if source == "open_art":
        assert checksum == open_art.checksum()


@pytest.mark.parametrize("setting", ["open", "fixed"])
def test_repeat_recent_of_table_1_comes_out_again(open_art, glove, setting):
    path = RESULTS / "open_art-table-1.csv"
    seed, folds, _, size = header(path)["settings"]
    splits = (
        [split_users(open_art, int(seed))]
        if folds == "1"
        else user_folds(open_art, int(folds), int(seed))
    )
    known = {name: bool(known_words(name, glove)) for name in set(open_art.hashtag_names.tolist())}
    wanted = over_folds(
        [
            by_hand(open_art, split, setting, "repeat recent", int(size), known.get)["seen"]
            for split in splits
        ]
    )
    table = pd.read_csv(path, comment="#").set_index(["vocabulary", "model"])
    row = table.loc[(setting, "repeat recent")]
    assert len(wanted) == (12 if folds != "1" else 7) and not math.isnan(wanted["A@1"])
    assert {key: float(row[key]) for key in wanted} == pytest.approx(wanted, abs=1e-3)


def test_the_observations_in_the_readme_are_the_measured_ones():
    readme = (RESULTS.parent / "README.md").read_text(encoding="utf-8")
    lines = [line.split(" | ") for line in readme.splitlines() if line.startswith("| ")]
    found = {cells[1]: cells for cells in lines if len(cells) == 5 and ": " in cells[1]}
    assert len(found) >= 9
    for column, name in ((3, "open_art"), (4, "simulated")):
        table = pd.read_csv(RESULTS / f"{name}-table-observations.csv", comment="#")
        for row in table.to_dict("records"):
            cells = found.get(f"{row['vocabulary']}: {row['pair']}")
            if cells is None:
                continue
            texts = []
            for metric in ("A@1", "R@10"):
                std = row.get(f"{metric} difference std", math.nan)
                text = f"{row[f'{metric} difference']:+.1f}"
                texts.append(text if math.isnan(std) else f"{text} ± {std:.1f}")
            assert cells[column].strip(" |") == " / ".join(texts)


def test_how_far_a_rule_is_above_repeating_is_as_the_readme_says():
    readme = " ".join((RESULTS.parent / "README.md").read_text(encoding="utf-8").split())
    told = re.search(r"above \*repeat recent\* by .*? in Table 3 by (\S+) \(BLL, A@10\)", readme)
    table = pd.read_csv(RESULTS / "open_art-table-3.csv", comment="#").set_index("model")
    rules = table.loc[["tuned decay", "base-level learning", "personal and global"], METRICS]
    above = rules - table.loc["repeat recent", METRICS]
    assert above.max().idxmax() == "A@10" and above["A@10"].idxmax() == "base-level learning"
    assert told and told[1] == f"{above['A@10'].max():.1f}"


def test_the_gap_to_the_oracle_in_the_readme_is_the_measured_one():
    readme = " ".join((RESULTS.parent / "README.md").read_text(encoding="utf-8").split())
    for name, users in (("simulated", "(2,000 users"), ("simulated500", "With 500 users")):
        table = pd.read_csv(RESULTS / f"{name}-table-beyond.csv", comment="#")
        table = table[(table["case"] == "every photo") & (table["candidates"] == "all")]
        plus, rule, bll, best = (
            table.set_index("model").loc[row, ["A@1", "R@10"]].astype(float)
            for row in ("ours+", "repeat recent", "base-level learning", "oracle")
        )
        part = readme.split(users)[1].split("Without own pictures")[0]
        closed = 100 * (plus - rule) / (best - rule)
        assert "{:.1f} and {:.1f} %".format(*closed) in part
        for row, numbers in (("*repeat recent*", rule), ("BLL", bll), ("oracle", best)):
            assert f"{row} {numbers['A@1']:.1f} / {numbers['R@10']:.1f}" in part


# ---- reading them


@pytest.mark.parametrize("name", sorted(path.stem for path in RESULTS.glob("*.csv")))
def test_a_committed_result_is_what_stands_in_its_file(name):
    lines = (RESULTS / f"{name}.csv").read_text(encoding="utf-8").splitlines()
    head = [line[2:] for line in lines if line.startswith("#")]
    columns, *rows = csv.reader(line for line in lines if not line.startswith("#"))
    table = results.committed(name)
    assert table.columns.tolist() == columns and len(table) == len(rows)
    for found, row in zip(table.itertuples(index=False), rows, strict=True):
        for value, text in zip(found, row, strict=True):
            if isinstance(value, str):
                assert value == text
            else:
                assert value == pytest.approx(float(text or "nan"), nan_ok=True)
    about = ["command", "made with", "data", "settings"]
    assert list(table.attrs) == about and len(head) == 4
    assert table.attrs["command"] == head[0].removeprefix("command: ")
    assert table.attrs["command"].startswith("hashtag-core ")
    assert [table.attrs[key] for key in about[1:]] == head[1:]


@pytest.mark.parametrize("name", ["open_art-table-9", "", "open_art-table-1.csv"])
def test_an_unknown_result_is_an_input_error_that_lists_what_there_is(name):
    with pytest.raises(InputError, match=f"no result {name!r}") as caught:
        results.committed(name)
    there = str(caught.value).split("There are: ")[1].rstrip(".").split(", ")
    assert there == sorted(path.stem for path in RESULTS.glob("*.csv"))

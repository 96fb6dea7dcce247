"""From a photo collection to numbers, a figure and a checkpoint: the quickstart, made tiny."""

import json
import math

import pandas as pd
import pytest

from hashtag_core import cli
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.study.study import Study
from hashtag_core.study.tables import METRICS, QUICKSTART, quickstart, summarise

MODEL = "seed0-fold1of5/open/ours-image-hashtag"


@pytest.fixture
def run(small_art, two_epochs, tmp_path, capsys):
    def run(*more):
        arguments = ["quickstart", "--data", str(small_art), "--out", str(tmp_path / "runs")]
        code = cli.main([*arguments, "--device", "cpu", "--json", str(tmp_path / "f.json"), *more])
        return code, capsys.readouterr().out, json.loads((tmp_path / "f.json").read_text())

    return run


def test_quickstart_ends_with_numbers_a_figure_and_a_checkpoint(run, tmp_path):
    code, out, rows = run()
    assert code == 0
    keys = {(row["model"], row["candidates"]) for row in rows}
    assert keys == {(model, which) for model in QUICKSTART for which in ("seen", "unseen", "all")}
    for row in rows:
        assert all(0 <= row[metric] <= 100 for metric in METRICS)
        assert f"{row['A@1']:.1f}" in out and row["photos"] > 0
    figure = tmp_path / "runs" / "examples.png"
    assert figure.read_bytes().startswith(b"\x89PNG") and str(figure) in out
    assert str(tmp_path / "runs" / MODEL) in out and "hashtag-core predict" in out


def test_the_checkpoint_of_quickstart_predicts(run, open_art, tmp_path, capsys):
    run()
    picture = tmp_path / "p.webp"
    picture.write_bytes(open_art.picture(0))
    model = str(tmp_path / "runs" / MODEL)
    assert cli.main(["predict", "--image", str(picture), "--run", model, "-k", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_the_run_folder_says_how_it_was_made(run, tmp_path):
    run("--seed", "3")
    about = json.loads(
        (tmp_path / "runs" / "seed3-fold1of5" / "open" / "ours-hashtag" / "run.json").read_text()
    )
    assert about["training"]["seed"] == 3 and about["model"]["fusion"] == "only hashtags"
    assert about["data"]["source"] == "open_art" and len(about["log"]) == 2
    assert len(about["data"]["sha256"]) == 64 and about["versions"]["torch"]


def test_several_folds_give_mean_and_spread_and_count_every_photo(run, small_art):
    _, out, rows = run("--folds", "3")
    assert "±" in out
    every = [row for row in rows if row["candidates"] == "all"]
    photos = len(PhotoCollection.load(small_art))
    assert {row["photos"] + row["left_out"] for row in every} == {photos}
    assert all(row["A@1 std"] >= 0 for row in rows)


def test_the_same_seed_gives_the_same_table(small_art, two_epochs, tmp_path):
    photos = PhotoCollection.load(small_art)
    tables = [
        quickstart(Study(photos, tmp_path / name, seed=1, device="cpu")) for name in ("a", "b")
    ]
    assert tables[0].equals(tables[1])


def test_without_the_data_folder_the_error_says_what_to_do(monkeypatch, capsys, tmp_path):
    from hashtag_core import repository

    monkeypatch.setattr(repository, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    assert cli.main(["quickstart", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1 and "Clone the repository" in error


def test_a_fold_without_a_photo_to_count_is_not_in_the_mean():
    counted = dict.fromkeys(METRICS, 40.0) | {"photos": 3, "left_out": 1}
    empty = dict.fromkeys(METRICS, math.nan) | {"photos": 0, "left_out": 4}
    rows = [{"model": "m", "fold": n, **fold} for n, fold in enumerate([counted, empty])]
    row = summarise(pd.DataFrame(rows), ["model"]).iloc[0]
    assert row["A@1"] == 40.0 and math.isnan(row["A@1 std"])
    assert (row["photos"], row["left_out"]) == (3, 5)

"""`hashtag-core benchmark`: what it measures, on sizes that take a moment."""

import json
import math
import time

import numpy as np
import pytest
import torch

from hashtag_core import cli
from hashtag_core.benchmarks import batching, loss, ranking, reading, training
from hashtag_core.benchmarks.measure import Measured, compare, measure
from hashtag_core.benchmarks.plot import plot_benchmark
from hashtag_core.model.joint_embedding import ModelConfig


def sleep_and_take(device, seconds, megabytes, fail=False):
    """A case that takes known time and memory."""

    def work():
        if fail:
            raise ValueError("broken")
        taken = torch.ones(megabytes * 2**18)
        time.sleep(seconds)
        return {"sum": taken.sum()}

    return work


def test_time_and_memory_are_those_of_the_work():
    found = measure(sleep_and_take, "cpu", repeats=2, seconds=0.2, megabytes=200)
    assert len(found.seconds) == 2 and all(0.2 <= s < 2 for s in found.seconds)
    assert 190 < found.peak_bytes / 2**20 < 320
    assert found.result["sum"] == 200 * 2**18


def test_an_error_in_a_case_is_told():
    with pytest.raises(RuntimeError, match="sleep_and_take: ValueError: broken"):
        measure(sleep_and_take, "cpu", repeats=1, seconds=0, megabytes=1, fail=True)


def test_a_row_compares_medians_memory_and_results():
    ours = Measured([1.0, 5.0, 2.0], 10, {"loss": np.array([3.0]), "more": np.ones(2)})
    other = Measured([4.0], 40, {"loss": np.array([4.0])})
    row = compare("loss", "ours", "theirs", ours, other)
    assert (row["time_ratio"], row["memory_ratio"]) == (0.5, 0.25)
    assert (row["seconds"], row["seconds_spread"]) == (2.0, 4.0)
    assert row["largest_difference"] == 0.25
    other.result.clear()
    assert math.isnan(compare("loss", "ours", "theirs", ours, other)["largest_difference"])


SMALL = {"hashtags": 700, "photos": 6, "d_w": 5, "d": 8}


@pytest.mark.parametrize("folds", [True, False])
@pytest.mark.parametrize("way", ["F.cross_entropy", "F.linear_cross_entropy, chunked"])
def test_the_alternatives_compute_the_same_loss(folds, way):
    if "chunked" in way and not hasattr(torch.nn, "LinearCrossEntropyOptions"):
        pytest.skip("this torch has no linear_cross_entropy")
    ours = loss.case("cpu", "ours", folds, **SMALL)()
    theirs = loss.case("cpu", way, folds, **SMALL)()
    for name in ("loss", "queries", "first layer"):
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-6)


def test_the_alternatives_find_the_same_hashtags():
    sizes = {"hashtags": 3000, "photos": 7, "d": 16}
    ours = ranking.case("cpu", "ours", **sizes)()["scores"]
    product = ranking.case("cpu", "the bare product", **sizes)()
    assert product["one score"].shape == (7,)
    assert (ours[:, 0] >= product["one score"]).all()
    pytest.importorskip("faiss")
    theirs = ranking.case("cpu", "faiss IndexFlatIP", **sizes)()["scores"]
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_one_pass_and_every_history_anew_find_the_same_users():
    ours = batching.encoding("cpu", "one pass")()["users"]
    anew = batching.encoding("cpu", "every history anew")()["users"]
    torch.testing.assert_close(ours, anew, rtol=1e-4, atol=1e-5)


def test_every_user_is_in_one_batch():
    sizes = [b.mask.sum(1).tolist() for b in batching.make_batches(10, 4, photos=20, hashtags=9)]
    assert [len(s) for s in sizes] == [4, 4, 2]
    assert all(10 <= photos <= 30 for batch in sizes for photos in batch)


@pytest.mark.parametrize("ahead", [True, False])
def test_waiting_is_a_share_of_the_time(ahead, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "USERS", 20)
    monkeypatch.setattr(reading, "D_I", 16)
    reading.make_collection(tmp_path)
    found = reading.case("cpu", ahead, tmp_path)()
    assert 0 < found["waiting"] < 1


def test_a_slice_of_the_papers_training_can_be_run():
    config = ModelConfig.paper()
    [loss] = batching.training("cpu", 1, 1, training.PHOTOS, 300, config)().values()
    assert math.isfinite(loss)


def test_the_command_prints_and_writes_rows(tmp_path, capsys):
    path = tmp_path / "rows.json"
    line = ["benchmark", "ranking", "--hashtags", "2000", "--repeats", "2", "--device", "cpu"]
    line += ["--figure", str(tmp_path / "figure.png")]
    assert cli.main([*line, "--json", str(path)]) == 0
    assert (tmp_path / "figure.png").is_file()
    rows = json.loads(path.read_text())
    printed = capsys.readouterr().out
    assert {"the bare product"} <= {row["against"] for row in rows}
    for row in rows:
        assert row["benchmark"] == "ranking" and row["time_ratio"] > 0 and row["torch"]
        assert f"ranking: exact top 10, against {row['against']}" in printed


def test_the_figure_shows_every_comparison(tmp_path):
    pair = {"device": "a CPU", "torch": "2", "benchmark": "loss"}
    amounts = dict(seconds=1.0, against_seconds=4.0, megabytes=30.0, against_megabytes=20.0)
    rows = [
        {
            **pair,
            **amounts,
            "case": "ours",
            "against": "a",
            "time_ratio": 0.25,
            "memory_ratio": 1.5,
        },
        {**pair, **amounts, "case": "ours", "against": "b", "time_ratio": 2.0},  # memory not known
        {**pair, "case": "errors", "against": "float64", "loss": 1e-7},  # no comparison
    ]
    figure = plot_benchmark(rows, tmp_path / "figure.png")
    time_panel, memory_panel = figure.axes
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in time_panel.patches]
    assert bars == [pytest.approx((0.25, 1)), pytest.approx((1, 2))]
    assert len(memory_panel.patches) == 1
    labels = [label.get_text() for label in time_panel.get_yticklabels()]
    assert labels == ["ours\nagainst a", "ours\nagainst b"]
    assert "(1 / 4 s)" in time_panel.texts[0].get_text()
    assert (tmp_path / "figure.png").stat().st_size > 5000


@pytest.mark.parametrize("wrong", [["--repeats", "0"], ["--hashtags", "5"], ["--device", "tpu"]])
def test_bad_numbers_are_refused(wrong, capsys):
    assert cli.main(["benchmark", "ranking", *wrong]) == 2
    assert capsys.readouterr().err.startswith("hashtag-core: ")

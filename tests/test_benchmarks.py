"""`hashtag-core benchmark`: what it measures, on sizes that take a moment."""

import json
import math
import os
import subprocess
import sys
import time
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hashtag_core import cli
from hashtag_core.benchmarks import (
    batching,
    crowded,
    epoch,
    ingest,
    loss,
    ranking,
    reading,
    training,
)
from hashtag_core.benchmarks import measure as measure_module
from hashtag_core.benchmarks.busy import busy_processes
from hashtag_core.benchmarks.measure import Measured, Meter, compare, environment, measure, together
from hashtag_core.benchmarks.plot import plot_benchmark
from hashtag_core.commands import benchmark as command
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
    ours = batching.encoding("cpu", "one pass", 30)()["users"]
    anew = batching.encoding("cpu", "every history anew", 30)()["users"]
    torch.testing.assert_close(ours, anew, rtol=1e-4, atol=1e-5)


def test_every_user_is_in_one_batch():
    sizes = [b.mask.sum(1).tolist() for b in batching.make_batches(10, 4, photos=20, hashtags=9)]
    assert [len(s) for s in sizes] == [4, 4, 2]
    assert all(10 <= photos <= 30 for batch in sizes for photos in batch)


@pytest.mark.parametrize("ahead", [True, False])
def test_waiting_is_a_share_of_the_time(ahead, tmp_path):
    sizes = {"users": 20, "photos": 10, "d_i": 16}
    reading.write_features(tmp_path, **sizes)
    found = reading.case("cpu", ahead, tmp_path, **sizes)()
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


# ---- how many measurements, and how large


MODULES = {name: import_module(f"hashtag_core.benchmarks.{name}") for name in command.BENCHMARKS}


class Bar:
    """What the command's progress bar is told."""

    def __init__(self):
        self.said, self.steps = [], 0

    def set_description(self, what):
        assert len(self.said) == self.steps  # the one before is done
        self.said.append(what)

    def update(self):
        self.steps += 1


@pytest.fixture
def measured(monkeypatch):
    """Nothing is measured; what would have been: (the case's name, repeats, arguments)."""
    asked = []

    def remember(case, device, repeats, **arguments):
        asked.append((case.__name__, repeats, arguments))
        names = ("loss", "queries", "first layer", "waiting", "photos", "users")
        names += ("flop", "flop a second")
        return Measured([1.0] * max(repeats, 1), 2**20, dict.fromkeys(names, np.ones(())))

    monkeypatch.setattr(measure_module, "measure", remember)
    return asked


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", command.BENCHMARKS)
def test_the_bar_knows_how_many_measurements_there_will_be(name, device, measured, monkeypatch):
    monkeypatch.setattr(crowded, "busy_processes", lambda number: environment({}))
    module, bar = MODULES[name], Bar()
    sizes = {**module.SIZES, **module.QUICK}
    rows = [*module.run(Meter(device, 2, bar), **sizes)]
    assert bar.steps == len(measured) == module.count(device, 2, **sizes)
    assert len(set(bar.said)) >= len(bar.said) / 2  # it says which
    assert rows and all(row["benchmark"] == name and row["case"] for row in rows)


@pytest.mark.parametrize("name", command.BENCHMARKS)
def test_quick_sizes_are_some_of_the_sizes_and_smaller(name):
    module = MODULES[name]
    assert module.QUICK and set(module.QUICK) <= set(module.SIZES)
    assert all(size < module.SIZES[which] for which, size in module.QUICK.items())


def rows_of(tmp_path, *arguments):
    path = tmp_path / "r"
    assert cli.main(["benchmark", *arguments, "--device", "cpu", "--json", str(path)]) == 0
    return json.loads(path.read_text())


def test_quick_is_small_and_once_and_says_so(tmp_path, measured, capsys):
    for row in rows_of(tmp_path, "ranking", "--quick"):
        assert row["quick"] is True
    assert {(repeats, a["hashtags"]) for _, repeats, a in measured} == {(1, 20_000)}
    assert "the bare product (--quick: small sizes)" in capsys.readouterr().out


def test_what_is_said_wins_over_quick(tmp_path, measured):
    rows_of(tmp_path, "ranking", "--quick", "--hashtags", "500", "--repeats", "4")
    assert {(repeats, a["hashtags"]) for _, repeats, a in measured} == {(4, 500)}


def test_without_quick_no_row_says_it(tmp_path, measured, capsys):
    assert not any("quick" in row for row in rows_of(tmp_path, "ranking"))
    assert {(repeats, a["hashtags"]) for _, repeats, a in measured} == {(3, 568_000)}
    assert "--quick" not in capsys.readouterr().out


def test_too_few_rows_are_told_before_anything_is_measured(measured, capsys):
    assert cli.main(["benchmark", "all", "--rows", "39000", "--device", "cpu"]) == 2
    assert "--rows 39000: at least 40,000" in capsys.readouterr().err and not measured


# ---- stopped, or without some packages


def stopped_after_one(meter, **sizes):
    yield compare("ranking", "first", "other", *[Measured([1.0], 2**20, {})] * 2)
    raise KeyboardInterrupt


def test_what_was_measured_before_a_stop_is_kept(tmp_path, monkeypatch, measured, capsys):
    path = tmp_path / "rows.json"
    monkeypatch.setattr(reading, "run", stopped_after_one)  # after three that are whole
    line = ["benchmark", "all", "--quick", "--device", "cpu", "--json", str(path)]
    assert cli.main(line) == 130
    printed = capsys.readouterr()
    rows = json.loads(path.read_text())
    assert [row["benchmark"] for row in rows][:2] == ["loss"] * 2 and rows[-1]["case"] == "first"
    for row in rows:
        assert f"{row['case']}, against {row['against']}" in printed.out
    assert printed.err.endswith("hashtag-core: stopped.\n")
    assert [file.name for file in tmp_path.iterdir()] == ["rows.json"]


def test_a_row_is_in_the_file_before_the_next_one_is_measured(tmp_path, monkeypatch):
    seen = []

    def run(meter, **sizes):
        for number in range(3):
            yield compare("ranking", f"{number}", "other", *[Measured([1.0], 2**20, {})] * 2)
            seen.append([row["case"] for row in json.loads((tmp_path / "r").read_text())])

    monkeypatch.setattr(ranking, "run", run)
    rows_of(tmp_path, "ranking")
    assert seen == [["0"], ["0", "1"], ["0", "1", "2"]]


def test_a_device_gets_one_text_in_the_end(tmp_path, measured, monkeypatch):
    """A file's text is replaced, but what went to /dev/stdout stays there."""
    written = []
    monkeypatch.setattr(command, "is_device", lambda path: True)
    monkeypatch.setattr(
        "hashtag_core.commands.output.write_json", lambda options, rows: written.append(len(rows))
    )
    line = ["benchmark", "loss", "--quick", "--device", "cpu", "--json", str(tmp_path / "r")]
    assert cli.main(line) == 0
    assert len(written) == 1 and written[0] > 2


def test_what_is_not_installed_is_told_and_the_others_run(tmp_path, measured, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    monkeypatch.setattr(crowded, "busy_processes", lambda number: environment({}))
    names = {row["benchmark"] for row in rows_of(tmp_path, "all", "--quick")}
    assert names == set(command.BENCHMARKS) - {"ingest"}
    line = "ingest: left out; it needs what is not installed: duckdb."
    assert line in capsys.readouterr().out.splitlines()
    assert cli.main(["benchmark", "ingest", "--device", "cpu"]) == 2
    [error] = capsys.readouterr().err.splitlines()
    assert error == f"hashtag-core: benchmark {line.replace(' left out;', '')}"


SITE = """
import sys
for name in ("gensim", "duckdb", "defusedxml", "umap", "timm"):
    sys.modules[name] = None  # importing it fails
"""
PROGRAM = """
import sys, tempfile
from pathlib import Path
from hashtag_core.benchmarks import crowded, reading
from hashtag_core.benchmarks.measure import measure

if __name__ == "__main__":
    assert sys.modules["gensim"] is None
    measure(crowded.case, "cpu", 0, users=5, photos=8)
    sizes = {"users": 4, "photos": 3, "d_i": 5}
    with tempfile.TemporaryDirectory() as name:
        reading.write_features(Path(name), **sizes)
        reading.case("cpu", False, Path(name), **sizes)()
"""


def test_made_up_users_need_none_of_these_packages(tmp_path):
    """In the processes that are measured, too: they are not there when Python begins."""
    (tmp_path / "sitecustomize.py").write_text(SITE)
    (tmp_path / "program.py").write_text(PROGRAM)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environ = {**os.environ, "PYTHONPATH": path}
    line = [sys.executable, str(tmp_path / "program.py")]
    run = subprocess.run(line, env=environ, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


# ---- beside busy processes


def gone(pid) -> bool:
    """Whether a process has ended, though perhaps nobody has asked for its exit code."""
    psutil = pytest.importorskip("psutil")
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_busy_processes_are_busy_and_end():
    psutil = pytest.importorskip("psutil")
    with busy_processes(2) as workers:
        pids = [worker.process.pid for worker in workers]
        assert len(pids) == 2 and not any(map(gone, pids))
        before = psutil.Process(pids[0]).cpu_times().user
        end = time.monotonic() + 60
        while psutil.Process(pids[0]).cpu_times().user < before + 0.1:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert all(map(gone, pids))


HOLDING = """
import time
from hashtag_core.benchmarks.busy import busy_processes
if __name__ == "__main__":
    with busy_processes(2) as workers:
        print(*[worker.process.pid for worker in workers], flush=True)
        time.sleep(600)
"""


def test_busy_processes_end_when_the_benchmark_is_killed(tmp_path):
    (tmp_path / "holding.py").write_text(HOLDING)
    line = [sys.executable, str(tmp_path / "holding.py")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as program:
        pids = [int(pid) for pid in program.stdout.readline().split()]
        assert len(pids) == 2 and not any(map(gone, pids))
        program.kill()
    end = time.monotonic() + 60
    while not all(map(gone, pids)):
        assert time.monotonic() < end
        time.sleep(0.05)


def tell_environment(device):
    """A case whose result is how it was told to wait."""
    policy, spins = os.environ.get("OMP_WAIT_POLICY"), os.environ.get("GOMP_SPINCOUNT", "-1")
    found = {"passive": torch.tensor(policy == "PASSIVE"), "spins": torch.tensor(int(spins))}
    return lambda: found


SETTINGS = [(crowded.OURS, (1, 1000)), (crowded.TORCHS, (0, 300_000))]  # passive, spins


@pytest.mark.parametrize(("settings", "told"), SETTINGS)
def test_a_process_starts_with_the_settings_and_ours_stay_as_they_are(settings, told):
    before = dict(os.environ)
    with environment(crowded.SETTINGS[settings]):
        found = measure(tell_environment, "cpu", repeats=0).result
    assert (found["passive"], found["spins"]) == told
    assert dict(os.environ) == before


def test_rows_of_crowded_compare_with_the_quiet_time(monkeypatch):
    """Here it takes as long as there are processes, and torch's own settings twice that."""
    here = SimpleNamespace(busy=0, turns=[])

    def beside(number):
        here.busy = number
        return environment({})

    def count_up(case, device, repeats, **arguments):
        spins = os.environ["GOMP_SPINCOUNT"] == "300000"
        slow = 2 if spins and here.busy else 1
        here.turns.append(here.busy)
        return Measured([float(slow * (1 + here.busy))], 2**20, {"loss": np.ones(())})

    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setattr(crowded, "busy_processes", beside)
    monkeypatch.setattr(measure_module, "measure", count_up)
    quiet, one, two = crowded.run(Meter("cpu", 2, Bar()), **crowded.SIZES)
    assert here.turns == [0, 0, 1, 1] * 2 + [0, 0, 2, 2] * 2
    assert quiet["case"] == "two epochs on a quiet machine" and quiet["time_ratio"] == 1
    assert one["case"] == "two epochs beside 1 busy process" and one["time_ratio"] == 0.5
    for row, times in ((one, (2, 4)), (two, (3, 6))):
        assert (row["times the quiet time"], row["against times the quiet time"]) == times


def test_both_settings_train_the_same(measured):
    first, again = (crowded.case("cpu", 5, 8)()["loss"] for _ in range(2))
    assert first == again and math.isfinite(first)


def test_the_arithmetic_of_an_epoch_is_counted():
    """By hand for a model that ignores the history: what is above is twice a product's entries."""
    parts = {"encoder": "none"}
    found = epoch.arithmetic("cpu", 5, 8, parts)()
    more = epoch.arithmetic("cpu", 10, 8, parts)()
    assert found["flop a second"] > 1e8
    c = ModelConfig.small(crowded.D_I, crowded.D_W)
    photos = 5 * 8 // 2  # more than half of what there are on average
    least = 2 * photos * (c.d_v * c.d_c + crowded.HASHTAGS * c.d)  # forward alone, per epoch
    assert found["flop"] > least and 1.2 < more["flop"] / found["flop"] < 2.5


def test_a_row_of_the_arithmetic_is_told_in_words(measured, tmp_path, capsys):
    [*rows] = rows_of(tmp_path, "epoch", "--quick")
    assert [row["case"] for row in rows] == [f"an epoch of {name}" for name in epoch.NAMES]
    assert all(row["time_ratio"] == 0.5 and "memory_ratio" not in row for row in rows)
    assert "1 s)    0 GFLOP at 0 GFLOP/s" in capsys.readouterr().out


def test_crowded_is_about_cpus(capsys):
    assert command._why_not(crowded, "cuda") == "it is about another device: --device cpu"
    assert command._why_not(crowded, "cpu") == command._why_not(ingest, "cuda") == ""


def test_measurements_of_one_case_are_put_together():
    found = together([Measured([1.0, 2.0], 5, {"a": 1}), Measured([9.0], 7, {"a": 2})])
    assert (found.seconds, found.peak_bytes, found.result) == ([1.0, 2.0, 9.0], 7, {"a": 1})

"""`hashtag-core reproduce`: the plan, its costs, and the page with the paper's numbers."""

import json
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from html_reading import ODD, Page

from hashtag_core import cli
from hashtag_core.benchmarks import costs
from hashtag_core.benchmarks.costs import Cost, TrainingSpeed
from hashtag_core.benchmarks.yfcc100m_forms import write_form
from hashtag_core.benchmarks.yfcc100m_sample import write_yfcc100m_sample
from hashtag_core.commands import reproduce
from hashtag_core.commands.reproduce import PAGE, duration
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.devices import choose_device
from hashtag_core.plots.comparison import END, comparison, reproduction_page
from hashtag_core.prepare.ingest import prepare
from hashtag_core.prepare.places import workplace
from hashtag_core.sources.yfcc100m import Yfcc100m
from hashtag_core.study import reproduction
from hashtag_core.study.reproduction import Size, trained_rows
from hashtag_core.study.rows import TABLE_1, TABLE_3
from hashtag_core.training.state import TrainConfig

TABLE = pd.DataFrame(
    {
        "vocabulary": ["fixed", "open"],
        "model": ["frequency", "ours & more"],
        "A@1": [50.04, np.nan],
        "A@1 std": [1.25, np.nan],
        "R@10": [7.0, 8.0],
        "photos": [10, 10],
        "A@1 paper": [40.5, 3.0],
        "R@10 paper": [np.nan, 10.0],
    }
)


# ---- the page


def test_a_table_has_our_number_the_papers_and_the_difference():
    texts = Page(comparison(TABLE)).texts
    assert texts[:4] == ["vocabulary", "model", "A@1", "R@10"]
    assert texts[4:9] == ["fixed", "frequency", "50.0 ± 1.2", "(40.5, +9.5)", "7.0"]
    assert texts[9:14] == ["open", "ours & more", "–", "8.0", "(10, -2.0)"]


def test_a_table_without_the_papers_numbers_has_ours():
    table = pd.DataFrame({"model": ["ours"], "d_u": [32], "A@1": [1.0], "ms per photo": [0.1]})
    assert Page(comparison(table)).texts == ["model", "d_u", "A@1", "ours", "32", "1.0"]


def test_dimensions_are_whole_numbers():
    table = {"model": ["ours"], "dim": [256.0], "MR": [1.5], "MR paper": [2], "dim paper": [1024]}
    texts = Page(comparison(pd.DataFrame(table))).texts
    assert texts[-5:-1] == ["1.5", "(2, -0.5)", "256", "(1024, -768)"]


def test_a_page_holds_everything_and_no_script():
    page = reproduction_page(
        "A title", ODD, ODD, [("users", "3", "4")], {"Table 1": TABLE}, {"Table 1": ["a <b>"]},
        {"Figure 3": b"png"},
    )  # fmt: skip
    assert "<p>a &lt;b&gt;</p>" in page
    assert page.endswith(END)
    read = Page(page.removesuffix(END).removeprefix("<!doctype html>\n"))
    assert not read.all("script")
    assert [image["src"][:22] for image in read.all("img")] == ["data:image/png;base64,"]
    assert set(ODD) <= set(read.texts)
    assert read.texts[-1] == "Figure 3" and "the paper's" in read.texts


# ---- the plan


@pytest.mark.parametrize(
    ("table", "with_pictures", "number"),
    [("1", True, 12), ("1", False, 5), ("2", True, 4), ("2", False, 2), ("3", True, 2),
     ("3", False, 1), ("4", True, 7), ("4", False, 1), ("5", True, 7), ("5", False, 5)],
)  # fmt: skip
def test_the_models_of_a_table(table, with_pictures, number):
    rows = trained_rows(table, with_pictures)
    assert len(rows) == number
    assert with_pictures or not any("image" in name for _, name in rows)


@pytest.mark.parametrize(
    ("words", "told"),
    [(None, "GloVe 6B of 50 numbers"), ("a/glove.6B.300d.txt", "glove.6B.300d.txt"),
     ("a/glove.42B.300d.txt", None), ("glove.42B.300d.zip", None)],
)  # fmt: skip
def test_other_word_vectors_than_the_papers_are_told(open_art, words, told):
    training = TrainConfig(epochs=3, users_per_batch=16)
    lines = reproduction.differences(open_art, "resnet50", words, "paper", 1.0, training)
    of_words = [line for line in lines if line.startswith("Word vectors: ")]
    assert [line.split(" (")[0] for line in of_words] == ([f"Word vectors: {told}"] if told else [])
    assert any("16 user(s) a batch" in line and "at most 3 epoch(s)" in line for line in lines)
    assert any("the paper has two" in line for line in lines)


def test_the_papers_size_follows_from_its_test_users():
    size = Size.paper()
    assert size.users == pytest.approx(30_695)
    assert size.photos / size.users == pytest.approx(133)
    assert (size.seen, size.hashtags) == (442_000, 568_000)
    half = Size.paper(0.5)
    assert half.users == size.users / 2 and size.hashtags / 2 < half.hashtags < size.hashtags


def test_the_cost_of_training_is_the_sum_of_its_parts():
    speed = TrainingSpeed(per_photo=0.01, ranking=0.001, memory=5.0, weights=100)
    size = Size(users=10, photos=1000, seen=50, hashtags=60)
    seconds = 0.0
    for _ in range(3):  # models
        for _ in range(7):  # epochs
            seconds += 700 * 0.01 + 100 * 0.001
        seconds += 200 * 0.001 + 200 * 0.001
    cost = speed.of(size, epochs=7, models=3)
    assert cost == Cost(pytest.approx(seconds), 100 * 4 * (3 + 4), 5.0)
    assert speed.of(size, 7, 0) == Cost(0.0, 0.0, 5.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1.4, "1 s"), (99, "99 s"), (120, "2 min"), (9000, "2.5 h"), (360_000, "4 days")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_what_is_missing_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        "hashtag_core.benchmarks.costs.features", lambda *_: {"decode": 0.3, "look": 0.2}
    )
    speed = TrainingSpeed(0.001, 0.0001, 1e6, 1000)
    monkeypatch.setattr("hashtag_core.benchmarks.costs.training_speed", lambda *_: speed)
    arguments = ["reproduce", "--sample", "0.1", "--out", str(tmp_path / "out")]
    assert cli.main([*arguments, "--plan"]) == 0
    told = capsys.readouterr()
    assert "Missing: the metadata of YFCC100M" in told.out
    assert "Missing: their pictures" in told.out
    assert "features of the pictures, by efficientnet_lite0" in told.out and " h " in told.out
    assert cli.main(arguments) == 2
    assert "something is missing" in capsys.readouterr().err
    assert cli.main([*arguments, "--without-pictures", "--plan"]) == 0
    told = capsys.readouterr().out
    assert "pictures" not in told and "Table 1, 5 of 5 models to train" in told
    assert cli.main([*arguments, "--images", str(tmp_path / "none"), "--plan"]) == 0
    assert f"Missing: the folder of pictures, {tmp_path / 'none'}." in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["speeds.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sample", "0"], "a share above 0"),
        (["--sample", "1.5"], "a share above 0"),
        (["--images", ".", "--without-pictures"], "one of the two"),
    ],
)
def test_options_that_cannot_be(arguments, message, tmp_path, capsys):
    assert cli.main(["reproduce", *arguments, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_a_page_of_somebody_else_is_not_written_over(tmp_path, capsys):
    (tmp_path / PAGE).write_text("mine")
    assert cli.main(["reproduce", "--plan", "--out", str(tmp_path)]) == 2
    assert "holds something else" in capsys.readouterr().err
    assert (tmp_path / PAGE).read_text() == "mine"


# ---- all of it


@pytest.fixture(scope="module")
def metadata(tmp_path_factory):
    folder = tmp_path_factory.mktemp("metadata")
    text = write_yfcc100m_sample(folder / "text", 12_000)
    return write_form(text, folder / "yfcc100m_dataset.sql", "sqlite")


@pytest.fixture
def quick(monkeypatch):
    """No measurement, and few models."""
    monkeypatch.setattr(
        "hashtag_core.benchmarks.costs.training_speed",
        lambda *_: TrainingSpeed(0.001, 0.0001, 1e6, 1000),
    )
    monkeypatch.setitem(reproduction.FIGURE_3, "small", [8])
    monkeypatch.setattr(reproduction, "TABLES", {"1": TABLE_1, "3": TABLE_3})


def results(out):
    """The tables and what the page says of them, without where they lie."""
    files = sorted((out / "tables").glob("*.csv"))
    tables = {file.name: pd.read_csv(file, comment="#") for file in files}
    timed = "ms per photo"
    tables = {name: table.drop(columns=timed, errors="ignore") for name, table in tables.items()}
    page = Page(
        (out / PAGE).read_text(encoding="utf-8").replace("<!doctype html>", "").split(END)[0]
    )
    return tables, [text for text in page.texts if "command:" not in text]


def test_a_stopped_reproduction_ends_like_one_that_was_not(
    metadata, tmp_path, quick, monkeypatch, capsys
):
    def run(name):
        out = tmp_path / name
        return cli.main(
            ["reproduce", "--metadata", str(metadata), "--without-pictures", "--sample", "0.9",
             "--epochs", "1", "--out", str(out)]
        ), out  # fmt: skip

    code, whole = run("whole")
    told = capsys.readouterr().out
    assert code == 0
    assert "the paper, until photos are selected" in told
    assert "the photos that were selected" in told
    assert "of a user who is not in the sample" in told
    steps, real = [], reproduce._run

    def stopped(step, run):
        steps.append(step.arguments[:2])
        if len(steps) in (2, 5, 9):
            raise KeyboardInterrupt
        real(step, run)

    monkeypatch.setattr(reproduce, "_run", stopped)
    codes = [run("stopped")[0] for _ in range(4)]
    assert codes == [130, 130, 130, 0]
    tables, texts = results(whole)
    again, said = results(tmp_path / "stopped")
    assert tables.keys() == again.keys() == {
        "figure-3.csv", "table-1.csv", "table-3.csv", "table-data.csv"
    }  # fmt: skip
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, again[name])
    assert texts == said
    assert any("A sample: 0.9 of the users" in text for text in texts)
    assert "hashtags of training" in texts and "442,000" in texts
    options = "--metadata", str(metadata), "--without-pictures", "--sample", "0.9", "--plan"
    for epochs, left in (("1", 0), ("2", 5)):  # of settings that are there, and of others
        capsys.readouterr()
        command = ["reproduce", *options, "--epochs", epochs, "--out", str(whole)]
        assert cli.main(command) == 0
        assert f"Table 1, {left} of 5 models to train" in capsys.readouterr().out


@pytest.mark.parametrize("seed", [0, 1])
def test_a_sample_is_of_users_and_the_same_in_every_form(metadata, tmp_path, seed):
    text = metadata.with_name("text")
    kept = []
    for path in (metadata, text):
        source = Yfcc100m([path], ("the", "and", "cat"), sample=0.4, seed=seed)
        prepare(source, tmp_path / path.name)
        kept.append(PhotoCollection.load(tmp_path / path.name))
    assert kept[0].table.equals(kept[1].table)
    prepare(Yfcc100m([text], ("the", "and", "cat")), tmp_path / "all")
    whole = PhotoCollection.load(tmp_path / "all")
    assert 0.2 * len(whole.users) < len(kept[0].users) < 0.6 * len(whole.users)
    for number, user in enumerate(kept[0].users):  # with all their photos
        rows, all_rows = kept[0].rows_of(number), whole.rows_of(whole.users.index(user))
        ids = kept[0].table["photo_id"][rows].to_pylist()
        assert ids == whole.table["photo_id"][all_rows].to_pylist()


def test_the_cost_of_reading_counts_every_file(metadata, tmp_path, monkeypatch):
    """Two files take twice as long as one, not as long as the last one seems to be of both."""
    monkeypatch.setattr(costs, "READ_SECONDS", 1e9)  # all of them
    now = iter(range(1000))
    monkeypatch.setattr(costs.time, "perf_counter", lambda: next(now))
    text = metadata.with_name("text")
    (tmp_path / "copy").write_bytes(text.read_bytes())
    one = costs.reading(Yfcc100m([text], ("the", "and", "cat")))
    two = costs.reading(Yfcc100m([text, tmp_path / "copy"], ("the", "and", "cat")))
    assert two.disk == pytest.approx(2 * one.disk, rel=0.01)
    assert two.seconds == 2 * one.seconds


# ---- the same folder again, with other options


def run(out, *more):
    return cli.main(["reproduce", "--epochs", "1", "--out", str(out), *more])


@pytest.fixture
def light(quick, monkeypatch):
    """Only the photos are selected; the other steps are noted, and no table has a row."""
    done, real = [], reproduce._run

    def step(step, run):
        done.append(step.arguments[:2])
        if done[-1] == ["prepare", "features"]:  # in small batches on a CPU
            assert ("--batch-size" in step.arguments) == (choose_device(None).type == "cpu")
        if done[-1] == ["prepare", "yfcc100m"]:
            real(step, run)
        if done[-1] == ["table", "1"]:
            tables = Path(step.arguments[step.arguments.index("--out") + 1])
            tables.mkdir(exist_ok=True)
            (tables / "table-1.csv").write_text(
                "# command: x\n# y\n# Not learned: a, b. C\nmodel,A@1\n"
            )

    monkeypatch.setattr(reproduce, "_run", step)
    speed = {"decode": 0.3, "look": 0.2}
    monkeypatch.setattr("hashtag_core.benchmarks.costs.features", lambda *_: speed)
    return done


def few(path, users):
    """Metadata of so many users with 101 photos each."""
    lines = []
    for user in range(users):
        for n in range(101):
            cells = [f"{user:03d}{n:03d}", f"{user}@N00", "n", "2008-01-02 10:00:00.0"]
            cells += ["1300000000", "c", "t", "d", ("cat,dog", "sea,sun", "cat,sun")[n % 3], "", ""]
            cells += ["", "", "p", f"http://x/{user}/{n}.jpg", "l", "u", "1", "1", "s", "o", "jpg"]
            lines.append("\t".join([*cells, "0"]))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [("--epochs", "0", "at least 1"), ("--users-per-batch", "0", "at least 1"),
     ("--workers", "-1", "at least 0"), ("--seed", "-1", "at least 0"),
     ("--convnet", "nope", "no ConvNet 'nope'")],
)  # fmt: skip
def test_an_odd_value_is_told_before_the_work(option, value, message, tmp_path, capsys):
    assert cli.main(["reproduce", "--plan", option, value, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err and not any(tmp_path.iterdir())


def test_too_few_users_can_become_more(tmp_path, light, capsys):
    out = tmp_path / "out"
    how = "--without-pictures", "--sample", "0.999", "--metadata"
    assert run(out, *how, str(few(tmp_path / "four", 4))) == 2
    assert "4 users are too few" in capsys.readouterr().err
    assert run(out, *how, str(few(tmp_path / "six", 6))) == 0
    assert "606 photos of 6 users" in (out / PAGE).read_text(encoding="utf-8")


def test_what_is_in_a_collection_is_on_its_page_whatever_the_options(tmp_path, light, capsys):
    out, metadata = tmp_path / "out", str(few(tmp_path / "six", 6))
    assert run(out, "--without-pictures", "--sample", "0.999", "--metadata", metadata) == 0
    assert run(out, "--without-pictures", "--sample", "0.5") == 0
    page = (out / PAGE).read_text(encoding="utf-8")
    assert "Training: 4 user(s) a batch (the paper's: 1), at most 1 epoch(s) (20)" in unescape(page)
    assert "A sample: 0.999 of the users" in page and "<p>Not learned: a, b. C</p>" in page
    capsys.readouterr()
    assert run(out, "--sample", "0.5", "--plan") == 0
    assert "Missing: their pictures" in capsys.readouterr().out


def test_features_that_are_there_are_not_made_again(tmp_path, light, capsys):
    out, metadata = tmp_path / "out", str(few(tmp_path / "six", 6))
    how = "--without-pictures", "--sample", "0.999"
    assert run(out, *how, "--metadata", metadata) == 0
    meta = json.loads((out / "collection" / "meta.json").read_text())
    meta |= {"convnet": {"name": "efficientnet_lite0"}, "counts": {"pictures": 606}}
    (out / "collection" / "meta.json").write_text(json.dumps(meta))
    np.save(out / "collection" / "features.npy", np.ones((606, 4), np.float16))
    assert run(out, *how) == 2
    assert "has pictures. Name another --out" in capsys.readouterr().err
    light.clear()
    assert run(out, "--sample", "0.999") == 0
    assert ["table", "1"] in light and ["prepare", "features"] not in light


def test_speeds_of_another_kind_are_measured_again(tmp_path, quick, capsys):
    out = tmp_path / "out"
    assert run(out, "--without-pictures", "--sample", "0.5", "--plan") == 0
    speeds = json.loads((out / "speeds.json").read_text())
    for broken in ({}, {"more": 1.0}):
        (out / "speeds.json").write_text(json.dumps(dict.fromkeys(speeds, broken)))
        assert run(out, "--without-pictures", "--sample", "0.5", "--plan") == 0
        assert json.loads((out / "speeds.json").read_text()) == speeds


def test_pictures_that_were_not_found_are_asked_for_as_it_helps(tmp_path, light, capsys):
    out, metadata = tmp_path / "out", ("--metadata", str(few(tmp_path / "six", 6)))
    (tmp_path / "pictures").mkdir()
    images = "--images", str(tmp_path / "pictures")
    assert run(out, "--without-pictures", *metadata) == 0
    for given, asked in (
        ((), "their pictures: --images DIR"),
        (images, "--metadata FILE …, too: the photos that are there"),
    ):
        assert run(out, *given, "--plan") == 0
        assert f"Missing: {asked}" in capsys.readouterr().out
    assert run(out, *metadata, *images) == 0
    assert run(out, *metadata, *images, "--plan") == 0
    told = f"none was found in {images[1]}. If some came since, delete {out / 'collection'}"
    assert told in capsys.readouterr().out


def test_photos_that_are_there_are_not_selected_again(tmp_path, light):
    out, metadata = tmp_path / "out", str(few(tmp_path / "six", 6))
    assert run(out, "--without-pictures", "--metadata", metadata) == 0
    workplace((out / "collection").resolve())  # of a run that was killed at its very end
    assert run(out, "--without-pictures", "--metadata", metadata) == 0
    assert not (out / "collection.hashtag-core").exists()
    (out / "collection" / "report.txt").unlink()
    before = (out / "collection" / "photos.parquet").stat().st_mtime_ns
    assert run(out, "--without-pictures", "--metadata", metadata) == 0
    assert (out / "collection" / "photos.parquet").stat().st_mtime_ns == before
    assert light.count(["prepare", "yfcc100m"]) == 2


def test_features_that_are_there_are_not_replaced_by_those_of_a_default(tmp_path, light):
    out, metadata = tmp_path / "out", ("--metadata", str(few(tmp_path / "six", 6)))
    assert run(out, "--without-pictures", *metadata) == 0
    meta = json.loads((out / "collection" / "meta.json").read_text())
    named = {"convnet": {"name": "resnet18", "weights": "w"}, "pictures": {"read": 606}}
    (out / "collection" / "meta.json").write_text(json.dumps(meta | named))
    np.save(out / "collection" / "features.npy", np.ones((606, 4), np.float16))
    for more, times in ((), 0), (("--convnet", "resnet50"), 1):
        light.clear()
        assert run(out, *metadata, *more) == 0
        assert light.count(["prepare", "features"]) == times

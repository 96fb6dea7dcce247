"""`hashtag-core predict`: k lines for a picture; for bad input one line and the exit code 2."""

import json
import re

import numpy as np
import pytest
import torch
from helpers import WORDS
from photo_tables import table_of
from picture_files import claims_to_be, encode, noise

from hashtag_core import cli, prediction
from hashtag_core.data.hashtags import Hashtags
from hashtag_core.data.words import psi
from hashtag_core.model.joint_embedding import HashtagModel, ModelConfig
from hashtag_core.prepare.writing import write_collection
from hashtag_core.training.runs import save_run
from hashtag_core.training.state import TrainConfig


@pytest.fixture(scope="module")
def run(tmp_path_factory, glove):
    """The run folder of a small model that was never trained."""
    torch.manual_seed(0)
    vectors = torch.stack([torch.from_numpy(psi(word, glove)) for word in WORDS])
    hashtags = Hashtags(WORDS, vectors, torch.arange(len(WORDS), 0, -1))
    model = HashtagModel(ModelConfig.small(d_i=1280, d_w=50))
    folder = tmp_path_factory.mktemp("run")
    save_run(
        folder,
        model,
        hashtags,
        TrainConfig.small(),
        log=[],
        provenance={"convnet": "efficientnet_lite0"},
    )
    return folder


@pytest.fixture
def predict(run, convnet, glove, monkeypatch, tmp_path, capsys):
    """Call the command; returns (exit code, stdout, lines of stderr)."""
    monkeypatch.setattr(prediction, "load_convnet", lambda name, device: convnet)
    monkeypatch.setattr(prediction, "load_word_vectors", lambda path: glove)
    (tmp_path / "mine.jpg").write_bytes(encode(noise(), "JPEG"))

    def call(*arguments, image=tmp_path / "mine.jpg", run=run):
        code = cli.main(["predict", "--image", str(image), "--run", str(run), *arguments])
        out, err = capsys.readouterr()
        return code, out, re.split(r"[\r\n]+", err.strip()) if err.strip() else []

    return call


def names_in(out: str) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in out.splitlines()]


# ---- good input


def test_ten_hashtags_are_printed_best_first(predict):
    code, out, errors = predict()
    scores = [float(line.split()[0]) for line in out.splitlines()]
    assert (code, len(scores), errors) == (0, 10, [])
    assert scores == sorted(scores, reverse=True)
    assert set(names_in(out)) <= set(WORDS)


def test_nothing_needs_to_be_loaded_beforehand(run, tmp_path, capsys):
    (tmp_path / "mine.png").write_bytes(encode(noise(), "PNG"))
    assert cli.main(["predict", "--image", str(tmp_path / "mine.png"), "--run", str(run)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 10


@pytest.mark.parametrize(("k", "lines"), [("1", 1), ("7", 7), ("1000", len(WORDS))])
def test_k_lines_are_printed(k, lines, predict):
    code, out, _ = predict("-k", k)
    assert (code, len(out.splitlines())) == (0, lines)


def test_one_can_choose_among_hashtags_never_seen(predict):
    code, out, _ = predict("--hashtags", "procrastination, #Sofa,sun")
    assert code == 0
    assert set(names_in(out)) == {"procrastination", "sofa", "sun"}


def test_a_history_changes_the_scores(predict, tmp_path):
    (tmp_path / "history.csv").write_text("image,hashtags\nmine.jpg,sun;sea\nmine.jpg,kitten\n")
    code, out, _ = predict("--history", str(tmp_path / "history.csv"))
    assert code == 0
    assert len(out.splitlines()) == 10
    assert out != predict()[1]


def test_a_history_may_be_any_table_and_what_is_guessed_is_told(predict, tmp_path):
    (tmp_path / "ours.csv").write_text("image,hashtags\nmine.jpg,sun;sea\n")
    (tmp_path / "excel.csv").write_text("Image;Hashtags\nmine.jpg;sun, sea\n")
    _, expected, _ = predict("--history", str(tmp_path / "ours.csv"))
    code, out, _ = predict("--history", str(tmp_path / "excel.csv"))
    assert code == 0 and "2 columns, separated by semicolons" in out
    assert out.endswith(expected)


def test_a_photo_of_the_history_without_a_known_hashtag_is_counted(predict, tmp_path):
    (tmp_path / "history.csv").write_text("image,hashtags\nmine.jpg,xyzzyq\n")
    code, out, _ = predict("--history", str(tmp_path / "history.csv"))
    assert code == 0
    assert out.splitlines()[0].startswith("1 photo(s) of the history left out")
    assert out.splitlines()[1:] == predict()[1].splitlines()


def test_json_holds_what_was_printed(predict, tmp_path):
    _, out, _ = predict("-k", "5", "--json", str(tmp_path / "best.json"))
    best = json.loads((tmp_path / "best.json").read_text(encoding="utf-8"))
    assert [row["hashtag"] for row in best] == names_in(out)
    assert [f"{row['score']:.2f}" for row in best] == [line.split()[0] for line in out.splitlines()]


# ---- bad input


def refused(result, *words: str) -> None:
    """Nothing printed, exit code 2, and one line on stderr with these words."""
    code, out, errors = result
    assert code == 2
    assert out == ""
    assert len(errors) == 1
    assert errors[0].startswith("hashtag-core: ")
    for word in words:
        assert word in errors[0]


BAD_PICTURES = {
    "broken": encode(noise(), "JPEG")[:500],
    "empty": b"",
    "too large": claims_to_be(30_000, 30_000),
    "text": b"these are words\nand more words\n",
}


@pytest.mark.parametrize("what", BAD_PICTURES)
def test_a_bad_picture_is_one_line(what, predict, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(BAD_PICTURES[what])
    refused(predict(image=tmp_path / "bad.jpg"), "bad.jpg")


def test_a_picture_of_another_format_is_named_with_what_to_do(predict, tmp_path):
    (tmp_path / "a.psd").write_bytes(b"8BPS" + bytes(99))
    refused(predict(image=tmp_path / "a.psd"), "a.psd: Photoshop is not read: export it as JPEG")


def test_a_missing_picture_is_one_line(predict, tmp_path):
    refused(predict(image=tmp_path / "nowhere.jpg"), "nowhere.jpg")


def test_a_missing_run_folder_is_one_line(predict, tmp_path):
    refused(predict(run=tmp_path / "nowhere"), "nowhere", "hashtag-core quickstart")


@pytest.mark.parametrize("k", ["0", "-3"])
def test_a_k_below_one_is_one_line(k, predict):
    refused(predict("-k", k), k)


def test_a_k_that_is_no_number_ends_with_code_2(predict, capsys):
    with pytest.raises(SystemExit) as stopped:
        predict("-k", "ten")
    assert stopped.value.code == 2
    assert "'ten'" in capsys.readouterr().err.splitlines()[-1]


def test_no_candidate_is_one_line(predict):
    refused(predict("--hashtags", ""))


def test_an_unknown_candidate_is_told_and_left_out(predict):
    code, out, _ = predict("--hashtags", "kitten,xyzzyq,sun,qqxzzy")
    *ranked, last = out.splitlines()
    assert code == 0 and sorted(names_in("\n".join(ranked))) == ["kitten", "sun"]
    assert last == "Left out, without a word vector: xyzzyq, qqxzzy"


def test_unknown_candidates_alone_are_one_line(predict):
    refused(predict("--hashtags", "xyzzyq,qqxzzy"), "word vector", "xyzzyq, qqxzzy")


@pytest.mark.parametrize("table", ["", "image,tags\n", "image,hashtags\nmine.jpg\n"])
def test_a_bad_history_is_one_line(table, predict, tmp_path):
    (tmp_path / "history.csv").write_text(table)
    refused(predict("--history", str(tmp_path / "history.csv")), "history.csv", "line")


def test_a_bad_picture_in_the_history_is_one_line(predict, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(BAD_PICTURES["broken"])
    (tmp_path / "history.csv").write_text("image,hashtags\nmine.jpg,sun\nbad.jpg,sea\n")
    code, out, errors = predict("--history", str(tmp_path / "history.csv"))
    assert (code, out) == (2, "")
    messages = [line for line in errors if not line.startswith("history:")]  # the progress bar
    assert len(messages) == 1
    assert messages[0].startswith("hashtag-core: ")
    assert "bad.jpg" in messages[0]


def test_a_device_that_is_none_is_one_line(predict):
    refused(predict("--device", "toaster"), "toaster")


def test_a_json_file_that_cannot_be_written_is_one_line(predict, tmp_path):
    code, _, errors = predict("--json", str(tmp_path / "no" / "folder" / "best.json"))
    assert (code, len(errors)) == (2, 1)
    assert "best.json" in errors[0]


@pytest.mark.parametrize("name", ["run.json", "model.safetensors", "hashtags.parquet"])
def test_a_broken_file_of_the_run_is_one_line(name, predict, run, tmp_path):
    spoilt = tmp_path / "spoilt"
    spoilt.mkdir()
    for path in run.iterdir():
        (spoilt / path.name).write_bytes(path.read_bytes()[: 100 if path.name == name else None])
    refused(predict(run=spoilt), "spoilt")


def test_a_model_of_other_sizes_is_one_line(predict, run, tmp_path):
    spoilt = tmp_path / "spoilt"
    spoilt.mkdir()
    for path in run.iterdir():
        content = path.read_bytes()
        if path.name == "run.json":
            content = content.replace(b'"d_u": 256', b'"d_u": 128')
        (spoilt / path.name).write_bytes(content)
    refused(predict(run=spoilt), "spoilt")


# ---- a collection as history


@pytest.fixture
def collection(tmp_path):
    """A function: a collection of these users' photos, with features of this ConvNet."""

    def make(users, convnet="efficientnet_lite0"):
        rows = len(users)
        table = table_of(
            [(f"{i}", user, i) for i, user in enumerate(users)], hashtags=[["cat", "sofa"]] * rows
        )
        meta = {} if convnet is None else {"convnet": {"name": convnet}}
        features = np.random.default_rng(0).normal(size=(rows, 1280)).astype(np.float16)
        write_collection(tmp_path / "mine", table, meta, lambda _, path: np.save(path, features))
        return tmp_path / "mine", features

    return make


def test_a_collection_of_one_s_own_photos_is_a_history(predict, collection, run, glove):
    folder, features = collection(["me"] * 3)
    code, out, _ = predict("--history", str(folder))
    assert code == 0
    predictor = prediction.HashtagPredictor.load(run, "cpu")
    user = predictor.new_user()
    for feature in features:
        user = predictor.add_photo(user, feature, ["cat", "sofa"])
    picture = folder.parent / "mine.jpg"
    assert names_in(out) == [name for name, _ in predictor.predict(picture, user, k=10)]
    assert out != predict()[1]


@pytest.mark.parametrize(
    "users, convnet, message",
    [
        (["me", "you"], "efficientnet_lite0", "2 users; a history is of one"),
        (["me"], "resnet50", "prepare features .* --convnet efficientnet_lite0"),
        (["me"], None, "features of no ConvNet"),
    ],
)
def test_a_collection_that_is_no_history_is_refused(predict, collection, users, convnet, message):
    folder, _ = collection(users, convnet)
    code, out, errors = predict("--history", str(folder))
    assert code == 2 and not out and re.search(message, errors[-1])

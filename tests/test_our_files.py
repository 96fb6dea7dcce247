"""Our own files as they may be: of wrong types, spoilt, cut, or made to take all the memory.

Each is refused in one line that names the file and what in it is wrong. More of the random damages
at the end: HASHTAG_CORE_MUTATIONS=10000.
"""

import ast
import gzip
import json
import math
import os
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from bounded import bounded
from broken_files import mutated
from helpers import D_I, D_W, TRAIN_USERS, WORDS, tiny_config, tiny_fold, tiny_model, tiny_vectors
from photo_tables import IMAGE, SHUFFLED, table_of
from safetensors.torch import load_file, save_file

from hashtag_core import cli
from hashtag_core.data.hashtags import Hashtags
from hashtag_core.data.histories import UserHistories
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.words import known_words, load_vocabulary, load_word_vectors, psi
from hashtag_core.errors import InputError
from hashtag_core.model.joint_embedding import HashtagModel, ModelConfig
from hashtag_core.prediction import HashtagPredictor
from hashtag_core.study.study import Study
from hashtag_core.training.checkpoints import read_checkpoint, write_checkpoint
from hashtag_core.training.loop import fit
from hashtag_core.training.runs import load_run, save_run
from hashtag_core.training.state import TrainConfig

LIBRARY = Path(__file__).parents[1] / "hashtag_core"
MUTATIONS = int(os.environ.get("HASHTAG_CORE_MUTATIONS", 40))


def refused(action, *arguments) -> str:
    """The one line that an InputError says."""
    with pytest.raises(InputError) as raised:
        action(*arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture(scope="module")
def good_run(tmp_path_factory):
    """The run folder of a tiny model."""
    folder = tmp_path_factory.mktemp("run")
    _, hashtags, _ = tiny_fold()
    log = [{"epoch": 1, "loss": 2.5, "valid R@10": 30.0, "valid A@1": 10.0}]
    save_run(folder, tiny_model(), hashtags, TrainConfig.small(), log, {"convnet": None})
    return folder


@pytest.fixture
def run(good_run, tmp_path):
    """The same, for a test to spoil."""
    return Path(shutil.copytree(good_run, tmp_path / "run"))


def spoil(path: Path, keys: str, value: object) -> None:
    """Put a value into a JSON file where the keys lead; a value of ... takes the key away."""
    whole = json.loads(path.read_text())
    *way, last = keys.split(".")
    inner = whole
    for key in way:
        inner = inner[int(key) if isinstance(inner, list) else key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    path.write_text(json.dumps(whole))


# ---- JSON


WRONG = {  # file -> key, value
    "meta.json": [
        ("format_version", ...), ("format_version", 2), ("format_version", "1"), ("source", 7),
        ("source", ["x"]), ("convnet", "resnet50"), ("convnet", {"name": 7}),
        ("words", 7), ("words", None), ("features", {}), ("images", []),
        ("counts", 3), ("counts", {"photos": "8"}), ("counts", {"photos": True}),
        ("left_out", [1]), ("left_out", {"x": 1.5}),
        ("read", "many"), ("job", 1),
    ],
    "run.json": [
        ("model", ...), ("model", None), ("model", []), ("model.d_i", ...), ("model.d_i", True),
        ("model.d_i", "6"), ("model.d_i", 6.0), ("model.d_i", None), ("model.rank", -1),
        ("model.rank", 0), ("model.d", -5), ("model.encoder", 1), ("model.fusion", None),
        ("model.learned_psi", 0), ("model.num_hashtags", -1), ("training", 1),
        ("training.epochs", "20"), ("training.learning_rate", "fast"), ("training.seed", 1.5),
        ("data", None), ("data", [1]), ("data.convnet", 7), ("data.words", ["a"]), ("log", {}),
        ("log", [1]), ("log", [{"loss": "low"}]), ("versions", 3), ("versions.torch", 2),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), WRONG["meta.json"], ids=str)
def test_a_wrong_type_in_meta_json_is_named(key, value, folder):
    spoil(folder / "meta.json", key, value)
    message = refused(PhotoCollection.load, folder)
    assert f"meta.json: `{key}" in message and "Prepare the collection again." in message


@pytest.mark.parametrize(("key", "value"), WRONG["run.json"], ids=str)
def test_a_wrong_type_in_run_json_is_named(key, value, run):
    spoil(run / "run.json", key, value)
    message = refused(load_run, run)
    assert "run.json: `" in message and key.rpartition(".")[2] in message
    assert "Train the model again." in message


TEXTS = {
    "a list": b"[]", "a number": b"7", "null": b"null", "nothing": b"",
    "no UTF-8": b'{"a": "\xff"}', "half of a character": b'{"a": "\\ud800"}',
    "cut": b'{"format_version": 1', "NUL": b"\0" * 50,
    "deep": b'{"a": ' * 100_000, "deep lists": b"[" * 100_000, "a long number": b"1" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("what", TEXTS)
def test_a_json_file_that_is_none_is_refused(what, run, folder):
    for path, read in ((run / "run.json", load_run), (folder / "meta.json", PhotoCollection.load)):
        path.write_bytes(TEXTS[what])
        assert path.name in refused(read, path.parent)


def test_further_keys_are_kept_and_may_be_anything(folder, run):
    spoil(folder / "meta.json", "selection", [{"a": None}])
    assert PhotoCollection.load(folder).meta["selection"] == [{"a": None}]
    spoil(run / "run.json", "data.mine", [1, {"x": True}])
    assert load_run(run)[2]["data"] == {"convnet": None, "mine": [1, {"x": True}]}


@pytest.mark.parametrize("name", ["../words.txt", "/etc/passwd", "a/b.txt", "..", ""])
def test_word_vectors_outside_of_the_collection_are_refused(name, folder, tmp_path):
    spoil(folder / "meta.json", "words", name)
    assert "`words` is" in refused(Study, PhotoCollection.load(folder), tmp_path / "study")


@pytest.fixture
def study(site, tmp_path):
    return Study(PhotoCollection.load(site), tmp_path / "study", device="cpu")


KEPT = {
    "rows that are a dict": ("rows", {}), "rows of numbers": ("rows", [1]),
    "no rows": ("rows", ...),
    "lists in rows": ("rows", [{"a": [1]}]), "true in rows": ("rows", [{"a": True}]),
    "no data": ("data", ...), "data that is text": ("data", "x"),
}  # fmt: skip


@pytest.mark.parametrize("what", KEPT)
def test_a_kept_result_of_wrong_types_is_named(what, study):
    def compute(*job):
        return [{"A@1": 1.0, "model": "x", "photos": 3}]

    study.kept(0, "open", "frequency", "x", compute)
    path = study.path(0, "open", "frequency") / "x.json"
    spoil(path, *KEPT[what])
    message = refused(study.kept, 0, "open", "frequency", "x", compute)
    assert f"{path}: `{KEPT[what][0]}" in message and "Delete it" in message


def test_a_kept_result_without_a_number_is_json_and_comes_back_as_it_was(study):
    rows = [{"A@1": math.nan, "photos": 0, "model": "é"}]
    study.kept(0, "open", "frequency", "x", lambda *job: rows)
    text = (study.path(0, "open", "frequency") / "x.json").read_text()
    json.loads(text, parse_constant=lambda word: pytest.fail(word))
    (again,) = study.kept(0, "open", "frequency", "x", lambda *job: pytest.fail("computed anew"))
    assert math.isnan(again["A@1"]) and again["photos"] == 0 and again["model"] == "é"


REPORT = [
    ("rows", ...), ("rows", []), ("rows.left_out", {"x": 1}), ("problems", {}), ("problems", [1]),
    ("rows.left_out", {"x": {"count": 1, "first": [{}]}}), ("notes", {"x": "many"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """(the arguments that make a collection of a table, the collection)."""
    folder = tmp_path_factory.mktemp("reported")
    (folder / "t.csv").write_text("id,user,time,hashtags\np1,ann,2020-01-01,sun sea\n")
    arguments = ["prepare", "table", str(folder / "t.csv"), "--out", str(folder / "c"), "--strict"]
    for name in ("user", "time", "hashtags"):
        arguments += [f"--{name}", name]
    assert cli.main(arguments) == 0
    return arguments, folder / "c"


@pytest.mark.parametrize(("key", "value"), REPORT, ids=str)
def test_a_wrong_type_in_report_json_is_named(key, value, reported, capsys):
    arguments, folder = reported
    whole = (folder / "report.json").read_text()
    spoil(folder / "report.json", key, value)
    try:
        assert cli.main(arguments) == 2
    finally:
        (folder / "report.json").write_text(whole)
    (line,) = capsys.readouterr().err.splitlines()
    assert f"report.json: `{key}" in line and "Prepare the collection again." in line


# ---- Parquet: photos


PHOTOS = {
    "an image that is text": {"image": ["x"] * 8},
    "an image without bytes": {
        "image": pa.array([{"path": "x"}] * 8, pa.struct([("path", pa.string())]))
    },
    "an image with a path of numbers": {
        "image": pa.array([{"bytes": b"", "path": 1}] * 8)
    },
    "an oracle of numbers": {"oracle": [[1]] * 8},
    "a user in bytes": {"user": [b"ann"] * 8},
    "hashtags of hashtags": {"hashtags": [[["a"]]] * 8},
    "hashtags that are numbers": {"hashtags": [[1]] * 8},
    "a time that is a date": {"time": pa.array([1] * 8, pa.date32())},
}  # fmt: skip


@pytest.mark.parametrize("what", PHOTOS)
def test_a_column_of_photos_of_another_type_is_named(what, folder):
    table = table_of(SHUFFLED, **PHOTOS[what])
    pq.write_table(table, folder / "photos.parquet")
    (name,) = PHOTOS[what]
    message = refused(PhotoCollection.load, folder)
    assert f"column `{name}` is of type" in message and "it must be" in message


def not_utf8(lists: bool) -> pa.Array:
    """Eight texts of bytes that are no UTF-8, or lists of one such text."""
    texts = pa.array([b"\xff\xfe" + b"%d" % i for i in range(8)], pa.binary()).view(pa.string())
    return pa.ListArray.from_arrays(pa.array(range(9), pa.int32()), texts) if lists else texts


@pytest.mark.parametrize("name", ["photo_id", "user", "hashtags", "licence"])
def test_text_that_is_not_utf8_is_refused(name, folder):
    table = pq.read_table(folder / "photos.parquet")
    spoilt = not_utf8(name == "hashtags")
    table = table.drop_columns(name) if name in table.column_names else table
    pq.write_table(table.append_column(name, spoilt), folder / "photos.parquet")
    assert "photos.parquet" in refused(PhotoCollection.load, folder)


def test_a_path_of_a_picture_that_is_not_utf8_is_refused(folder):
    table = pq.read_table(folder / "photos.parquet").drop_columns("image")
    image = pa.StructArray.from_arrays([pa.nulls(8, pa.binary()), not_utf8(False)], fields=[*IMAGE])
    pq.write_table(table.append_column("image", image), folder / "photos.parquet")
    assert "photos.parquet" in refused(PhotoCollection.load(folder).picture, 0)


def test_a_column_twice_is_refused(folder):
    table = pq.read_table(folder / "photos.parquet")
    pq.write_table(table.append_column("user", table["user"]), folder / "photos.parquet")
    assert "`user`" in refused(PhotoCollection.load, folder)


# ---- features


def npy(dtype="<f2", fortran=False, shape=(8, 2), size=None, version=(1, 0)) -> bytes:
    """A file whose header says this, with so many bytes behind it."""
    header = f"{{'descr': {dtype!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}"
    header = header.encode().ljust(117) + b"\n"
    size = 32 if size is None else size
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(header)) + header + bytes(size)


def as_npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, features=np.zeros((8, 2), np.float16))


FEATURES = {
    "npz": as_npz,
    "text": b"0.0 1.0\n" * 8,
    "nothing": b"",
    "big-endian": npy(">f2"),
    "whole numbers": npy("<i2"),
    "texts": npy("<U1", size=64),
    "complex numbers": npy("<c8", size=128),
    "records": npy([("a", "<f2")]),
    "objects": lambda path: np.save(path, np.array([[print, 1]] * 8), allow_pickle=True),
    "by columns": npy(fortran=True),
    "10^12 rows": npy(shape=(10**12, 2)),
    "10^12 rows of nothing": npy(shape=(10**12, 0), size=0),
    "rows without end": npy(shape=(10**30, 2)),
    "fewer than no rows": npy(shape=(-8, -2)),
    "a shape of texts": npy(shape=("8", 2)),
    "one number": npy(shape=(), size=2),
    "a row too few": npy(size=28),
    "bytes behind it": npy(size=64),
    "a header of 4 GB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(200),
    "code in the header": npy().replace(b"(8, 2)", b"exit()"),
}


@pytest.mark.parametrize("what", FEATURES)
def test_features_that_are_none_are_refused(what, folder):
    path, made = folder / "features.npy", FEATURES[what]
    if callable(made):
        path.unlink()
        made(path)
    else:
        path.write_bytes(made)
    message = refused(PhotoCollection.load, folder)
    assert "features" in message and str(folder) in message


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8"])
def test_numbers_of_the_machine_are_features(dtype, folder):
    np.save(folder / "features.npy", np.arange(16).reshape(8, 2).astype(dtype))
    assert PhotoCollection.load(folder).features[3].tolist() == [6, 7]


def test_infinity_in_features_is_told_from_no_picture_before_anything_is_learned(tmp_path):
    photos, hashtags, _ = tiny_fold()
    photos.features[1] = np.nan  # no picture
    histories = UserHistories(photos, hashtags, TRAIN_USERS)
    everybody = range(len(histories))
    assert np.isfinite(np.concatenate([histories[i]["history_images"] for i in everybody])).all()
    photos.features[7, 3] = -np.inf
    few = TrainConfig(epochs=1, users_per_batch=2)
    message = refused(fit, tiny_model(), histories, histories, hashtags, few, tmp_path, "cpu")
    assert "row 7 of the features holds infinity" in message and "learning rate" not in message


@pytest.mark.parametrize("what", ["rows", "note", "features"])
def test_features_half_made_in_spoilt_files_are_begun_anew(what, tmp_path):
    from hashtag_core.prepare.feature_files import FeatureFiles

    files = FeatureFiles(tmp_path / "features.npy")
    files.begin({"a": 1}, 5, 3)
    assert files.are_of({"a": 1}, 5) and not files.are_of({"a": 1}, 6)
    path = {"rows": files._rows, "note": files._note, "features": files.path}[what]
    path.write_bytes(b"\xff\xfe" + path.read_bytes())
    assert not files.are_of({"a": 1}, 5)


# ---- a trained model: its vocabulary


GOOD = {"name": ["a", "b", "c"], "count": [2, 1, 0], "psi": [[1.0] * D_W] * 3}
VOCABULARIES = {
    "a name twice": ({"name": ["a", "b", "a"]}, "row 2: `name`"),
    "a null name": ({"name": ["a", None, "c"]}, "row 1: `name`"),
    "names of numbers": ({"name": pa.array([1, 2, 3])}, "column `name` is of type int64"),
    "a count below 0": ({"count": [2, 1, -1]}, "row 2: `count`"),
    "a null count": ({"count": [2, None, 0]}, "row 1: `count`"),
    "counts with a point": (
        {"count": pa.array([2.0, 1.0, 0.0])},
        "column `count` is of type double",
    ),
    "unseen first": ({"count": [0, 2, 1]}, "come last"),
    "psi of another length": ({"psi": [[1.0] * D_W, [1.0], [1.0] * D_W]}, "row 1: `psi`"),
    "a null psi": ({"psi": [None, [1.0] * D_W, [1.0] * D_W]}, "`psi`"),
    "null in psi": (
        {"psi": [[1.0] * D_W, [None] * D_W, [1.0] * D_W]},
        "row 1: `psi` is not finite",
    ),
    "NaN in psi": ({"psi": [[1.0] * D_W] * 2 + [[math.nan] * D_W]}, "row 2: `psi` is not finite"),
    "infinity in psi": ({"psi": [[math.inf] * D_W] + [[1.0] * D_W] * 2}, "row 0: `psi`"),
    "psi of another size": ({"psi": [[1.0]] * 3}, "psi of 1 numbers, and by run.json 8"),
    "psi of nothing": ({"psi": [[]] * 3}, "psi of 0 numbers"),
    "psi that is a number": ({"psi": pa.array([1.0] * 3)}, "column `psi` is of type"),
    "nobody": ({"name": [], "count": [], "psi": []}, "no hashtag"),
    "no psi": ({"psi": None}, "no column `psi`"),
}


def vocabulary(columns: dict) -> pa.Table:
    """A table of hashtags, these columns instead of the good ones; None leaves one out."""
    kinds = {"name": pa.string(), "count": pa.int64(), "psi": pa.list_(pa.float32())}
    made = {
        name: values if isinstance(values, pa.Array) else pa.array(values, kinds[name])
        for name, values in (GOOD | columns).items()
        if values is not None
    }
    return pa.table(made)


@pytest.mark.parametrize("what", VOCABULARIES)
def test_a_vocabulary_that_is_none_is_refused(what, run):
    columns, words = VOCABULARIES[what]
    pq.write_table(vocabulary(columns), run / "hashtags.parquet")
    message = refused(load_run, run)
    assert "hashtags.parquet" in message and words in message


def test_a_vocabulary_that_is_one_is_read(run):
    pq.write_table(vocabulary({}), run / "hashtags.parquet")
    _, hashtags, _ = load_run(run)
    assert hashtags.names == GOOD["name"] and hashtags.num_seen == 2


def test_a_vocabulary_that_is_not_utf8_is_refused(run):
    table = vocabulary({}).drop_columns("name").append_column("name", not_utf8(False)[:3])
    pq.write_table(table, run / "hashtags.parquet")
    assert "hashtags.parquet" in refused(load_run, run)


def test_more_hashtags_than_the_model_has_vectors_for_are_refused(tmp_path):
    _, hashtags, _ = tiny_fold()
    model = HashtagModel(tiny_config(learned_psi=True, num_hashtags=5))
    save_run(tmp_path, model, hashtags, TrainConfig(), [])
    assert "hashtags, and by run.json 5" in refused(load_run, tmp_path)


# ---- a trained model: its weights


def changed_weights(run: Path, change) -> None:
    path = run / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def put(name: str, value: torch.Tensor | None):
    return lambda weights: weights.update({name: value}) if value is not None else weights.pop(name)


WEIGHTS = {
    "NaN": (lambda weights: weights["phi_iu.1.bias"].fill_(math.nan), "phi_iu.1.bias has numbers"),
    "one infinity": (
        lambda weights: weights["g.A.bias"][:1].fill_(math.inf),
        "g.A.bias has numbers",
    ),
    "none": (put("g.A.bias", None), "g.A.bias is not there"),
    "one too many": (put("more", torch.zeros(2)), "more is shape (2,), and by run.json not there"),
    "another shape": (put("g.A.bias", torch.zeros(3)), "g.A.bias is shape (3,), and by run.json"),
    "another type": (put("g.A.bias", torch.zeros(18).double()), "g.A.bias is torch.float64"),
    "whole numbers": (put("g.A.bias", torch.zeros(18).long()), "g.A.bias is torch.int64"),
}


@pytest.mark.parametrize("what", WEIGHTS)
def test_weights_that_do_not_fit_are_named(what, run):
    change, words = WEIGHTS[what]
    changed_weights(run, change)
    message = refused(load_run, run)
    assert "model.safetensors" in message and words in message


def test_weights_are_also_checked_for_a_model_of_ones_own(run):
    changed_weights(run, lambda weights: weights["phi_iu.1.bias"].fill_(math.nan))
    about = json.loads((run / "run.json").read_text())
    about["model"]["encoder"] = "somebody's"
    (run / "run.json").write_text(json.dumps(about))
    own = tiny_model().user_encoder
    assert "phi_iu.1.bias has numbers" in refused(load_run, run, own)


@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 8, struct.pack("<Q", 10**12), struct.pack("<Q", 2**25) + bytes(2**25)]
)
def test_a_header_of_weights_that_is_none_is_refused(data, run):
    (run / "model.safetensors").write_bytes(data)
    assert "model.safetensors" in refused(load_run, run)


def test_a_model_that_is_read_is_the_one_that_was_written(run):
    model, _, about = load_run(run)
    for name, weights in tiny_model().state_dict().items():
        assert torch.equal(weights, model.state_dict()[name])
    assert about["log"][0]["loss"] == 2.5 and about["model"]["d_i"] == D_I


# ---- a checkpoint


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """(folder with a checkpoint in the middle of an epoch, go on from a folder)."""
    photos, hashtags, _ = tiny_fold()
    sets = [UserHistories(photos, hashtags, users) for users in ([0, 1, 2, 3, 4, 5], [6, 7])]

    def go_on(folder: Path, stop: bool = False) -> None:
        def on_epoch(model, log):
            if stop and len(log) == 2:
                raise KeyboardInterrupt

        torch.manual_seed(0)
        settings = TrainConfig(epochs=4, learning_rate=1e-2, users_per_batch=2)
        fit(
            HashtagModel(tiny_config()), *sets, hashtags, settings, folder, "cpu",
            on_epoch=on_epoch, checkpoint_seconds=0.0,
        )  # fmt: skip

    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(KeyboardInterrupt):
        go_on(folder, stop=True)
    return folder, go_on


STATES = {
    "model": {}, "optimizer": {"state": 3, "param_groups": []}, "schedule": {"T_max": "x"},
    "generator": torch.zeros(3), "order": None, "epoch": "2", "losses": [1.0], "log": [7],
    "best_weights": {"a": torch.zeros(2)}, "torch": torch.zeros(10, dtype=torch.uint8), "cuda": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", [*STATES, "less", "more"])
def test_a_checkpoint_of_wrong_types_is_refused_before_it_is_used(name, stopped, tmp_path):
    folder, go_on = stopped
    content = read_checkpoint(folder / "checkpoint.pt")
    if name == "less":
        del content["state"]["torch"]
    else:
        content["state"][name] = STATES.get(name, 1)
    write_checkpoint(tmp_path / "checkpoint.pt", content)
    message = refused(go_on, tmp_path)
    assert "checkpoint" in message and "to begin the training anew" in message


@pytest.mark.parametrize("key", ["exp_avg", "step", "params", "lr", "bias"])
def test_the_state_of_another_training_is_refused_before_it_is_used(key, stopped, tmp_path):
    folder, go_on = stopped
    content = read_checkpoint(folder / "checkpoint.pt")
    state = content["state"]
    first = next(iter(state["optimizer"]["state"].values()))
    if key in first:
        first[key] = torch.zeros(2, 2, 2)
    elif key == "bias":
        state["best_weights"]["g.A.bias"] = torch.zeros(2)
    else:
        state["optimizer"]["param_groups"][0][key] = "all"
    write_checkpoint(tmp_path / "checkpoint.pt", content)
    assert "best_weights" if key == "bias" else "optimizer" in refused(go_on, tmp_path)


def test_a_good_checkpoint_still_goes_on(stopped, tmp_path):
    folder, go_on = stopped
    shutil.copytree(folder, tmp_path / "copy")
    go_on(tmp_path / "copy")
    assert len(load_run(tmp_path / "copy")[2]["log"]) == 4


@pytest.mark.parametrize("content", [{}, [], 7, {"job": 1, "state": 2}, {"job": {}, "state": {}}])
def test_a_checkpoint_of_something_else_is_refused(content, tmp_path):
    write_checkpoint(tmp_path / "checkpoint.pt", content)
    assert "Delete it" in refused(read_checkpoint, tmp_path / "checkpoint.pt")


def test_a_packed_checkpoint_is_refused(stopped, tmp_path):
    path = tmp_path / "c.pt"
    with (
        zipfile.ZipFile(stopped[0] / "checkpoint.pt") as plain,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert "packed" in refused(read_checkpoint, path)


# ---- numbers that JSON has no word for, and too few or too large ones


@pytest.fixture(scope="module")
def predictor():
    _, hashtags, _ = tiny_fold()
    made = HashtagPredictor(tiny_model(), hashtags, None, device="cpu")
    made.vectors = tiny_vectors()
    return made


@pytest.mark.parametrize("k", [0, -1])
def test_at_least_one_is_asked_for(k, predictor):
    feature = np.ones(D_I, np.float32)
    assert "at least one" in refused(lambda: predictor.predict(feature, k=k))
    assert "at least one" in refused(lambda: predictor.similar("sun", k=k))
    assert "at least one" in refused(lambda: predictor.pictures("sun", feature[None], k=k))


def test_scores_that_overflow_are_no_probabilities(predictor):
    model, feature = predictor.model, np.ones(D_I, np.float32)
    model.phi_iu[1].weight.data.fill_(1e30)
    model.phi_tag[2].weight.data.fill_(1e30)
    try:
        assert "too large" in refused(predictor.probabilities, feature)
        assert "too large" in refused(predictor.predict, feature)
        assert "too large" in refused(predictor.pictures, "sun", feature[None])
    finally:
        model.load_state_dict(tiny_model().state_dict())


def test_a_feature_of_infinity_is_refused(predictor):
    features = np.ones((3, D_I), np.float32)
    features[1, 2] = np.inf
    assert "not finite" in refused(predictor.predict, features[1])
    assert "row 1" in refused(predictor.pictures, "sun", features)


def test_no_json_file_has_a_word_for_what_is_no_number():
    from hashtag_core.formats import to_json

    for number in (math.nan, math.inf, -math.inf):
        assert "no finite number" in refused(to_json, [{"score": number}])


@pytest.mark.parametrize(("name", "size"), [("rank", 0), ("d_i", -1), ("d_w", 0), ("d", -3)])
def test_sizes_of_a_model_are_checked_where_it_is_made(name, size):
    sizes = dict.fromkeys(("d_i", "d_v", "d_w", "d_x", "d_u", "d_c", "d", "rank"), 3)
    assert f"{name} is {size}: at least" in refused(lambda: ModelConfig(**sizes | {name: size}))


# ---- word vectors


LINE = "sun 0.5 -1.0 2.0\n"
GLOVES = {
    "nothing": b"",
    "a header alone": b"3 4\n",
    "a header of 10^12 numbers": b"3 1000000000000\nsun 1\n",
    "a header of digits": b"3 " + b"9" * 5000 + b"\nsun 1\n",
    "Arabic digits": "٣ ٤\nsun 1\n".encode(),
    "a line of 3 MB": b"a" * 3_000_000,
    "a word of 3 MB": b"x" * 3_000_000 + b" 1 2 3\n",
    "10^6 numbers": b"sun" + b" 1" * 1_000_000 + b"\n",
    "20,000 numbers": b"sun" + b" 1" * 20_000 + b"\n",
    "NaN": LINE.encode() + b"sea nan 1 2\n",
    "infinity": LINE.encode() + b"sea 1e400 1 2\n",
    "blank lines": b"\n" + LINE.encode(),
    "a blank line": LINE.encode() + b"\n" + LINE.encode(),
    "other sizes": LINE.encode() + b"sea 1\n",
    "packed": gzip.compress(LINE.encode() * 100),
    "bytes": bytes(range(256)) * 100,
    "NULs": bytes(100_000),
    "numbers of 500,000 digits": b"sun " + b"1" * 500_000 + b" 2\n",
}


@pytest.mark.parametrize("what", GLOVES)
def test_a_file_of_word_vectors_that_is_none_is_refused(what, tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes(GLOVES[what])
    for read in (load_word_vectors, load_vocabulary):
        assert str(path) in refused(read, path)


def test_odd_word_vectors_are_read(tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes(b"10 3\nsun 1 2 3\nsun 4 5 6\nat the sea 1 1 1\n\xff 0 0 0\nlast 7 8 9")
    vectors = load_word_vectors(path)
    assert vectors.index_to_key == ["sun", "at the sea", "\ufffd", "last"]
    assert vectors.vectors[[0, 3]].tolist() == [[1, 2, 3], [7, 8, 9]]


LONG = {
    "one word": "sun" * 10**7,
    "words": "sun+" * 10_000,
    "percents": "%41" * 10**6,
    "é": "é" * 10**6,
}


@pytest.mark.parametrize("what", LONG)
def test_a_hashtag_without_end_has_no_words(what):
    assert known_words(LONG[what], tiny_vectors()) == [] and psi(LONG[what], tiny_vectors()) is None


def test_a_long_hashtag_still_has_words():
    assert known_words("sun" * 333, tiny_vectors()) == ["sun"] * 333


# ---- within 3 GB, whatever a file says


HOSTILE = """
import json
from pathlib import Path
from hashtag_core.errors import InputError

def refuse(read, path):
    try:
        read(path)
    except InputError as error:
        print(str(error)[:300])
    else:
        raise AssertionError("not refused")
"""
SIZES = """
from hashtag_core.training.runs import load_run
path = Path({run!r}, "run.json")
about = json.loads(path.read_text())
sizes = ["d_i", "d_v", "d_w", "d_x", "d_u", "d_c", "d", "rank"]
changes = [{{key: 10**n}} for key in sizes for n in (4, 7, 9, 18, 30)]
more = {{"num_users": 10**9, "num_hashtags": 10**9}}
changes += [more | {{"encoder": name}} for name in ("user vectors", "used hashtags")]
changes += [more | {{"learned_psi": True}}]
for change in changes:
    path.write_text(json.dumps(about | {{"model": about["model"] | change}}))
    refuse(load_run, path.parent)
"""


def test_sizes_without_end_in_run_json_cost_nothing(run):
    ran = bounded(program=HOSTILE + SIZES.format(run=str(run)))
    assert ran.out.count("\n") >= 43 and ran.out.count("run.json") >= 43
    assert ran.megabytes < 500


PHOTOS_BOMBS = """
from hashtag_core.data.photos import PhotoCollection
for folder in {folders!r}:
    refuse(PhotoCollection.load, folder)
"""


def the_same(text: str, rows: int) -> pa.DictionaryArray:
    """One text so often; on disk it stands once."""
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([text]))


def test_a_text_that_stands_in_every_row_is_not_written_out(tmp_path):
    rows = 50_000
    columns = {
        "photo_id": [f"{row:06d}" for row in range(rows)],
        "user": the_same("ann", rows),
        "time": pa.nulls(rows, pa.timestamp("s")),
        "hashtags": pa.ListArray.from_arrays(
            np.arange(rows + 1, dtype=np.int32), the_same("a", rows)
        ),
    }
    long = the_same("x" * 100_000, rows)  # 5 GB
    bombs = {
        "user": long,
        "photo_id": long,
        "licence": long,
        "hashtags": pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32), long),
    }
    for name, bomb in bombs.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "meta.json").write_text('{"format_version": 1}')
        np.save(tmp_path / name / "features.npy", np.zeros((rows, 0), np.float16))
        path = tmp_path / name / "photos.parquet"
        pq.write_table(pa.table(columns | {name: bomb}), path, store_schema=False)
        assert path.stat().st_size < 10**6
    folders = [str(tmp_path / name) for name in bombs]
    ran = bounded(program=HOSTILE + PHOTOS_BOMBS.format(folders=folders), bound=2**30)
    assert ran.out.count("bytes unpacked, at most") == len(bombs)
    assert ran.megabytes < 500


def test_a_picture_that_stands_in_every_row_is_read_once(folder):
    rows, data = 8, b"x" * 10**6
    image = pa.array([{"bytes": data, "path": None}] * rows, IMAGE)
    table = pq.read_table(folder / "photos.parquet").drop_columns("image")
    pq.write_table(table.append_column("image", image), folder / "photos.parquet")
    photos = PhotoCollection.load(folder)
    before = pa.total_allocated_bytes()
    assert photos.picture(0) == photos.picture(7) == data
    assert pa.total_allocated_bytes() - before < 6 * len(data)  # not 8


# ---- one way to read


ELSEWHERE = {  # files of others, and our own work in progress, which its digest names
    "course", "sources", "benchmarks", "model/convnet.py", "data/words.py", "data/pictures.py",
    "prepare",
}  # fmt: skip
READERS = ("json.load", "json.loads", "np.load", "np.fromfile", "pq.read_table", "load_file")


def test_our_own_files_are_read_in_one_place():
    for path in sorted(LIBRARY.rglob("*.py")):
        name = path.relative_to(LIBRARY).as_posix()
        if name == "formats.py" or any(name.startswith(place) for place in ELSEWHERE):
            continue
        calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)]
        found = {ast.unparse(call.func) for call in calls} & set(READERS)
        known = {
            "training/runs.py": {"load_file"},  # behind `_check_weights`
            "training/checkpoints.py": {"json.loads"},  # of what is in memory
            "commands/quickstart.py": {"json.loads"},  # the same
            "commands/tables.py": {"json.loads"},  # the same
        }
        assert found == known.get(name, set()), name


# ---- random damages


def all_bytes(folder: Path, files: tuple[str, ...]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files}


def survives(read, folder: Path, whole: dict[str, bytes], seeds: range) -> int:
    """Read the folder with one file spoilt, so often; returns how often that was refused."""
    refusals = 0
    for seed in seeds:
        name = sorted(whole)[seed % len(whole)]
        (folder / name).write_bytes(mutated(whole[name], seed))
        try:
            read(folder)
        except InputError as error:
            assert "\n" not in str(error)
            refusals += 1
        (folder / name).write_bytes(whole[name])
    return refusals


def test_a_spoilt_run_is_refused_or_read(run):
    whole = all_bytes(run, ("run.json", "hashtags.parquet", "model.safetensors"))

    def read(folder):
        predictor = HashtagPredictor.load(folder, "cpu")
        predictor.predict(np.zeros(D_I, np.float32))

    assert survives(read, run, whole, range(MUTATIONS)) > MUTATIONS / 3


def test_a_spoilt_collection_is_refused_or_read(folder):
    whole = all_bytes(folder, ("meta.json", "features.npy", "photos.parquet"))

    def read(folder):
        photos = PhotoCollection.load(folder)
        hashtags = Hashtags(["p0", "all"], torch.zeros(2, 3), torch.tensor([1, 1]))
        histories = UserHistories(photos, hashtags, range(len(photos.users)))
        [histories[item] for item in range(len(histories))]
        for row in range(len(photos)):
            photos.picture(row)
        repr(photos), photos.checksum(), photos.words, photos.convnet

    assert survives(read, folder, whole, range(MUTATIONS)) > MUTATIONS / 3


def test_a_spoilt_file_of_word_vectors_is_refused_or_read(tmp_path):
    lines = [f"{w} {' '.join(map(str, range(i, i + 5)))}\n" for i, w in enumerate(WORDS)]
    whole = {"words.txt": "".join(lines).encode()}

    def read(folder):
        vectors = load_word_vectors(folder / "words.txt")
        psi("sun+sea", vectors), psi("sunsea", vectors)

    assert survives(read, tmp_path, whole, range(MUTATIONS)) > MUTATIONS / 3

"""Collections without pictures: features of no columns, and predictions from the history alone."""

import json
import re
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import site_histories
from helpers import OTHER_USERS, TRAIN_USERS, WORDS, batch_of, tiny_config, tiny_fold, tiny_vectors
from photo_tables import IMAGE

from hashtag_core import cli
from hashtag_core.data.histories import UserHistories
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError
from hashtag_core.model.joint_embedding import HashtagModel
from hashtag_core.study import rows
from hashtag_core.study.rows import MODELS
from hashtag_core.training.loop import fit
from hashtag_core.training.runs import load_run
from hashtag_core.training.state import TrainConfig

ALL = list(MODELS)
READ_IMAGES = [
    "ours w/o GloVe", "ours (image+hashtag)", "sum", "concatenation", "bilinear", "GLU", "TIRG",
    "mean pooling", "max pooling", "TCN", "ours (unit psi)",
]  # fmt: skip
TABLES = {  # what is left of each
    "1": {
        "fixed": ["frequency", "used hashtags", "hashtag occurrences", "ours (hashtag)"],
        "open": ["frequency", "hashtag sum", "ours (hashtag)"],
    },
    "2": {part: ["hashtag sum", "ours (hashtag)"] for part in ("unseen", "all")},
    "3": {"transductive": ["tensor (MCLL)"]},
    "4": {"open": ["only hashtags"]},
    "5": {
        "fixed": ["used hashtags", "hashtag occurrences", "ours (hashtag)"],
        "open": ["hashtag sum", "ours (hashtag)"],
    },
}
for name in ("1", "2", "3"):
    TABLES[name] = {part: [*of, *rows.RULES] for part, of in TABLES[name].items()}


def blind_folder(folder):
    """A collection of `site_histories`, without pictures, as `ingest` makes it."""
    photos = [(u, t, tags) for u, of in site_histories().items() for t, tags in enumerate(of)]
    photos.sort(key=lambda photo: photo[:2])
    folder.mkdir()
    table = pa.table(
        {
            "photo_id": [f"{user} {t:02d}" for user, t, _ in photos],
            "user": [user for user, _, _ in photos],
            "time": pa.array([86_400 * t for _, t, _ in photos], pa.timestamp("s")),
            "hashtags": [tags for _, _, tags in photos],
            "image": pa.array([None] * len(photos), IMAGE),
        }
    )
    pq.write_table(table, folder / "photos.parquet")
    np.save(folder / "features.npy", np.zeros((len(photos), 0), np.float16))
    vectors = tiny_vectors()
    own = np.random.default_rng(2).normal(size=(40, vectors.vector_size)).round(4)
    lines = [f"{w} {' '.join(map(str, vectors[w].round(4)))}\n" for w in WORDS]
    lines += [f"own{n:02d} {' '.join(map(str, vector))}\n" for n, vector in enumerate(own)]
    (folder / "words.txt").write_text("".join(lines), encoding="utf-8")
    meta = {"format_version": 1, "source": "blind", "words": "words.txt"}
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def blind(tmp_path_factory):
    return blind_folder(tmp_path_factory.mktemp("data") / "blind")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """One folder for all commands: models are trained once."""
    return tmp_path_factory.mktemp("out")


@pytest.fixture
def run(blind, out, capsys):
    """Run a command: (exit code, lines printed, errors). No warning may come."""

    def run(*arguments, **options):
        given = ["--data", str(blind), "--device", "cpu"]
        if arguments[0] != "quickstart":
            given += ["--epochs", "1", "--fixed", "14"]
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*zero-element.*")
            code = cli.main([*arguments, *given, "--out", str(out)])
        printed = capsys.readouterr()
        assert "zero-element" not in printed.err
        errors = [line for line in printed.err.splitlines() if line.startswith("hashtag-core:")]
        return code, printed.out.splitlines(), errors

    return run


# ---- the model


@pytest.mark.parametrize("name", ALL)
def test_every_model_is_made_and_trained_without_a_warning(name):
    photos, hashtags, _ = tiny_fold()
    blind = PhotoCollection(photos.table, photos.features[:, :0], photos.meta)
    sets = [UserHistories(blind, hashtags, users) for users in (TRAIN_USERS, OTHER_USERS)]
    numbers = {"num_hashtags": len(hashtags), "num_users": len(blind.users)}
    config = replace(tiny_config(), d_i=0, d_v=0, **numbers, **MODELS[name].parts)
    settings = TrainConfig(epochs=2, learning_rate=1e-2, users_per_batch=4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, log = fit(HashtagModel(config), *sets, hashtags, settings, device="cpu")
    assert len(log) == 2
    assert all(torch.isfinite(weights).all() for weights in model.state_dict().values())


def test_other_warnings_are_not_silenced():
    HashtagModel(replace(tiny_config(), d_i=0, d_v=0))
    with pytest.warns(UserWarning, match="zero-element"):
        torch.nn.Linear(0, 3)


def test_the_history_alone_decides():
    photos, hashtags, _ = tiny_fold()
    blind = PhotoCollection(photos.table, photos.features[:, :0], photos.meta)
    histories = UserHistories(blind, hashtags, range(len(blind.users)))
    torch.manual_seed(0)
    model = HashtagModel(replace(tiny_config("hashtag"), d_i=0, d_v=0)).eval()
    with torch.no_grad():  # as trained ones: torch starts them from 0 where there is no input
        model.g.W_v.bias.normal_()
    batch = batch_of(histories, 1, 2)
    queries = model(batch, hashtags.psi)  # (N, d)
    first, second = queries[0], queries[len(histories.rows[1])]
    torch.testing.assert_close(first, second)  # two users without a history yet: the same
    assert not torch.allclose(queries[1], first)
    queries.sum().backward()
    assert model.g.W_v.bias.grad.abs().sum() > 0 and model.g.A.bias.grad.abs().sum() > 0


# ---- which rows


def test_rows_that_need_pictures():
    need = [name for name in ALL if rows.needs_pictures(name, "open")]
    assert sorted(need) == sorted([*READ_IMAGES, "user agnostic", "tensor (MCLL)"])
    same = [name for name in rows.SAME_AS if rows.needs_pictures(name, "open")]
    assert same == ["ours", "ours-FH", "GRU", "element-wise product"]
    assert not rows.needs_pictures("tensor (MCLL)", "transductive")
    for name in ("frequency", "repeat recent", "oracle"):
        assert not rows.needs_pictures(name, "open")


def test_with_pictures_nothing_is_left_out(site):
    photos = PhotoCollection.load(site)
    assert rows.rows_for(photos, rows.TABLE_1) == rows.TABLE_1
    assert rows.notice(photos) is None and rows.main_row(photos) == "ours (image+hashtag)"


# ---- the commands


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_the_rows_that_need_no_pictures_and_says_so_once(run, out, name):
    more = ["--history", "4"] if name == "5" else []
    code, lines, errors = run("table", name, *more)
    assert (code, errors) == (0, [])
    told = [line for line in lines if "pictures" in line]
    assert len(told) == 1 and "predictions come from the history alone" in told[0]
    assert all(row in told[0] for row in [*READ_IMAGES, "user agnostic", "features.npy"])
    table = pd.read_csv(out / f"table-{name}.csv", comment="#")
    by = "candidates" if name == "2" else "vocabulary"
    found = {part: block["model"].tolist() for part, block in table.groupby(by)}
    assert found == TABLES[name]
    assert table["A@1"].between(0, 100).all()


@pytest.mark.parametrize("name", ["data", "observations", "orders"])
def test_other_tables_work(run, out, name):
    more = ["--history", "4"] if name == "orders" else []
    code, lines, errors = run("table", name, *more)
    assert (code, errors) == (0, [])
    assert len([line for line in lines if "the history alone" in line]) == 1
    table = pd.read_csv(out / f"table-{name}.csv", comment="#")
    if name == "observations":
        numbers = {statement[0] for statement in table["statement"]}
        assert numbers == {"3", "4", "7"} and not table["pair"].str.contains("image").any()
    if name == "orders":
        assert table["pairs"].min() > 0 and "table 4" not in set(table["table"])


@pytest.mark.parametrize(
    ("name", "option"), [("3", ["--sizes", "4,8"]), ("history", ["--lengths", "0,2"])]
)
def test_figures_of_numbers_are_of_the_model_that_reads_hashtags(run, out, name, option):
    code, _, errors = run("figure", name, *option)
    assert (code, errors) == (0, [])
    assert (out / f"figure-{name}.png").read_bytes().startswith(b"\x89PNG")
    table = pd.read_csv(out / f"figure-{name}.csv", comment="#")
    assert table["model"].tolist() == ["ours (hashtag)"] * 2


def test_the_map_of_users_works(run, out):
    pytest.importorskip("umap")
    code, _, errors = run("figure", "users")
    assert (code, errors) == (0, [])


@pytest.mark.parametrize(
    "command",
    [
        ["table", "encoders"],
        ["table", "words"],
        ["table", "retrieval"],
        ["figure", "predictions"],
        ["figure", "retrieval"],
        ["table", "1", "--models", "ours (image+hashtag)"],
        ["table", "1", "--models", "ours (hashtag),tensor (MCLL)"],
        ["train", "--models", "sum"],
        ["quickstart"],
    ],
)
def test_what_cannot_be_without_pictures_is_one_clear_error(run, command):
    code, _, errors = run(*command)
    assert code == 2 and len(errors) == 1
    assert re.search("no (features of )?pictures", errors[0])
    if "--models" in command:
        assert repr(command[-1].split(",")[-1]) in errors[0]


def test_train_trains_the_model_that_reads_hashtags(run, out):
    code, lines, errors = run("train")
    assert (code, errors) == (0, [])
    [trained] = [line for line in lines if line.startswith("Trained:")]
    model, _, about = load_run(trained.split(maxsplit=1)[1])
    assert (model.config.d_i, model.config.d_v, model.config.fusion) == (0, 0, "only hashtags")
    assert about["data"]["convnet"] is None


def test_a_trained_model_predicts_from_a_history(run, blind, out):
    from hashtag_core.prediction import HashtagPredictor

    _, lines, _ = run("train")
    [trained] = [line for line in lines if line.startswith("Trained:")]
    predictor = HashtagPredictor.load(trained.split(maxsplit=1)[1], "cpu")
    nothing = np.zeros(0, np.float16)
    user = predictor.add_photo(predictor.new_user(), nothing, ["sun", "sea"])
    best = predictor.predict(nothing, user, k=3)
    assert len(best) == 3 and best[0][1] >= best[2][1]


def test_a_name_that_is_no_row_is_said_before_anything_else(blind):
    with pytest.raises(InputError, match="no row 'smell'"):
        rows.rows_for(PhotoCollection.load(blind), rows.TABLE_1, iter(["smell"]))

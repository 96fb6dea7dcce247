"""A study: its folds, and that nothing is trained or measured twice, or kept when it is stale."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import collection, tiny_histories

from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.splits import split_in_time, user_folds
from hashtag_core.study import study as study_module
from hashtag_core.study.rows import MODELS
from hashtag_core.study.study import Study
from hashtag_core.study.tables import figure_3, table_1, table_4, table_encoders
from hashtag_core.training.state import TrainConfig

ONE_EPOCH = TrainConfig(epochs=1, learning_rate=1e-3, users_per_batch=4)
OURS = "ours (image+hashtag)"


@pytest.fixture(scope="module")
def photos(site):
    return PhotoCollection.load(site)


@pytest.fixture
def make(photos, tmp_path):
    """A study of the small site in one and the same folder."""

    def make(given=photos, folder=tmp_path / "study", **options) -> Study:
        return Study(given, folder, device="cpu", **{"training": ONE_EPOCH, **options})

    return make


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """What `fit` was called for, in order."""
    calls, fit = [], study_module.fit

    def counting(*arguments, description="", **options):
        calls.append(description)
        return fit(*arguments, description=description, **options)

    monkeypatch.setattr(study_module, "fit", counting)
    return calls


def weights(model) -> torch.Tensor:
    return torch.cat([w.flatten() for w in model.state_dict().values()])


def as_lists(split) -> list[list[int]]:
    return [users.tolist() for users in (split.train, split.valid, split.test)]


# ---- folds


def test_one_fold_is_the_first_of_five(make, photos):
    one, five = make(seed=3), make(seed=3, folds=5)
    assert [as_lists(s) for s in one.splits] == [as_lists(five.splits[0])]
    assert list(one.numbers) == [0] and list(five.numbers) == [0, 1, 2, 3, 4]
    assert one.path(0, "open", OURS) == five.path(0, "open", OURS)


def test_the_splits_are_the_user_folds_of_the_seed(make, photos):
    number = len(photos.users)
    for folds, seed in [(2, 0), (3, 0), (3, 1)]:
        wanted = user_folds(photos, folds, seed)
        assert [as_lists(s) for s in make(folds=folds, seed=seed).splits] == [
            as_lists(s) for s in wanted
        ]
    tested = np.concatenate([s.test for s in make(folds=3).splits])
    assert sorted(tested.tolist()) == list(range(number))


def test_paths_name_seed_fold_setting_and_model(make, tmp_path):
    one = make(seed=4).path(0, "open", "ours w/o GloVe")
    assert one == tmp_path / "study" / "seed4-fold1of5" / "open" / "ours-w-o-glove"
    third = make(folds=3).path(2, "fixed", "tensor (MCLL)")
    assert third == tmp_path / "study" / "seed0-fold3of3" / "fixed" / "tensor-mcll"
    study = make()
    names = [*MODELS, "frequency", "repeat recent", "oracle", f"{OURS}, d_u = 32"]
    folders = {study.path(0, "open", name).name for name in names}
    assert len(folders) == len(names)
    assert all(re.fullmatch(r"[a-z0-9-]+", folder) for folder in folders)


def test_each_fold_and_setting_is_given_out_for_what_was_asked(make, photos):
    study = make(folds=3, fixed_size=12)
    asked = [(0, "fixed"), (1, "fixed"), (1, "open"), (1, "transductive"), (2, "transductive")]
    for number, setting in [*asked, *asked[::-1]]:
        fold, split = study.fold(number, setting), study.splits[number]
        of = {"train": split.train, "valid": split.valid, "test": split.test}
        if setting == "transductive":
            users = sorted([*split.train, *split.valid])
            of = dict.fromkeys(of, users)
            train = split_in_time(photos, np.array(users))[0]
        else:
            train = photos.of_users(split.train)
        assert (len(fold.hashtags) == 12) == (setting != "open")
        counts: dict[str, int] = {}
        for row in np.flatnonzero(train):
            for name in photos.hashtags_of(int(row)):
                counts[name] = counts.get(name, 0) + 1
        for name, count in zip(fold.hashtags.names, fold.hashtags.counts.tolist(), strict=True):
            assert counts.get(name, 0) == count
        for which, users in of.items():
            histories = getattr(fold, which)
            assert set(histories.users) <= set(users)
            assert len(histories) + histories.left_out["users"] == len(users)


def test_the_same_fold_is_not_made_twice_in_a_row(make):
    study = make(folds=2)
    assert study.fold(1, "fixed") is study.fold(1, "fixed")
    assert study.fold(1, "open") is not study.fold(1, "fixed")


def test_the_transductive_fold_has_training_photos_as_history_and_predicts_the_last(make, photos):
    study = make()
    fold = study.fold(0, "transductive")
    predicted, history = {}, {}
    for which in ("train", "valid", "test"):
        histories = getattr(fold, which)
        for number, user in enumerate(histories.users):
            item = histories[number]
            first = photos.user_offsets[user]
            predicted[which, user] = (item["rows"][item["predict"]] - first).tolist()
            history[which, user] = (item["rows"] - first).tolist()
    assert set(fold.test.users).isdisjoint(study.splits[0].test.tolist())
    longest = int(np.argmax(np.diff(photos.user_offsets) * photos_of(fold, photos)))
    length = int(np.diff(photos.user_offsets)[longest])
    train, valid, test = (predicted[which, longest] for which in ("train", "valid", "test"))
    assert all(10 * t < 7 * length for t in train)
    assert all(7 * length <= 10 * t < 8 * length for t in valid)
    assert all(10 * t >= 8 * length for t in test)
    assert min(len(train), len(valid), len(test)) > 0
    assert history["train", longest] == train
    assert history["valid", longest] == train + valid
    assert history["test", longest] == train + test


def photos_of(fold, photos) -> np.ndarray:
    """(U,) whether a user takes part in all three sets."""
    everywhere = set(fold.train.users) & set(fold.valid.users) & set(fold.test.users)
    return np.array([user in everywhere for user in range(len(photos.users))])


# ---- words, device, provenance


def test_the_words_that_came_with_the_collection_are_taken(make, site):
    study = make()
    assert (
        study.words
        == (site / "words.txt").resolve()
        == type(study.words)(study.provenance["words"])
    )
    assert study.vectors.vector_size == 8 and "own05" in study.vectors.key_to_index


def test_other_words_can_be_given_instead(make, tmp_path):
    (tmp_path / "other.txt").write_text("sun 1 2 3\nsea 4 5 6\n", encoding="utf-8")
    study = make(words=tmp_path / "other.txt")
    assert study.vectors.vector_size == 3
    assert study.provenance["words"] == str(tmp_path / "other.txt")


def test_without_any_the_installed_words_are_taken(make):
    study = make(collection(tiny_histories()))
    assert study.words is None and study.provenance["words"] is None


def test_what_a_result_depends_on_is_named(make, photos):
    about = make(seed=5, fixed_size=7).provenance
    assert about["source"] == "site" and about["sha256"] == photos.checksum()
    assert about["seed"] == 5 and about["fixed_size"] == 7 and about["convnet"] == "none"
    assert about["training"]["epochs"] == 1 and about["hashtag_core"] == study_module.__version__
    assert about["order"] == "time" and len(about["words sha256"]) == 64
    assert f"torch {torch.__version__}, threads" in make().made_with
    assert make(seed=5, training=None).training == TrainConfig.small(5)


# ---- models


def test_a_model_is_trained_once_and_read_the_second_time(make, trained):
    first = make()
    model = first.model(0, "open", OURS)
    again = [first.model(0, "open", OURS), make().model(0, "open", OURS)]
    assert len(trained) == 1
    for other in again:
        assert torch.equal(weights(other), weights(model)) and not other.training
        assert other.config == model.config


def test_one_fold_and_the_first_of_five_share_their_model(make, trained):
    make().model(0, "open", OURS)
    make(folds=5).model(0, "open", OURS)
    assert len(trained) == 1
    make(folds=4).model(0, "open", OURS)
    assert len(trained) == 2


@pytest.mark.parametrize("what", ["seed", "training", "data", "words", "fixed_size", "features"])
def test_another_setting_trains_anew(make, trained, photos, site, tmp_path, what):
    make().model(0, "fixed", OURS)
    copy = tmp_path / "words.txt"
    copy.write_bytes((site / "words.txt").read_bytes())
    features = np.array(photos.features)
    features[0, 0] += 1
    fewer = int(photos.user_offsets[-1]) - 1
    options = {
        "seed": {"seed": 1},
        "training": {"training": replace(ONE_EPOCH, users_per_batch=3)},
        "data": {
            "given": replace(photos, table=photos.table[:fewer], features=photos.features[:fewer])
        },
        "words": {"words": copy},
        "fixed_size": {"fixed_size": 20},
        "features": {"given": replace(photos, features=features)},
    }[what]
    other = make(**options)
    other.model(0, "fixed", OURS)
    assert len(trained) == 2
    other.model(0, "fixed", OURS)
    assert len(trained) == 2
    run = other.path(0, "fixed", OURS) / "run.json"
    assert json.loads(run.read_text())["data"].items() >= other.provenance.items()


def test_each_fold_setting_name_and_size_is_a_model_of_its_own(make, trained):
    study = make(folds=2)
    study.model(0, "open", "user agnostic")
    study.model(1, "open", "user agnostic")
    study.model(0, "fixed", "user agnostic")
    study.model(0, "open", "hashtag sum")
    study.model(0, "open", "some size", {"d_u": 4})
    study.model(0, "open", "some size", {"d_u": 5})  # the same name for another model
    assert len(trained) == 6
    assert study.model(0, "open", "some size", {"d_u": 5}).config.d_u == 5
    assert len(trained) == 6
    assert "fold 2/2" in trained[1] and "fixed" in trained[2] and "hashtag sum" in trained[3]


def test_the_same_seed_makes_the_same_first_weights_whatever_was_made_before(make, tmp_path):
    one = make(folder=tmp_path / "a").model(0, "open", OURS)
    other = make(folder=tmp_path / "b")
    other.model(0, "open", "hashtag sum")
    torch.rand(7)
    assert torch.equal(weights(one), weights(other.model(0, "open", OURS)))
    another = make(folder=tmp_path / "c", seed=2).model(0, "open", OURS)
    assert not torch.allclose(weights(one), weights(another))


@pytest.mark.parametrize("setting", ["open", "fixed", "transductive"])
def test_a_model_learns_from_the_training_photos_and_is_chosen_by_the_validation_ones(
    make, monkeypatch, setting
):
    given = {}

    def stop(model, train, valid, hashtags, settings, **options):
        given.update(weights=weights(model), sets=(train, valid, hashtags), settings=settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(study_module, "fit", stop)
    first = {}
    for seed in (0, 1):
        study = make(folds=2, seed=seed)
        with pytest.raises(KeyboardInterrupt):
            study.model(1, setting, "user agnostic")
        fold = study.fold(1, setting)
        assert given["settings"] is study.training
        assert all(a is b for a, b in zip(given["sets"], (fold.train, fold.valid, fold.hashtags),
                                          strict=True))  # fmt: skip
        first[seed] = given["weights"]
    size = min(map(len, first.values()))
    assert not torch.equal(first[0][:size], first[1][:size])


def test_models_of_a_fixed_vocabulary_learn_psi_and_open_ones_do_not(make):
    study = make(fixed_size=20)
    of = {(s, n): study.model(0, s, n).config for s in ("open", "fixed") for n in (OURS,)}
    assert of["fixed", OURS].learned_psi and not of["open", OURS].learned_psi
    assert study.model(0, "open", "ours w/o GloVe").config.learned_psi
    assert study.model(0, "transductive", OURS).config.learned_psi
    assert of["fixed", OURS].num_hashtags == 20
    assert of["fixed", OURS].num_users == len(study.photos.users)
    assert of["open", OURS].d_w == 8 and of["open", OURS].d_i == of["open", OURS].d_v == 6


@pytest.mark.parametrize("name", MODELS)
def test_every_named_model_is_what_its_name_says(make, name):
    config = make().model(0, "open", name).config
    parts = {"encoder": "GRU", "fusion": "element-wise product", "learned_psi": False}
    encoders = {
        "user agnostic": "none",
        "tensor (MCLL)": "user vectors",
        **{n: n for n in ("used hashtags", "hashtag occurrences", "hashtag sum")},
        **{n: n for n in ("mean pooling", "max pooling", "TCN")},
    }
    fusions = {n: n for n in ("sum", "concatenation", "bilinear", "GLU", "TIRG")}
    fusions["ours (hashtag)"] = "only hashtags"
    if name in encoders:
        parts["encoder"] = encoders[name]
    if name in fusions:
        parts["fusion"] = fusions[name]
    parts["learned_psi"] = name == "ours w/o GloVe"
    assert {part: getattr(config, part) for part in parts} == parts


def test_a_half_written_run_folder_is_not_taken_for_a_model(make, trained):
    study = make()
    model = study.model(0, "open", OURS)
    (study.path(0, "open", OURS) / "run.json").unlink()
    again = make().model(0, "open", OURS)
    assert len(trained) == 2 and torch.equal(weights(model), weights(again))
    assert (study.path(0, "open", OURS) / "run.json").is_file()


def test_a_run_that_was_stopped_while_it_replaced_another_is_not_taken_for_either(
    make, trained, monkeypatch
):
    from hashtag_core.data.hashtags import Hashtags

    def stop(*_):
        raise KeyboardInterrupt

    old = weights(make().model(0, "open", OURS))
    with monkeypatch.context() as patch:
        patch.setattr(Hashtags, "save", stop)  # the weights are written, run.json is not
        with pytest.raises(KeyboardInterrupt):
            make(training=replace(ONE_EPOCH, learning_rate=0.1)).model(0, "open", OURS)
    assert torch.equal(weights(make().model(0, "open", OURS)), old)


# ---- results


def test_results_are_computed_once_and_again_where_the_provenance_differs(make):
    computed = []

    def compute(study, number, setting, name):
        computed.append(1)
        return [{"A@1": 12.5, "what": "ä", "none": float("nan")}]

    def kept(what="x", name="repeat recent", number=0, setting="open", **options):
        return make(folds=2, **options).kept(number, setting, name, what, compute)

    rows = kept()
    assert kept()[0]["A@1"] == rows[0]["A@1"] == 12.5 and kept()[0]["what"] == "ä"
    assert len(computed) == 1
    for options in (
        {"what": "y"},
        {"name": "frequency"},
        {"number": 1},
        {"setting": "fixed"},
        {"seed": 1},
        {"fixed_size": 5},
        {"training": replace(ONE_EPOCH, epochs=2)},
    ):
        before = len(computed)
        kept(**options)
        kept(**options)
        assert len(computed) == before + 1, options


def test_a_result_is_written_whole_or_not_at_all(make):
    study = make()

    def stop(*job):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study.kept(0, "open", "frequency", "x", stop)
    assert not [*study.path(0, "open", "frequency").iterdir()]
    study.kept(0, "open", "frequency", "x", lambda *job: [{"a": 1}])
    assert [p.name for p in study.path(0, "open", "frequency").iterdir()] == ["x.json"]


def test_a_result_without_its_model_is_still_kept(make, trained):
    study = make()
    rows = study.prediction(0, "open", "user agnostic")
    for name in ("run.json", "model.safetensors", "hashtags.parquet"):
        (study.path(0, "open", "user agnostic") / name).unlink()
    assert make().prediction(0, "open", "user agnostic") == rows and len(trained) == 1


def test_prediction_has_three_sets_of_candidates_where_the_vocabulary_is_open(make):
    study = make()
    names = {s: [row["candidates"] for row in study.prediction(0, s, "frequency")]
             for s in ("open", "fixed", "transductive")}  # fmt: skip
    assert names == {"open": ["seen", "unseen", "all"], "fixed": ["seen"], "transductive": ["seen"]}


def test_a_stopped_study_goes_on_and_ends_with_the_same_table(make, tmp_path, monkeypatch):
    calls, fit = [], study_module.fit

    def stopping(*arguments, **options):
        calls.append(options["description"])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(*arguments, **options)

    rows = ["user agnostic", "hashtag sum", "ours (hashtag)", "repeat recent"]
    unstopped = table_1(make(folder=tmp_path / "other", folds=2), rows)
    monkeypatch.setattr(study_module, "fit", stopping)
    with pytest.raises(KeyboardInterrupt):
        table_1(make(folds=2), rows)
    assert len(calls) == 3
    table = table_1(make(folds=2), rows)
    assert calls[2] == calls[3]  # the third model begins again, the first two do not
    assert len(calls) == 3 + 10 - 2
    assert table.equals(unstopped)


def test_tables_that_need_the_same_model_train_it_once(make, trained):
    study = make()
    table_1(study, ["ours (hashtag)", OURS])
    assert len(trained) == 4  # open and fixed
    four = table_4(study, ["only hashtags", "element-wise product"])
    encoders = table_encoders(make(), ["GRU"])
    assert len(trained) == 4
    one = table_1(make(), ["ours (hashtag)", OURS]).set_index(["vocabulary", "model"])["A@10"]
    assert four["A@10"].tolist() == [one["open", "ours (hashtag)"], one["open", OURS]]
    assert encoders["A@10"].tolist() == [one["open", OURS]]
    figure_3(study, [4])
    assert len(trained) == 5


def test_a_second_time_nothing_is_trained_and_the_table_is_the_same(make, trained):
    rows = ["tensor (MCLL)", "repeat recent"]
    first = table_1(make(folds=2), rows)
    number = len(trained)
    assert number == 4
    assert table_1(make(folds=2), rows).equals(first) and len(trained) == number


# ---- what made a result


def test_a_word_file_that_changed_at_its_place_makes_everything_anew(
    make, trained, photos, tmp_path
):
    words = tmp_path / "words.txt"
    words.write_bytes(photos.words.read_bytes())
    first = make(words=words).prediction(0, "open", "hashtag sum")
    lines = words.read_text(encoding="utf-8").splitlines()
    turned = [" ".join([line.split(" ")[0], *line.split(" ")[:0:-1]]) for line in lines]
    words.write_text("\n".join(turned) + "\n", encoding="utf-8")
    again = make(words=words).prediction(0, "open", "hashtag sum")
    assert len(trained) == 2 and again != first


def test_another_version_computes_everything_anew(make, trained, monkeypatch):
    make().prediction(0, "open", "hashtag sum")
    monkeypatch.setattr(study_module, "__version__", "999")
    study = make()
    study.prediction(0, "open", "hashtag sum")
    assert len(trained) == 2
    assert list(study.makers) == [study.made_with] and "hashtag_core 999," in study.made_with


def test_what_other_threads_made_is_shown_with_what_made_it(make, trained, monkeypatch):
    first = make()
    model_by = first.made_with
    first.model(0, "open", "hashtag sum")
    monkeypatch.setattr(Study, "made_with", "hashtag_core x, torch y, threads 77, cpu")
    second = make()
    rows = second.prediction(0, "open", "hashtag sum")  # measured now, by a model of before
    assert set(second.makers) == {model_by, second.made_with} and len(trained) == 1
    monkeypatch.undo()
    third = make()
    assert third.prediction(0, "open", "hashtag sum") == rows
    assert set(third.makers) == set(second.makers)


def test_a_result_of_an_older_version_of_the_file_is_computed_again(make):
    study = make()
    path = study.path(0, "open", "frequency") / "x.json"
    study.kept(0, "open", "frequency", "x", lambda *job: [{"a": 1.0}])
    kept = json.loads(path.read_text(encoding="utf-8"))
    del kept["made_with"], kept["data"]["words sha256"]
    path.write_text(json.dumps(kept), encoding="utf-8")
    assert make().kept(0, "open", "frequency", "x", lambda *job: [{"a": 2.0}]) == [{"a": 2.0}]


# ---- rows that did not learn


def test_a_row_that_is_behind_frequency_on_validation_users_is_named(make, monkeypatch):
    study = make()
    kept = study.prediction(0, "open", "hashtag sum")
    run = study.path(0, "open", "hashtag sum") / "run.json"
    best = max(json.loads(run.read_text())["log"], key=lambda epoch: epoch["valid R@10"])
    fold = study.fold(0, "open")
    rule = study_module.evaluate(
        study_module.frequency, study_module.batches(fold.valid, 3), fold.hashtags, ("seen",)
    )["seen"]["A@1"]
    assert {row["failed"] for row in kept} == {float(best["valid A@1"] < rule)}
    for a_at_1, failed in ((rule + 0.01, False), (rule, False), (rule - 0.01, True)):
        text = json.loads(run.read_text())
        text["log"] = [{"epoch": 1, "valid R@10": 5.0, "valid A@1": a_at_1},
                       {"epoch": 2, "valid R@10": 4.0, "valid A@1": 99.0}]  # fmt: skip
        run.write_text(json.dumps(text))
        assert study.failed(0, "open", "hashtag sum") is failed


def test_rules_without_training_have_not_failed(make):
    assert all("failed" not in row for row in make().prediction(0, "open", "frequency"))


def test_a_table_names_the_rows_that_failed(make, monkeypatch):
    monkeypatch.setattr(Study, "failed", lambda self, number, *row: number == 1)
    table = table_1(make(folds=2), ["hashtag sum", "frequency"])
    assert table.attrs["failed"] == ["hashtag sum (open, fold 2)"]
    assert "failed" not in table

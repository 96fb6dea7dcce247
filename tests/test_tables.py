"""The tables: their rows, and their numbers against a second computation in plain Python.

`by_hand` below knows nothing of the library's vocabulary, histories, batches, rankers and metrics:
it goes through the photos of a collection with loops over sets.
"""

import math
import statistics
from collections import Counter
from dataclasses import replace
from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import batch_of, tiny_fold, tiny_model

from hashtag_core.data.histories import UserHistories, collate
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.splits import user_folds
from hashtag_core.errors import InputError
from hashtag_core.study import observations as o
from hashtag_core.study import one_row
from hashtag_core.study import tables as e
from hashtag_core.study.paper import PAPER
from hashtag_core.study.rows import MODELS, RULES, choose, with_oracle
from hashtag_core.study.study import Study
from hashtag_core.training.state import TrainConfig

FOLDS, SEED, FIXED = 3, 0, 14
ONE_EPOCH = TrainConfig(epochs=1, learning_rate=1e-3, users_per_batch=4)
OURS = "ours (image+hashtag)"
METRICS = ["A@1", "A@10", "P@10", "R@1", "R@10"]
USED = ("used hashtags", "hashtag occurrences")


# ---- the second computation


def hashtags_by_user(photos) -> list[list[set[str]]]:
    """[[the hashtags of each photo, oldest first] of each user]."""
    users: dict[str, list[set[str]]] = {}
    for row in photos.table.select(["user", "hashtags"]).to_pylist():
        users.setdefault(row["user"], []).append(set(row["hashtags"]))
    return list(users.values())


def place_in_time(t: int, photos: int) -> str:
    """The transductive set of photo number t of so many."""
    return "train" if 10 * t < 7 * photos else "valid" if 10 * t < 8 * photos else "test"


def vocabulary_by_hand(new, training, setting, size, has_vector) -> dict[str, dict[str, int]]:
    """Candidates -> {hashtag: its place}, in the order of ids.

    Args:
        new: the hashtags of each photo of the users that are tested.
        training: the hashtags of each training photo.
        setting: "open" or anything else.
        size: of a fixed vocabulary.
        has_vector: hashtag -> bool.
    """
    count = Counter(name for tags in training for name in tags)
    seen = sorted(count, key=lambda name: (-count[name], name))
    if setting != "open":
        return {"seen": _places(seen[:size])}
    seen = [name for name in seen if has_vector(name)]
    rest = set().union(*new) - set(count)
    unseen = sorted(name for name in rest if has_vector(name))
    return {"seen": _places(seen), "unseen": _places(unseen), "all": _places(seen + unseen)}


def _places(names: list[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def by_hand(photos, split, setting, row, size=FIXED, has_vector=lambda name: "zzz" not in name):
    """Candidates -> {"A@1": …, …, "photos": …, "left_out": …} of one fold.

    Args:
        photos: the collection.
        split: the fold's users.
        setting: "open", "fixed" or "transductive".
        row: "frequency" or "repeat recent".
        size: of the fixed vocabulary.
        has_vector: hashtag -> whether it has a word vector.
    """
    users = hashtags_by_user(photos)
    in_time = setting == "transductive"
    training_users = [*split.train, *split.valid] if in_time else split.train
    training = [
        tags
        for user in training_users
        for t, tags in enumerate(users[user])
        if not in_time or place_in_time(t, len(users[user])) == "train"
    ]
    new = [tags for user in split.test for tags in users[user]]
    candidates = vocabulary_by_hand(new, training, setting, size, has_vector)
    known = set().union(*candidates.values())
    found = {which: {m: [] for m in METRICS} | {"left_out": 0} for which in candidates}
    for user in training_users if in_time else split.test:
        history: list[set[str]] = []
        for t, tags in enumerate(users[user]):
            place = place_in_time(t, len(users[user])) if in_time else "test"
            if not tags & known or place == "valid":
                continue  # no photo of this vocabulary, or of another set
            if place == "test":
                for which, places in candidates.items():
                    _count_photo(found[which], places, tags, history, row)
            history.append(tags)
    return {which: _means(of) for which, of in found.items()}


def _count_photo(found, places, tags, history, row) -> None:
    truth = tags & places.keys()
    if not truth:
        found["left_out"] += 1
        return
    weight: Counter[str] = Counter()
    if row == "repeat recent":
        for step, past in enumerate(history):
            for name in past & places.keys():
                weight[name] += 2**step  # a photo weighs twice what the one before it does
    first = sorted(weight, key=lambda name: (-weight[name], places[name]))
    others = islice(places, 10 + len(first))  # by frequency
    ranked = (first + [name for name in others if name not in weight])[:10]
    for k in (1, 10):
        hits = len(set(ranked[:k]) & truth)
        found[f"A@{k}"].append(hits > 0)
        found[f"R@{k}"].append(hits / len(truth))
        if k == 10:
            found["P@10"].append(hits / 10)


def _means(found) -> dict:
    number = len(found["A@1"])
    means = {m: 100 * sum(found[m]) / number if number else math.nan for m in METRICS}
    return {**means, "photos": number, "left_out": found["left_out"]}


def over_folds(folds: list[dict]) -> dict:
    """Means, standard deviations and sums of `by_hand` of several folds."""
    row = {}
    for metric in METRICS:
        values = [fold[metric] for fold in folds if fold["photos"]]
        row[metric] = statistics.mean(values)
        if len(folds) > 1:
            row[f"{metric} std"] = statistics.stdev(values)
    return row | {count: sum(fold[count] for fold in folds) for count in ("photos", "left_out")}


# ---- fixtures


@pytest.fixture(scope="module")
def photos(site):
    return PhotoCollection.load(site)


@pytest.fixture(scope="module")
def study(photos, tmp_path_factory):
    """Three folds of the small site; models are trained for one epoch, once."""
    folder = tmp_path_factory.mktemp("study")
    return make(photos, folder)


def make(photos, folder, **options) -> Study:
    given = {"folds": FOLDS, "seed": SEED, "training": ONE_EPOCH, "fixed_size": FIXED}
    return Study(photos, folder, device="cpu", **{**given, **options})


def assert_row(row: pd.Series, wanted: dict) -> None:
    found = {key: float(row[key]) for key in wanted}  # R@k is added up in float32
    assert found == pytest.approx(wanted, rel=1e-6, abs=1e-5, nan_ok=True)


def names_of(table, *columns) -> list[tuple]:
    return list(table[list(columns)].itertuples(index=False, name=None))


def assert_sensible(table: pd.DataFrame, folds: int = FOLDS) -> None:
    for metric in METRICS:
        assert table[metric].between(0, 100).all()
        assert (table[f"{metric} std"] >= 0).all() if folds > 1 else f"{metric} std" not in table
    assert (table["A@1"] <= table["A@10"]).all() and (table["R@1"] <= table["R@10"]).all()
    assert (table["P@10"] <= table["A@10"]).all() and (table["R@10"] <= table["A@10"]).all()
    assert (table["photos"] > 0).all()


# ---- rows of the tables


def test_table_1_has_the_rows_of_its_list_in_order(study):
    table = e.table_1(study)
    fixed = [
        "frequency", "user agnostic", "used hashtags", "hashtag occurrences", "tensor (MCLL)",
        "ours (hashtag)", OURS, *RULES,
    ]  # fmt: skip
    opened = [
        "frequency", "user agnostic", "hashtag sum", "tensor (MCLL)", "ours (hashtag)",
        "ours w/o GloVe", OURS, *RULES,
    ]  # fmt: skip
    assert names_of(table, "vocabulary", "model") == [
        *(("fixed", name) for name in fixed),
        *(("open", name) for name in opened),
    ]
    assert_sensible(table)
    papers = table.set_index(["vocabulary", "model"])["A@1 paper"]
    assert papers["fixed", "user agnostic"] == 14.57 and papers["open", OURS] == 67.46
    assert math.isnan(papers["open", "repeat recent"])
    assert "candidates" not in table and "fold" not in table
    assert table.groupby("vocabulary")["photos"].nunique().tolist() == [1, 1]


def test_table_2_has_unseen_before_all_and_nothing_seen(study):
    table = e.table_2(study)
    rows = ["user agnostic", "hashtag sum", "ours (hashtag)", OURS, *RULES]
    wanted = [(which, row) for which in ("unseen", "all") for row in rows]
    assert names_of(table, "candidates", "model") == wanted
    assert_sensible(table)
    papers = table.set_index(["candidates", "model"])["R@10 paper"]
    assert papers["unseen", "hashtag sum"] == 48.12 and papers["all", OURS] == 61.39
    photos = table.groupby("candidates")["photos"].first()
    assert photos["unseen"] < photos["all"]


def test_table_3_has_its_rows(study):
    table = e.table_3(study)
    assert names_of(table, "vocabulary", "model") == [
        ("transductive", row) for row in ("tensor (MCLL)", "ours-FH", "ours", *RULES)
    ]
    assert_sensible(table)
    assert table["photos"].nunique() == table["left_out"].nunique() == 1
    assert table["A@1 paper"].tolist()[:3] == [35.92, 48.20, 73.19]


def test_table_4_has_the_seven_fusions(study):
    table = e.table_4(study)
    names = ["only hashtags", "sum", "concatenation", "bilinear", "GLU", "TIRG"]
    assert table["model"].tolist() == [*names, "element-wise product"]
    assert_sensible(table)
    assert table["R@10 paper"].tolist()[-1] == 62.88 and "P@10 paper" not in table


def test_the_table_of_encoders_has_the_gru_last(study):
    table = e.table_encoders(study)
    assert table["model"].tolist() == ["mean pooling", "max pooling", "TCN", "GRU"]
    assert_sensible(table)
    assert not any(column.endswith("paper") for column in table)


def test_rows_of_several_tables_are_the_same_model(study):
    one = e.table_1(study).set_index(["vocabulary", "model"])
    four, encoders = (f(study).set_index("model") for f in (e.table_4, e.table_encoders))
    for metric in [*METRICS, *(f"{m} std" for m in METRICS)]:
        assert four.loc["element-wise product", metric] == one.loc[("open", OURS), metric]
        assert encoders.loc["GRU", metric] == one.loc[("open", OURS), metric]
        assert four.loc["only hashtags", metric] == one.loc[("open", "ours (hashtag)"), metric]


def test_one_fold_has_no_standard_deviation(photos, tmp_path):
    table = e.table_1(make(photos, tmp_path, folds=1), ["frequency"])
    assert_sensible(table, folds=1)
    assert not any(column.endswith("std") for column in table)


# ---- numbers, counted a second time


@pytest.mark.parametrize("row", ["frequency", "repeat recent"])
@pytest.mark.parametrize("setting", ["open", "fixed", "transductive"])
def test_every_fold_is_what_plain_python_counts(study, photos, setting, row):
    for number, split in enumerate(user_folds(photos, FOLDS, SEED)):
        rows = {values["candidates"]: values for values in study.prediction(number, setting, row)}
        wanted = by_hand(photos, split, setting, row)
        assert list(rows) == list(wanted)
        for which, values in wanted.items():
            assert_row(rows[which], values)


@pytest.mark.parametrize("seed", [SEED, 4])
def test_table_1_is_what_plain_python_counts(photos, tmp_path, seed):
    table = e.table_1(make(photos, tmp_path, seed=seed), ["frequency", "repeat recent"])
    assert len(table) == 4
    splits = user_folds(photos, FOLDS, seed)
    for _, row in table.iterrows():
        setting = row["vocabulary"]
        folds = [by_hand(photos, split, setting, row["model"])["seen"] for split in splits]
        assert_row(row, over_folds(folds))
    assert table["A@1"].min() >= 0 and table["left_out"].max() > 0


def test_table_2_is_what_plain_python_counts(study, photos):
    table = e.table_2(study, ["repeat recent"])
    splits = user_folds(photos, FOLDS, SEED)
    for _, row in table.iterrows():
        folds = [by_hand(photos, s, "open", "repeat recent")[row["candidates"]] for s in splits]
        assert_row(row, over_folds(folds))
    assert table["candidates"].tolist() == ["unseen", "all"]
    assert (table["photos"] + table["left_out"]).nunique() == 1


def test_table_3_is_what_plain_python_counts(study, photos):
    table = e.table_3(study, ["repeat recent"])
    splits = user_folds(photos, FOLDS, SEED)
    folds = [by_hand(photos, split, "transductive", "repeat recent")["seen"] for split in splits]
    assert len(table) == 1
    assert_row(table.iloc[0], over_folds(folds))


@torch.inference_mode()
def naive(model, fold, photos, which, histories) -> dict:
    """A trained model's metrics, a photo at a time.

    Args:
        model: the model.
        fold: its vocabulary and the photos.
        photos: the collection.
        which: the candidates.
        histories: [(rows of the history, row of the photo)].
    """
    psi = model.psi(fold.hashtags.psi)
    ids = list(fold.hashtags.candidates(which))
    found = {m: [] for m in METRICS} | {"left_out": 0}
    for past, row in histories:
        truth = {fold.hashtags.ids.get(name, -1) for name in photos.hashtags_of(row)} & set(ids)
        if not truth:
            found["left_out"] += 1
            continue
        user = state_after(model, fold.test, past, psi)
        image = torch.from_numpy(photos.features[row].astype(np.float32))[None]
        scores = model.scores(model.queries(image, user[None]), psi[ids])[0].tolist()
        ranked = [ids[i] for i in sorted(range(len(ids)), key=lambda i: (-scores[i], i))]
        for k in (1, 10):
            hits = len(set(ranked[:k]) & truth)
            found[f"A@{k}"].append(hits > 0)
            found[f"R@{k}"].append(hits / len(truth))
        found["P@10"].append(hits / 10)
    return _means(found)


def state_after(model, histories: UserHistories, rows, psi) -> torch.Tensor:
    """(d_u,) the user after these photos and no others."""
    if len(rows) == 0:
        return torch.zeros(model.user_encoder.d_u)
    only = histories.only([0])
    only.rows = [np.array(rows)]
    return model.users(collate([only[0]]), psi)[0, -1]


def all_previous(histories: UserHistories) -> list[tuple]:
    """[(the rows before, the row)] of every photo to predict."""
    return [
        (rows[:t], int(rows[t]))
        for rows in histories.rows
        for t in range(len(rows))
        if histories.predict[rows[t]]
    ]


def test_trained_rows_are_what_naive_ranking_counts(study, photos):
    one = e.table_1(study, [OURS]).set_index("vocabulary")
    two = e.table_2(study, [OURS]).set_index("candidates")
    three = e.table_3(study, ["ours"]).set_index("vocabulary")
    for row, setting, which in [
        (one.loc["open"], "open", "seen"),
        (one.loc["fixed"], "fixed", "seen"),
        (two.loc["unseen"], "open", "unseen"),
        (two.loc["all"], "open", "all"),
        (three.loc["transductive"], "transductive", "seen"),
    ]:
        folds = []
        for number in range(FOLDS):
            fold, model = study.fold(number, setting), study.model(number, setting, OURS)
            folds.append(naive(model, fold, photos, which, all_previous(fold.test)))
        assert_row(row, over_folds(folds))


def test_ours_fh_reads_the_training_photos_alone(study, photos):
    row = e.table_3(study, ["ours-FH"]).iloc[0]
    folds = []
    for number in range(FOLDS):
        fold, model = study.fold(number, "transductive"), study.model(number, "transductive", OURS)
        histories = []
        for rows in fold.test.rows:
            history = rows[~fold.test.predict[rows]]
            histories += [(history, int(row)) for row in rows[fold.test.predict[rows]]]
        folds.append(naive(model, fold, photos, "seen", histories))
    assert_row(row, over_folds(folds))


# ---- histories that are fixed, or short


@torch.inference_mode()
def test_a_fixed_history_is_what_came_before_the_first_photo_to_predict():
    _, hashtags, histories = tiny_fold()
    model = tiny_model()
    predict = np.zeros(len(histories.predict), dtype=bool)
    firsts = {}
    for number, rows in enumerate(histories.rows):
        firsts[number] = min(number % 3 + 1, len(rows) - 1)
        predict[rows[firsts[number] :]] = True
    histories.predict = predict
    batch = batch_of(histories)
    found = one_row.fixed_history(model)(batch, hashtags.psi)
    assert found.shape == (len(batch.rows), model.config.d_u)
    start = 0
    for number, rows in enumerate(histories.rows):
        wanted = state_after(model, histories, rows[: firsts[number]], hashtags.psi)
        mine = found[start : start + len(rows)]
        torch.testing.assert_close(mine, wanted.expand_as(mine))
        start += len(rows)
    assert start == len(found)


@torch.inference_mode()
@pytest.mark.parametrize("photos", [0, 1, 2, 3, 50])
@pytest.mark.parametrize("history", ["image+hashtag", "hashtag"])
def test_the_last_photos_are_those_and_no_others(photos, history):
    _, hashtags, histories = tiny_fold()
    model = tiny_model(history)
    batch = batch_of(histories)
    found = one_row.last_photos(model, photos)(batch, hashtags.psi)
    wanted = [
        state_after(model, histories, rows[max(0, t - photos) : t], hashtags.psi)
        for rows in histories.rows
        for t in range(len(rows))
    ]
    torch.testing.assert_close(found, torch.stack(wanted))


def test_figure_history_is_what_truncated_histories_give(study, photos):
    lengths = (0, 2, 100)
    table = e.figure_history(study, lengths=lengths)
    rows = [(row, n) for row in ("ours (hashtag)", OURS) for n in lengths]
    assert names_of(table, "model", "photos of history") == rows
    assert_sensible(table)
    for length in lengths:
        folds = []
        for number in range(FOLDS):
            fold, model = study.fold(number, "open"), study.model(number, "open", OURS)
            short = [(past[max(0, len(past) - length) :], row) for past, row in
                     all_previous(fold.test)]  # fmt: skip
            folds.append(naive(model, fold, photos, "seen", short))
        row = table[(table["model"] == OURS) & (table["photos of history"] == length)].iloc[0]
        assert_row(row, over_folds(folds))
    whole = e.table_1(study, [OURS]).set_index("vocabulary").loc["open"]
    assert_row(row, {metric: whole[metric] for metric in METRICS})  # 100 photos are all there are


def test_figure_history_takes_one_row_alone(study):
    table = e.figure_history(study, ["ours (hashtag)"], [1])
    assert names_of(table, "model", "photos of history") == [("ours (hashtag)", 1)]


def test_figure_history_of_a_model_without_short_histories_is_one_clear_error(study):
    with pytest.raises(InputError, match="mean pooling"):
        e.figure_history(study, ["mean pooling"], [1])


# ---- figure 3


def test_figure_3_has_a_row_for_each_size(study, photos):
    table = e.figure_3(study, [4, 16])
    names = [(f"{OURS}, d_u = 4", 4), (f"{OURS}, d_u = 16", 16)]
    assert names_of(table, "model", "d_u") == names
    assert_sensible(table)
    assert (table["ms per photo"] > 0).all() and (table["ms per photo std"] >= 0).all()
    folds = []
    for number in range(FOLDS):
        model = study.model(number, "open", names[0][0], {"d_u": 4})
        assert model.config.d_u == 4 and model.config.encoder == "GRU"
        fold = study.fold(number, "open")
        folds.append(naive(model, fold, photos, "seen", all_previous(fold.test)))
    assert_row(table.iloc[0], over_folds(folds))


def test_the_encoders_time_is_the_best_of_three_per_photo_in_milliseconds(study, monkeypatch):
    model = study.model(0, "open", OURS)
    batches = len(list(one_row.batches(study.fold(0, "open").test, 8)))
    photos = sum(len(rows) for rows in study.fold(0, "open").test.rows)
    ticks = iter([t for step in (0.5, 0.25, 1.0) for t in [0.0, step] * batches])
    monkeypatch.setattr(one_row.time, "perf_counter", lambda: next(ticks))
    assert one_row.encoder_time(model, study, 0) == pytest.approx(1000 * 0.25 * batches / photos)


# ---- user retrieval


def retrieval_by_hand(fold, photos, length: int, row: str) -> dict:
    """Table 5's numbers of [C] and [D] in one fold."""
    pieces = []
    for user, rows in zip(fold.test.users, fold.test.rows, strict=True):
        cut = [rows[i : i + length] for i in range(0, len(rows), length)]
        whole = [piece for piece in cut if len(piece) == length]
        if len(whole) > 1:
            pieces += [(user, piece) for piece in whole]
    counts = []
    for _, piece in pieces:
        count = Counter(n for r in piece for n in photos.hashtags_of(int(r)))
        count = {n: c for n, c in count.items() if n in fold.hashtags.ids}
        counts.append({n: 1 for n in count} if row == "used hashtags" else count)

    def cosine(one, other) -> float:
        dot = sum(number * other.get(name, 0) for name, number in one.items())
        sizes = [sum(number**2 for number in count.values()) for count in (one, other)]
        return round(dot / (sizes[0] * sizes[1]) ** 0.5, 6)

    ranks = []
    for query, (user, _) in enumerate(pieces):
        others = [i for i in range(len(pieces)) if i != query]
        others.sort(key=lambda i: (-cosine(counts[query], counts[i]), i))
        ranks.append(1 + [pieces[i][0] for i in others].index(user))
    return {
        "A@1": 100 * sum(rank <= 1 for rank in ranks) / len(ranks),
        "A@10": 100 * sum(rank <= 10 for rank in ranks) / len(ranks),
        "MR": statistics.median(ranks),
        "queries": len(ranks),
        "users": len({user for user, _ in pieces}),
    }


def test_table_5_has_its_rows_and_counts_as_plain_python_does(study, photos):
    table = e.table_5(study, history=4)
    fixed = ["used hashtags", "hashtag occurrences", "ours (hashtag)", OURS]
    opened = ["hashtag sum", "ours (hashtag)", OURS]
    assert names_of(table, "vocabulary", "model") == [
        *(("fixed", row) for row in fixed),
        *(("open", row) for row in opened),
    ]
    assert table["dim"].tolist() == [FIXED, FIXED, 256, 256, 8, 256, 256]
    assert table[["A@1", "A@10"]].stack().between(0, 100).all() and (table["MR"] >= 1).all()
    assert (table["A@1"] <= table["A@10"]).all()
    assert table["dim paper"].tolist() == [18_583, 18_583, 1024, 1024, 300, 1024, 1024]
    for row in table.itertuples():
        if row.model in USED:
            folds = [
                retrieval_by_hand(study.fold(n, "fixed"), photos, 4, row.model)
                for n in range(FOLDS)
            ]
            found = table.loc[row.Index]
            for metric in ("A@1", "A@10", "MR"):
                values = [fold[metric] for fold in folds]
                assert found[metric] == pytest.approx(statistics.mean(values))
                assert found[f"{metric} std"] == pytest.approx(statistics.stdev(values))
            assert found["queries"] == sum(fold["queries"] for fold in folds)
            assert found["users"] == sum(fold["users"] for fold in folds)
    assert table.groupby("vocabulary")["queries"].nunique().tolist() == [1, 1]


def test_table_5_keeps_each_length_of_history_apart(study):
    tables = {n: e.table_5(study, ["used hashtags"], history=n) for n in (2, 4)}
    assert tables[2]["queries"][0] > tables[4]["queries"][0]
    assert e.table_5(study, ["used hashtags"], history=2).equals(tables[2])


def test_histories_longer_than_any_users_are_one_clear_error(study):
    with pytest.raises(InputError, match="no test user has two histories of 1000 photos"):
        e.table_5(study, history=1000)


# ---- image retrieval


def test_the_table_of_retrieval_has_two_kinds_of_pictures_and_three_readings(study, photos):
    table = e.table_retrieval(study)
    models = ["user agnostic", "ours (hashtag)", OURS, "ours+"]
    readings = ["everyone", "this user", "another user"]
    found = names_of(table, "relevant", "model", "reading")
    rules = [("pictures of the nearest hashtag", "everyone"), ("own pictures with it", "this user")]
    rows = [(model, reading) for model in models for reading in readings] + rules
    assert sorted(found) == sorted((kind, *row) for kind in ("own", "anyone's") for row in rows)
    queries = pictures = 0
    for number in range(FOLDS):
        fold = study.fold(number, "open")
        for rows in fold.test.rows:
            if len(rows) < 2:
                continue
            tags = [set(photos.hashtags_of(int(r))) & set(fold.hashtags.ids) for r in rows]
            half = len(rows) // 2
            queries += len(set().union(*tags[:half]) & set().union(*tags[half:]))
            pictures += len(rows) - half
    assert set(table["queries"]) == {queries} and set(table["pictures"]) == {pictures}
    for metric in ("A@1", "A@10", "P@10"):
        assert table[metric].between(0, 100).all()
    of = table.set_index(["relevant", "model", "reading"])
    for model in models:  # anyone's pictures are a superset of one's own
        for reading in readings:
            own, anyones = of.loc[("own", model, reading)], of.loc[("anyone's", model, reading)]
            assert own["A@1"] <= anyones["A@1"] and own["MR"] >= anyones["MR"]
    agnostic = table[(table["relevant"] == "own") & (table["model"] == "user agnostic")]
    assert agnostic["A@10"].nunique() == agnostic["MR"].nunique() == 1  # whoever asks


def test_ours_plus_is_left_out_where_a_second_convnet_made_the_features(photos, tmp_path):
    two = replace(photos, query_features=np.ascontiguousarray(photos.features[:, :5]))
    study = make(two, tmp_path, folds=1)
    rules = ["pictures of the nearest hashtag", "own pictures with it"]
    assert e.table_retrieval(study, rules)["model"].unique().tolist() == rules
    assert "ours+" not in set(e.table_retrieval(study)["model"])
    with pytest.raises(InputError, match="no row 'ours"):
        e.table_retrieval(study, ["ours+"])


# ---- which rows


def test_chosen_rows_come_in_the_tables_order_and_others_after_them():
    assert choose(e.TABLE_1, None) is e.TABLE_1
    models = ["TCN", "repeat recent", "frequency"]
    assert choose(e.TABLE_1, models) == {
        "fixed": ("frequency", "repeat recent", "TCN"),
        "open": ("frequency", "repeat recent", "TCN"),
    }
    assert choose(e.TABLE_1, ["hashtag sum"]) == {"open": ("hashtag sum",)}
    assert choose(e.TABLE_2, iter(["hashtag sum", "sum"])) == {"open": ("hashtag sum", "sum")}
    assert choose(e.TABLE_3, ["ours"]) == {"transductive": ("ours",)}


def test_a_row_that_is_named_twice_is_there_once():
    models = ["sum", "sum", "frequency", "frequency"]
    assert choose(e.TABLE_1, models)["open"] == ("frequency", "sum")


@pytest.mark.parametrize("name", ["repeat", "", "Ours", "oracle", "frequency"])
def test_a_row_that_is_not_there_is_one_clear_error(name):
    with pytest.raises(InputError) as caught:
        choose(e.TABLE_2, ["hashtag sum", name])
    message = str(caught.value)
    assert message.startswith(f"no row {name!r}.") and "\n" not in message
    for row in [*e.TABLE_2["open"], *MODELS]:
        assert row in message


def test_a_row_of_another_table_can_be_added(study):
    table = e.table_2(study, ["repeat recent", "mean pooling"])
    assert names_of(table, "candidates", "model") == [
        (which, row) for which in ("unseen", "all") for row in ("repeat recent", "mean pooling")
    ]
    assert math.isnan(table["A@1 paper"][1])


def test_the_oracle_comes_last_where_the_truth_is_known_and_nowhere_else(study, photos):
    assert with_oracle(photos, e.TABLE_2) == e.TABLE_2
    column = photos.table["hashtags"]
    knowing = replace(photos, table=photos.table.append_column("oracle", column))
    known = make(knowing, study.folder)
    assert with_oracle(knowing, {"open": ("sum",), "fixed": ()}) == {
        "open": ("sum", "oracle"),
        "fixed": ("oracle",),
    }
    table = e.table_2(known, ["repeat recent"])  # who knows the photo's hashtags ranks them first
    assert table["model"].tolist() == ["repeat recent", "oracle"] * 2
    assert table[table["model"] == "oracle"]["A@1"].tolist() == [100, 100]
    assert e.table_3(known, ["repeat recent"])["A@1"].tolist()[1] == 100


def test_every_row_of_every_list_can_be_made():
    lists = (e.TABLE_1, e.TABLE_2, e.TABLE_3, e.TABLE_4, e.TABLE_5, e.TABLE_ENCODERS)
    without = {"frequency", *RULES}
    for rows in lists:
        for names in rows.values():
            assert {e.SAME_AS.get(name, name) for name in names} <= set(MODELS) | without
            assert len(set(names)) == len(names)
    assert set(e.SAME_AS.values()) <= set(MODELS) and not set(e.SAME_AS) & set(MODELS)


# ---- what the tables share


def test_summarise_is_what_one_works_out_by_hand():
    rows = pd.DataFrame(
        [
            {"model": "b", "fold": 1, "A@1": 10.0, "MR": 2.0, "n": 3},
            {"model": "a", "fold": 1, "A@1": 50.0, "MR": 1.0, "n": 3},
            {"model": "b", "fold": 2, "A@1": 40.0, "MR": 4.0, "n": 5},
            {"model": "a", "fold": 2, "A@1": 50.0, "MR": 3.0, "n": 5},
            {"model": "b", "fold": 3, "A@1": 40.0, "MR": 6.0, "n": 0},
            {"model": "a", "fold": 3, "A@1": math.nan, "MR": 8.0, "n": 0},
        ]
    )
    table = e.summarise(rows, ["model"], ("A@1", "MR"), ("n",))
    assert table.columns.tolist() == ["model", "A@1", "A@1 std", "MR", "MR std", "n"]
    assert table["model"].tolist() == ["b", "a"] and table["n"].tolist() == [8, 8]
    assert table["A@1"].tolist() == [30.0, 50.0]
    assert table["A@1 std"].tolist() == pytest.approx([300**0.5, 0.0])
    assert table["MR"].tolist() == [4.0, 4.0]
    assert table["MR std"].tolist() == pytest.approx([2.0, 13**0.5])
    one = e.summarise(rows[rows["fold"] == 2], ["model"], ("A@1",), ("n",))
    assert one.columns.tolist() == ["model", "A@1", "n"] and one["A@1"].tolist() == [40.0, 50.0]


def test_in_pairs_is_what_one_works_out_by_hand():
    values = {"ours": [30.0, 20.0, 50.0, 10.0], "theirs": [20.0, 24.0, 40.0, 10.0]}
    rows = pd.DataFrame(
        [
            {"model": model, "fold": fold, "R@10": value, "A@1": 0.0}
            for model, of in values.items()
            for fold, value in enumerate(of, start=1)
        ]
    ).sample(frac=1, random_state=0)  # folds are matched by their number, not by their place
    pairs = o.in_pairs(rows, "ours", "theirs", "R@10")  # 10, -4, 10, 0
    assert pairs["mean"] == 4.0 and pairs["ahead"] == 2 and pairs["folds"] == 4
    assert pairs["std"] == pytest.approx(((36 + 64 + 36 + 16) / 3) ** 0.5)
    assert o.in_pairs(rows, "theirs", "ours", "R@10")["ahead"] == 1
    single = o.in_pairs(rows[rows["fold"] == 2], "ours", "theirs", "R@10")
    assert single["mean"] == -4.0 and single["ahead"] == 0 and math.isnan(single["std"])


def test_pairs_of_a_study_are_the_difference_of_its_means(study):
    rows = e.prediction_by_fold(study, e.TABLE_1, ["repeat recent", "frequency"])
    seen = rows[(rows["vocabulary"] == "open") & (rows["candidates"] == "seen")]
    pairs = o.in_pairs(seen, "repeat recent", "frequency", "A@1")
    table = e.table_1(study, ["repeat recent", "frequency"]).set_index(["vocabulary", "model"])
    means = table["A@1"]["open"]
    assert pairs["mean"] == pytest.approx(means["repeat recent"] - means["frequency"])
    assert pairs["folds"] == FOLDS == pairs["ahead"]


def test_observations_are_differences_of_table_1(study):
    table = o.observations(study)
    table_1 = e.table_1(study).set_index(["vocabulary", "model"])
    means = table_1["A@1"]
    paper = PAPER["table 1"][1]
    numbers = Counter(statement[0] for statement in table["statement"])
    assert numbers == {"1": 7, "2": 2, "3": 1, "4": 3, "5": 2, "6": 1, "7": 1}
    for row in table.iloc[:-1].to_dict("records"):
        alike = row["statement"].startswith("2")
        names = row["pair"].split(" = " if alike else " > ")
        first, second = ((row["vocabulary"], name) for name in names)
        holds = []
        for metric, column in (("A@1", 0), ("R@10", 4)):
            here, spread = row[f"{metric} difference"], row[f"{metric} difference std"]
            assert here == pytest.approx(table_1[metric][first] - table_1[metric][second])
            there = row[f"{metric} difference paper"]
            assert there == pytest.approx(paper[first][column] - paper[second][column])
            assert abs(there) <= 1 if alike else there > 0  # all of them hold in the paper
            ahead, folds = map(int, row[f"{metric} ahead"].split(" of "))
            assert folds == FOLDS and 0 <= ahead <= FOLDS
            holds.append(abs(here) <= max(1, spread) if alike else here > 0)
        words = {(True, True): "yes", (False, False): "no", (True, False): "in A@1 only"}
        assert row["holds"] == words.get(tuple(holds), "in R@10 only")
    rows = ["frequency", "user agnostic", "tensor (MCLL)", "ours (hashtag)", OURS]
    same = total = 0
    for i, one in enumerate(rows):
        for other in rows[i + 1 :]:
            total += 1
            better = [means[part, one] > means[part, other] for part in ("fixed", "open")]
            same += better[0] == better[1]
    last = table.iloc[-1]
    assert last["pair"] == f"{same} of {total} pairs of rows in the same order"
    assert last["holds"] == ("yes" if same == total else "no")


def test_observations_are_about_the_rows_that_the_paper_speaks_of():
    pairs = {
        statement[0]: [f"{part}: {first} > {second}" for part, first, second in of]
        for statement, of in o.STATEMENTS.items()
    }
    assert sorted(pairs["1"]) == [
        f"fixed: {row} > user agnostic"
        for row in ("hashtag occurrences", "ours (hashtag)", OURS, "used hashtags")
    ] + [f"open: {row} > user agnostic" for row in ("hashtag sum", "ours (hashtag)", OURS)]
    assert pairs["2"] == [f"{part}: tensor (MCLL) > user agnostic" for part in ("fixed", "open")]
    assert pairs["3"] == ["fixed: hashtag occurrences > used hashtags"]
    assert pairs["4"] == [
        "fixed: ours (hashtag) > used hashtags",
        "fixed: ours (hashtag) > hashtag occurrences",
        "open: ours (hashtag) > hashtag sum",
    ]
    assert pairs["5"] == [f"{part}: {OURS} > ours (hashtag)" for part in ("fixed", "open")]
    assert pairs["6"] == [f"open: {OURS} > ours w/o GloVe"]


def orders_of(monkeypatch, numbers: dict[str, tuple[float, float]]) -> pd.DataFrame:
    """The order of Table 5's open rows where they have these A@1 and MR: the rows "table 5"."""
    for name in ("table_1", "table_2", "table_3", "table_4"):
        row = {"vocabulary": ["open"], "candidates": ["all"], "model": ["x"]}
        nothing = {f"{m}{end}": [math.nan] for m in ("A@1", "R@10") for end in ("", " paper")}
        monkeypatch.setattr(o, name, lambda study, row=row | nothing: pd.DataFrame(row))
    rows = [{"vocabulary": "open", "model": m, "A@1": a, "MR": r} for m, (a, r) in numbers.items()]
    table = e.with_paper(pd.DataFrame(rows), "table 5", "vocabulary")
    monkeypatch.setattr(o, "table_5", lambda study, **_: table)
    found = o.orders(None)
    return found[found["table"] == "table 5"].set_index("metric")


def test_orders_count_pairs_that_are_the_papers_way_round(monkeypatch):
    numbers = {"hashtag sum": (20.0, 4.0), "ours (hashtag)": (30.0, 5.0), OURS: (10.0, 1.0)}
    found = orders_of(monkeypatch, numbers)  # in the paper each is better than the one before
    assert found["pairs"].tolist() == [3, 3]
    assert found["as in the paper"].tolist() == [1, 2]
    turned = [text.split("; ") for text in found["the other way round"]]
    assert turned == [
        [f"hashtag sum > {OURS}", f"ours (hashtag) > {OURS}"],
        ["hashtag sum > ours (hashtag)"],
    ]


def test_rows_of_another_name_are_in_no_pair(monkeypatch):
    numbers = {"hashtag sum": (20.0, 4.0), "mean pooling": (30.0, 5.0), OURS: (40.0, 1.0)}
    found = orders_of(monkeypatch, numbers)
    assert found["pairs"].tolist() == found["as in the paper"].tolist() == [1, 1]


@pytest.mark.parametrize("turn", [False, True])
def test_two_rows_that_are_equal_here_are_neither_the_papers_way_round_nor_the_other(
    monkeypatch, turn
):
    rows = ["hashtag sum", OURS]
    rows = rows[::-1] if turn else rows
    found = orders_of(monkeypatch, dict.fromkeys(rows, (20.0, 2.0)))
    assert found["pairs"].tolist() == [1, 1]
    assert found["as in the paper"].tolist() == [0, 0]
    assert found["the other way round"].tolist() == ["", ""]


def test_rows_by_fold_name_the_fold_the_vocabulary_and_the_candidates(study):
    rows = e.prediction_by_fold(study, e.TABLE_1, ["frequency"])
    assert names_of(rows, "fold", "vocabulary", "candidates") == [
        (fold, vocabulary, which)
        for fold in (1, 2, 3)
        for vocabulary, of in (("fixed", ["seen"]), ("open", ["seen", "unseen", "all"]))
        for which in of
    ]


def test_the_same_seed_gives_identical_tables(photos, tmp_path):
    tables = []
    for name in ("a", "b"):
        again = make(photos, tmp_path / name, folds=2)
        tables.append(
            [
                e.table_1(again, [OURS, "used hashtags", "repeat recent"]),
                e.table_3(again, ["ours-FH"]),
                e.table_5(again, ["ours (hashtag)"], history=3),
                e.table_retrieval(again, ["ours (hashtag)"]),
                e.figure_history(again, ["ours (hashtag)"], [0, 3]),
            ]
        )
    for one, other in zip(*tables, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)

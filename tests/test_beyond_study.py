"""Ranking without some hashtags, metrics user by user, and the comparison with what copies."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from helpers import WORDS, batch_of, collection, fold_of, tiny_model
from torch import nn

from hashtag_core.data.loading import batches
from hashtag_core.errors import InputError
from hashtag_core.evaluation import ranking, rivals
from hashtag_core.evaluation.baselines import frequency, repeat_recent
from hashtag_core.evaluation.by_user import evaluate_by_user, mean_over_photos
from hashtag_core.evaluation.metrics import evaluate
from hashtag_core.evaluation.ranking import log_sum_exp, model_ranker, top_of_each
from hashtag_core.study.beyond import DRAWS, DUPLICATE, EVERY, _compare, _draws, hard_cases
from hashtag_core.study.rival_rows import rival, seconds
from hashtag_core.study.rows import (
    COPYING,
    IN_SECONDS,
    RIVALS,
    RULES,
    TABLE_1,
    TABLE_3,
    TABLE_BEYOND,
    choose,
    rows_for,
)
from hashtag_core.study.study import Study
from hashtag_core.study.tables import METRICS


# ranking without some hashtags
class Case:
    """Queries, hashtags, and for each photo which it shall not get: nothing, some, all."""

    def __init__(self, dtype, photos=13, V=50, ties=False):
        generator = torch.Generator().manual_seed(3)
        self.queries = torch.randn(photos, 5, generator=generator, dtype=dtype)
        self.psi = torch.randn(V, 8, generator=generator, dtype=dtype)
        if ties:
            self.queries, self.psi = self.queries.round(), self.psi.round()
        torch.manual_seed(0)
        self.side = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5)).to(dtype)
        if ties:
            self.side = nn.Linear(8, 5).to(dtype)
            with torch.no_grad():
                for weights in self.side.parameters():
                    weights.copy_((3 * weights).round())
        left_out = torch.rand(photos, V, generator=generator) < 0.4
        left_out[0], left_out[1], left_out[2, 10:20] = False, True, True
        self.left_out = left_out
        self.without = tuple(left_out.nonzero(as_tuple=True))
        mixed = torch.randperm(len(self.without[0]), generator=generator)  # in any order
        self.without = tuple(part[mixed] for part in self.without)
        with torch.no_grad():
            scores = self.queries.double() @ self.side(self.psi).double().T
        self.scores = scores.masked_fill(left_out, -torch.inf)


SETS = [range(0, 50), range(0, 30), range(30, 50), range(10, 20), range(4, 4)]
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
each_tile = pytest.mark.parametrize("tile", [1, 7, 1000])


@each_dtype
@each_tile
@pytest.mark.parametrize("at_once", [4, 5000])
@pytest.mark.parametrize("ties", [False, True])
def test_the_top_k_without_some_hashtags_are_those_of_a_full_sort(
    dtype, tile, at_once, ties, monkeypatch
):
    monkeypatch.setattr(ranking, "TILE", {"cpu": tile})
    monkeypatch.setattr(ranking, "PHOTOS", at_once)
    case = Case(dtype, ties=ties)
    for k in (1, 6, 60):
        found = top_of_each(case.queries, case.psi, case.side, SETS, k, case.without)
        for candidates, (top, ids) in zip(SETS, found, strict=True):
            assert top.shape == ids.shape == (13, k)
            for scores, best, own in zip(case.scores, top, ids.tolist(), strict=True):
                row = scores.tolist()
                left = [i for i in candidates if row[i] > -np.inf]
                expected = sorted(left, key=lambda i, row=row: (-row[i], i))[:k]
                n = len(expected)
                assert own == expected + [-1] * (k - n)
                torch.testing.assert_close(best[:n].double(), scores[expected], rtol=0, atol=1e-5)
                assert torch.isneginf(best[n:]).all()


@each_dtype
@each_tile
def test_leaving_nothing_out_changes_nothing(dtype, tile, monkeypatch):
    monkeypatch.setattr(ranking, "TILE", {"cpu": tile})
    case, none = Case(dtype), torch.zeros(0, dtype=torch.int64)
    plain = top_of_each(case.queries, case.psi, case.side, SETS, 8)
    for one, other in zip(
        plain, top_of_each(case.queries, case.psi, case.side, SETS, 8, (none, none)), strict=True
    ):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


@each_dtype
@each_tile
@pytest.mark.parametrize("at_once", [4, 5000])
@pytest.mark.parametrize("scale", [1, 300])
def test_the_sum_of_exp_f_is_that_of_a_loop(dtype, tile, at_once, scale, monkeypatch):
    monkeypatch.setattr(ranking, "TILE", {"cpu": tile})
    monkeypatch.setattr(ranking, "PHOTOS", at_once)
    case = Case(dtype)
    found = log_sum_exp(case.queries * scale, case.psi, case.side, case.without)
    assert found.dtype == torch.float64 and found.shape == (13,)
    assert found[1] == -torch.inf  # of nothing
    for n in (0, *range(2, 13)):
        kept = [scale * x for x in case.scores[n].tolist() if x > -np.inf]
        expected = max(kept) + np.log(sum(np.exp(x - max(kept)) for x in kept))
        assert float(found[n]) == pytest.approx(expected, abs=2e-5 * scale, rel=1e-5)


def test_the_sum_is_that_of_the_scores_whether_or_not_a_layer_is_moved_to_the_queries():
    """`fold` moves W and b of few photos and many hashtags; the top scores hold q^T b again."""
    for photos, V in ((1, 50), (13, 5), (13, 50)):
        case = Case(torch.float32, photos=max(photos, 3), V=max(V, 20))
        queries = case.queries[:photos]
        kept = tuple(part[case.without[0] < photos] for part in case.without)
        total = log_sum_exp(queries, case.psi, case.side, kept)
        every = [range(len(case.psi))]
        top, _ = top_of_each(queries, case.psi, case.side, every, len(case.psi), kept)[0]
        of_top = top.double().logsumexp(dim=1)
        torch.testing.assert_close(total, of_top, rtol=0, atol=1e-5)


# metrics user by user
def random_photos(seed=0):
    rng, histories = np.random.default_rng(seed), {}
    for user in range(10):
        liked = rng.choice(WORDS[: 25 if user < 6 else 40], 6, replace=False)
        photos = []
        for _ in range(1 if user in (0, 8) else int(rng.integers(2, 14))):
            own = rng.choice(liked, int(rng.integers(1, 4)), replace=False).tolist()
            photos.append(photos[-1] if photos and rng.random() < 0.4 else own)
        histories[f"user{user}"] = photos
    return histories


@pytest.fixture(scope="module")
def world():
    histories = random_photos()
    photos = collection(histories)
    hashtags, everybody = fold_of(photos)
    return photos, hashtags, everybody.only(range(6, 10)), histories


def test_means_over_photos_are_those_of_evaluate(world):
    _, hashtags, test, _ = world
    model = model_ranker(tiny_model(), hashtags, torch.device("cpu"))
    for ranker in (repeat_recent, frequency, model):
        rows = evaluate_by_user(ranker, test, hashtags)
        whole = evaluate(ranker, batches(test, 3), hashtags)
        assert {row["case"] for row in rows} == {"every photo"}
        for which, expected in whole.items():
            own = [row for row in rows if row["candidates"] == which]
            assert {row["user"] for row in own} <= {*test.users} and len(own) > 1
            assert sum(row["photos"] for row in own) == expected["photos"]
            for metric in METRICS:
                assert mean_over_photos(own, metric) == pytest.approx(expected[metric])
        for item, user in enumerate(test.users):
            alone = evaluate(ranker, [batch_of(test.only([item]))], hashtags)
            for row in (row for row in rows if row["user"] == user):
                assert {name: row[name] for name in alone["all"]} == alone[row["candidates"]]
    assert np.isnan(mean_over_photos([], "A@1"))


def test_only_photos_to_predict_count(world):
    _, hashtags, test, _ = world
    some = test.only(range(len(test)))
    some.predict = np.arange(len(some.predict)) % 2 == 0
    rows = evaluate_by_user(repeat_recent, some, hashtags, ("all",))
    asked = {u: int(some.predict[r].sum()) for u, r in zip(some.users, some.rows, strict=True)}
    assert {row["user"]: row["photos"] for row in rows} == {u: n for u, n in asked.items() if n}
    cases = {
        "any": None,
        "even": lambda batch: batch.rows % 2 == 0,
        "odd": lambda b: b.rows % 2 > 0,
    }
    split = evaluate_by_user(repeat_recent, some, hashtags, ("all",), cases)
    assert {row["case"] for row in split} == {"any", "even"}
    assert sum(row["photos"] for row in split) == 2 * sum(asked.values())


def naive_cases(sets, t, similar):
    """Which cases photo t is of."""
    before = sets[t - 1] if t else None
    return {
        EVERY: True,
        "no near-duplicate": not similar,
        "as the photo before": t > 0 and sets[t] == before,
        "not as the photo before": t > 0 and sets[t] != before,
        "nothing of the photo before": t > 0 and not sets[t] & before,
        "all new to the user": t > 0 and not sets[t] & set().union(*sets[:t]),
        "first five photos": t < 5,
        "no history": t == 0,
    }


def test_hard_cases_are_those_of_sets_and_three_of_them_part_the_photos(world):
    photos, _, _, histories = world
    features = photos.features.copy()
    rows = photos.rows_of(9)
    features[rows.start + 1] = features[2] * 2  # of a training user
    features[rows.start + 3] = features[rows.start + 2] + 0.01  # of the own past
    photos = type(photos)(photos.table, features, photos.meta)
    hashtags, everybody = fold_of(photos)
    train, test = everybody.only(range(6)), everybody.only(range(6, 10))
    unit = features.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    known = np.concatenate(train.rows)
    cases = hard_cases(photos, train)
    expected = {}
    for item, user in enumerate(test.users):
        batch = batch_of(test.only([item]))
        names = histories[photos.users[user]]
        sets = [{hashtags.ids[name] for name in own} for own in names]
        own = test.rows[item]
        found = {
            name: [True] * len(own) if case is None else case(batch).tolist()
            for name, case in cases.items()
        }
        for t, row in enumerate(own):
            similar = max(unit[row] @ unit[r] for r in (*known, *own[:t])) > DUPLICATE
            naive = naive_cases(sets, t, similar)
            assert {name: flags[t] for name, flags in found.items()} == naive
            for name, is_one in naive.items():
                expected[name] = expected.get(name, 0) + is_one
    counts = dict.fromkeys(cases, 0)
    for row in evaluate_by_user(repeat_recent, test, hashtags, ("all",), cases):
        counts[row["case"]] += row["photos"]
    assert counts == expected and all(counts.values())
    parts = "as the photo before", "not as the photo before", "no history"
    assert sum(counts[name] for name in parts) == counts[EVERY] == sum(map(len, test.rows))
    assert counts["no near-duplicate"] == counts[EVERY] - 2


def test_a_collection_without_pictures_has_no_duplicates(world):
    photos, _, test, _ = world
    bare = type(photos)(photos.table, photos.features[:, :0], photos.meta)
    assert "no near-duplicate" not in hard_cases(bare, test)


# the comparison
USERS = [(0, 10, 1), (0, 11, 3), (1, 12, 2)]  # fold, user, photos
A_1 = {
    "ours+": (60, 40, 30),  # folds: 45, 30
    "repeat recent": (40, 20, 50),  # 25, 50
    "tuned decay": (40, 40, 40),  # 40, 40: the best
    "base-level learning": (0, 0, 0),
}
R_10 = {
    "ours+": (90, 90, 90),
    "repeat recent": (80, 80, 80),  # the best
    "tuned decay": (10, 10, 10),
    "base-level learning": (20, 0, 0),
}


def table(users=USERS):
    rows = [
        {
            "fold": fold, "user": user, "model": model, "case": EVERY, "candidates": "all",
            "photos": n, "left_out": 0, **dict.fromkeys(METRICS, 50.0),
            "A@1": float(A_1[model][u]), "R@10": float(R_10[model][u]),
        }
        for model in A_1
        for u, (fold, user, n) in enumerate(users)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_small_table_compares_as_it_does_by_hand():
    assert {*COPYING} == {*A_1} - {"ours+"}
    shuffled = table().sample(frac=1, random_state=0)
    for rows in (table(), shuffled):
        found = _compare(rows).set_index("model").to_dict("index")
        assert list(found) == list(dict.fromkeys(rows["model"]))
        expected = {  # mean, std, diff, low, high, ahead
            "ours+": (37.5, 15 / 2**0.5, -2.5, -5, 5, 1),  # 20, 0 or 5 more, and 10 less
            "repeat recent": (37.5, 25 / 2**0.5, -2.5, -5, 5, 1),  # 0, 20 or 15 less, and 10 more
            "tuned decay": (40, 0, 0, 0, 0, 0),
            "base-level learning": (0, 0, -40, -40, -40, 0),
        }
        columns = ["A@1", *(f"A@1 {part}" for part in ("std", "diff", "low", "high", "ahead"))]
        for model, numbers in expected.items():
            assert [found[model][name] for name in columns] == pytest.approx(numbers, abs=1e-9)
        ours = found["ours+"]
        assert [ours[c.replace("A@1", "R@10")] for c in columns] == pytest.approx(
            [90, 0, 10, 10, 10, 2], abs=1e-9
        )
        assert (ours["photos"], ours["users"], ours["folds"]) == (6, 3, 2)
        assert (ours["case"], ours["candidates"]) == (EVERY, "all")
        assert ours["P@10 diff"] == ours["P@10 ahead"] == 0


def test_the_table_of_one_fold_has_no_deviation():
    found = _compare(table([(4, 10, 1), (4, 11, 3), (4, 12, 2)])).set_index("model")
    means = {name: (a + 3 * b + 2 * c) / 6 for name, (a, b, c) in A_1.items()}
    assert found["A@1"].to_dict() == pytest.approx(means)
    assert "A@1 std" not in found and (found["folds"] == 1).all()


def test_the_first_draw_is_the_users_as_they_are_and_others_are_drawn_within_folds():
    folds, photos = np.array([2, 2, 5, 2, 5, 7]), np.array([1, 3, 2, 4, 6, 9])
    draws = _draws(folds, photos)
    assert draws.shape == (1 + DRAWS, 6)
    np.testing.assert_allclose(draws[0], [1 / 24, 3 / 24, 2 / 24, 4 / 24, 6 / 24, 1 / 3])
    for fold in (2, 5, 7):
        own = folds == fold
        np.testing.assert_allclose(draws[:, own].sum(axis=1), 1 / 3)
        times = draws[:, own] / photos[own]
        times /= times.sum(axis=1, keepdims=True) / own.sum()  # how often each was drawn
        np.testing.assert_allclose(times, times.round(), atol=1e-9)
        np.testing.assert_allclose(times.mean(axis=0), 1, atol=0.15)
    values = np.random.default_rng(0).random(6)
    means = [np.average(values[folds == f], weights=photos[folds == f]) for f in (2, 5, 7)]
    assert draws[0] @ values == pytest.approx(np.mean(means))
    np.testing.assert_array_equal(draws, _draws(folds, photos))


def test_the_row_without_the_guard_can_be_asked_for_beside_ours_plus():
    names = ["ours+", "ours+ unguarded", "ours (hashtag)"]
    assert choose(TABLE_BEYOND, names) == {"open": ("ours (hashtag)", "ours+", "ours+ unguarded")}
    with pytest.raises(InputError, match="no row 'ours\\+ unguarded'"):
        choose(TABLE_1, names[1:])


def timed(photos, hours):
    """The same collection, with these times; None for an unknown one."""
    times = [None if h is None else h * 3_600_000_000 for h in hours]
    column = pa.array(times, pa.timestamp("us")).cast(photos.table["time"].type)
    place = photos.table.column_names.index("time")
    return type(photos)(
        photos.table.set_column(place, "time", column), photos.features, photos.meta
    )


def test_a_rule_in_seconds_is_a_row_where_all_times_are_known_and_in_order(world):
    photos, _, _, _ = world
    known, partly = (
        timed(photos, range(len(photos))),
        timed(photos, [None, *range(len(photos) - 1)]),
    )
    assert IN_SECONDS in rows_for(known, TABLE_BEYOND)["open"]
    for other, in_time in ((partly, True), (known, False)):
        assert IN_SECONDS not in rows_for(other, TABLE_BEYOND, in_time=in_time)["open"]
        with pytest.raises(InputError, match="needs photos in the order of time"):
            rows_for(other, TABLE_BEYOND, [IN_SECONDS], in_time=in_time)
    np.testing.assert_array_equal(seconds(known), 3600.0 * np.arange(len(photos)))
    assert np.isnan(seconds(partly)[0]) and seconds(partly)[1] == 0


def test_rivals_can_be_asked_for_wherever_repeat_recent_is_a_row():
    for rows in (TABLE_1, TABLE_3):
        names = ["repeat recent", *RIVALS, IN_SECONDS]
        for chosen in choose(rows, names).values():
            assert sorted(chosen) == sorted(names)
        for chosen in rows.values():
            assert set(RULES) < set(chosen)  # unasked
    with pytest.raises(InputError, match="no row 'TIFU-KNN'"):
        choose({"open": ("user agnostic",)}, ["TIFU-KNN"])


def test_the_rule_in_seconds_goes_by_time_and_its_settings_are_the_validation_users(world):
    photos, hashtags, test, _ = world
    gaps = np.random.default_rng(4).integers(1, 10_000, len(photos))
    timed_photos = timed(photos, np.cumsum(gaps).tolist())

    class One:
        train = valid = test

    One.hashtags = hashtags
    ranker, found = rival(IN_SECONDS, One, timed_photos), []
    for setting in rivals.GRIDS["base_level"]:
        rule = rivals.base_level(**setting, times=seconds(timed_photos))
        metrics = evaluate(rule, batches(test, 16), test.hashtags, ("all",))["all"]
        found.append((metrics["A@1"] + metrics["R@10"], -len(found), rule))
    best = max(found, key=lambda each: each[:2])[2]
    batch = batch_of(test)
    mine = ranker(batch, range(len(hashtags)), 10)
    torch.testing.assert_close(mine, best(batch, range(len(hashtags)), 10))
    in_steps = rival("base-level learning", One, timed_photos)(batch, range(len(hashtags)), 10)
    assert not torch.equal(mine, in_steps)


def test_what_is_kept_depends_on_the_times_too(world, tmp_path):
    photos, _, _, _ = world
    hours = list(range(len(photos)))
    one, same, later = (
        Study(timed(photos, each), tmp_path, device="cpu").provenance
        for each in (hours, hours, [h * h for h in hours])
    )
    assert one == same and one["sha256"] == later["sha256"] and one != later

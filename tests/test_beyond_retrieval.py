"""Pictures for a hashtag: by `ours+`, and like those of the hashtags with the nearest words."""

import math

import numpy as np
import pytest
import torch
from test_beyond import World, each_kind, log_p_of_all

from hashtag_core.beyond.evidence import each_user
from hashtag_core.beyond.retrieval import evaluate_plus_retrieval, picture_log_p
from hashtag_core.data.histories import collate
from hashtag_core.errors import InputError
from hashtag_core.evaluation.image_retrieval import (
    evaluate_nearest_hashtags,
    like_nearest,
    make_pool,
    mean_pictures,
)
from hashtag_core.evaluation.metrics import evaluate, rank_each

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def world():
    return World()


def past_of(plus, images, hashtags):
    past = plus.reader.new_user()
    for picture, own in zip(plus.reader.look(images), hashtags, strict=True):
        past.add(own, *picture)
    return past


@pytest.mark.parametrize("kind", ["f and s", "half trusted"])
def test_a_picture_has_the_p_that_it_has_as_the_next_photo(world, kind):
    plus, fold = world.kinds[kind], world.fold
    psi = plus.model.psi(fold.hashtags.psi)
    for item in range(len(fold.test)):
        batch = collate([fold.test[item]])
        expected = log_p_of_all(world.ranker(kind), batch)  # (T, V)
        _, images, hashtags = next(each_user(fold.test.only([item])))
        with torch.no_grad():
            states = plus.model.users(batch, psi)[0]  # (T + 1, d_u)
        for t in range(len(hashtags)):
            past = past_of(plus, images[:t], hashtags[:t])
            found = picture_log_p(plus, images, past, states[t], psi)  # (T, V)
            torch.testing.assert_close(found[t], expected[t], atol=2e-4, rtol=1e-4)
            np.testing.assert_allclose(found.exp().sum(dim=1), 1, atol=1e-6)


def test_parts_of_the_pictures_at_a_time_change_nothing(world, monkeypatch):
    plus, fold = world.kinds["f and s"], world.fold
    psi, (_, images, hashtags) = fold.hashtags.psi, next(each_user(fold.test))
    given = plus, images, past_of(plus, images, hashtags), torch.zeros(plus.model.config.d_u), psi
    whole = picture_log_p(*given)
    monkeypatch.setattr("hashtag_core.beyond.retrieval.PICTURES", 1)
    torch.testing.assert_close(picture_log_p(*given), whole, atol=1e-5, rtol=1e-5)


def test_every_user_asks_by_their_own_past_as_nobody_and_as_the_next_user(world):
    """The ranks of loops: pictures by p, the first own one with the hashtag."""
    plus, fold = world.kinds["f and s"], world.fold
    pool = make_pool(fold.test)
    psi, halves = plus.model.psi(fold.hashtags.psi), list(each_user(pool.halves))
    log_p = {}
    for item, (_, images, hashtags) in enumerate(halves):
        with torch.no_grad():
            state = plus.model.users(collate([pool.halves[item]]), psi)[0, -1]
        past = past_of(plus, images, hashtags)
        log_p[item] = picture_log_p(plus, pool.images.numpy(), past, state, psi)
    nobody = torch.zeros(plus.model.config.d_u)
    log_p[None] = picture_log_p(plus, pool.images.numpy(), plus.reader.new_user(), nobody, psi)
    ranks = {}
    for item, ids in enumerate(pool.asks):
        who = {"everyone": None, "this user": item, "another user": (item + 1) % len(halves)}
        for reading, whose in who.items():
            for i in ids:
                score = log_p[whose][:, i].tolist()
                order = sorted(range(len(score)), key=lambda n, s=score: (-s[n], n))
                own = [i in pool.hashtags_of[n] and pool.owner[n] == item for n in order]
                ranks.setdefault(reading, []).append(own.index(True) + 1)
    rows = evaluate_plus_retrieval(plus, pool, CPU)
    assert len(rows) == 6 and sum(map(len, pool.asks)) == rows[0]["queries"] > 3
    for row in rows:
        if row["relevant"] == "own":
            found = ranks[row["reading"]]
            assert row["A@1"] == pytest.approx(100 * np.mean([r == 1 for r in found]))
            assert row["MR"] == pytest.approx(np.median(found))


def test_without_f_pictures_for_a_hashtag_are_refused(world):
    plus = world.kinds["s and frequency"]
    with pytest.raises(InputError, match="need f"):
        evaluate_plus_retrieval(plus, make_pool(world.fold.test), CPU)


def test_what_a_hashtag_looks_like_is_the_mean_of_pictures_of_unit_length(world):
    train, hashtags = world.fold.train, world.fold.hashtags
    sums, counts = {}, {}
    for _, images, own in each_user(train):
        for image, ids in zip(images.astype(float), own, strict=True):
            for i in ids.tolist():
                length = math.sqrt(sum(x * x for x in image.tolist()))
                sums[i] = sums.get(i, 0) + image / length
                counts[i] = counts.get(i, 0) + 1
    means = mean_pictures(train)
    assert means.shape[0] == hashtags.num_seen == len(sums)
    for i, total in sums.items():
        np.testing.assert_allclose(means[i], total / counts[i], atol=1e-5)

    psi = hashtags.psi.numpy().astype(float)
    known = psi[: hashtags.num_seen]
    found = like_nearest(means, hashtags.psi, hashtags.psi[: hashtags.num_seen], nearest=3)
    for y, vector in enumerate(psi):
        cosines = [float(vector @ k / np.linalg.norm(vector) / np.linalg.norm(k)) for k in known]
        best = sorted(range(len(known)), key=lambda i, c=cosines: -c[i])[:4]
        if cosines[best[2]] - cosines[best[3]] < 1e-5:
            continue  # which of the two counts is open
        mixed = sum(max(cosines[i], 0) * means[i].numpy().astype(float) for i in best[:3])
        np.testing.assert_allclose(found[y], mixed / np.linalg.norm(mixed), atol=1e-4)


def test_the_rule_of_the_nearest_hashtags_asks_as_everyone(world):
    rows = evaluate_nearest_hashtags(world.fold.train, make_pool(world.fold.test))
    assert [(row["reading"], row["relevant"]) for row in rows] == [
        ("everyone", "own"),
        ("everyone", "anyone's"),
    ]


@each_kind
def test_several_sets_in_one_pass_are_those_of_one_at_a_time(world, kind):
    ranker, hashtags = world.ranker(kind), world.fold.hashtags
    batch = collate([world.fold.test[i] for i in range(len(world.fold.test))])
    sets = [hashtags.candidates(which) for which in ("seen", "unseen", "all")]
    for ids, ranked in zip(sets, rank_each(ranker, batch, sets, 10), strict=True):
        assert torch.equal(ranked, ranker(batch, ids, 10))


def test_a_subclass_that_ranks_otherwise_is_asked(world):
    class Nothing(type(world.ranker())):
        def __call__(self, batch, candidates, k):
            return torch.full((len(batch.rows), k), -1)

    ranker = Nothing(world.kinds["f and s"], world.fold.hashtags, CPU)
    batch = collate([world.fold.test[0]])
    assert evaluate(ranker, [batch], world.fold.hashtags, ("all",))["all"]["A@10"] == 0

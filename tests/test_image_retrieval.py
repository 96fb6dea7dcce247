"""Pictures for a hashtag: the pool of pictures, and the ranking by naive loops in float64."""

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from helpers import (
    ONE_PHOTO_USER,
    batch_of,
    collection,
    fold_of,
    tiny_config,
    tiny_fold,
    tiny_model,
)
from test_formulas import close, numbers

from hashtag_core.data.histories import UserHistories
from hashtag_core.evaluation.image_retrieval import (
    evaluate_own_pictures,
    evaluate_retrieval,
    make_pool,
    user_of_half,
)
from hashtag_core.model import joint_embedding
from hashtag_core.model.joint_embedding import HashtagModel, picture_scores

CPU = torch.device("cpu")
READINGS = ("everyone", "this user", "another user")


@pytest.fixture(scope="module")
def fold():
    return tiny_fold()


# --- the pool ---


def halves_of(photos, users):
    """[(user, rows of the first half, rows of the second half)]; the middle photo is searched."""
    found = []
    for user in users:
        rows = list(range(photos.rows_of(user).start, photos.rows_of(user).stop))
        if len(rows) > 1:
            found.append((user, rows[: len(rows) // 2], rows[len(rows) // 2 :]))
    return found


def ids_on(photos, hashtags, rows):
    return {hashtags.ids[name] for row in rows for name in photos.hashtags_of(row)}


def test_histories_are_cut_in_the_middle_and_the_second_halves_are_the_pool(fold):
    photos, hashtags, histories = fold
    pool = make_pool(histories)
    expected = halves_of(photos, range(8))
    assert [number for number, _, _ in expected] == pool.halves.users
    assert ONE_PHOTO_USER not in pool.halves.users
    assert [rows.tolist() for rows in pool.halves.rows] == [first for _, first, _ in expected]
    assert pool.rows.tolist() == [row for _, _, second in expected for row in second]
    owners = [item for item, (_, _, second) in enumerate(expected) for _ in second]
    assert pool.owner.tolist() == owners
    assert torch.equal(pool.images, torch.from_numpy(photos.features[pool.rows]).float())
    assert pool.hashtags_of == [ids_on(photos, hashtags, [row]) for row in pool.rows.tolist()]


def test_no_picture_of_a_first_half_is_in_the_pool(fold):
    pool = make_pool(fold[2])
    first = {row for rows in pool.halves.rows for row in rows.tolist()}
    assert len(first) > 0 and not first & set(pool.rows.tolist())


def test_users_ask_for_the_hashtags_that_stand_in_both_their_halves(fold):
    photos, hashtags, histories = fold
    expected = [
        sorted(ids_on(photos, hashtags, first) & ids_on(photos, hashtags, second))
        for _, first, second in halves_of(photos, range(8))
    ]
    assert make_pool(histories).asks == expected
    assert any(expected)


def test_the_pool_by_hand():
    histories = {
        "a": [["sun", "sea"], ["sea"], ["sun"], ["sea", "sky"], ["fish"]],
        "b": [["sky"]],
        "c": [["fish"], ["gull"]],
    }
    hashtags, items = fold_of(collection(histories), train_users=[0])
    pool = make_pool(items)
    assert pool.halves.users == [0, 2]
    assert [rows.tolist() for rows in pool.halves.rows] == [[0, 1], [6]]
    assert pool.rows.tolist() == [2, 3, 4, 7]
    assert pool.owner.tolist() == [0, 0, 0, 1]
    names = [{hashtags.names[i] for i in ids} for ids in pool.hashtags_of]
    assert names == [{"sun"}, {"sea", "sky"}, {"fish"}, {"gull"}]
    assert [{hashtags.names[i] for i in ids} for ids in pool.asks] == [{"sun", "sea"}, set()]


def test_the_histories_themselves_stay_whole(fold):
    _, _, histories = fold
    before = [rows.tolist() for rows in histories.rows]
    make_pool(histories)
    assert [rows.tolist() for rows in histories.rows] == before and len(histories.users) == 8


def test_at_most_so_many_users_are_drawn_with_the_seed(fold):
    _, _, histories = fold
    drawn = [make_pool(histories, max_users=4, seed=seed).halves.users for seed in range(8)]
    again = [make_pool(histories, max_users=4, seed=seed).halves.users for seed in range(8)]
    assert drawn == again
    assert all(users == sorted(users) and 3 <= len(users) <= 4 for users in drawn)
    assert len({tuple(users) for users in drawn}) > 2
    assert set().union(*drawn) == set(range(1, 8))


def test_of_drawn_users_too_owners_and_asks_belong_to_the_items_of_halves(fold):
    photos, hashtags, histories = fold
    pool = make_pool(histories, max_users=3, seed=1)
    for item, (_, first, second) in enumerate(halves_of(photos, pool.halves.users)):
        assert pool.halves[item]["rows"].tolist() == first
        assert pool.rows[pool.owner == item].tolist() == second
        both = ids_on(photos, hashtags, first) & ids_on(photos, hashtags, second)
        assert pool.asks[item] == sorted(both)


def test_pictures_come_from_the_query_side(fold):
    photos, hashtags, _ = fold
    second = -photos.features
    pool = make_pool(UserHistories(photos, hashtags, range(8), query_features=second))
    assert torch.equal(pool.images, torch.from_numpy(second[pool.rows]).float())


# --- the ranking ---


def log_probabilities(side, tags, num_seen):
    """Equation 8 for each hashtag: the sum goes over the seen ones."""
    scores = [sum(a * b for a, b in zip(side, tag, strict=True)) for tag in tags]
    total = sum(math.exp(score) for score in scores[:num_seen])
    return [score - math.log(total) for score in scores]


@torch.inference_mode()
def naive(model, hashtags, pool):
    """{(reading, relevant): (A@1, A@10, P@10, MR, queries)}: one picture and hashtag at a time."""
    psi, halves = model.psi(hashtags.psi), range(len(pool.halves))
    users = [model.users(batch_of(pool.halves, item), psi)[0, -1] for item in halves]
    tags, owner, results = model.phi_tag(psi).tolist(), pool.owner.tolist(), {}
    for item, ids in enumerate(pool.asks):
        readings = (torch.zeros_like(users[0]), users[item], users[(item + 1) % len(users)])
        for reading, user in zip(READINGS, readings, strict=True):
            sides = [model.queries(v[None], user[None])[0].tolist() for v in pool.images]
            log_p = [log_probabilities(side, tags, hashtags.num_seen) for side in sides]
            for i in ids:
                order = sorted(range(len(sides)), key=lambda n, i=i: (-round(log_p[n][i], 12), n))
                for relevant in ("own", "anyone's"):
                    hits = [
                        i in pool.hashtags_of[p] and (relevant == "anyone's" or owner[p] == item)
                        for p in order
                    ]
                    first = hits.index(True) + 1
                    results.setdefault((reading, relevant), []).append((first, sum(hits[:10])))
    found = {}
    for key, ranks in results.items():
        firsts, n = sorted(first for first, _ in ranks), len(ranks)
        found[key] = (
            100 * sum(first == 1 for first in firsts) / n,
            100 * sum(first <= 10 for first in firsts) / n,
            100 * sum(hits / 10 for _, hits in ranks) / n,
            (firsts[(n - 1) // 2] + firsts[n // 2]) / 2,
            n,
        )
    return found


def as_rows(found, pictures):
    names = ("A@1", "A@10", "P@10", "MR", "queries")
    return {
        key: {**dict(zip(names, values, strict=True)), "pictures": pictures}
        for key, values in found.items()
    }


def by_key(rows):
    return {(row.pop("reading"), row.pop("relevant")): row for row in deepcopy(rows)}


class InFloat64(HashtagModel):
    """Two pictures may be as near as the rounding of a float32: no naive loop finds their order."""

    def users(self, batch, psi):
        return super().users(replace(batch, history_images=batch.history_images.double()), psi)


def evaluated(config, hashtags, pool, seed):
    """(what `evaluate_retrieval` finds, what the naive loop finds) in float64."""
    torch.manual_seed(seed)
    model = InFloat64(config).double()
    assert model.training  # evaluate_retrieval turns it off
    hashtags = replace(hashtags, psi=hashtags.psi.double())
    pool = replace(pool, images=pool.images.double())
    ours = by_key(evaluate_retrieval(model, hashtags, pool, CPU))
    assert not model.training
    return ours, as_rows(naive(model, hashtags, pool), len(pool.rows))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("history", ["image+hashtag", "hashtag", "none"])
def test_retrieval_is_what_a_naive_loop_finds(fold, history, seed):
    _, hashtags, histories = fold
    ours, expected = evaluated(tiny_config(history), hashtags, make_pool(histories), seed)
    assert set(ours) == {(reading, kind) for reading in READINGS for kind in ("own", "anyone's")}
    for key, row in ours.items():
        assert row == pytest.approx(expected[key], rel=1e-6)


def test_a_model_with_learned_psi_is_evaluated_with_it(fold):
    _, hashtags, histories = fold
    config = tiny_config(learned_psi=True, num_hashtags=len(hashtags))
    ours, expected = evaluated(config, hashtags, make_pool(histories), seed=1)
    assert all(ours[key] == pytest.approx(expected[key], rel=1e-6) for key in expected)


def test_without_a_user_representation_all_readings_are_the_same(fold):
    _, hashtags, histories = fold
    rows = by_key(evaluate_retrieval(tiny_model("none"), hashtags, make_pool(histories), CPU))
    for relevant in ("own", "anyone's"):
        one, two, three = (rows[reading, relevant] for reading in READINGS)
        assert one == two == three


def test_readings_differ_where_there_is_one(fold):
    _, hashtags, histories = fold
    model, pool = tiny_model(), make_pool(histories)
    with torch.no_grad():
        model.g.W_u.weight.mul_(20)  # so that the user matters
    rows = by_key(evaluate_retrieval(model, hashtags, pool, CPU))
    assert len({str(rows[reading, "anyone's"]) for reading in READINGS}) == 3


def test_equal_scores_are_ranked_in_the_order_of_the_pool():
    histories = {
        "a": [["sun"], ["sea"], ["sky"], ["sun", "sea"]],
        "b": [["sun"], ["fish"], ["sun"], ["gull"]],
    }
    hashtags, items = fold_of(collection(histories), train_users=[0, 1])
    model, pool = tiny_model(), make_pool(items)
    with torch.no_grad():
        for parameter in model.phi_iu.parameters():
            parameter.zero_()  # every score is 0
    rows = by_key(evaluate_retrieval(model, hashtags, pool, CPU))
    # Pool: a's sky, a's sun sea; b's sun, b's gull. a asks for sun and sea, b for sun.
    for reading in READINGS:
        own, anyones = rows[reading, "own"], rows[reading, "anyone's"]
        assert own["queries"] == anyones["queries"] == 3 and own["pictures"] == 4
        assert own["MR"] == 2 and anyones["MR"] == 2  # 2, 2, 3 and 2, 2, 2
        assert own["A@1"] == 0 and own["A@10"] == 100
        assert own["P@10"] == pytest.approx(100 * (1 + 1 + 1) / 30)
        assert anyones["P@10"] == pytest.approx(100 * (2 + 1 + 2) / 30)


def test_pictures_beyond_the_tenth_place_count_in_the_rank_only():
    second = [["fish"]] * 30 + [["sun"]]
    histories = {"a": [["sea"]] * 4, "b": [["sun"]] + [["gull"]] * 30 + second}
    hashtags, items = fold_of(collection(histories), train_users=[0, 1])
    model, pool = tiny_model(), make_pool(items)
    with torch.no_grad():
        for parameter in model.phi_iu.parameters():
            parameter.zero_()  # every score is 0
    row = by_key(evaluate_retrieval(model, hashtags, pool, CPU))["this user", "own"]
    # a asks for the sea, which is at places 1 and 2; b asks for the sun, at place 2 + 31 alone.
    assert row["queries"] == 2 and row["pictures"] == 33
    assert row["A@1"] == 50 and row["A@10"] == 50 and row["MR"] == (1 + 33) / 2
    assert row["P@10"] == pytest.approx(100 * (2 + 0) / 20)


@pytest.mark.parametrize("chunk", [1, 5, 512])
@torch.inference_mode()
def test_picture_scores_are_equation_8_for_each_picture_and_hashtag(fold, monkeypatch, chunk):
    monkeypatch.setattr(joint_embedding, "CHUNK", chunk)
    _, hashtags, histories = fold
    model, images = tiny_model().double(), make_pool(histories).images.double()
    psi, num_seen = hashtags.psi.double(), hashtags.num_seen
    ids = [4, 0, num_seen + 1]  # the last one is unseen
    assert len(hashtags) > num_seen + 1 and len(images) > 5
    user = numbers(7)
    scores = picture_scores(model, images, user, psi, num_seen, ids)
    tags, expected = model.phi_tag(psi).tolist(), []
    for image in images:
        side = model.queries(image[None], user[None])[0].tolist()
        log_p = log_probabilities(side, tags, num_seen)
        expected.append([log_p[i] for i in ids])
    close(scores, expected)


@torch.inference_mode()
def test_what_all_hashtags_of_a_picture_have_in_common_changes_nothing(fold):
    _, hashtags, histories = fold
    model, pool = tiny_model().double(), make_pool(histories)
    given = (pool.images.double(), numbers(7), hashtags.psi.double(), hashtags.num_seen, [0, 3])
    before = picture_scores(model, *given)
    model.phi_tag[-1].bias += 3.0  # never learned: it adds q^T b to every f of Equation 7
    torch.testing.assert_close(picture_scores(model, *given), before)


@torch.inference_mode()
def test_the_user_of_a_half_is_the_state_after_its_last_photo(fold):
    photos, hashtags, histories = fold
    model, pool = tiny_model(), make_pool(histories)
    for item, (user, first, _) in enumerate(halves_of(photos, range(8))):
        states = model.users(batch_of(histories, user), hashtags.psi)[0]
        ours = user_of_half(model, pool.halves[item], hashtags.psi)
        torch.testing.assert_close(ours, states[len(first)])
        assert ours.shape == (7,)


# --- without a model ---


def test_pictures_like_ones_own_give_what_loops_give(fold):
    photos, hashtags, histories = fold
    pool = make_pool(histories)
    features = photos.features.astype(float).tolist()

    def cosine(x, y):
        dot = sum(a * b for a, b in zip(x, y, strict=True))
        return dot / math.sqrt(sum(a * a for a in x) * sum(b * b for b in y))

    found = {"own": [], "anyone's": []}  # (rank of the first, how many among the best ten)
    searched = [row for _, _, second in halves_of(photos, range(8)) for row in second]
    for user, first, second in halves_of(photos, range(8)):
        for i in sorted(ids_on(photos, hashtags, first) & ids_on(photos, hashtags, second)):
            having = [row for row in first if hashtags.names[i] in photos.hashtags_of(row)]
            mean = [sum(x) / len(having) for x in zip(*(features[r] for r in having), strict=True)]
            ranked = sorted(searched, key=lambda row, m=mean: -cosine(m, features[row]))
            for relevant, places in found.items():
                hits = [
                    hashtags.names[i] in photos.hashtags_of(row)
                    and (relevant == "anyone's" or row in range(*photos.rows_of(user).indices(99)))
                    for row in ranked
                ]
                places.append((hits.index(True) + 1, sum(hits[:10])))
    rows = evaluate_own_pictures(pool)
    assert [(row["reading"], row["relevant"]) for row in rows] == [
        ("this user", "own"),
        ("this user", "anyone's"),
    ]
    for row in rows:
        places = found[row["relevant"]]
        assert row["queries"] == len(places) and row["pictures"] == len(searched)
        for k in (1, 10):
            wanted = 100 * sum(first <= k for first, _ in places) / len(places)
            assert row[f"A@{k}"] == pytest.approx(wanted)
        among = [hits / 10 for _, hits in places]
        assert row["P@10"] == pytest.approx(100 * sum(among) / len(among))

"""The stronger rules, against loops over single photos that were written from their formulas.

The loops compute with fractions. Where there is a root or a power they compute with floats, and
scores that agree in ten digits are equal.
"""

import math
from collections import Counter, defaultdict
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch
from helpers import WORDS, batch_of, collection, fold_of, tiny_vectors

from hashtag_core.data.hashtags import build_hashtags
from hashtag_core.data.histories import UserHistories
from hashtag_core.data.loading import batches
from hashtag_core.evaluation.baselines import frequency, repeat_recent
from hashtag_core.evaluation.metrics import evaluate
from hashtag_core.evaluation.rivals import (
    GRIDS,
    _highest,
    base_level,
    choose,
    decayed,
    personal_and_global,
    tifu_knn,
    up_cf,
)

TRAIN, OTHERS = range(9), range(9, 14)
SEEDS = range(3)


class World:
    """Nine training users and five others, who also have words of their own; many scores tie."""

    def __init__(self, seed):
        rng, histories = np.random.default_rng(seed), {}
        for user in (*TRAIN, *OTHERS):
            liked = rng.choice(WORDS[:14] if user in TRAIN else WORDS[:20], 7, replace=False)
            length = 1 if user in (0, 9) else int(rng.integers(2, 14))
            histories[f"user{user:02d}"] = [
                rng.choice(liked, int(rng.integers(1, 4)), replace=False).tolist()
                for _ in range(length)
            ]
        self.photos = collection(histories, seed)
        self.hashtags, self.histories = fold_of(self.photos, TRAIN)
        self.train = self.histories.only(TRAIN)
        self.num_seen = self.hashtags.num_seen
        assert 0 < self.num_seen < len(self.hashtags)
        ids = self.hashtags.ids
        self.users = [  # [[{ids of a photo}, ...] of each user]
            [{ids[name] for name in names} for names in histories[user]]
            for user in sorted(histories)
        ]
        seconds = np.cumsum(rng.integers(0, 4, len(self.photos)) * 50).astype(float)  # some equal
        rows = self.histories.rows
        seconds[rows[11][-1]] = seconds[rows[3][0]] = np.nan
        self.times = seconds

    def batch(self):
        return batch_of(self.histories, *OTHERS)


@pytest.fixture(scope="module", params=SEEDS)
def world(request):
    return World(request.param)


# the rules again: a user's photos before the one to predict, the oldest first -> {id: score}
def loop_decayed(photos, decay):
    scores = defaultdict(Fraction)
    for back, photo in enumerate(reversed(photos)):
        for i in photo:
            scores[i] += Fraction(decay) ** back
    return scores


def loop_base_level(ages, photos, d):
    uses = defaultdict(list)
    for age, photo in zip(ages, photos, strict=True):
        for i in photo:
            uses[i].append(Fraction(1, age**d) if isinstance(d, int) else age**-d)
    return {i: sum(own) if isinstance(d, int) else math.fsum(own) for i, own in uses.items()}


def loop_tifu_vector(photos, groups, within, between):
    size = math.ceil(len(photos) / groups)
    newest_first = photos[::-1]
    parts = [newest_first[at : at + size] for at in range(0, len(photos), size)]
    vector = defaultdict(Fraction)
    for g, part in enumerate(parts):
        of_group = defaultdict(Fraction)
        for j, photo in enumerate(part):
            for i in photo:
                of_group[i] += Fraction(within) ** j / size
        for i, value in of_group.items():
            vector[i] += Fraction(between) ** g * value / len(parts)
    return vector


def loop_tifu(world, photos, groups, within, between, neighbours, alpha):
    own = loop_tifu_vector(photos, groups, within, between)
    theirs = [loop_tifu_vector(world.users[u], groups, within, between) for u in TRAIN]
    distance = [sum((own.get(i, 0) - v.get(i, 0)) ** 2 for i in {*own, *v}) for v in theirs]
    nearest = sorted(TRAIN, key=lambda u: (distance[u], u))[:neighbours]
    ids = set(own).union(*(theirs[u] for u in nearest))
    alpha = Fraction(alpha)
    return {
        i: alpha * own.get(i, 0)
        + (1 - alpha) * sum(theirs[u].get(i, 0) for u in nearest) / len(nearest)
        for i in ids
    }


def loop_up_cf(world, photos, r, q, neighbours, a):
    def popularity(photos):
        counts = Counter(i for photo in photos[-r:] for i in photo)
        return {i: count / len(photos[-r:]) for i, count in counts.items()}

    own, similar = set().union(*photos), {}
    for u in TRAIN:
        theirs = set().union(*world.users[u])
        similar[u] = len(own & theirs) / (len(own) ** a * len(theirs) ** (1 - a))
    scores = defaultdict(float, popularity(photos))
    for u in sorted(TRAIN, key=lambda u: (-round(similar[u], 10), u))[:neighbours]:
        for i, value in popularity(world.users[u]).items():
            scores[i] += similar[u] ** q * value
    return scores


def loop_mixed(world, photos, decay, share):
    own, share = loop_decayed(photos, decay), Fraction(share)
    scores = defaultdict(Fraction, {i: share * x / sum(own.values()) for i, x in own.items()})
    count = Counter(i for u in TRAIN for photo in world.users[u] for i in photo)
    for i, number in count.items():
        scores[i] += (1 - share) * Fraction(number, sum(count.values()))
    return scores


def ranking(scores, candidates, k):
    def key(i):
        score = scores.get(i, 0)
        return (-(float(f"{score:.10e}") if isinstance(score, float) else score), i)

    return (sorted(candidates, key=key)[:k] + [-1] * k)[:k]


def check(world, ranker, loop, k):
    """`loop` is called with (the user's rows up to the photo's, the photos before it)."""
    scores = []  # of each photo
    for user in OTHERS:
        photos, rows = world.users[user], world.histories.rows[user]
        scores.append({})  # the first photo
        scores += [loop(rows[: n + 1], photos[:n]) for n in range(1, len(photos))]
    for which in ("seen", "unseen", "all"):
        candidates = world.hashtags.candidates(which)
        expected = [ranking(each, candidates, k) for each in scores]
        assert ranker(world.batch(), candidates, k).tolist() == expected


K = pytest.mark.parametrize("k", [1, 5, 60])  # 60 are more than there are


@K
@pytest.mark.parametrize("decay", [0.1, 0.5, 0.62, 0.8, 0.95, 1])
def test_decayed(world, decay, k):
    check(world, decayed(decay), lambda _, photos: loop_decayed(photos, str(decay)), k)


@K
@pytest.mark.parametrize("d", [0.5, 1, 1.7, 2])
def test_base_level_in_steps(world, d, k):
    def loop(_, photos):
        return loop_base_level(range(len(photos), 0, -1), photos, d)

    check(world, base_level(d), loop, k)


@K
@pytest.mark.parametrize("d", [0.5, 1])
def test_base_level_in_seconds(world, d, k):
    without_times = [*world.histories.rows[11]]  # one of them is unknown
    mattered = []

    def loop(rows, photos):
        steps, seconds = range(len(photos), 0, -1), world.times[rows]
        if rows[0] in without_times:
            return loop_base_level(steps, photos, d)
        ages = [max(int(seconds[-1] - then), 1) for then in seconds[:-1]]
        scores = loop_base_level(ages, photos, d)
        everything = range(len(world.hashtags))
        in_steps = loop_base_level(steps, photos, d)
        mattered.append(ranking(scores, everything, 9) != ranking(in_steps, everything, 9))
        return scores

    check(world, base_level(d, world.times), loop, k)
    assert any(mattered)


TIFU = [  # groups, within, between, neighbours, alpha
    (1, "0.5", "1", 3, "0.9"),
    (2, "0.9", "0.7", 4, "0.5"),
    (3, "0.9", "0.7", 50, "0.2"),
    (4, "0.6", "0.4", 2, "0.8"),
    (20, "0.9", "0.5", 1, "0.7"),
    (3, "0.9", "0.7", 3, "1"),
    (3, "0.9", "0.7", 3, "0"),
]


@K
@pytest.mark.parametrize("settings", TIFU)
def test_tifu_knn(world, settings, k):
    groups, within, between, neighbours, alpha = settings
    ranker = tifu_knn(
        world.train, world.num_seen, groups, float(within), float(between), neighbours, float(alpha)
    )
    check(world, ranker, lambda _, photos: loop_tifu(world, photos, *settings), k)


def test_tifu_knn_of_one_group_and_the_user_alone_is_decayed(world):
    ranker = tifu_knn(world.train, world.num_seen, 1, 0.8, 0.3, 5, 1.0)
    candidates = world.hashtags.candidates("all")
    found, expected = (rank(world.batch(), candidates, 10) for rank in (ranker, decayed(0.8)))
    assert torch.equal(found, expected)


@K
@pytest.mark.parametrize("r, q, neighbours, a", [
    (1, 1, 3, 0.5), (2, 2, 9, 0.25), (5, 1, 2, 0.0), (100, 3, 50, 1.0), (3, 10, 4, 0.75),
])  # fmt: skip
def test_up_cf(world, r, q, neighbours, a, k):
    ranker = up_cf(world.train, world.num_seen, r, q, neighbours, a)
    check(world, ranker, lambda _, photos: loop_up_cf(world, photos, r, q, neighbours, a), k)


@K
@pytest.mark.parametrize(
    "decay, share", [("0.5", "0.5"), ("0.9", "0.1"), ("0.7", "0"), ("0.8", "1")]
)
def test_personal_and_global(world, decay, share, k):
    ranker = personal_and_global(world.hashtags.counts, float(decay), float(share))
    check(world, ranker, lambda _, photos: loop_mixed(world, photos, decay, share), k)


def test_of_equally_near_users_the_first_is_taken_also_where_rounding_parts_them():
    scores = np.array([0.2, 0.3, 0.1 + 0.2, 0.5, 0.3])
    assert scores[2] > scores[1]
    assert _highest(scores, 3).tolist() == [3, 1, 2]


def all_of(world):
    train = world.train, world.num_seen
    return {
        "decayed": decayed(0.8),
        "base_level": base_level(1.2),
        "base_level in seconds": base_level(0.7, world.times),
        "tifu_knn": tifu_knn(*train, 3, 0.9, 0.7, 3, 0.6),
        "up_cf": up_cf(*train, 3, 2, 4),
        "personal_and_global": personal_and_global(world.hashtags.counts, 0.8, 0.6),
    }


RULES = pytest.mark.parametrize("name", [*all_of(World(0))])


@RULES
def test_a_photos_hashtags_change_no_ranking_up_to_it_and_some_after_it(world, name):
    rank, batch, size = all_of(world)[name], world.batch(), len(world.hashtags)
    candidates, changed = world.hashtags.candidates("all"), 0
    before = rank(batch, candidates, 10)
    ends = batch.mask.sum(dim=1).cumsum(0).tolist()
    for n in range(len(batch.rows)):
        ids = batch.hashtag_ids.clone()
        own = slice(*batch.hashtag_offsets[n : n + 2].tolist())
        ids[own] = (ids[own] + 3) % size
        after = rank(replace(batch, hashtag_ids=ids), candidates, 10)
        end = next(end for end in ends if end > n)  # of the same user
        same = (before == after).all(dim=1)
        assert same[: n + 1].all() and same[end:].all()
        changed += int((~same).sum())
    assert changed > len(batch.rows)


@RULES
def test_the_order_of_users_in_a_batch_changes_nothing(world, name):
    rank, candidates = all_of(world)[name], world.hashtags.candidates("all")
    alone = {u: rank(batch_of(world.histories, u), candidates, 10) for u in OTHERS}
    for order in (OTHERS, OTHERS[::-1], (12, 9, 13, 11, 10)):
        found = rank(batch_of(world.histories, *order), candidates, 10)
        assert torch.equal(found, torch.cat([alone[u] for u in order]))


@RULES
def test_first_photos_are_by_frequency_and_others_are_not(world, name):
    batch, candidates = world.batch(), world.hashtags.candidates("all")
    first = torch.zeros_like(batch.mask)
    first[:, 0] = True
    first = first[batch.mask]  # (N,)
    found, plain = (rank(batch, candidates, 8) for rank in (all_of(world)[name], frequency))
    assert torch.equal(found[first], plain[first])
    assert (found[~first] != plain[~first]).any(dim=1).float().mean() > 0.8


@pytest.mark.parametrize("decay", [0.1, 0.3, 0.5])
def test_decayed_by_half_or_less_is_repeat_recent(world, decay):
    for which in ("seen", "unseen", "all"):
        args = batch_of(world.histories), world.hashtags.candidates(which), 10
        assert torch.equal(decayed(decay)(*args), repeat_recent(*args))


def long_history(length):
    rng = np.random.default_rng(length)
    photos = [rng.choice(WORDS[:25], 3, replace=False).tolist() for _ in range(length)]
    hashtags, items = fold_of(collection({"user0": photos}), [0])
    ids = [{hashtags.ids[name] for name in names} for names in photos]
    return batch_of(items), hashtags.candidates("all"), ids


def test_decayed_is_exact_in_long_histories():
    batch, candidates, _ = long_history(2000)  # 0.5^2000 is no float
    assert torch.equal(decayed(0.5)(batch, candidates, 25), repeat_recent(batch, candidates, 25))
    batch, candidates, photos = long_history(300)
    for decay in (0.62, 0.9):
        found = decayed(decay)(batch, candidates, 25)
        for n in (100, 298, 299):
            scores = loop_decayed(photos[:n], str(decay))
            assert found[n].tolist() == ranking(scores, candidates, 25)


@pytest.mark.parametrize("decay", [0.1, 0.7])
def test_the_oldest_photo_still_counts(decay):
    """Both stand on the last photo before, one on the first, too: 1 + 0.7^300 is 1 in floats."""
    histories = {
        "user0": [["sky"]] * 9 + [["sea"]] * 3,
        "user1": [["sea"], *[["sun"]] * 300, ["sky", "sea"], ["sun"]],
    }
    hashtags, items = fold_of(collection(histories), [0])
    assert hashtags.names[:2] == ["sky", "sea"]
    found = decayed(decay)(batch_of(items, 1), hashtags.candidates("seen"), 2)
    assert found[-1].tolist() == [1, 0]


def test_rules_give_old_uses_something_after_thousands_of_photos():
    histories = {"user0": [["sky"]] * 9 + [["sea"]] * 3, "user1": [["sea"], *[["sun"]] * 3000]}
    hashtags, items = fold_of(collection(histories), [0])
    assert hashtags.names == ["sky", "sea", "sun"]
    for rank in (decayed(0.5), decayed(0.95), base_level(2.5)):
        found = rank(batch_of(items, 1), hashtags.candidates("all"), 3)
        assert found[-1].tolist() == [2, 1, 0]


# choose
def two_worlds():
    """(validation users who come back to one hashtag, those who stay with the last one)."""
    back = [["sun"], ["sun"], ["sun"]] + [[w] for n in range(10) for w in (WORDS[5 + n], "sun")]
    stay = [[WORDS[n]] for n in range(8) for _ in range(2 + 3 * (n == 0))]
    for photos in (back, stay):
        histories = {"user0": [[word] for word in WORDS[::-1]]} | {"user1": photos}
        hashtags, items = fold_of(collection(histories), [0])
        yield hashtags, items.only([1])


@pytest.mark.parametrize("reverse", [False, True])
def test_choose_takes_the_better_one(reverse):
    settings = [{"decay": 0.5}, {"decay": 0.95}][:: -1 if reverse else 1]
    for (hashtags, valid), better in zip(two_worlds(), (0.95, 0.5), strict=True):
        best, found = choose(decayed, settings, valid)
        assert best == {"decay": better}
        for each, metrics in zip(settings, found, strict=True):
            rank = decayed(**each)
            assert metrics == evaluate(rank, batches(valid, 16), hashtags)["all"]


def test_choose_counts_both_numbers_and_takes_the_first_of_equal_ones():
    hashtags, valid = next(two_worlds())
    truth = torch.tensor([hashtags.ids["sun"], hashtags.ids[WORDS[5]]])

    def made(places, name):
        """Sun in these places: A@1 where it is the first, R@10 where it is among ten."""

        def rank(batch, candidates, k):
            others = [i for i in candidates if i not in truth.tolist()]
            for at, i in zip(places, truth.tolist(), strict=True):
                others.insert(at, i)
            return torch.tensor(others[:k]).expand(len(batch.rows), k)

        return rank

    def first_with(*places):
        settings = [{"places": p, "name": str(n)} for n, p in enumerate(places)]
        return int(choose(made, settings, valid)[0]["name"])

    assert first_with((11, 12), (0, 12)) == 1  # A@1 and R@10
    assert first_with((11, 12), (5, 12)) == 1  # R@10 alone
    assert first_with((5, 6), (0, 12)) == 1  # A@1 is worth more here than the one more found
    assert first_with((5, 6), (6, 5), (11, 12)) == 0


@pytest.mark.parametrize("name", [*GRIDS])
def test_grids_are_small_and_each_setting_is_a_ranker(name):
    world = World(0)
    made = {
        "decayed": decayed,
        "base_level": partial(base_level, times=world.times),
        "tifu_knn": partial(tifu_knn, world.train, world.num_seen),
        "up_cf": partial(up_cf, world.train, world.num_seen),
        "personal_and_global": partial(personal_and_global, world.hashtags.counts),
    }
    assert made.keys() == GRIDS.keys()
    grid = GRIDS[name]
    assert 1 < len(grid) <= 8 and all(grid.count(each) == 1 for each in grid)
    best, found = choose(made[name], grid, world.histories.only(OTHERS))
    assert best in grid and len(found) == len(grid)
    assert len({tuple(metrics.values()) for metrics in found}) > 1


def test_training_vectors_need_no_vocabulary_of_the_others(world):
    """Trained on one vocabulary, used with another one that has the same seen hashtags."""
    other = build_hashtags(world.photos, np.array(TRAIN), tiny_vectors(), [13])
    assert other.names[: world.num_seen] == world.hashtags.names[: world.num_seen]
    assert len(other) < len(world.hashtags)
    items = UserHistories(world.photos, other, [13])
    names = {}
    for hashtags, batch in (
        (other, batch_of(items)),
        (world.hashtags, batch_of(world.histories, 13)),
    ):
        for name, rank in all_of(world).items():
            best = rank(batch, hashtags.candidates("seen"), 5).tolist()
            assert names.setdefault(name, best) == best

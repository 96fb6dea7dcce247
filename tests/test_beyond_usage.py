"""What a user has done and what like photos of others say, against loops in float64.

The loops were written from the names of the numbers and from what the modules say of them: they
go over a list of a user's photos, each (hashtags, picture), and keep nothing.
"""

import math

import numpy as np
import pytest

from hashtag_core.beyond import evidence
from hashtag_core.beyond import looks as looks_module
from hashtag_core.beyond import memory as memory_module
from hashtag_core.beyond.evidence import MOST_USED, Candidates, Parts, PictureSpace, Reader
from hashtag_core.beyond.looks import Looks
from hashtag_core.beyond.memory import Memory
from hashtag_core.beyond.usage import (
    ALIKE,
    MOMENT,
    MOMENT_ALIKE,
    MOMENT_PICTURED,
    PICTURED,
    SHOWN,
    USED,
    UserPast,
    Vote,
)


# a user's past
def jaccard(a, b):
    return len({*a} & {*b}) / len({*a} | {*b}) if {*a} | {*b} else 0.0


def softmax(logits):
    weights = [math.exp(x - max(logits)) for x in logits]
    return [w / sum(weights) for w in weights]


def naive_moment(past, z):
    """{name: number} before a photo with picture z; past: [(hashtags, picture)]."""
    n, sets = len(past), [{*tags} for tags, _ in past]
    steps = [jaccard(sets[t], sets[t - 1] if t else set()) for t in range(n)]
    new = [len(sets[t] - set().union(*sets[:t])) / len(sets[t]) for t in range(n)]
    weights = {t: 0.9 ** (n - 1 - t) for t in range(1, n)}
    total = sum(weights.values()) + 1
    equal_run = 0
    while equal_run < n - 1 and sets[n - 1 - equal_run] == sets[n - 2 - equal_run]:
        equal_run += 1
    moment = {
        "photos": math.log(1 + n),
        "jaccard": steps[-1] if n else 0,
        "jaccard usually": (sum(w * steps[t] for t, w in weights.items()) + 0.5) / total,
        "equal usually": (sum(w for t, w in weights.items() if steps[t] == 1) + 0.4) / total,
        "size": math.log(len(sets[-1])) if n else 0,
        "size usually": math.log(sum(map(len, sets)) / n) if n else 0,
        "used": math.log(1 + len(set().union(*sets))),
        "equal run": math.log(1 + equal_run),
        "new usually": (sum(w * new[t] for t, w in weights.items()) + 0.3) / total,
    }
    if z is None:
        return moment
    like = [float(np.dot(z, own)) for _, own in past]
    to_before = {t: float(np.dot(past[t][1], past[t - 1][1])) for t in range(1, n)}
    best = max(like, default=0.0)
    last = like[-1] if n else 0.0
    newest = [to_before[t] for t in range(1, n)][-20:]
    alike = {t: math.exp(-(((x - last) / 0.1) ** 2)) for t, x in to_before.items()}
    near = sum(w * steps[t] for t, w in alike.items()) + 0.5
    return moment | {
        "likeness of last": last,
        "best likeness": best,
        "last - best": last - best,
        "lag of best": math.log(n - like.index(best)) if n else 0,
        "last - usual": last - sum(newest) / len(newest) if newest else 0,
        "jaccard at such a step": near / (sum(alike.values()) + 1),
        "likeness of last but one": like[-2] if n > 1 else 0,
    }


def naive_used(past, z, tag):
    """{name: number} of one used hashtag."""
    n, sets = len(past), [{*tags} for tags, _ in past]
    uses = [t for t in range(n) if tag in sets[t]]
    used = {f"decayed {d}": (1 - d) * sum(d ** (n - 1 - t) for t in uses) for d in DECAYS}
    run = 0
    while run < n and tag in sets[n - 1 - run]:
        run += 1
    followed = [t for t in uses if t < n - 1]  # uses with a photo behind them
    like_last = {t: jaccard(sets[t], sets[-1]) for t in range(n - 1)}
    equal = [t for t in like_last if sets[t] == sets[-1]]
    weight = sum(like_last.values()) + 0.3
    used |= {
        "share": len(uses) / n,
        "count": math.log(1 + len(uses)),
        "rate": len(uses) / (n - uses[0]),
        "lag": math.log(n - uses[-1]),
        "age": math.log(n - uses[0]),
        "run": math.log(1 + run),
        "continues": (sum(t + 1 in uses for t in followed) + 1) / (len(followed) + 1.5),
        "on the last photo": n - 1 in uses,
        "on the last but one": n - 2 in uses,
        "on the third last": n - 3 in uses,
        "beside like": sum(w for t, w in like_last.items() if t in uses) / weight,
        "after like": sum(w for t, w in like_last.items() if t + 1 in uses) / weight,
        "after equal": sum(t + 1 in uses for t in equal) / (len(equal) + 0.3),
    }
    if z is None:
        return used
    like = [float(np.dot(z, own)) for _, own in past]
    recent = softmax([like[t] / 0.12 - 0.8 * math.log(n - t) for t in range(n)])
    behind = softmax([float(np.dot(past[-1][1], own)) / 0.1 for _, own in past[:-1]])
    nearest = sorted(range(n), key=lambda t: -like[t])[:3]  # the oldest of equal ones first
    most = max(like[t] for t in uses)
    used |= {f"attention {x}": sum(softmax([y / x for y in like])[t] for t in uses) for x in SHARP}
    return used | {
        "attention, recent": sum(recent[t] for t in uses),
        "after like picture": sum(w for t, w in enumerate(behind) if t + 1 in uses),
        "most like": most,
        "most like - best": most - max(like),
        "on the nearest": nearest[0] in uses,
        "on the nearest three": sum(t in uses for t in nearest) / 3,
        "likeness at last use": like[uses[-1]],
        "mean likeness": sum(like[t] for t in uses) / len(uses),
    }


DECAYS, SHARP = (0.2, 0.5, 0.8, 0.95), (0.2, 0.08)


def random_past(seed, n, d_z, names=50):
    """Photos of 1 to 5 hashtags, often those before; pictures whose products are exact numbers.

    Some are the same, some are missing (zeros).
    """
    rng, past = np.random.default_rng(seed), []
    kinds = rng.integers(-3, 4, (max(n // 2, 2), d_z)) / 8
    kinds[0] = 0
    for _ in range(n):
        tags = rng.choice(names, int(rng.integers(1, 6)), replace=False).tolist()
        if past and rng.random() < 0.7:
            before = past[-1 - int(rng.integers(0, min(len(past), 4)))][0]
            tags = before if rng.random() < 0.6 else [*dict.fromkeys([*before[1:], tags[0]])]
        past.append((tags, kinds[rng.integers(len(kinds))]))
    return past, kinds[-1]


def grown(past, d_z, shown=None):
    own = UserPast(d_z, looks=shown is not None)
    for t, (tags, picture) in enumerate(past):
        seen = picture.astype(np.float32) if d_z else None
        own.add(np.array(tags), seen, shown and shown[t])
    return own


@pytest.mark.parametrize("photos", [0, 1, 2, 15])
def test_attention_by_what_pictures_show_is_that_of_loops(photos):
    rng, (past, _) = np.random.default_rng(photos), random_past(photos, photos, 0, names=9)
    shown = []
    for t in range(photos + 1):
        ids = np.sort(rng.choice(60, int(rng.integers(1, 50)), replace=False))
        shares = rng.dirichlet(np.full(len(ids), 0.3))
        shown.append(Vote(ids, shares) if t % 5 != 3 else Vote(ids[:0], shares[:0]))
    own = grown(past, 0, shown[:photos])
    described = own.describe(None, shown[photos])
    assert described.used.shape == (len(own.ids), len(USED) + len(ALIKE))
    alike, asked = [], dict(zip(*map(list, shown[photos]), strict=True))
    for ids, shares in shown[:photos]:
        kept = sorted(zip(-shares, ids, strict=True))[:SHOWN]
        alike.append(sum(math.sqrt(-p * asked.get(i, 0)) for p, i in kept))
    soft, sharp = softmax([x / 0.1 for x in alike]), softmax([x / 0.03 for x in alike])
    recent = softmax([x / 0.1 - 0.8 * math.log(photos - t) for t, x in enumerate(alike)])
    for tag, row in zip(own.ids, described.used[:, len(USED) :], strict=True):
        uses = [t for t in range(photos) if tag in past[t][0]]
        expected = {
            "alike": sum(soft[t] for t in uses),
            "alike, sharp": sum(sharp[t] for t in uses),
            "alike, recent": sum(recent[t] for t in uses),
            "most alike": max(alike[t] for t in uses),
            "share of alike": sum(alike[t] ** 2 for t in uses) / (sum(x**2 for x in alike) + 0.1),
            "mean alikeness": sum(alike[t] for t in uses) / len(uses),
        }
        assert [*expected] == [*ALIKE]
        np.testing.assert_allclose(row, [*expected.values()], rtol=5e-3, atol=2e-3)
    moment = [alike[-1] if alike else 0, max(alike, default=0), math.log(1 + sum(alike))]
    assert len(MOMENT_ALIKE) == 3
    np.testing.assert_allclose(described.moment[-3:], moment, rtol=2e-3, atol=1e-3)


def check(past, z, **tolerance):
    """`describe` says what the loops say, of every hashtag and of the moment."""
    d_z = 0 if z is None else len(z)
    own = grown(past, d_z)
    described = own.describe(None if z is None else z.astype(np.float32))
    names = [*USED, *(PICTURED if d_z else ())]
    assert own.ids == [*dict.fromkeys(tag for tags, _ in past for tag in tags)]
    assert described.used.shape == (len(own.ids), len(names)) and len(own) == len(past)
    rows = [naive_used(past, z, tag) for tag in own.ids]
    assert all(row.keys() == {*names} for row in rows)
    expected = np.array([[row[name] for name in names] for row in rows], dtype=float)
    for column, name in enumerate(names):
        found = described.used[:, column]
        of = expected[:, column] if rows else []
        np.testing.assert_allclose(found, of, err_msg=name, **tolerance)
    moment = naive_moment(past, z)
    assert list(moment) == [*MOMENT, *(MOMENT_PICTURED if d_z else ())]
    for found, (name, expected_one) in zip(described.moment, moment.items(), strict=True):
        np.testing.assert_allclose(found, expected_one, err_msg=name, **tolerance)


@pytest.mark.parametrize("d_z", [0, 5])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 7, 16, 17, 33, 70])
def test_every_number_of_a_past_is_that_of_a_loop(n, d_z):
    for seed in range(3 if n < 20 else 1):
        past, z = random_past(seed, n, d_z)
        check(past, z if d_z else None, rtol=1e-5, atol=2e-6)


def test_pasts_where_nothing_or_everything_changes_are_those_of_a_loop():
    z = np.array([0.5, 0.25])
    for tags in ([[1, 2]] * 20, [[t, t + 1000] for t in range(40)], [[t % 2] for t in range(9)]):
        for pictures in ([z] * 40, [0 * z] * 40, [z, -z, 0 * z, z[::-1]] * 10):
            past = list(zip(tags, pictures, strict=False))
            check(past, z, rtol=1e-5, atol=2e-6)
            check(past, 0 * z, rtol=1e-5, atol=2e-6)  # the photo to predict has no picture


def test_pictures_that_float16_rounds_change_little():
    rng = np.random.default_rng(0)
    pictures = rng.normal(size=(31, 16))
    pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)
    past = [(tags, z) for (tags, _), z in zip(random_past(1, 30, 2)[0], pictures, strict=False)]
    check(past, pictures[-1], rtol=0.01, atol=0.002)


def test_no_picture_is_a_picture_of_zeros_and_describing_changes_nothing():
    one, other = UserPast(3), UserPast(3)
    for t in range(20):
        one.add([t % 3, 7])
        other.add([t % 3, 7], np.zeros(3, np.float32))
        found, same = one.describe(), other.describe(np.zeros(3, np.float32))
        again = one.describe()
        for name in ("used", "moment", "promise"):
            np.testing.assert_array_equal(getattr(found, name), getattr(same, name))
            np.testing.assert_array_equal(getattr(found, name), getattr(again, name))
    assert one.nbytes > 0 and np.isfinite(found.used).all()


def test_the_recent_photos_are_the_newest_first():
    past, _ = random_past(0, 40, 0)
    own = grown(past, 0)
    for photos in (0, 1, 12, 40, 99):
        found = [ids.tolist() for ids in own.recent(photos)]
        assert found == [tags for tags, _ in past[::-1][:photos]]
    assert UserPast(0).recent(12) == []


# the memory
V, D_Z = 30, 4


class Photos:
    """Photos of six users as lists, and the memory of them."""

    def __init__(self, seed=0, photos=60, d_z=D_Z, without=None):
        rng = np.random.default_rng(seed)
        self.owners = np.sort(rng.integers(0, 6, photos)) * 3 + 2  # numbers with gaps
        self.tags = [
            rng.choice(V - 3, int(rng.integers(1, 6)), replace=False) for _ in range(photos)
        ]
        for t in np.flatnonzero(self.owners == 5)[:2]:
            self.tags[t] = np.append(self.tags[t], V - 2)  # of this user alone
        z = rng.normal(size=(photos, d_z)).astype(np.float32)
        self.z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-9)
        self.z[3] = 0  # no picture
        self.rarity, self.used = [], []
        for i in range(V):
            users = {self.owners[p] for p in range(photos) if i in self.tags[p]}
            everyone = len({*self.owners.tolist()})
            self.rarity.append(max(math.log((everyone + 1) / (len(users) + 0.5)), 0.1))
            self.used.append(bool(users))
        if without is not None:
            kept = np.flatnonzero(self.owners != without)
            self.owners, self.z = self.owners[kept], self.z[kept]
            self.tags = [self.tags[p] for p in kept]
        offsets = np.cumsum([0, *map(len, self.tags)])
        self.memory = Memory(self.z, np.concatenate(self.tags), offsets, self.owners, V)

    def vector(self, tags):
        """The photo's hashtags as a dense vector of unit length; zeros where all are unknown."""
        v = np.zeros(V)
        for i in tags:
            if i < V:
                v[i] = self.rarity[i]
        return v / max(np.linalg.norm(v), 1e-30)

    def bag(self, recent):
        recent = [[i for i in tags if i >= V or self.used[i]] for tags in recent[:12]]
        v = sum((0.6**b * self.vector(tags) for b, tags in enumerate(recent)), np.zeros(V))
        return v / max(np.linalg.norm(v), 1e-30)

    def votes(self, z, bag, without, neighbours):
        """{name of the vote: dense shares, None where two are equally far}; best likenesses."""
        allowed = [p for p in range(len(self.tags)) if self.owners[p] != without]
        near = {p: float(self.z[p].astype(float) @ z.astype(float)) for p in allowed}
        like = {p: float(self.vector(self.tags[p]) @ bag) for p in allowed}
        asked = {
            "pictures": near,
            "hashtags": {p: x for p, x in like.items() if x > 0},
            "both": {p: near[p] + like[p] for p in allowed},
        }
        found = {}
        for name in self.memory.votes:
            kind, temperature = name.split()[0], float(name.split()[1])
            order = sorted(asked[kind], key=lambda p, by=asked[kind]: -by[p])
            top, after = order[:neighbours], order[neighbours : neighbours + 1]
            shares = np.zeros(V)
            weights = softmax([asked[kind][p] / temperature for p in top]) if top else []
            for p, weight in zip(top, weights, strict=True):
                shares[self.tags[p]] += weight
            near_tie = after and asked[kind][top[-1]] - asked[kind][after[0]] < 1e-5
            found[name] = None if near_tie else shares
        best = [max(by.values(), default=0.0) for by in (near, like)]
        return found, best

    def shown(self, z, allowed):
        """p(y | z) by the mean pictures of the hashtags that two users have, (V,), by loops."""
        pictures = {i: [] for i in range(V)}
        for p in allowed:
            for i in self.tags[p]:
                if self.z[p].any():
                    pictures[i].append((self.owners[p], self.z[p].astype(float)))
        known = [i for i in pictures if len({owner for owner, _ in pictures[i]}) > 1]
        if not known or not z.any():
            return np.zeros(V)
        around, free = 0.0, 0
        for i in known:
            mean = np.mean([x for _, x in pictures[i]], axis=0)
            around += sum(((x - mean) ** 2).sum() for _, x in pictures[i])
            free += (len(pictures[i]) - 1) * len(z)
        logits = []
        for i in known:
            n, total = len(pictures[i]), np.sum([x for _, x in pictures[i]], axis=0)
            # |z|² is the same for all
            distance = ((total / (n + 4)) ** 2).sum() - 2 * z.astype(float) @ total / (n + 4)
            logits.append(math.log(n) - distance / (2 * max(around / free, 1e-4)))
        shares = np.zeros(V)
        shares[known] = softmax(logits)
        return shares


def dense(vote):
    assert (np.diff(vote.ids) > 0).all() and len(vote.ids) == len(vote.shares)
    shares = np.zeros(V)
    shares[vote.ids] = vote.shares
    return shares


def random_bags(seed, times=12):
    """The recent hashtags before some photos, also unknown ones, none, and very many photos."""
    rng = np.random.default_rng(seed)
    bags = [[], [np.array([V, V + 5])], [np.array([V + 1]), np.array([3, V])]]
    sizes = rng.integers(1, 20, times)
    return bags + [
        [rng.choice(V + 4, int(rng.integers(1, 4)), replace=False) for _ in range(n)] for n in sizes
    ]


@pytest.mark.parametrize("d_z", [0, D_Z])
@pytest.mark.parametrize("without", [None, 5, 99])
@pytest.mark.parametrize("neighbours", [1, 7, 100])
def test_votes_are_those_of_dense_vectors(d_z, without, neighbours, monkeypatch):
    photos = Photos(d_z=d_z)
    monkeypatch.setattr(memory_module, "NEIGHBOURS", neighbours)
    monkeypatch.setattr(memory_module, "SCORES", 4 * len(photos.tags))  # four photos at a time
    recent = random_bags(1)
    z = np.random.default_rng(2).normal(size=(len(recent), d_z)).astype(np.float32)
    bags = [photos.memory.bag(own) for own in recent]
    votes, best = photos.memory.ask(z, bags, without)
    assert len(votes) == len(best) == len(recent)
    kinds = ["pictures 0.07", "pictures 0.15", "hashtags 0.1", "both 0.12"]
    assert photos.memory.votes == (kinds if d_z else kinds[2:3])
    compared = 0
    for t, own in enumerate(recent):
        bag = photos.bag(own)
        expected = np.array([bags[t].get(i, 0.0) for i in range(V)])
        np.testing.assert_allclose(expected, bag, atol=1e-6)
        assert all(i < V for i in bags[t])
        like = [photos.vector(tags) @ bag for tags in photos.tags]
        np.testing.assert_allclose(photos.memory.like_hashtags(bags[t]), like, atol=1e-6)
        expected, highest = photos.votes(z[t], bag, without, neighbours)
        np.testing.assert_allclose(best[t], highest, atol=1e-5)
        for vote, (_, shares) in zip(votes[t], expected.items(), strict=True):
            if shares is not None:
                np.testing.assert_allclose(dense(vote), shares, rtol=1e-3, atol=1e-5)
                compared += 1
    assert compared > 0.6 * sum(map(len, votes))


def test_a_users_own_photos_never_vote():
    photos, others = Photos(), Photos(without=5)
    z = photos.z[photos.owners == 5][:3]
    bags = [photos.memory.bag([np.array([V - 2, 1])]) for _ in z]
    alone, _ = photos.memory.ask(z, bags, 5)
    plain, _ = others.memory.ask(z, bags)
    everyone, _ = photos.memory.ask(z, bags)
    for mine, same, all_of_them in zip(alone, plain, everyone, strict=True):
        assert any(V - 2 in vote.ids for vote in all_of_them)
        for vote, expected, name in zip(mine, same, photos.memory.votes, strict=True):
            assert V - 2 not in vote.ids
            np.testing.assert_array_equal(vote.ids, expected.ids)
            if name.startswith("pictures"):  # rarity is everyone's, so cosines may differ
                np.testing.assert_allclose(vote.shares, expected.shares, rtol=1e-5)


def test_a_memory_of_nobody_else_says_nothing():
    photos = Photos(photos=8)
    alone = Memory(photos.z, np.arange(8), np.arange(9), np.full(8, 4), V)
    votes, best = alone.ask(photos.z[:2], [{}, {1: 1.0}], without=4)
    assert [[len(vote.ids) for vote in own] for own in votes] == [[0] * 4] * 2
    assert not best.any()
    _, highest = alone.ask(photos.z[:1], [{1: 1.0}])
    assert highest[0] == pytest.approx([1, 1], abs=1e-5)


@pytest.fixture
def looks_of_few(monkeypatch):
    """A memory of few photos has looks, too."""
    monkeypatch.setattr(memory_module, "ENOUGH", 0)


def test_few_photos_have_no_looks():
    assert Photos().memory.looks is None
    assert reader_of(Photos(), Parts()).look(np.ones((1, D_Z), np.float32))[0].shown is None


@pytest.mark.parametrize("without", [None, 5, 99])
def test_what_a_picture_shows_is_that_of_loops(without, looks_of_few):
    photos = Photos()
    z = np.random.default_rng(7).normal(size=(9, D_Z)).astype(np.float32)
    z[4] = 0  # no picture
    allowed = [p for p in range(len(photos.tags)) if photos.owners[p] != without]
    for picture, vote in zip(z, photos.memory.looks.shown(z, without), strict=True):
        np.testing.assert_allclose(
            dense(vote), photos.shown(picture, allowed), rtol=1e-3, atol=1e-6
        )


def test_a_users_own_photos_never_show_anything(looks_of_few):
    photos, others = Photos(), Photos(without=5)
    z = photos.z[photos.owners == 5][:3]
    mine, same = photos.memory.looks.shown(z, 5), others.memory.looks.shown(z)
    for vote, expected in zip(mine, same, strict=True):
        assert V - 2 not in vote.ids  # that user alone has it
        np.testing.assert_array_equal(vote.ids, expected.ids)
        np.testing.assert_allclose(vote.shares, expected.shares, rtol=1e-4)
    alone = Memory(photos.z[:8], np.arange(8), np.arange(9), np.full(8, 4), V)
    assert [len(vote.ids) for vote in alone.looks.shown(z)] == [0, 0, 0]


@pytest.mark.parametrize("noise", [0, 0.01, 1])
def test_what_a_picture_shows_is_exact_where_one_user_has_nearly_all_photos(noise):
    """Little is left of large sums; without noise all pictures of a hashtag are the same."""
    photos, rng = Photos(photos=20_000), np.random.default_rng(3)
    photos.owners = np.where(rng.random(20_000) < 0.998, 5, photos.owners)
    photos.tags = [tags[:1] for tags in photos.tags]
    z = rng.normal(size=(V, D_Z))[[tags[0] for tags in photos.tags]]
    z += noise * rng.normal(size=z.shape)
    photos.z = (z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32)
    looks = Looks(photos.z, np.concatenate(photos.tags), np.arange(20_000), photos.owners)
    allowed = [p for p in range(20_000) if photos.owners[p] != 5]
    asked = (photos.z[:20] + photos.z[20:40]) / 2  # between two hashtags
    for picture, vote in zip(asked, looks.shown(asked, 5), strict=True):
        np.testing.assert_allclose(dense(vote), photos.shown(picture, allowed), atol=1e-4)


@pytest.mark.parametrize("without", [None, 5])
def test_what_a_picture_shows_is_the_same_in_parts_and_of_the_most_probable_hashtags(
    without, monkeypatch, looks_of_few
):
    photos = Photos(photos=60)
    z = np.random.default_rng(7).normal(size=(9, D_Z)).astype(np.float32)
    whole = photos.memory.looks.shown(z, without)
    monkeypatch.setattr(looks_module, "SCORES", 3 * V)
    monkeypatch.setattr(looks_module, "MOST", 4)
    parts = Photos(photos=60).memory.looks.shown(z, without)
    for (ids, shares), (few, theirs) in zip(whole, parts, strict=True):
        assert shares.sum() == pytest.approx(1) and len(few) == 4 and (np.diff(few) > 0).all()
        assert sorted(few) == sorted(ids[np.argsort(-shares)[:4]])
        np.testing.assert_allclose(theirs, shares[np.isin(ids, few)], rtol=1e-4)


# pictures as short vectors; candidates
def test_the_space_of_pictures_keeps_the_strongest_axes_and_no_picture_is_zeros():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6)) + 3
    images[:5] = 0
    images = images.astype(np.float32)
    there = images[5:].astype(float)
    values, axes = np.linalg.eigh(np.cov(there.T, bias=True))
    for size in (2, 128):
        space = PictureSpace.of(images, size)
        chosen = np.argsort(-values)[:size]
        np.testing.assert_allclose(np.abs(space.axes), np.abs(axes / values**0.25)[:, chosen], 1e-3)
        z = space(images)
        assert not z[:5].any() and z.dtype == np.float32
        mean = there.mean(0).astype(np.float16).astype(float)  # as it is kept
        expected = (there - mean) @ space.axes
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(z[5:], expected, atol=1e-4)
    for none in (images[:5], images[:, :0]):
        assert PictureSpace.of(none)(none).shape == (len(none), 0)


def reader_of(photos, parts):
    space = PictureSpace(np.zeros(D_Z, np.float32), np.eye(D_Z, dtype=np.float32))
    return Reader(parts, space, photos.memory)


@pytest.mark.parametrize("most", [2, 1000])
@pytest.mark.parametrize(
    "parts",
    [
        Parts(),
        Parts(usage=False),
        Parts(pictures=False),
        Parts(memory=False),
        Parts(looks=False),
    ],
)
def test_candidates_are_used_and_voted_ones_and_each_input_is_what_it_is_called(
    parts, most, monkeypatch, looks_of_few
):
    monkeypatch.setattr(evidence, "MOST_USED", most)
    monkeypatch.setattr(evidence, "MOST_VOTED", most)
    photos = Photos()
    reader = reader_of(photos, parts)
    history = random_past(3, 12, D_Z, names=V + 4)[0]
    images = np.random.default_rng(4).normal(size=(12, D_Z)).astype(np.float32)
    images[5] = 0
    z, shown = reader.space(images), [picture.shown for picture in reader.look(images)]
    found = reader.read(images, [np.array(tags) for tags, _ in history], without=None)
    assert found.inputs.shape[1] == len(reader.columns)
    assert found.moments.shape == (12, len(reader.moments))
    for t in range(12):
        photos_so_far = [(tags, z[i]) for i, (tags, _) in enumerate(history[:t])]
        past = grown(photos_so_far, reader.d_z, shown if reader.looks and reader.d_z else None)
        described = past.describe(z[t], shown[t])
        bag = photos.memory.bag(past.recent(12))
        votes = photos.memory.ask(z[t : t + 1], [bag])[0][0] if parts.memory else []
        votes += [shown[t]] if reader.looks else []
        by_promise = np.argsort(-described.promise, kind="stable")[:most]
        expected = {past.ids[i] for i in by_promise}
        for vote in votes:
            expected |= {*vote.ids[np.argsort(-vote.shares, kind="stable")[:most]].tolist()}
        own = slice(found.offsets[t], found.offsets[t + 1])
        ids = found.ids[own].tolist()
        assert ids == sorted(expected)
        of_moment = dict(zip(reader.moments, found.moments[t], strict=True))
        for row, i in zip(found.inputs[own], ids, strict=True):
            given = dict(zip(reader.columns, row, strict=True))
            used = i in past.ids and past.ids.index(i) in by_promise
            assert given["is used"] == used
            named = [name for name in (*USED, *PICTURED, *ALIKE) if name in given]
            columns = [
                *USED,
                *(PICTURED if reader.d_z else ()),
                *(ALIKE if "alike" in given else ()),
            ]
            for name in named:
                of = described.used[past.ids.index(i), columns.index(name)] if used else 0
                assert given[name] == pytest.approx(of, abs=1e-6)
            having = [p for p in range(len(photos.tags)) if i in photos.tags[p]]
            assert given["photos of others"] == pytest.approx(math.log(1 + len(having)))
            owners = {photos.owners[p] for p in having}
            assert given["others"] == pytest.approx(math.log(1 + len(owners)))
            assert ("alike" in given) == (parts == Parts() or not parts.usage)
            for name, vote in zip([*photos.memory.votes, "looks"], votes, strict=False):
                share = math.log(dense(vote)[i] + 1e-3 if i < V else 1e-3)
                assert given[name] == pytest.approx(share, abs=1e-4)
            assert {name: given[name] for name in of_moment} == of_moment
            p = found.ids[own].tolist().index(i) + own.start
            assert found.known[p] == bool(having)
            uses = [s for s in range(t) if i in history[s][0]] if used else []
            halves = sum(0.5 ** (t - s) for s in uses)
            assert found.decayed[p] == pytest.approx(halves, rel=1e-5)


def test_of_very_many_used_hashtags_the_most_promising_remain():
    reader = reader_of(Photos(), Parts(memory=False))
    histories = [np.arange(7 * t, 7 * t + 7) + 100 for t in range(12)]
    found = reader.read(np.zeros((12, D_Z), np.float32), histories)
    assert np.diff(found.offsets).tolist() == [min(7 * t, MOST_USED) for t in range(12)]
    last = found.ids[found.offsets[-2] :]
    assert {*histories[-2].tolist()} <= {*last.tolist()}  # of the newest photo all
    assert not found.known.any()
    assert found.photo_of().tolist() == np.repeat(np.arange(12), np.diff(found.offsets)).tolist()


@pytest.mark.parametrize("enough", [0, 1000])
@pytest.mark.parametrize("parts", [Parts(), Parts(memory=False), Parts(pictures=False)])
def test_reading_photo_by_photo_equals_reading_the_whole_history(parts, enough, monkeypatch):
    monkeypatch.setattr(memory_module, "ENOUGH", enough)
    reader = reader_of(Photos(), parts)
    history = random_past(5, 40, D_Z, names=V + 4)[0]
    images = np.random.default_rng(6).normal(size=(40, D_Z)).astype(np.float32)
    images[::7] = 0
    whole = reader.read(images, [np.array(tags) for tags, _ in history])
    past, one_by_one = reader.new_user(), []
    for (tags, _), image in zip(history, images, strict=True):
        one_by_one.append(reader.before(past, image[None]))
        past.add(tags, *reader.look(image[None])[0])
    joined = Candidates.joined(one_by_one)
    for name in ("ids", "offsets", "known", "decayed"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))
    for name in ("inputs", "moments"):  # a product of one row is rounded otherwise than of many
        np.testing.assert_allclose(getattr(joined, name), getattr(whole, name), atol=1e-5)


def test_what_no_other_user_has_is_not_in_the_bag_of_a_user_of_the_memory():
    photos = Photos(photos=40)
    owner = int(photos.owners[0])
    own = [photos.tags[p] for p in range(40) if photos.owners[p] == owner]
    counts = np.bincount(np.unique(np.concatenate(own)), minlength=V) > 0
    others = photos.memory.users - counts
    everyone = len(np.unique(photos.owners)) - 1
    found = photos.memory.bag(own, photos.memory.rarity_of(others, everyone))
    assert set(found) == {i for i in np.concatenate(own[:12]).tolist() if others[i] > 0}
    total = np.zeros(V)
    for back, tags in enumerate(own[:12]):
        weights = np.zeros(V)
        for i in tags:
            if others[i] > 0:
                weights[i] = max(math.log((everyone + 1) / (others[i] + 0.5)), 0.1)
        total += 0.6**back * weights / max(np.linalg.norm(weights), 1e-30)
    total /= np.linalg.norm(total)
    np.testing.assert_allclose([found[i] for i in sorted(found)], total[sorted(found)], rtol=1e-5)


def test_without_a_picture_the_memory_is_asked_by_hashtags_alone():
    photos = Photos(photos=40)
    bag = photos.memory.bag(photos.tags[:3])
    votes, best = photos.memory.ask(np.zeros((1, photos.z.shape[1]), np.float32), [bag])
    of = dict(zip(photos.memory.votes, (vote.ids.tolist() for vote in votes[0]), strict=True))
    assert of["pictures 0.07"] == of["pictures 0.15"] == []
    assert of["hashtags 0.1"] and best[0, 0] == 0
    assert of["both 0.12"] == of["hashtags 0.1"]


@pytest.mark.parametrize("without", [None, 5])
def test_above_a_million_photos_faiss_finds_the_same_like_ones(without, monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr(memory_module, "NEIGHBOURS", 400)  # all: so that ties do not matter
    photos, rng = Photos(photos=400), np.random.default_rng(1)
    z = rng.normal(size=(12, D_Z)).astype(np.float32)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    z[4] = 0  # no picture
    bags = [photos.memory.bag(own) for own in random_bags(3, 9)]
    exact, best = photos.memory.ask(z, bags, without)
    assert photos.memory.index is None
    monkeypatch.setattr(memory_module, "MANY", 399)
    large = Photos(photos=400).memory
    large.index.nprobe = 1000  # looks everywhere
    found, closest = large.ask(z, bags, without)
    np.testing.assert_allclose(closest[np.arange(12) != 4], best[np.arange(12) != 4], atol=1e-6)
    for one, other in zip(exact, found, strict=True):
        for vote, same in zip(one, other, strict=True):
            np.testing.assert_allclose(dense(same), dense(vote), atol=1e-5)


@pytest.mark.parametrize("without", [None, 5])
def test_a_user_never_votes_where_faiss_looks_closer_at_a_few(without, monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr(memory_module, "MANY", 399)
    monkeypatch.setattr(memory_module, "CLOSER", 7)
    memory, rng = Photos(photos=400).memory, np.random.default_rng(1)
    z = rng.normal(size=(6, D_Z)).astype(np.float32)
    asked = memory._likenesses(z, [memory.bag(own) for own in random_bags(3, 3)], without)
    for closer, near, like in asked:
        assert 0 < len(closer) <= 14 and len(closer) == len(near) == len(like)
        assert without not in memory.owners[closer]

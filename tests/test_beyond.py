"""`ours+`: one softmax, nothing of later photos, nothing of one's own in the memory, the guard."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers import D_I, WORDS, batch_of, collection, tiny_model, tiny_vectors

from hashtag_core.beyond import plus_training
from hashtag_core.beyond.evidence import Parts, each_user
from hashtag_core.beyond.looks import ENOUGH
from hashtag_core.beyond.plus import NOTHING, PlusRanker
from hashtag_core.beyond.plus_training import TEMPERATURES_OF_F, TRUST, _choose_trust, train_plus
from hashtag_core.beyond.scorer import ScorerConfig, split_loss
from hashtag_core.data.splits import Split
from hashtag_core.errors import InputError
from hashtag_core.evaluation.baselines import repeat_recent
from hashtag_core.study.folds import make_fold

NAMES = [*WORDS, *(f"{a}+{b}" for a, b in pairwise(WORDS))]  # 79
SPLIT = Split(np.arange(9), np.array([9, 10]), np.array([11, 12, 13, 14]))
USER = 12  # one whose photos are changed
QUICK = ScorerConfig(width=16, epochs=2, photos=16)


def random_histories(seed=0):
    """Fifteen users of one to nine photos who often repeat the photo before."""
    rng, histories = np.random.default_rng(seed), {}
    for user in range(15):
        liked = rng.choice(NAMES, 7, replace=False)
        photos = []
        for _ in range(7 if user == USER else int(rng.integers(1, 10))):
            own = rng.choice(liked, int(rng.integers(1, 4)), replace=False).tolist()
            photos.append(photos[-1] if photos and rng.random() < 0.4 else own)
        histories[f"user{user:02d}"] = photos
    histories["user00"].insert(0, [*histories["user00"][0], "huge", "sun+huge"])  # hers alone
    return {
        user: [[n for n in own if user == "user00" or "huge" not in n] or ["sun"] for own in photos]
        for user, photos in histories.items()
    }


def fold_of(histories, features=None):
    photos = collection(histories)
    if features is not None:
        photos = replace(photos, features=features)
    return make_fold(photos, SPLIT, tiny_vectors())


class World:
    """A fold, f with random weights, and `ours+` on top of it, whatever the guard says."""

    def __init__(self):
        self.histories = random_histories()
        self.photos = collection(self.histories)
        self.fold = fold_of(self.histories)
        self.model = tiny_model()
        with torch.no_grad():
            for weights in self.model.parameters():
                weights.mul_(1.7)  # else all scores are about the same
        made = {
            model: train_plus(model, self.fold.train, self.fold.valid, config=QUICK)
            for model in (self.model, None)
        }
        self.kinds = {
            "f and s": replace(made[self.model], trust=1.0),
            "half trusted": replace(made[self.model], trust=0.5, temperature=1.3),
            "s and frequency": replace(made[None], trust=1.0),
        }
        self.V = len(self.fold.hashtags)

    def ranker(self, kind="f and s"):
        return PlusRanker(self.kinds[kind], self.fold.hashtags, torch.device("cpu"))


KINDS = ["f and s", "half trusted", "s and frequency"]
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def world():
    return World()


def log_p_of_all(ranker, batch):
    """(N, V): log p of every hashtag."""
    V = len(ranker.hashtags)
    log_p, ids = ranker.best(batch, range(V), V)
    assert ids.sort(dim=1).values.tolist() == [list(range(V))] * len(batch.rows)
    return torch.empty_like(log_p).scatter(1, ids, log_p)


# one softmax
def naive_log_p(world, kind, batch):
    """(N, V) in loops: s of the candidates and c in one softmax; c's part is split by f."""
    plus, hashtags = world.kinds[kind], world.fold.hashtags
    if plus.model is None:
        f = np.log(np.tile(hashtags.counts.numpy() + 0.5, (len(batch.rows), 1)))
    else:
        with torch.no_grad():
            queries = plus.model(batch, hashtags.psi)
            f = plus.model.scores(queries, hashtags.psi).double().numpy() / plus.f_temperature
    rows = []
    for user in batch.users.tolist():
        item = world.fold.test.users.index(user)
        _, images, own = next(each_user(world.fold.test.only([item])))
        read = plus.reader.read(images, own)
        with torch.no_grad():
            out = plus.scorer(torch.from_numpy(read.inputs), torch.from_numpy(read.moments))
        s, c = (x.double().numpy() / plus.temperature for x in out)
        for t in range(len(own)):
            row, others = np.zeros(world.V), [*range(world.V)]
            given = range(read.offsets[t], read.offsets[t + 1])
            weights = {}
            for p in given:
                recent = sum(0.5 ** (t - u) for u in range(t) if read.ids[p] in own[u])
                rule = max(np.log(recent), NOTHING) if recent else NOTHING
                weights[read.ids[p]] = np.exp(plus.trust * s[p] + (1 - plus.trust) * rule)
            rest = np.exp(plus.trust * c[t] + (1 - plus.trust) * NOTHING)
            for i in weights:
                others.remove(i)
            total, of_f = rest + sum(weights.values()), f[len(rows)]
            for i, weight in weights.items():
                row[i] = np.log(weight / total)
            for i in others:
                row[i] = np.log(rest / total) + of_f[i] - np.log(np.exp(of_f[others]).sum())
            rows.append(row)
    return np.array(rows)


@each_kind
def test_all_hashtags_share_one_softmax_which_is_that_of_loops(world, kind):
    batch, ranker = batch_of(world.fold.test), world.ranker(kind)
    sizes = np.diff(ranker.scored(batch).candidates.offsets)
    assert sizes.max() < world.V and len(sizes) == len(batch.rows)
    log_p = log_p_of_all(ranker, batch)
    np.testing.assert_allclose(log_p.exp().sum(dim=1), 1, atol=1e-5)
    np.testing.assert_allclose(log_p, naive_log_p(world, kind, batch), atol=2e-4)


@each_kind
@pytest.mark.parametrize("k", [1, 10, 200])
def test_any_range_is_ranked_by_p_and_ties_go_to_the_lower_id(world, kind, k):
    batch, ranker, hashtags = batch_of(world.fold.test), world.ranker(kind), world.fold.hashtags
    every = log_p_of_all(ranker, batch).numpy()
    ranges = [hashtags.candidates(which) for which in ("seen", "unseen", "all")]
    for candidates in (*ranges, range(5, 9), range(0, 1), range(7, 7)):
        log_p, ids = ranker.best(batch, candidates, k)
        assert torch.equal(ids, ranker(batch, candidates, k))
        for row, found, given in zip(every, ids.tolist(), log_p.tolist(), strict=True):
            expected = sorted(candidates, key=lambda i, row=row: (-row[i], i))[:k]
            own = [i for i in found if i >= 0]
            assert own == expected and set(found[len(own) :]) <= {-1}
            assert given[: len(own)] == pytest.approx(row[own], abs=1e-9)
            assert all(x == -np.inf for x in given[len(own) :])


@each_kind
def test_of_equally_probable_hashtags_with_and_without_evidence_the_lower_id_comes_first(
    world, kind
):
    batch, ranker, every = batch_of(world.fold.test), world.ranker(kind), range(world.V)
    scored, log_p = ranker.scored(batch), log_p_of_all(ranker, batch)
    photo, equal = scored.candidates.photo_of(), scored.log_p.copy()
    for n, row in enumerate(log_p):
        own = photo == n
        others = [i for i in every if i not in scored.candidates.ids[own]]
        equal[own] = row[others].median()  # that of one of them
    ranker._latest = batch, replace(scored, log_p=equal)
    log_p, ids = ranker.best(batch, every, world.V)
    both = (log_p[:, 1:] == log_p[:, :-1]) & (ids[:, 1:] > ids[:, :-1])
    assert ((log_p.diff(dim=1) < 0) | both).all()
    for n, row in enumerate(ids.tolist()):  # candidates and others in turn
        level = equal[photo == n][:1]
        tied = [
            i in scored.candidates.ids[photo == n] for i in row if log_p[n, row.index(i)] == level
        ]
        assert len(tied) > tied.count(True) > 0


@each_kind
def test_a_ranking_has_k_columns_also_where_there_are_fewer_candidates(world, kind):
    for candidates in (range(world.V), range(3), range(4, 4)):
        batch = batch_of(world.fold.test)
        log_p, ids = world.ranker(kind).best(batch, candidates, 200)
        assert log_p.shape == ids.shape == (len(batch.rows), 200)


def test_where_every_hashtag_is_a_candidate_they_are_ranked_all_the_same():
    """Small vocabularies: there is evidence of everything, and nothing is left to f."""
    rng = np.random.default_rng(0)
    histories = {
        f"user{user:02d}": [rng.choice(WORDS[:8], 3, replace=False).tolist() for _ in range(6)]
        for user in range(15)
    }
    fold = fold_of(histories)
    for model in (tiny_model(), None):
        plus = train_plus(model, fold.train, fold.valid, config=QUICK)
        ranker = PlusRanker(replace(plus, trust=1.0), fold.hashtags, torch.device("cpu"))
        batch = batch_of(fold.test)
        scored = ranker.scored(batch)
        assert (np.diff(scored.candidates.offsets) == 8).all()
        log_p, ids = ranker.best(batch, range(8), 8)
        for row, found in zip(scored.log_p.reshape(-1, 8), ids.tolist(), strict=True):
            assert found == sorted(range(8), key=lambda i, row=row: (-row[i], i))
        assert log_p.isfinite().all() and (log_p.exp().sum(dim=1) < 1 + 1e-9).all()


# nothing of later photos
def batch_and_ranker(world, kind, photos, users=range(11, 15)):
    histories = type(world.fold.test)(photos, world.fold.hashtags, users)
    return batch_of(histories), world.ranker(kind)


@each_kind
@pytest.mark.parametrize("t", [0, 3, 6])
def test_a_photos_hashtags_and_picture_reach_only_the_photos_after_it(world, kind, t):
    """The picture itself is also what its own prediction looks at."""
    batch, ranker = batch_and_ranker(world, kind, world.photos)
    before, scored = log_p_of_all(ranker, batch), ranker.scored(batch)
    changed = {user: list(photos) for user, photos in world.histories.items()}
    changed["user12"][t] = [world.fold.hashtags.names[i] for i in (0, -1)]
    assert changed["user12"] != world.histories["user12"]
    features = world.photos.features.copy()
    row = world.photos.rows_of(USER).start + t
    features[row] = features[row][::-1] * 2
    first = int(batch.mask[0].sum())  # user 11 comes before
    assert batch.rows[first + t] == row
    for photos, own in (
        (collection(changed), 1),
        (replace(world.photos, features=features), 0),
    ):
        other, anew = batch_and_ranker(world, kind, photos)
        after, now = log_p_of_all(anew, other), anew.scored(other)
        differs = (after - before).abs().amax(dim=1) > 1e-5
        places = differs.nonzero()[:, 0].tolist()
        assert {*places} <= {*range(first + t + own, first + 7)}
        assert len(places) > 0 or (t == 6 and own)
        same = slice(0, scored.candidates.offsets[first + t + own])
        for name in ("ids", "inputs", "decayed", "known"):
            one, two = getattr(scored.candidates, name), getattr(now.candidates, name)
            np.testing.assert_array_equal(one[same], two[same])
        np.testing.assert_array_equal(
            scored.candidates.moments[: first + t + own], now.candidates.moments[: first + t + own]
        )


@each_kind
def test_a_user_gets_what_the_user_gets_alone_whoever_else_is_in_the_batch(world, kind):
    together = {}
    for users in ([11, 12, 13, 14], [14, 12, 11, 13], [11], [12], [13], [14]):
        batch, ranker = batch_and_ranker(world, kind, world.photos, users)
        sizes = batch.mask.sum(dim=1).tolist()
        for user, log_p in zip(users, log_p_of_all(ranker, batch).split(sizes), strict=True):
            torch.testing.assert_close(together.setdefault(user, log_p), log_p, rtol=0, atol=2e-5)
    assert len(together) == 4


def test_a_ranker_does_not_take_one_batch_for_another(world):
    one, other = batch_of(world.fold.test, 0), batch_of(world.fold.test, 1)
    ranker, every = world.ranker(), range(world.V)
    expected = [world.ranker()(batch, every, 10).tolist() for batch in (one, other)]
    found = [ranker(batch, every, 10).tolist() for batch in (one, other, one)]
    assert found == [*expected, expected[0]]


# nothing of one's own in the memory, nothing of test users anywhere
def test_training_users_do_not_count_their_own_photos(world):
    plus, train = world.kinds["f and s"], world.fold.train
    reader, alone = plus.reader, {}
    tags = {user: [h.tolist() for h in own] for user, _, own in each_user(train)}
    for user, images, own in each_user(train):
        read = reader.read(images, own, user)
        others = [h for u, photos in tags.items() if u != user for h in photos]
        photos_of_others = read.inputs[:, reader.columns.index("photos of others")]
        users = read.inputs[:, reader.columns.index("others")]
        for p, i in enumerate(read.ids):
            count = sum(i in h for h in others)
            assert photos_of_others[p] == pytest.approx(np.log1p(count))
            having = sum(any(i in h for h in tags[u]) for u in tags if u != user)
            assert users[p] == pytest.approx(np.log1p(having))
            assert read.known[p] == (count > 0)
            if not count:
                alone.setdefault(user, set()).add(int(i))
        votes, _ = reader.memory.ask(reader.space(images), [{}] * len(own), user)
        voted = {int(i) for photo in votes for vote in photo for i in vote.ids}
        assert voted <= {i for h in others for i in h}
    assert {world.fold.hashtags.ids[name] for name in ("huge", "sun+huge")} <= alone[0]


def test_s_is_trained_on_what_others_alone_say():
    """Each training user has hashtags of one's own: nobody else ever has one of them."""
    histories = {f"user{u:02d}": [[WORDS[3 * u], WORDS[3 * u + 1]]] * 4 for u in range(9)}
    histories |= {f"user{u:02d}": [["sun"], ["sea"], ["sun"]] for u in range(9, 15)}
    fold = fold_of(histories, np.zeros((9 * 4 + 6 * 3, 0), np.float16))
    plus = train_plus(None, fold.train, fold.valid, config=QUICK)
    means = dict(zip(plus.reader.columns, plus.scorer.inputs_mean.tolist(), strict=True))
    assert means["photos of others"] == means["others"] == means["like hashtags"] == 0
    assert means["is used"] == 1


def weights_of(plus):
    memory, space = plus.reader.memory, plus.reader.space
    arrays = [memory.pictures, memory.hashtag_ids, memory.owners, memory.rarity, space.axes]
    return [*map(torch.from_numpy, arrays), *plus.scorer.state_dict().values()]


def same_weights(one, other):
    pairs = zip(weights_of(one), weights_of(other), strict=True)
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)


def test_test_users_change_nothing_and_validation_users_no_weight(world):
    features = world.photos.features.copy()
    one = world.kinds["f and s"]
    for users, kept in (((11, 12, 13, 14), True), ((9, 10), True), ((0,), False)):
        changed, rows = dict(world.histories), features.copy()
        for user in users:
            length = len(changed[f"user{user:02d}"])
            changed[f"user{user:02d}"] = [["tiny+huge", WORDS[t]] for t in range(length)]
            rows[world.photos.rows_of(user)] *= -2
        fold = fold_of(changed, rows)
        other = train_plus(world.model, fold.train, fold.valid, config=QUICK)
        assert same_weights(one, other) == kept
        if users[0] == 11:
            trained = train_plus(world.model, world.fold.train, world.fold.valid, config=QUICK)
            assert (other.trust, other.temperature) == (trained.trust, trained.temperature)


# the loss
def random_photos(seed, photos=6, no_candidates=2):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 6, photos)
    counts[no_candidates] = 0
    photo = np.repeat(np.arange(photos), counts)
    hits = (rng.random(len(photo)) < 0.4).astype(float)
    hits[photo == 4] = 0  # none of them is true
    missing = rng.integers(0, 3, photos)  # true hashtags that are no candidates
    true = np.bincount(photo, hits, photos)
    missing[true == 0] += 1
    s, c = rng.normal(size=len(photo)) * 3, rng.normal(size=photos)
    given = s, c, hits, photo, true + missing, rng.random(photos) + 0.1
    return [torch.from_numpy(np.asarray(x)) for x in given]


@pytest.mark.parametrize("seed", range(5))
def test_the_loss_is_a_loop_over_photos_and_their_hashtags(seed):
    given = random_photos(seed)
    with_c = without = 0.0
    s, c, hits, photo, sizes, weights = (x.numpy() for x in given)
    for n in range(len(weights)):
        own = [p for p in range(len(s)) if photo[p] == n]
        true = [p for p in own if hits[p]]
        among = sum(np.exp(s[p]) for p in own)
        total = among + np.exp(c[n])
        log_p = [np.log(np.exp(s[p]) / total) for p in true]
        log_p += [np.log(np.exp(c[n]) / total)] * int(sizes[n] - len(true))
        with_c -= weights[n] * sum(log_p) / len(log_p)
        if true:
            without -= weights[n] * sum(np.log(np.exp(s[p]) / among) for p in true) / len(true)
    s, c, hits, photo, sizes, weights = given
    # without c a photo without a true candidate counts as nothing, and not as absent
    for expected, own_c in ((with_c, c), (without, None)):
        found = split_loss(s, own_c, hits, photo, sizes, weights)
        assert float(found) == pytest.approx(expected / float(weights.sum()))
        shifted = None if own_c is None else own_c + 500
        far = split_loss(s + 500, shifted, hits, photo, sizes, weights)
        torch.testing.assert_close(far, found)
        in_float32 = [x.float() for x in (s, c, hits, sizes, weights)]
        own_c = None if own_c is None else in_float32[1]
        small = split_loss(in_float32[0], own_c, in_float32[2], photo, *in_float32[3:])
        torch.testing.assert_close(small.double(), found, rtol=1e-5, atol=1e-5)


def test_the_gradient_of_the_loss_is_that_of_finite_differences():
    s, c, *rest = random_photos(7)
    s, c = s.requires_grad_(), c.requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: split_loss(a, b, *rest), (s, c))
    assert torch.autograd.gradcheck(lambda a: split_loss(a, None, *rest), (s,))
    none = torch.zeros(0, dtype=torch.float64, requires_grad=True)  # no candidate of any photo
    nobody = split_loss(none, None, none.detach(), none.detach().long(), *rest[2:])
    nobody.backward()
    assert nobody == 0


@each_kind
def test_log_p_of_the_true_hashtags_is_the_part_of_s_and_that_of_f(world, kind):
    batch, ranker = batch_of(world.fold.test), world.ranker(kind)
    plus, scored = ranker.plus, ranker.scored(batch)
    log_p, own = log_p_of_all(ranker, batch), scored.candidates
    photo, ids = torch.from_numpy(own.photo_of()), torch.from_numpy(own.ids)
    true = batch.hashtag_ids.split(batch.hashtag_offsets.diff().tolist())
    hits = torch.tensor([float(i in true[n]) for n, i in zip(photo, ids, strict=True)])
    sizes, weights = torch.tensor([*map(len, true)]), torch.ones(len(true), dtype=torch.float64)
    with torch.no_grad():
        s, c = plus.scorer(torch.from_numpy(own.inputs), torch.from_numpy(own.moments))
    s, c = s.double() / plus.temperature, c.double() / plus.temperature
    if plus.trust < 1:
        recent = torch.from_numpy(own.decayed).double().log().clamp(min=NOTHING)
        s, c = s / 2 + recent / 2, c / 2 + NOTHING / 2
    of_s = split_loss(s, c, hits.double(), photo, sizes, weights)
    total = of_f = 0.0
    for n, tags in enumerate(true):
        others = [i for i in range(world.V) if i not in ids[photo == n]]
        left = log_p[n, others].logsumexp(dim=0)  # so log p - left = log p_f(y | not C)
        total -= log_p[n, tags].mean() / len(true)
        of_f -= sum(log_p[n, i] - left for i in tags if i in others) / len(tags) / len(true)
    assert float(total) == pytest.approx(float(of_s + of_f), abs=1e-4) and of_f > 0


def test_the_temperature_of_f_is_that_of_the_most_probable_hashtags_without_evidence(world):
    plus, valid = world.kinds["f and s"], world.fold.valid
    model, psi, losses = plus.model, valid.hashtags.psi, np.zeros(len(TEMPERATURES_OF_F))
    for item, (_, images, hashtags) in enumerate(each_user(valid)):
        read, batch = plus.reader.read(images, hashtags), batch_of(valid.only([item]))
        with torch.no_grad():
            f = model.scores(model(batch, psi), psi).double().numpy()  # (T, V)
        for t, own in enumerate(hashtags):
            given = set(read.ids[read.offsets[t] : read.offsets[t + 1]].tolist())
            rest = [i for i in range(f.shape[1]) if i not in given]
            for n, temperature in enumerate(TEMPERATURES_OF_F):
                total = np.log(sum(np.exp(f[t, i] / temperature) for i in rest))
                for i in set(own.tolist()) - given:
                    share = 1 / len(own) / len(hashtags)
                    losses[n] += share * (total - f[t, i] / temperature)
    assert losses.max() > losses.min() + 1e-3  # it matters
    assert plus.f_temperature == TEMPERATURES_OF_F[losses.argmin()]


# the guard
class Fixed:
    """A scorer that says a multiple of its inputs, or noise."""

    def __init__(self, columns, weights, noise=0.0):
        self.places = [columns.index(name) for name in weights]
        self.weights = torch.tensor(list(weights.values()))
        self.noise = noise

    def __call__(self, inputs, moments):
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(len(inputs), generator=generator) * self.noise
        s = inputs[:, self.places] @ self.weights + noise
        return s, torch.full((len(moments),), -1e3)


def everybody(photos):
    """All users have these photos, and one training user also other hashtags."""
    return {f"user{u:02d}": photos + [WORDS[20:]] * (u == 0) for u in range(15)}


def guarded(photos, weights, noise=0.0):
    """(the plus of users who all have these photos, its fold): s is given."""
    fold = fold_of(everybody(photos))
    plus = train_plus(None, fold.train, fold.valid, Parts(memory=False), QUICK)
    plus.scorer = Fixed(plus.reader.columns, weights, noise)
    return plus, fold


def test_where_s_can_only_lose_the_ranking_is_repeat_recent_itself():
    photos = [[*WORDS[:6]], *([[WORDS[9]]] * 12)]
    plus, fold = guarded(photos, {}, noise=1e3)
    plus.trust = _choose_trust(plus, fold.valid, {})
    assert plus.trust == 0
    ranker, batch = plus.ranker(fold.hashtags), batch_of(fold.test)
    for which in ("seen", "unseen", "all"):
        ids = fold.hashtags.candidates(which)
        assert torch.equal(ranker(batch, ids, 10), repeat_recent(batch, ids, 10))


def test_where_s_surely_wins_it_is_trusted_altogether():
    photos = [[WORDS[9 + t % 2]] for t in range(12)]  # never that of the photo before
    weights = {"on the last photo": -50.0, "on the last but one": 50.0}
    plus, fold = guarded(photos, weights)
    assert _choose_trust(plus, fold.valid, {}) == 1
    assert isinstance(replace(plus, trust=1.0).ranker(fold.hashtags), PlusRanker)


@pytest.mark.parametrize(
    "gains, photos, expected",
    [
        ([[10, -8], [4, 2], [9, 9], [1, 1]], [1, 1], 0.75),  # 1 +- 6.4, 3 +- 0.7
        ([[0, 0]] * 4, [1, 1], 0.0),  # as good is not better
        ([[9, -1], [-1, -1], [-1, 9], [1, 1]], [1, 1], 1.0),  # 4 +- 3.5
        ([[9, -1], [-1, -1], [-1, 9], [1, 1]], [1, 9], 0.5),  # 0 +- 0.6; 8 +- 1.3
        ([[-1, -2], [1, -2], [0, 0], [2, 3]], [5, 1], 0.25),  # 0.5 +- 0.5, which is not more
    ],
)
def test_the_highest_trust_whose_mean_gain_exceeds_its_error(gains, photos, expected, monkeypatch):
    def evaluate_by_user(ranker, histories, hashtags, candidates):
        of = [0, 0] if ranker is repeat_recent else gains[TRUST.index(ranker.plus.trust)]
        both = zip(of, photos, strict=True)
        return [{"A@1": 30 + gain / 4, "R@10": 40 + 3 * gain / 4, "photos": n} for gain, n in both]

    monkeypatch.setattr(plus_training, "evaluate_by_user", evaluate_by_user)
    plus, fold = guarded([["sun"], ["sea"]], {})
    assert _choose_trust(plus, fold.valid, {}) == expected


# training
def test_the_same_seed_gives_the_same_weights_and_nothing_global_is_touched(world):
    torch.manual_seed(123)
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    again, other = (
        train_plus(world.model, world.fold.train, world.fold.valid, config=QUICK, seed=seed)
        for seed in (0, 1)
    )
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
    one = world.kinds["f and s"]
    assert same_weights(again, one) and not same_weights(other, one)
    assert again.temperature == one.temperature
    ranked = world.ranker()(batch_of(world.fold.test), range(world.V), 10)
    again = PlusRanker(replace(again, trust=1.0), world.fold.hashtags, torch.device("cpu"))
    assert torch.equal(again(batch_of(world.fold.test), range(world.V), 10), ranked)


def test_training_lowers_the_loss():
    photos = [[WORDS[9 + t % 2]] for t in range(12)]
    fold = fold_of(everybody(photos))
    settings = ScorerConfig(width=16, epochs=30, photos=16)
    plus = train_plus(None, fold.train, fold.valid, Parts(memory=False), settings)
    batch = batch_of(fold.test)
    ranked = PlusRanker(plus, fold.hashtags, torch.device("cpu"))(batch, range(2), 1)[:, 0]
    later = np.tile(np.arange(12) >= 2, 4)
    assert (ranked == batch.hashtag_ids)[later].all() and plus.trust == 1


def test_a_picture_that_could_not_be_read_is_zeros(world):
    rows = [0, 4, world.photos.rows_of(9).start, world.photos.rows_of(USER).start]
    made = []
    for value in (np.nan, 0):
        features = world.photos.features.copy()
        features[rows] = value
        fold = fold_of(world.histories, features)
        plus = train_plus(world.model, fold.train, fold.valid, config=QUICK)
        ranker = PlusRanker(replace(plus, trust=1.0), fold.hashtags, torch.device("cpu"))
        made.append((plus, log_p_of_all(ranker, batch_of(fold.test))))
    assert same_weights(made[0][0], made[1][0]) and not made[0][0].reader.memory.pictures[0].any()
    assert torch.equal(made[0][1], made[1][1]) and made[0][1].isfinite().all()


@pytest.mark.parametrize("d_i", [0, D_I])
@pytest.mark.parametrize("name", ["usage", "pictures", "memory"])
def test_each_part_can_be_left_out_with_and_without_pictures(world, d_i, name):
    fold = fold_of(world.histories, world.photos.features[:, :d_i])
    plus = train_plus(None, fold.train, fold.valid, Parts(**{name: False}), QUICK)
    ranker = PlusRanker(replace(plus, trust=1.0), fold.hashtags, torch.device("cpu"))
    log_p = log_p_of_all(ranker, batch_of(fold.test))
    np.testing.assert_allclose(log_p.exp().sum(dim=1), 1, atol=1e-5)


def test_one_training_user_or_no_validation_user_is_refused(world):
    train, valid = world.fold.train, world.fold.valid
    for few, some in ((train.only([0]), valid), (train.only([]), valid), (train, valid.only([]))):
        with pytest.raises(InputError, match="s needs at least two and one"):
            train_plus(None, few, some, config=QUICK)
    two = train_plus(None, train.only([0, 1]), valid, config=QUICK)
    assert all(weights.isfinite().all() for weights in two.scorer.state_dict().values())


def test_training_photos_without_any_candidate_leave_no_weight_that_is_not_a_number():
    """Every training user has one photo, and there are no pictures: s has nothing to learn from."""
    histories = {f"user{user:02d}": [[WORDS[user]]] for user in range(9)}
    histories |= {f"user{user:02d}": [["sun"], ["sun"], ["sea"]] for user in range(9, 15)}
    fold = fold_of(histories, np.zeros((9 + 18, 0), np.float16))
    plus = train_plus(None, fold.train, fold.valid, config=QUICK)
    assert all(weights.isfinite().all() for weights in plus.scorer.state_dict().values())
    ranker = PlusRanker(replace(plus, trust=1.0), fold.hashtags, torch.device("cpu"))
    assert log_p_of_all(ranker, batch_of(fold.test)).isfinite().all()


def test_s_is_larger_where_there_are_many_photos(monkeypatch):
    assert ScorerConfig.for_photos(ENOUGH - 1) == ScorerConfig()
    large = ScorerConfig.for_photos(ENOUGH)
    assert large.width > ScorerConfig().width and large.dropout < ScorerConfig().dropout
    asked = []
    monkeypatch.setattr(
        ScorerConfig, "for_photos", classmethod(lambda cls, n: asked.append(n) or QUICK)
    )
    fold = make_fold(collection(random_histories()), SPLIT, tiny_vectors())
    plus = train_plus(None, fold.train, fold.valid)
    assert asked == [sum(map(len, fold.train.rows))] and plus.scorer.config == QUICK

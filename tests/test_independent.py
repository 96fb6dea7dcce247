"""The paper a second time, in plain loops in float64 or exact numbers: both have to agree.

The references were written from the paper's text alone. Photos, splits and weights go in, and what
the library makes of the same has to come out. The collections are open_art and small random ones.
"""

import re
from collections import Counter, defaultdict
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from helpers import WORDS, collection, tiny_config, tiny_vectors

import hashtag_core.study.study as study_module
from hashtag_core.data.histories import collate
from hashtag_core.data.loading import batches
from hashtag_core.data.splits import Split, split_users, user_folds
from hashtag_core.evaluation.baselines import frequency, repeat_recent
from hashtag_core.evaluation.image_retrieval import evaluate_retrieval, make_pool
from hashtag_core.evaluation.metrics import HashtagMetrics, evaluate
from hashtag_core.evaluation.user_retrieval import hashtag_vectors, pieces_of, represent
from hashtag_core.evaluation.user_retrieval import retrieval_metrics as user_metrics
from hashtag_core.model.joint_embedding import HashtagModel, picture_scores
from hashtag_core.study.folds import make_fold
from hashtag_core.study.study import Study
from hashtag_core.training.loop import train_step
from hashtag_core.training.state import TrainConfig

VECTORS = dict(zip(WORDS, tiny_vectors().vectors.astype(float), strict=True))
NAMES = [*WORDS, "sun+sea", "red+leaf+bark", "sky+qqq", "qqq", "qqqq"]  # no vector has a q


def psi_of(name):
    """Equation 3: psi(black+white) = psi(black) + psi(white); None where no word has a vector."""
    known = [VECTORS[word] for word in name.split("+") if word in VECTORS]
    return sum(known) if known else None


def has_vector(name):
    return psi_of(name) is not None


def random_histories(seed):
    """Twelve users of one to nine photos, with one to four hashtags of eight that a user likes."""
    rng, histories = np.random.default_rng(seed), {}
    for user in range(12):
        liked, sizes = rng.choice(NAMES, 8, replace=False), rng.integers(1, 5, rng.integers(1, 10))
        photos = [rng.choice(liked, size=n, replace=False).tolist() for n in sizes]
        histories[f"user{user:02d}"] = photos
    return histories


class View:
    """A fold as names and rows. `known` says which hashtags have a vector."""

    def __init__(self, photos, split, known):
        self.tags = [set(filter(known, photos.hashtags_of(row))) for row in range(len(photos))]
        rows = defaultdict(list)  # user -> photos with a valid hashtag; others are ignored (§4)
        for row, user in enumerate(photos.table["user"].to_pylist()):
            if self.tags[row]:
                rows[user].append(row)
        self.rows = {  # part -> rows of each user
            part: [rows[photos.users[user]] for user in users if rows[photos.users[user]]]
            for part, users in split._asdict().items()
        }
        self.count = Counter(name for row in self.flat("train") for name in self.tags[row])
        self.seen = sorted(self.count, key=lambda name: (-self.count[name], name))

    def flat(self, part):
        return [row for rows in self.rows[part] for row in rows]

    def unseen(self, part):
        return sorted({name for row in self.flat(part) for name in self.tags[row]} - {*self.count})

    def candidates(self):
        new = self.unseen("test")
        return {"seen": self.seen, "unseen": new, "all": self.seen + new}


@pytest.fixture(scope="module")
def art_study(open_art, glove, tmp_path_factory):
    study = Study(open_art, tmp_path_factory.mktemp("study"), folds=5, device="cpu")
    study.vectors = glove  # read once
    return study


@pytest.fixture(scope="module")
def art(open_art, art_study):
    """(fold 1, its view): the library's vocabulary says which hashtags have a vector."""
    fold = art_study.fold(0, "open")
    return fold, View(open_art, art_study.splits[0], {*fold.hashtags.names}.__contains__)


# splits (§4, Datasets)
@pytest.mark.parametrize("seed", range(5))
def test_splits_have_the_papers_shares_and_depend_on_numbers_of_photos_alone(open_art, seed):
    counts = np.array([*Counter(open_art.table["user"].to_pylist()).values()])
    splits = user_folds(open_art, 5, seed)
    everybody = list(range(len(counts)))
    assert sorted(np.concatenate([split.test for split in splits])) == everybody
    for split in splits:
        assert sorted(np.concatenate(split)) == everybody  # disjoint, and nobody is missing
        for users, share in zip(split, (0.7, 0.1, 0.2), strict=True):
            assert abs(counts[users].sum() - share * counts.sum()) <= counts.max()
    others = collection({f"x{u:03d}": [["sea"]] * n for u, n in enumerate(counts)})
    assert str(splits) == str(user_folds(others, 5, seed))  # as all user numbers are written
    assert str(splits[0]) == str(split_users(others, seed))
    assert str(splits) != str(user_folds(others, 5, seed + 10))


# seen and unseen hashtags (§3, §4)
def check_vocabularies(fold, view):
    """Seen: on a training photo. Unseen: of the users of the test (validation), and not seen."""
    for part, of_new in (("train", "test"), ("valid", "valid"), ("test", "test")):
        histories, new = getattr(fold, part), view.unseen(of_new)
        names = histories.hashtags.names
        assert names == view.seen + new
        counts = [view.count[name] for name in view.seen]
        assert histories.hashtags.counts.tolist() == counts + [0] * len(new)
        found = []
        for item in histories:
            ids = np.split(item["hashtag_ids"], item["hashtag_counts"].cumsum()[:-1])
            found += zip(item["rows"], (sorted(names[i] for i in own) for own in ids), strict=True)
        assert found == [(row, sorted(view.tags[row])) for row in view.flat(part)]
    assert fold.hashtags is fold.test.hashtags


@pytest.mark.parametrize("seed", range(6))
def test_the_vocabularies_of_random_collections_are_those_of_sets(seed):
    photos = collection(random_histories(seed), seed)
    for split in user_folds(photos, 5, seed):
        fold = make_fold(photos, split, tiny_vectors())
        check_vocabularies(fold, View(photos, split, has_vector))
        expected = [psi_of(name) for name in fold.hashtags.names]
        np.testing.assert_allclose(fold.hashtags.psi, expected, rtol=1e-5, atol=1e-5)


def test_the_vocabularies_of_open_art_are_those_of_sets(open_art, art_study, glove):
    """Which hashtags have a vector the library may say; of plain ones GloVe itself says it."""
    folds = [art_study.fold(number, "open") for number in art_study.numbers]
    known = {name for fold in folds for name in fold.hashtags.names}
    for fold, split in zip(folds, art_study.splits, strict=True):
        check_vocabularies(fold, View(open_art, split, known.__contains__))
    for name in {name for row in range(len(open_art)) for name in open_art.hashtags_of(row)}:
        lower = name.lower()
        parts = [lower] if lower in glove else re.split(r"[\s+_-]+", lower)
        assert name in known or not any(part in glove for part in parts)
        i = fold.hashtags.ids.get(name)
        if i is not None and all(part in glove and part.isalpha() for part in parts):
            psi = sum(glove[part].astype(float) for part in parts)
            np.testing.assert_allclose(fold.hashtags.psi[i], psi, rtol=1e-5, atol=1e-5)


# metrics and baselines (§4)
def loop_metrics(photos, ks=(1, 10)):
    """Of (ranking, true hashtags among the candidates); photos without any are left out."""
    counted = [(ranked, truth) for ranked, truth in photos if truth]
    mean = {f"{name}@{k}": 0.0 for k in ks for name in "APR"}
    for ranked, truth in counted:
        for k in ks:
            hits = sum(name in truth for name in ranked[:k])
            mean[f"A@{k}"] += 100 * (hits > 0) / len(counted)
            mean[f"P@{k}"] += 100 * hits / k / len(counted)
            mean[f"R@{k}"] += 100 * hits / len(truth) / len(counted)
    return {**mean, "photos": len(counted), "left_out": len(photos) - len(counted)}


@pytest.mark.parametrize("seed", range(20))
def test_metrics_of_random_rankings_are_those_of_a_loop(seed):
    rng, metrics, expected = np.random.default_rng(seed), HashtagMetrics(), []
    candidates = range(int(rng.integers(0, 20)), 22 + int(rng.integers(0, 10)))  # also few
    for _ in range(3):
        truths = [rng.permutation(40)[: rng.integers(1, 6)] for _ in range(30)]
        ranked = [rng.permutation(candidates)[:10].tolist() for _ in truths]
        asked = rng.random(30) < 0.8
        metrics.update(
            torch.tensor([(ids + [-1] * 10)[:10] for ids in ranked]),
            torch.tensor(np.concatenate(truths)),
            torch.tensor([0, *np.cumsum([len(ids) for ids in truths])]),
            candidates,
            torch.tensor(asked),
        )
        for n in np.flatnonzero(asked):
            expected.append((ranked[n], {*truths[n].tolist()} & {*candidates}))
    assert metrics.compute() == pytest.approx(loop_metrics(expected))


def test_evaluate_is_a_loop_over_the_test_photos(art):
    fold, view = art
    names, ids = fold.hashtags.names, fold.hashtags.ids

    def guess(row, candidates):
        """Some of the photo's own hashtags, and of the other ones."""
        rng = np.random.default_rng([row, len(candidates)])
        others = {candidates[i]: 0 for i in rng.integers(0, len(candidates), 30)}
        own = sorted(view.tags[row] & {*candidates})
        pool = [*dict.fromkeys([*own, *others])]
        return [pool[i] for i in rng.permutation(len(pool))[:10]]

    def ranker(batch, candidates, k):
        chosen = [names[i] for i in candidates]
        rankings = [guess(row, chosen) for row in batch.rows.tolist()]
        return torch.tensor([[ids[name] for name in ranked] for ranked in rankings])

    found = evaluate(ranker, batches(fold.test, 8), fold.hashtags)
    for which, candidates in view.candidates().items():
        truths = {row: view.tags[row] & {*candidates} for row in view.flat("test")}
        pairs = [(guess(row, candidates), truth) for row, truth in truths.items()]
        assert found[which] == pytest.approx(loop_metrics(pairs))
        assert 20 < found[which]["A@10"] < 100


def test_frequency_and_repeat_recent_are_naive_loops(art):
    fold, view = art
    for which, candidates in view.candidates().items():
        among, by_frequency, by_weight = {*candidates}, [], []
        for rows in view.rows["test"]:
            weight = Counter()  # 2^t of photo t: each step back half as much, and exact
            for t, row in enumerate(rows):
                ranked = sorted(candidates, key=lambda name, w=weight: -w.get(name, 0))[:10]
                by_frequency.append((candidates[:10], view.tags[row] & among))
                by_weight.append((ranked, view.tags[row] & among))
                weight.update(dict.fromkeys(view.tags[row], 2**t))
        ids, names = fold.hashtags.candidates(which), fold.hashtags.names
        for ranker, expected in ((frequency, by_frequency), (repeat_recent, by_weight)):
            found = torch.cat([ranker(batch, ids, 10) for batch in batches(fold.test, 8)])
            assert [[names[i] for i in row] for row in found.tolist()] == [r for r, _ in expected]
            result = evaluate(ranker, batches(fold.test, 8), fold.hashtags, (which,))[which]
            assert result == pytest.approx(loop_metrics(expected))


# the model (§3, Equations 2 to 9)
def selu(x):
    return 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))


class Loops:
    """The equations, one photo at a time, from nothing but the weights."""

    def __init__(self, model):
        self.W = {name: w.numpy().copy() for name, w in model.state_dict().items()}

    def linear(self, name, x):
        return x @ self.W[f"{name}.weight"].T + self.W[f"{name}.bias"]

    def norm(self, name, x):
        x = (x - x.mean()) / np.sqrt(((x - x.mean()) ** 2).mean() + 1e-5)
        return self.W[f"{name}.weight"] * x + self.W[f"{name}.bias"]

    def user(self, history):
        """Equations 2 to 5, of photos (image, hashtags' summed psi)."""
        U, c, V, b = (
            self.W[f"user_encoder.gru.{name}_l0"]
            for name in ("weight_hh", "bias_hh", "weight_ih", "bias_ih")
        )
        h = np.zeros(U.shape[1])  # h_0
        for image, y in history:
            x = self.linear("user_encoder.f_tag.0", y)
            if "user_encoder.f_im.1.bias" in self.W:
                seen = self.linear("user_encoder.f_im.1", self.norm("user_encoder.f_im.0", image))
                x = selu(seen) * selu(x)
            else:
                x = np.maximum(x, 0)
            (r, z, n), (r_h, z_h, n_h) = np.split(V @ x + b, 3), np.split(U @ h + c, 3)
            z, r = 1 / (1 + np.exp(-z - z_h)), 1 / (1 + np.exp(-r - r_h))
            h = (1 - z) * np.tanh(n + r * n_h) + z * h
        return h

    def scores(self, image, u, psi):
        """Equations 6, as MUTAN [5] has it, and 7, for all hashtags."""
        v, u = self.linear("g.W_v", self.norm("image_norm", image)), self.linear("g.W_u", u)
        a, b = self.linear("g.A", np.tanh(v)), self.linear("g.B", np.tanh(u))
        z = np.zeros_like(v)
        for start in range(0, len(a), len(z)):  # r = 1, …, R
            z += a[start : start + len(z)] * b[start : start + len(z)]
        query = self.linear("phi_iu.1", np.maximum(z, 0))
        tags = self.linear("phi_tag.2", np.maximum(self.linear("phi_tag.0", psi), 0))
        return tags @ query


@pytest.fixture
def small():
    """seed, fusion -> a random model and a fold of a random collection; in float64."""
    torch.set_default_dtype(torch.float64)
    yield Small
    torch.set_default_dtype(torch.float32)


class Small:
    def __init__(self, seed, fusion="element-wise product"):
        self.photos = collection(random_histories(seed), seed)
        self.photos.features[2] = np.nan  # a picture that could not be read: zeros
        split = Split(np.arange(6), np.array([6]), np.arange(7, 12))
        self.fold = make_fold(self.photos, split, tiny_vectors())
        self.view = View(self.photos, split, has_vector)
        self.names, self.seen = self.fold.hashtags.names, len(self.view.seen)
        self.psi = np.array([psi_of(name) for name in self.names])
        self.given = torch.from_numpy(self.psi)
        torch.manual_seed(seed)
        self.model = HashtagModel(replace(tiny_config(), fusion=fusion)).eval()
        with torch.no_grad():
            for weights in self.model.parameters():
                weights.normal_(std=0.6)  # biases and norms, too
        self.loops = Loops(self.model)

    def image(self, row):
        return np.nan_to_num(self.photos.features[row].astype(float))

    def user(self, rows):
        tags = self.view.tags
        return self.loops.user((self.image(r), sum(map(psi_of, tags[r]))) for r in rows)

    def log_p(self, row, u):
        """Equation 8: the sum is over the hashtags known in training."""
        f = self.loops.scores(self.image(row), u, self.psi)
        return f - np.log(np.exp(f[: self.seen]).sum())


@pytest.mark.parametrize("fusion", ["element-wise product", "only hashtags"])
def test_scores_and_probabilities_are_equations_2_to_8(small, fusion):
    s = small(1, fusion)
    batch = collate(list(s.fold.test))  # of unequal lengths
    with torch.no_grad():
        found = s.model.scores(s.model(batch, s.given), s.given).numpy()
    before = [(rows[:t], row) for rows in s.view.rows["test"] for t, row in enumerate(rows)]
    assert batch.rows.tolist() == [row for _, row in before] and s.seen < len(s.psi)
    for scores, (history, row) in zip(found, before, strict=True):
        u, image = s.user(history), s.image(row)
        np.testing.assert_allclose(scores, s.loops.scores(image, u, s.psi), rtol=1e-8)
        more = s.given, s.seen, list(range(len(s.psi)))
        p = picture_scores(s.model, torch.tensor(image[None]), torch.tensor(u), *more)[0]
        np.testing.assert_allclose(p, s.log_p(row, u), rtol=1e-8)
    pieces = pieces_of(s.fold.train, 2)  # of Table 5, each represented by its own photos alone
    windows = [s.user(rows) for rows in pieces.rows]
    np.testing.assert_allclose(represent(s.model, pieces, s.given), windows, rtol=1e-8)


def test_the_loss_is_equation_9_and_targets_are_drawn_uniformly(small):
    s = small(2)
    batch, histories = collate(list(s.fold.train)), s.view.rows["train"]
    generator = torch.Generator().manual_seed(0)
    targets = batch.draw_targets(generator)
    target_of = dict(zip(s.view.flat("train"), targets.tolist(), strict=True))
    loss = 0.0
    for rows in histories:
        for t, row in enumerate(rows):
            log_p = s.log_p(row, s.user(rows[:t]))
            loss -= log_p[target_of[row]] / len(rows) / len(histories)
    still = torch.optim.SGD(s.model.parameters(), lr=0)
    found = train_step(s.model, still, batch, targets, s.given[: s.seen])
    assert found.item() == pytest.approx(loss, rel=1e-6)
    drawn = torch.stack([batch.draw_targets(generator) for _ in range(2000)])  # (2000, N)
    for row, ids in zip(s.view.flat("train"), drawn.T.tolist(), strict=True):
        counts, each = Counter(s.names[i] for i in ids), 2000 / len(s.view.tags[row])
        assert {*counts} == s.view.tags[row]
        assert all(abs(count - each) <= 5 * each**0.5 for count in counts.values())


# user retrieval (§4.3, Table 5)
def loop_user_metrics(vectors, users):
    """Exact: cosines of one query are in the order of sign(dot) dot^2 / |r|^2."""
    ranks = []
    for q, query in enumerate(vectors):
        others = []
        for r, other in enumerate(vectors):
            dot = sum(a * b for a, b in zip(query, other, strict=True))
            square = sum(b * b for b in other)
            others.append((-Fraction(dot * abs(dot), max(square, 1)), r))
        del others[q]
        ranks += [i for i, (_, r) in enumerate(sorted(others), 1) if users[r] == users[q]][:1]
    found = {f"A@{k}": 100 * np.mean([rank <= k for rank in ranks]) for k in (1, 10)}
    return {**found, "MR": np.median(ranks), "queries": len(ranks), "users": len({*users})}


def test_user_retrieval_of_many_ties_is_an_exact_loop():
    for seed in range(100):
        rng = np.random.default_rng(seed)
        size = int(rng.integers(4, 30))
        vectors = rng.integers(-1, 3, size=(size, rng.integers(1, 4)))  # also zeros
        users = rng.integers(0, size // 2, size=size)
        users[0] = users[1]
        expected = pytest.approx(loop_user_metrics(vectors.tolist(), users.tolist()))
        for given in (torch.tensor(vectors).float(), torch.tensor(vectors).float().to_sparse()):
            assert user_metrics(given, torch.tensor(users)) == expected


@pytest.mark.parametrize("binary", [True, False])
def test_table_5_of_used_hashtags_and_occurrences_is_a_loop(art, binary):
    fold, view = art
    windows, owners = [], []
    for user, rows in enumerate(view.rows["test"]):
        own = [rows[i : i + 20] for i in range(0, len(rows) // 20 * 20, 20)]
        windows += own if len(own) > 1 else []
        owners += [user] * len(own) if len(own) > 1 else []
    pieces = pieces_of(fold.test, 20)
    assert [rows.tolist() for rows in pieces.rows] == windows
    counts = [Counter(name for row in rows for name in view.tags[row]) for rows in windows]
    used = sorted(set().union(*counts))  # Equations 10 and 11; all others are zeros
    vectors = [[min(c[name], 1) if binary else c[name] for name in used] for c in counts]
    found = hashtag_vectors(pieces, len(fold.hashtags), binary)
    expected = pytest.approx(loop_user_metrics(vectors, owners))
    assert user_metrics(found, torch.tensor(pieces.users)) == expected


# image retrieval (A.5)
@pytest.mark.parametrize("seed", range(3))
def test_image_retrieval_is_a_loop_over_users_hashtags_and_pictures(small, seed):
    s = small(seed)
    cut = [(rows[: len(rows) // 2], rows[len(rows) // 2 :]) for rows in s.view.rows["test"]]
    cut = [(first, second) for first, second in cut if first]
    pool = [(owner, row) for owner, (_, second) in enumerate(cut) for row in second]
    states, ranks = [s.user(first) for first, _ in cut], defaultdict(list)
    for owner, halves in enumerate(cut):
        first, second = (set().union(*(s.view.tags[row] for row in rows)) for rows in halves)
        another = states[(owner + 1) % len(cut)]
        users = {"everyone": 0 * another, "this user": states[owner], "another user": another}
        for reading, u in users.items():
            log_p = np.array([s.log_p(row, u) for _, row in pool])
            for name in first & second:
                order = np.argsort(-log_p[:, s.names.index(name)], kind="stable")
                has = [name in s.view.tags[pool[p][1]] for p in order]
                own = [h and pool[p][0] == owner for h, p in zip(has, order, strict=True)]
                for relevant, hits in (("own", own), ("anyone's", has)):
                    ranks[reading, relevant].append((hits.index(True) + 1, sum(hits[:10])))
    vocabulary = replace(s.fold.hashtags, psi=s.given)
    found = evaluate_retrieval(s.model, vocabulary, make_pool(s.fold.test), torch.device("cpu"))
    assert len(found) == len(ranks) == 6
    for row in found:
        best, among = np.array(ranks[row.pop("reading"), row.pop("relevant")]).T
        expected = {f"A@{k}": 100 * np.mean(best <= k) for k in (1, 10)}
        expected |= {"P@10": 100 * np.mean(among / 10), "MR": np.median(best)}
        assert row == pytest.approx(expected | {"queries": len(best), "pictures": len(pool)})


# ours w/o GloVe (§4.1)
def test_without_glove_nothing_is_learned_from_test_users(tmp_path, monkeypatch):
    first, trained, vocabularies, fit = [], [], [], study_module.fit

    def watched(model, *more, **options):
        first.append({name: w.clone() for name, w in model.state_dict().items()})
        return fit(model, *more, **options)

    monkeypatch.setattr(study_module, "fit", watched)
    histories = random_histories(0)
    split = split_users(collection(histories))
    new = [[f"{WORDS[-1]}+{word}" for word in WORDS[:9]]]  # hashtags that nobody else has
    others = {f"user{u:02d}": new * len(histories[f"user{u:02d}"]) for u in split.test}
    for named in (histories, histories | others):
        settings = TrainConfig(epochs=2, learning_rate=1e-3)
        folder = tmp_path / str(len(first))
        study = Study(collection(named), folder, device="cpu", training=settings)
        study.vectors = tiny_vectors()
        trained.append(study.model(0, "open", "ours w/o GloVe").state_dict())
        vocabularies.append(study.fold(0, "open").hashtags.names)
    seen = View(study.photos, split, has_vector).seen
    assert len(vocabularies[0]) != len(vocabularies[1])
    for one, other in (first, trained):
        assert len(one["learned_psi.weight"]) == len(seen) and one.keys() == other.keys()
        assert all(torch.equal(w, other[name]) for name, w in one.items())
    assert not all(torch.equal(w, trained[0][name]) for name, w in first[0].items())

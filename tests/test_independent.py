"""The paper a second time, in plain loops in float64 or exact numbers: both have to agree.

The references here were written from the paper's text alone, and use nothing of the library. Names
of hashtags, rows of photos and the weights of a model go in; what the library makes of the same has
to come out. The collections are open_art and small random ones.
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
from hashtag_core.data.hashtags import build_hashtags
from hashtag_core.data.histories import UserHistories, collate
from hashtag_core.data.loading import batches
from hashtag_core.data.splits import split_users, user_folds
from hashtag_core.evaluation.baselines import frequency, repeat_recent
from hashtag_core.evaluation.image_retrieval import evaluate_retrieval, make_pool
from hashtag_core.evaluation.metrics import HashtagMetrics, evaluate
from hashtag_core.evaluation.user_retrieval import (
    hashtag_vectors,
    pieces_of,
    represent,
    retrieval_metrics,
)
from hashtag_core.model.joint_embedding import HashtagModel, ModelConfig, picture_scores
from hashtag_core.study.study import Study
from hashtag_core.training.loop import train_step
from hashtag_core.training.state import TrainConfig

VECTORS = dict(zip(WORDS, tiny_vectors().vectors.astype(float), strict=True))
NAMES = [*WORDS, "sun+sea", "red+leaf+bark", "sky+qqq", "qqq", "qqqq"]  # no vector has a q


def psi_of(name: str) -> np.ndarray | None:
    """Equation 3: psi(black+white) = psi(black) + psi(white); None where no word has a vector."""
    known = [VECTORS[word] for word in name.split("+") if word in VECTORS]
    return sum(known) if known else None


def random_histories(seed: int, users: int = 12) -> dict[str, list[list[str]]]:
    """Users of one to nine photos with one to four hashtags, of eight that the user likes."""
    rng, histories = np.random.default_rng(seed), {}
    for user in range(users):
        liked = rng.choice(NAMES, size=8, replace=False)
        sizes = rng.integers(1, 5, size=rng.integers(1, 10))
        photos = [rng.choice(liked, size=n, replace=False).tolist() for n in sizes]
        histories[f"user{user:02d}"] = photos
    return histories


def study_of(photos, folder, vectors, seed=0, **options) -> Study:
    study = Study(photos, folder, folds=5, seed=seed, device="cpu", **options)
    study.vectors = vectors
    return study


@pytest.fixture(scope="module")
def open_study(open_art, glove, tmp_path_factory):
    return study_of(open_art, tmp_path_factory.mktemp("study"), glove)


def rows_by_user(photos) -> list[list[int]]:
    rows = defaultdict(list)
    for row, user in enumerate(photos.table["user"].to_pylist()):
        rows[user].append(row)
    return list(rows.values())


def tags_by_row(photos, known) -> list[set[str]]:
    """The hashtags of each photo that have a vector."""
    return [{n for n in photos.hashtags_of(row) if known(n)} for row in range(len(photos))]


def has_vector(name: str) -> bool:
    return psi_of(name) is not None


# ---- splits (§4, Datasets)


@pytest.mark.parametrize("seed", range(5))
def test_each_user_is_tested_once_and_the_sets_have_the_papers_shares(open_art, seed):
    counts = np.array([len(rows) for rows in rows_by_user(open_art)])
    splits = user_folds(open_art, 5, seed)
    tested = [user for split in splits for user in split.test]
    assert sorted(tested) == list(range(len(counts)))
    for split in splits:
        together = np.concatenate(split)
        assert sorted(together) == list(range(len(counts)))  # disjoint, and nobody is missing
        assert abs(counts[split.test].sum() - 0.2 * counts.sum()) <= counts.max()
        assert abs(counts[split.valid].sum() - 0.1 * counts.sum()) <= counts.max()
        assert abs(counts[split.train].sum() - 0.7 * counts.sum()) <= counts.max()
    for one, first in zip(split_users(open_art, seed), splits[0], strict=True):
        assert one.tolist() == first.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_splits_depend_on_the_numbers_of_photos_and_the_seed_alone(seed):
    histories = random_histories(seed)
    others = {f"x{user}": [["sea"]] * len(photos) for user, photos in histories.items()}

    def folds(named, seed):
        photos = collection(named, seed=len(next(iter(named))))  # other image features, too
        return [[part.tolist() for part in split] for split in user_folds(photos, 5, seed)]

    assert folds(histories, seed) == folds(others, seed) != folds(others, seed + 10)


# ---- seen and unseen hashtags (§3, §4)


def check_vocabularies(photos, fold, split, known) -> None:
    """Seen: on a training photo. Unseen: of the users of the test (validation), and not seen."""
    users, tags = rows_by_user(photos), tags_by_row(photos, known)
    rows = {part: [row for u in who for row in users[u]] for part, who in split._asdict().items()}
    counts = Counter(name for row in rows["train"] for name in tags[row])
    seen = sorted(counts, key=lambda name: (-counts[name], name))
    for part in ("train", "valid", "test"):
        new_of = "valid" if part == "valid" else "test"
        new = sorted({name for row in rows[new_of] for name in tags[row]} - set(seen))
        histories = getattr(fold, part)
        names = histories.hashtags.names
        assert names == seen + new
        assert histories.hashtags.counts.tolist() == [counts[n] for n in seen] + [0] * len(new)
        found = []
        for item in histories:
            ids = np.split(item["hashtag_ids"], item["hashtag_counts"].cumsum()[:-1])
            found += zip(item["rows"], (sorted(names[i] for i in own) for own in ids), strict=True)
        assert found == [(row, sorted(tags[row])) for row in rows[part] if tags[row]]
    assert fold.hashtags is fold.test.hashtags


@pytest.mark.parametrize("seed", range(6))
def test_the_vocabularies_of_random_collections_are_those_of_sets(tmp_path, seed):
    photos = collection(random_histories(seed), seed)
    study = study_of(photos, tmp_path, tiny_vectors(), seed)
    for number, split in enumerate(study.splits):
        fold = study.fold(number, "open")
        check_vocabularies(photos, fold, split, has_vector)
        expected = np.stack([psi_of(name) for name in fold.hashtags.names])
        np.testing.assert_allclose(fold.hashtags.psi.numpy(), expected, rtol=1e-6, atol=1e-6)


def test_the_vocabularies_of_open_art_are_those_of_sets(open_art, open_study, glove):
    """Which hashtags have a vector the library may say; of plain ones GloVe itself says it."""
    folds = [open_study.fold(number, "open") for number in open_study.numbers]
    known = {name for fold in folds for name in fold.hashtags.names}
    for name in {name for row in range(len(open_art)) for name in open_art.hashtags_of(row)}:
        lower = name.lower()
        parts = [lower] if lower in glove else [p for p in re.split(r"[\s+_-]+", lower) if p]
        if name not in known:
            assert not any(part in glove for part in parts)
        elif (fold := folds[0]).hashtags.ids.get(name) and all(part in glove for part in parts):
            psi = sum(glove[part].astype(float) for part in parts)
            found = fold.hashtags.psi[fold.hashtags.ids[name]].numpy()
            np.testing.assert_allclose(found, psi, rtol=1e-5, atol=1e-5)
    for fold, split in zip(folds, open_study.splits, strict=True):
        check_vocabularies(open_art, fold, split, known.__contains__)


# ---- metrics (§4, Metrics)


def loop_metrics(photos: list[tuple[list, set]], ks=(1, 10)) -> dict[str, float]:
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
    rng = np.random.default_rng(seed)
    metrics, expected = HashtagMetrics(), []
    start = int(rng.integers(0, 20))
    candidates = range(start, start + int(rng.integers(3, 20)))  # also fewer than ten
    for _ in range(3):
        truths = [rng.permutation(40)[: rng.integers(1, 6)].tolist() for _ in range(30)]
        ranked = [rng.permutation(candidates)[:10].tolist() for _ in truths]
        predict = rng.random(30) < 0.8
        metrics.update(
            torch.tensor([(ids + [-1] * 10)[:10] for ids in ranked]),
            torch.tensor(sum(truths, [])),
            torch.tensor([0, *np.cumsum([len(ids) for ids in truths])]),
            candidates,
            torch.from_numpy(predict),
        )
        inside = [set(ids) & set(candidates) for ids in truths]
        expected += [pair for pair, p in zip(zip(ranked, inside, strict=True), predict) if p]
    assert metrics.compute() == pytest.approx(loop_metrics(expected))
    assert any(not truth for _, truth in expected)


def sets_of_names(photos, split, known) -> dict[str, list[str]]:
    """The candidates: seen ones by falling frequency in training, then unseen ones by name."""
    users, tags = rows_by_user(photos), tags_by_row(photos, known)
    counts = Counter(name for user in split.train for row in users[user] for name in tags[row])
    new = {name for user in split.test for row in users[user] for name in tags[row]}
    seen = sorted(counts, key=lambda name: (-counts[name], name))
    unseen = sorted(new - set(seen))
    return {"seen": seen, "unseen": unseen, "all": seen + unseen}


def test_evaluate_is_a_loop_over_the_test_photos(open_art, open_study):
    fold, split = open_study.fold(1, "open"), open_study.splits[1]
    names = fold.hashtags.names
    tags, users = tags_by_row(open_art, set(names).__contains__), rows_by_user(open_art)

    def guess(row: int, candidates: list[str], k: int) -> list[str]:
        """Some of the photo's own hashtags, and of the other ones."""
        rng = np.random.default_rng([row, len(candidates)])
        pool = sorted(tags[row] & set(candidates)) + rng.choice(candidates, 30).tolist()
        return rng.permutation(list(dict.fromkeys(pool)))[:k].tolist()

    def ranker(batch, candidates, k):
        chosen = [names[i] for i in candidates]
        of_rows = [guess(row, chosen, k) for row in batch.rows.tolist()]
        return torch.tensor([[fold.hashtags.ids[name] for name in row] for row in of_rows])

    found = evaluate(ranker, batches(fold.test, 8), fold.hashtags)
    for which, candidates in sets_of_names(open_art, split, set(names).__contains__).items():
        rows = [row for user in split.test for row in users[user] if tags[row]]
        pairs = [(guess(row, candidates, 10), tags[row] & set(candidates)) for row in rows]
        assert found[which] == pytest.approx(loop_metrics(pairs))
        assert 20 < found[which]["A@10"] < 100


# ---- baselines (§4.1)


def test_frequency_and_repeat_recent_are_naive_loops(open_art, open_study):
    fold, split = open_study.fold(0, "open"), open_study.splits[0]
    names = fold.hashtags.names
    tags, users = tags_by_row(open_art, set(names).__contains__), rows_by_user(open_art)
    for which, candidates in sets_of_names(open_art, split, set(names).__contains__).items():
        among, by_frequency, by_weight = set(candidates), [], []
        for user in split.test:
            weight = Counter()  # of the last photo 2^t; each step back is half as much: exact
            for t, row in enumerate(row for row in users[user] if tags[row]):
                ranked = sorted(candidates, key=lambda name, w=weight: -w[name])[:10]  # stable
                by_frequency.append((candidates[:10], tags[row] & among))
                by_weight.append((ranked, tags[row] & among))
                weight.update(dict.fromkeys(tags[row], 2**t))
        ids = fold.hashtags.candidates(which)
        for ranker, expected in ((frequency, by_frequency), (repeat_recent, by_weight)):
            found = torch.cat([ranker(batch, ids, 10) for batch in batches(fold.test, 8)])
            assert [[names[i] for i in row] for row in found.tolist()] == [r for r, _ in expected]
            result = evaluate(ranker, batches(fold.test, 8), fold.hashtags, (which,))[which]
            assert result == pytest.approx(loop_metrics(expected))


# ---- the model (§3, Equations 2 to 9)


def relu(x):
    return np.maximum(x, 0)


def selu(x):
    return 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Reference:
    """The equations, one photo at a time, from nothing but the weights."""

    def __init__(self, model: HashtagModel) -> None:
        self.W = {name: w.numpy().copy() for name, w in model.state_dict().items()}
        self.images_too = "user_encoder.f_im.1.weight" in self.W

    def linear(self, name, x):
        return self.W[f"{name}.weight"] @ x + self.W[f"{name}.bias"]

    def norm(self, name, x):
        x = (x - x.mean()) / np.sqrt(((x - x.mean()) ** 2).mean() + 1e-5)
        return self.W[f"{name}.weight"] * x + self.W[f"{name}.bias"]

    def user(self, history):
        """Equations 2 to 5, of photos (image, hashtags' summed psi)."""
        U, c = (self.W[f"user_encoder.gru.{name}_hh_l0"] for name in ("weight", "bias"))
        V, b = (self.W[f"user_encoder.gru.{name}_ih_l0"] for name in ("weight", "bias"))
        h = np.zeros(U.shape[1])  # h_0
        for image, y in history:
            x = self.linear("user_encoder.f_tag.0", y)
            if self.images_too:
                seen = self.linear("user_encoder.f_im.1", self.norm("user_encoder.f_im.0", image))
                x = selu(seen) * selu(x)
            else:
                x = relu(x)
            (r, z, n), (r_h, z_h, n_h) = np.split(V @ x + b, 3), np.split(U @ h + c, 3)
            z, n = sigmoid(z + z_h), np.tanh(n + sigmoid(r + r_h) * n_h)
            h = (1 - z) * n + z * h
        return h

    def image_side(self, image, u):
        """Equation 6 as MUTAN [5] has it, and phi_iu."""
        v, u = self.linear("g.W_v", self.norm("image_norm", image)), self.linear("g.W_u", u)
        a, b = self.linear("g.A", np.tanh(v)), self.linear("g.B", np.tanh(u))
        z = np.zeros_like(v)
        for start in range(0, len(a), len(z)):  # r = 1, …, R
            z += a[start : start + len(z)] * b[start : start + len(z)]
        return self.linear("phi_iu.1", relu(z))

    def scores(self, image, u, psi):
        """Equation 7 for each hashtag."""
        query = self.image_side(image, u)
        tags = [self.linear("phi_tag.2", relu(self.linear("phi_tag.0", p))) for p in psi]
        return np.array([query @ tag for tag in tags])

    def log_p(self, image, u, psi, seen):
        """Equation 8: the sum is over the hashtags known in training."""
        f = self.scores(image, u, psi)
        return f - np.log(np.exp(f[:seen]).sum())


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Small:
    """A random model and collection, and the library's and the loops' view of them."""

    def __init__(self, seed: int = 0, fusion: str = "element-wise product") -> None:
        self.photos = collection(random_histories(seed), seed)
        self.photos.features[2] = np.nan  # a picture that could not be read: zeros
        train, test = np.arange(7), np.arange(7, 12)
        hashtags = build_hashtags(self.photos, train, tiny_vectors(), test)
        self.hashtags = replace(hashtags, psi=hashtags.psi.double())
        self.train = UserHistories(self.photos, self.hashtags, train)
        self.test = UserHistories(self.photos, self.hashtags, test)
        torch.manual_seed(seed)
        self.model = HashtagModel(replace(tiny_config(), fusion=fusion)).eval()
        with torch.no_grad():
            for weights in self.model.parameters():
                weights.normal_(std=0.6)  # biases and norms, too
        self.psi = [psi_of(name) for name in self.hashtags.names]
        self.tags, self.rows = tags_by_row(self.photos, has_vector), rows_by_user(self.photos)

    def photo(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        image = np.nan_to_num(self.photos.features[row].astype(float))
        return image, sum(psi_of(name) for name in self.tags[row])

    def histories(self, users) -> list[list[int]]:
        """The rows of each user's photos with a hashtag; nobody is left without any."""
        kept = [[row for row in self.rows[user] if self.tags[row]] for user in users]
        return [rows for rows in kept if rows]


@pytest.mark.parametrize("fusion", ["element-wise product", "only hashtags"])
def test_scores_and_probabilities_are_equations_2_to_8(float64, fusion):
    s = Small(1, fusion)
    loops, seen = Reference(s.model), s.hashtags.num_seen
    batch = collate(list(s.test))  # of unequal lengths
    with torch.no_grad():
        found = s.model.scores(s.model(batch, s.hashtags.psi), s.hashtags.psi).numpy()
    n = 0
    for rows in s.histories(range(7, 12)):
        for t, row in enumerate(rows):
            assert batch.rows[n] == row
            u, (image, _) = loops.user(map(s.photo, rows[:t])), s.photo(row)
            np.testing.assert_allclose(found[n], loops.scores(image, u, s.psi), rtol=1e-8)
            more = torch.from_numpy(image)[None], torch.from_numpy(u), s.hashtags.psi
            log_p = picture_scores(s.model, *more, seen, list(range(len(s.psi))))[0].numpy()
            np.testing.assert_allclose(log_p, loops.log_p(image, u, s.psi, seen), rtol=1e-8)
            assert np.exp(log_p[:seen]).sum() == pytest.approx(1)
            n += 1
    assert n == len(found) and seen < len(s.psi)


def test_scores_on_open_art_are_those_of_loops(float64, open_art, open_study):
    fold = open_study.fold(0, "open")
    psi = fold.hashtags.psi[::40].double()  # every 40th hashtag, to be quick
    every = fold.hashtags.psi.double()
    torch.manual_seed(0)
    model = HashtagModel(ModelConfig.small(open_art.features.shape[1], every.shape[1])).eval()
    chosen = sorted(range(len(fold.test)), key=lambda i: len(fold.test.rows[i]))[:3]
    with torch.no_grad():
        queries = model(collate([fold.test[i] for i in chosen]), every)
        found = model.scores(queries, psi).numpy()
    loops, expected, of_name = Reference(model), [], dict(zip(fold.hashtags.names, every.numpy()))
    tags = tags_by_row(open_art, of_name.__contains__)
    for item in chosen:
        history = []
        for row in rows_by_user(open_art)[fold.test.users[item]]:
            image = open_art.features[row].astype(float)
            expected.append(loops.scores(image, loops.user(history), psi.numpy()))
            history.append((image, sum(of_name[name] for name in tags[row])))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_the_loss_and_its_gradients_are_those_of_equation_9(float64):
    s = Small(2)
    seen = s.hashtags.num_seen
    batch = collate(list(s.train))
    targets = batch.draw_targets(torch.Generator().manual_seed(0))
    histories = s.histories(range(7))
    drawn = iter(targets.tolist())
    wanted = [[next(drawn) for _ in rows] for rows in histories]

    def loss(loops: Reference) -> float:
        total = 0.0
        for rows, ids in zip(histories, wanted, strict=True):
            for t, (row, i) in enumerate(zip(rows, ids, strict=True)):
                assert s.hashtags.names[i] in s.tags[row]
                u = loops.user(map(s.photo, rows[:t]))
                log_p = loops.log_p(s.photo(row)[0], u, s.psi[:seen], seen)
                total -= log_p[i] / len(rows) / len(histories)
        return total

    loops, optimizer = Reference(s.model), torch.optim.SGD(s.model.parameters(), lr=0)
    given = s.hashtags.psi[:seen]
    assert train_step(s.model, optimizer, batch, targets, given).item() == pytest.approx(
        loss(loops), rel=1e-6
    )
    rng, step = np.random.default_rng(0), 1e-5
    learned = {name: w.grad for name, w in s.model.named_parameters() if w.requires_grad}
    for name, gradient in learned.items():  # one number of each
        at = tuple(rng.integers(0, gradient.shape))
        number, around = loops.W[name][at], []
        for loops.W[name][at] in (number + step, number - step):
            around.append(loss(loops))
        loops.W[name][at] = number
        slope = (around[0] - around[1]) / (2 * step)
        assert gradient[at].item() == pytest.approx(slope, rel=1e-4, abs=1e-7), name


def test_targets_are_drawn_uniformly_from_each_photos_hashtags():
    photos = collection({"a": [["sun", "sea", "sky", "sand", "boat"], ["sun", "sea"], ["sky"]]})
    hashtags = build_hashtags(photos, np.array([0]), tiny_vectors())
    batch = collate(list(UserHistories(photos, hashtags, [0])))
    generator, draws = torch.Generator().manual_seed(0), 3000
    drawn = torch.stack([batch.draw_targets(generator) for _ in range(draws)])  # (draws, 3)
    for photo in range(3):
        names = photos.hashtags_of(photo)
        counts = Counter(hashtags.names[i] for i in drawn[:, photo].tolist())
        p = 1 / len(names)
        assert set(counts) == set(names)
        for name in names:
            assert abs(counts[name] - draws * p) <= 5 * (draws * p * (1 - p)) ** 0.5


# ---- user retrieval (§4.3, Table 5)


def loop_retrieval(vectors: list[list[int]], users: list[int]) -> dict[str, float]:
    """Exact: cosines of one query are in the order of sign(dot) dot^2 / |r|^2."""
    ranks = []
    for q, query in enumerate(vectors):
        others = []
        for r, other in enumerate(vectors):
            dot = sum(a * b for a, b in zip(query, other, strict=True))
            square = sum(b * b for b in other)
            if r != q:
                others.append((-Fraction(dot * abs(dot), max(square, 1)), r))
        places = [i for i, (_, r) in enumerate(sorted(others), 1) if users[r] == users[q]]
        ranks += places[:1]
    mean = {f"A@{k}": 100 * np.mean([rank <= k for rank in ranks]) for k in (1, 10)}
    found = {"queries": len(ranks), "users": len(set(users))}
    return {**mean, "MR": float(np.median(ranks)), **found}


def test_user_retrieval_of_many_ties_is_an_exact_loop():
    for seed in range(100):
        rng = np.random.default_rng(seed)
        size = int(rng.integers(4, 30))
        vectors = rng.integers(-1, 3, size=(size, int(rng.integers(1, 4))))  # also zeros
        users = rng.integers(0, size // 2, size=size)
        users[0] = users[1]
        dense = torch.tensor(vectors, dtype=torch.float32)
        expected = pytest.approx(loop_retrieval(vectors.tolist(), users.tolist()))
        for given in (dense, dense.to_sparse()):
            assert retrieval_metrics(given, torch.tensor(users)) == expected


@pytest.mark.parametrize("binary", [True, False])
def test_table_5_of_used_hashtags_and_occurrences_is_a_loop(open_art, open_study, binary):
    fold, split, history = open_study.fold(0, "open"), open_study.splits[0], 20
    names = fold.hashtags.names
    tags, users = tags_by_row(open_art, set(names).__contains__), rows_by_user(open_art)
    windows, owners = [], []
    for user in split.test:
        rows = [row for row in users[user] if tags[row]]
        own = [rows[i * history : (i + 1) * history] for i in range(len(rows) // history)]
        if len(own) > 1:
            windows += own
            owners += [user] * len(own)
    pieces = pieces_of(fold.test, history)
    assert [rows.tolist() for rows in pieces.rows] == windows and pieces.users == owners
    counts = [Counter(name for row in rows for name in tags[row]) for rows in windows]
    used = sorted(set().union(*counts))  # Equations 10 and 11; all others are zeros
    vectors = [[min(c[n], 1) if binary else c[n] for n in used] for c in counts]
    found = retrieval_metrics(
        hashtag_vectors(pieces, len(names), binary), torch.tensor(pieces.users)
    )
    assert found == pytest.approx(loop_retrieval(vectors, owners))


def test_a_window_is_represented_by_its_own_photos_alone(float64):
    s = Small(3)
    loops, pieces = Reference(s.model), pieces_of(s.train, 2)
    expected = [loops.user(map(s.photo, rows)) for rows in pieces.rows]
    found = represent(s.model, pieces, s.hashtags.psi).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-8)


# ---- image retrieval (A.5)


@pytest.mark.parametrize("seed", range(3))
def test_image_retrieval_is_a_loop_over_users_hashtags_and_pictures(float64, seed):
    s = Small(seed)
    loops, seen = Reference(s.model), s.hashtags.num_seen
    cut = [(rows[: len(rows) // 2], rows[len(rows) // 2 :]) for rows in s.histories(range(7, 12))]
    cut = [(first, second) for first, second in cut if first]
    pool = [(owner, row) for owner, (_, second) in enumerate(cut) for row in second]
    states = [loops.user(map(s.photo, first)) for first, _ in cut]
    ranks = defaultdict(list)  # of (first relevant picture, how many among the best ten)
    for owner, halves in enumerate(cut):
        first, second = (set().union(*(s.tags[row] for row in rows)) for rows in halves)
        readings = {
            "everyone": np.zeros_like(states[0]),
            "this user": states[owner],
            "another user": states[(owner + 1) % len(cut)],
        }
        for reading, u in readings.items():
            log_p = np.array([loops.log_p(s.photo(row)[0], u, s.psi, seen) for _, row in pool])
            for name in first & second:
                order = np.argsort(-log_p[:, s.hashtags.ids[name]], kind="stable")
                has = [name in s.tags[pool[p][1]] for p in order]
                own = [h and pool[p][0] == owner for h, p in zip(has, order, strict=True)]
                for relevant, hits in (("own", own), ("anyone's", has)):
                    ranks[reading, relevant].append((hits.index(True) + 1, sum(hits[:10])))
    found = evaluate_retrieval(s.model, s.hashtags, make_pool(s.test), torch.device("cpu"))
    assert len(found) == len(ranks) == 6
    for row in found:
        best, among = np.array(ranks[row.pop("reading"), row.pop("relevant")]).T
        expected = {f"A@{k}": 100 * np.mean(best <= k) for k in (1, 10)}
        expected |= {"P@10": 100 * np.mean(among / 10), "MR": np.median(best)}
        expected |= {"queries": len(best), "pictures": len(pool)}
        assert row == pytest.approx(expected)


# ---- ours w/o GloVe (§4.1)


def test_without_glove_nothing_is_learned_from_the_hashtags_of_test_users(tmp_path, monkeypatch):
    first_weights, fit = [], study_module.fit

    def watched(model, *more, **options):
        first_weights.append({name: w.clone() for name, w in model.state_dict().items()})
        return fit(model, *more, **options)

    monkeypatch.setattr(study_module, "fit", watched)
    histories = random_histories(0)
    test = user_folds(collection(histories), 5, 0)[0].test
    others = dict(histories)
    for user in test:
        photos = histories[f"user{user:02d}"]
        others[f"user{user:02d}"] = [[f"{WORDS[-1]}+{word}" for word in WORDS[:9]] for _ in photos]
    trained, vocabularies = [], []
    for number, named in enumerate((histories, others)):
        settings = TrainConfig(epochs=2, learning_rate=1e-3)
        folder = tmp_path / str(number)
        study = study_of(collection(named), folder, tiny_vectors(), training=settings)
        trained.append(study.model(0, "open", "ours w/o GloVe").state_dict())
        vocabularies.append(study.fold(0, "open").hashtags)
    one, other = vocabularies
    train = [f"user{user:02d}" for user in study.splits[0].train]
    seen = {n for user in train for photo in histories[user] for n in photo if has_vector(n)}
    assert len(one) != len(other) and one.names[: len(seen)] == other.names[: len(seen)]
    for before, after in (first_weights, trained):
        assert len(before["learned_psi.weight"]) == len(seen)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert any(not torch.equal(first_weights[0][name], w) for name, w in trained[0].items())

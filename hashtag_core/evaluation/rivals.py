"""Rules stronger than `repeat_recent`, from the literature on repeated hashtags and baskets.

A rule gives some hashtags a score above 0, from the photos before the one to predict. Those come
first, the highest score first; then all others. Where scores are equal, and among the others, the
lower id comes first, which is the more frequent hashtag. Before a user's first photo all is by id.

    decayed               each step back weighs less: `repeat_recent` with another decay
    base_level            each use is forgotten by a power law of its age (ACT-R)
    tifu_knn              decayed in groups of photos, and the same of similar training users
    up_cf                 the share of recent photos, of the user and of similar training users
    personal_and_global   decayed, mixed with the frequencies of the training photos

`choose` picks a rule's settings on the validation users, for example of `GRIDS`. Ids from num_seen
on may mean other hashtags then, but training users have none of those.

Shapes: N photos in the batch, T photos of a user, n of them before the one to predict, M hashtags
of all T photos, L different ones, U training users, V of their hashtags.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain, islice

import numpy as np
import torch
from torch import Tensor

from hashtag_core.data.histories import Batch, UserHistories
from hashtag_core.data.loading import batches
from hashtag_core.evaluation.metrics import Ranker, evaluate


class History:
    """One user's photos.

    Attributes:
        photos: T times the ids of a photo's hashtags.
        rows: (T,) int64, the photos' rows in the collection.
        own: (L,) int64, the different hashtags of all photos, by id.
    """

    def __init__(self, photos: list[list[int]], rows: np.ndarray) -> None:
        self.photos = photos
        self.rows = rows
        sizes = [len(ids) for ids in photos]
        ids = np.array([i for ids in photos for i in ids], dtype=np.int64)  # (M,)
        self.own, self._place = np.unique(ids, return_inverse=True)  # (L,), (M,)
        self._photo = np.repeat(np.arange(len(photos)), sizes)  # (M,)
        self._start = np.concatenate([[0], np.cumsum(sizes)])  # (T + 1,)

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """(L,): for each of `own` the sum over the first n photos that have it of weights, (n,)."""
        stop = self._start[len(weights)]
        return np.bincount(self._place[:stop], weights[self._photo[:stop]], minlength=len(self.own))


# a user -> the hashtags with a score, best first: before the second photo, before the third, ...
Rule = Callable[[History], Iterator[list[int]]]


def _ranker(rule: Rule) -> Ranker:
    def rank(batch: Batch, candidates: range, k: int) -> Tensor:
        ranked = torch.full((len(batch.rows), k), -1)  # (N, k)
        ids = batch.hashtag_ids.split(batch.hashtag_offsets.diff().tolist())  # N times (K,)
        photos = [own.tolist() for own in ids]
        rows = batch.rows.cpu().numpy()  # (N,)
        n = 0
        for length in batch.mask.sum(dim=1).tolist():
            user = History(photos[n : n + length], rows[n : n + length])
            for scored in chain([[]], rule(user)):
                best = list(islice((i for i in scored if i in candidates), k))
                rest = set(candidates[:k]) - set(best)  # enough: only those in `best` are missing
                best = (best + sorted(rest))[:k]
                ranked[n, : len(best)] = torch.tensor(best, dtype=torch.long)
                n += 1
        return ranked

    return rank


def _best_first(ids: np.ndarray, scores: np.ndarray) -> list[int]:
    """The ids with a score above 0, the highest first, equal ones by id.

    Scores count to 12 digits, so that rounding does not part equal ones.
    """
    ids, scores = ids[scores > 0], scores[scores > 0]
    digits, exponents = np.frexp(scores)
    return ids[np.lexsort((ids, -np.ldexp(digits.round(12), exponents)))].tolist()


def _steps(n: int) -> np.ndarray:
    """(n,) float64: how many steps the n photos before are back; 0 for the last one."""
    return np.arange(n - 1.0, -1, -1)


def decayed(decay: float) -> Ranker:
    """Sum of decay^(steps back) over the photos with the hashtag; 0 steps for the last photo.

    Up to 0.5 all decays rank alike, as `repeat_recent`: a photo outweighs all that are older.

    Scores are compared exactly, as whole numbers: with decay = p / q they are sums of
    q^t p^(T - t) for the photos t = 0, 1, …, which differ from those above by the same factor for
    all hashtags. So a photo moves no hashtags but its own.
    """
    p, q = Fraction(str(decay)).as_integer_ratio()

    def rule(user: History) -> Iterator[list[int]]:
        weight, scores = p ** len(user.photos), dict[int, int]()
        ordered: list[tuple[int, int]] = []  # (-score, id), rising
        for ids in user.photos[:-1]:
            for i in ids:
                if i in scores:
                    del ordered[bisect_left(ordered, (-scores[i], i))]
                scores[i] = scores.get(i, 0) + weight
                insort(ordered, (-scores[i], i))
            weight = weight * q // p
            yield [i for _, i in ordered]

    return _ranker(rule)


def base_level(d: float, times: np.ndarray | None = None) -> Ranker:
    """The base-level activation of ACT-R: ln Σ age^-d over the uses of the hashtag.

    After Anderson and Schooler, "Reflections of the environment in memory", 1991; for hashtags
    Kowald, Pujari and Lex, "Temporal effects on hashtag reuse in Twitter", WWW 2017. The logarithm
    changes no order and is left out.

    Args:
        d: how fast uses are forgotten.
        times: (P,) float64, when the photos of the collection were taken, in seconds; NaN where
            unknown. The age is then in seconds, at least 1. Without times, and for users with an
            unknown one, it is in photos, 1 for the last photo.
    """

    def rule(user: History) -> Iterator[list[int]]:
        taken = np.arange(len(user.rows), dtype=float)  # (T,)
        if times is not None and not np.isnan(times[user.rows]).any():
            taken = times[user.rows]
        for n in range(1, len(taken)):
            ages = np.maximum(taken[n] - taken[:n], 1)  # (n,)
            yield _best_first(user.own, user.sums(ages**-d))

    return _ranker(rule)


def tifu_knn(
    train: UserHistories,
    num_hashtags: int,
    groups: int,
    within_decay: float,
    group_decay: float,
    neighbours: int,
    alpha: float,
) -> Ranker:
    """TIFU-KNN: alpha × the user's own vector + (1 - alpha) × the mean of the nearest ones.

    After Hu, He, Gao and Zhang, "Modeling personalized item frequency information for next-basket
    recommendation", SIGIR 2020. The n photos are cut into m groups of x = ⌈n / m⌉, counted from the
    newest. So the oldest group may have fewer photos, and there may be fewer groups, G = ⌈n / x⌉. A
    photo that is the j-th newest of the g-th newest group, counted from 0, weighs

        within_decay^j group_decay^g / (x G)

    and a user's vector holds the sum over the photos with each hashtag.

    Args:
        train: the training users; their vectors are of all their photos.
        num_hashtags: V, `num_seen`: the hashtags that training users have.
        groups: m.
        within_decay: per photo, within a group.
        group_decay: per group.
        neighbours: how many training users, those of the smallest Euclidean distance.
        alpha: the share of the user's own vector.
    """

    def weights(n: int) -> np.ndarray:
        size = -(-n // groups)  # x, rounded up
        group, inside = np.divmod(_steps(n), size)  # (n,)
        return within_decay**inside * group_decay**group / (size * -(-n // size))

    vectors = _vectors(train, num_hashtags, weights)  # (U, V)
    squares = (vectors**2).sum(axis=1)  # (U,)

    def rule(user: History) -> Iterator[list[int]]:
        known = user.own < num_hashtags
        theirs = vectors[:, user.own[known]]  # (U, L), less what no training user has
        for n in range(1, len(user.photos)):
            own = user.sums(weights(n))  # (L,)
            # |v - u|² = |v|² + |u|² - 2 vu, and |u|² is the same for all training users v
            near = _highest(2 * theirs @ own[known] - squares, neighbours)
            mean = vectors[near].mean(axis=0)  # (V,)
            yield _together((1 - alpha) * mean, user.own, alpha * own)

    return _ranker(rule)


def up_cf(
    train: UserHistories,
    num_hashtags: int,
    recency: int,
    locality: float,
    neighbours: int,
    asymmetry: float = 0.5,
) -> Ranker:
    """UP-CF@r: Σ_v sim(u, v)^q π_v(i), over training users v and the user u, sim(u, u) = 1.

    After Faggioli, Polato and Aiolli, "Recency aware collaborative filtering for next basket
    recommendation", UMAP 2020. With I_u the hashtags that u has used in all n photos, and the
    asymmetric cosine of these sets,

        π_u(i) = (how many of the last r photos have i) / min(r, n)
        sim(u, v) = |I_u ∩ I_v| / (|I_u|^a |I_v|^(1 - a))

    Args:
        train: the training users; their sets are of all their photos.
        num_hashtags: V, `num_seen`: the hashtags that training users have.
        recency: r.
        locality: q; the greater, the less do users count that are not very similar.
        neighbours: how many training users, the most similar ones (the paper takes all).
        asymmetry: a, from 0 to 1; 0.5 is the cosine.
    """

    def weights(n: int) -> np.ndarray:
        return (_steps(n) < recency) / min(recency, n)  # (n,)

    popular = _vectors(train, num_hashtags, weights)  # (U, V)
    used = _vectors(train, num_hashtags, np.ones) > 0  # (U, V)
    sizes = used.sum(axis=1) ** (1 - asymmetry)  # (U,)

    def rule(user: History) -> Iterator[list[int]]:
        known = user.own < num_hashtags
        theirs = used[:, user.own[known]].astype(float)  # (U, L), less what no training user has
        for n in range(1, len(user.photos)):
            own = user.sums(np.ones(n)) > 0  # (L,)
            similar = theirs @ own[known] / (own.sum() ** asymmetry * sizes)  # (U,)
            near = _highest(similar, neighbours)
            score = similar[near] ** locality @ popular[near]  # (V,)
            yield _together(score, user.own, user.sums(weights(n)))

    return _ranker(rule)


def personal_and_global(counts: Tensor, decay: float, share: float) -> Ranker:
    """A mixture: share × the user's own distribution + (1 - share) × the training photos'.

    Args:
        counts: (V,), in how many training photos each hashtag stands (`Hashtags.counts`).
        decay: the own distribution is that of `decayed`, divided by its sum.
        share: of the user's own distribution.
    """
    everyone = (1 - share) * (counts.double() / counts.sum()).numpy()  # (V,)

    def rule(user: History) -> Iterator[list[int]]:
        for n in range(1, len(user.photos)):
            own = user.sums(decay ** _steps(n))  # (L,)
            yield _together(everyone, user.own, share * own / own.sum())

    return _ranker(rule)


def _vectors(
    train: UserHistories, num_hashtags: int, weights: Callable[[int], np.ndarray]
) -> np.ndarray:
    """(U, V) float64: the sums of each training user, after all photos."""
    vectors = np.zeros((len(train), num_hashtags))
    starts = train.hashtag_offsets
    for vector, rows in zip(vectors, train.rows, strict=True):
        photos = [train.hashtag_ids[starts[r] : starts[r + 1]].tolist() for r in rows]
        user = History(photos, rows)
        vector[user.own] = user.sums(weights(len(rows)))
    return vectors


def _highest(scores: np.ndarray, k: int) -> np.ndarray:
    """Where the k highest scores are; of equal ones, also where rounding parts them, the first."""
    return np.argsort(-scores.round(12), kind="stable")[:k]


def _together(everyone: np.ndarray, own: np.ndarray, scores: np.ndarray) -> list[int]:
    """Best first, with the scores (V,) of ids 0 to V - 1 and, added to them, those (L,) of `own`.

    What only this user has may have ids from V on.
    """
    total = np.zeros(max(len(everyone), own.max() + 1))
    total[: len(everyone)] = everyone
    total[own] += scores
    return _best_first(np.arange(len(total)), total)


def choose(
    rule: Callable[..., Ranker], settings: list[dict], valid: UserHistories
) -> tuple[dict, list[dict[str, float]]]:
    """The settings with the highest A@1 + R@10 on the validation users, among all hashtags.

    Args:
        rule: settings -> ranker; of the functions above that need more, `partial(up_cf, train, V)`.
        settings: to try, as keywords; of equal ones the first is taken.
        valid: the validation users.

    Returns:
        (the best settings, the metrics of each of them).
    """
    found = [
        evaluate(rule(**each), batches(valid, 16), valid.hashtags, ("all",))["all"]
        for each in settings
    ]
    sums = [metrics["A@1"] + metrics["R@10"] for metrics in found]
    return settings[sums.index(max(sums))], found


GRIDS: dict[str, list[dict]] = {
    "decayed": [{"decay": x} for x in (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)],
    "base_level": [{"d": x} for x in (0.5, 0.8, 1.0, 1.2, 1.5, 1.7, 2.0, 2.5)],
    "tifu_knn": [
        dict(groups=m, within_decay=b, group_decay=g, neighbours=30, alpha=alpha)
        for m, b, g in ((7, 0.9, 0.7), (23, 0.7, 0.5), (1, 0.7, 1.0), (1, 0.5, 1.0))
        for alpha in (0.7, 0.95)
    ],
    "up_cf": [dict(recency=r, locality=q, neighbours=30) for r in (1, 2, 3, 10) for q in (5, 20)],
    "personal_and_global": [
        dict(decay=decay, share=share) for decay in (0.5, 0.7, 0.8, 0.9) for share in (0.5, 0.95)
    ],
}

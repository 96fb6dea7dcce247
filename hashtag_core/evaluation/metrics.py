"""Metrics of hashtag prediction: A@k, P@k, R@k (§4, Metrics).

Per photo, with R the k highest-ranked candidates and G the photo's hashtags among the candidates:

    A@k = 1 if R and G share a hashtag, else 0     P@k = |R & G| / k     R@k = |R & G| / |G|

and the mean over photos, times 100. Photos with empty G are left out, and counted. Shapes: N
photos, k ranked hashtags, M hashtags of all photos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from hashtag_core.data.hashtags import CANDIDATES, Hashtags
from hashtag_core.data.histories import Batch
from hashtag_core.devices import Processes
from hashtag_core.evaluation.ranking import OnePassRanker

Ranker = Callable[[Batch, range, int], Tensor]  # batch, candidates, k -> (N, k) ids, best first


class HashtagMetrics:
    """Adds up A@k, P@k and R@k over batches of photos, on the device of what it is given."""

    def __init__(self, ks: tuple[int, ...] = (1, 10)) -> None:
        self.ks = ks
        self.sums = {f"{name}@{k}": 0.0 for k in ks for name in "APR"}
        self.photos = 0
        self.left_out = 0

    def __repr__(self) -> str:
        return f"HashtagMetrics: {self.photos:,} photos counted, {self.left_out:,} left out"

    def update(
        self,
        ranked: Tensor,
        hashtag_ids: Tensor,
        hashtag_offsets: Tensor,
        candidates: range,
        predict: Tensor | None = None,
    ) -> None:
        """Add N photos.

        Args:
            ranked: (N, >= max k) int64, the ranked hashtags, best first; -1 where there is none.
            hashtag_ids: (M,) int64, the true hashtags of all photos, one photo after the other.
            hashtag_offsets: (N + 1,) int64, where each photo's begin.
            candidates: the ids that were ranked; true hashtags outside do not count.
            predict: (N,) bool, the photos to evaluate; None for all of them.

        Raises:
            ValueError: where `ranked` has an id twice for a photo, or one outside the candidates.
        """
        in_order = ranked.sort(dim=1).values
        twice = (in_order.diff(dim=1) == 0) & (in_order[:, 1:] >= 0)
        outside = (ranked != -1) & ((ranked < candidates.start) | (ranked >= candidates.stop))
        if twice.any() or outside.any():
            raise ValueError("a ranking has a hashtag twice, or one outside the candidates.")
        photos = torch.arange(len(ranked), device=ranked.device)  # (N,)
        photo_of = photos.repeat_interleave(hashtag_offsets.diff())  # (M,)
        inside = (hashtag_ids >= candidates.start) & (hashtag_ids < candidates.stop)  # (M,)
        truth = photo_of[inside] * candidates.stop + hashtag_ids[inside]
        guess = photos[:, None] * candidates.stop + ranked  # (N, k), one number per photo and id
        hit = torch.isin(guess, truth) & (ranked >= 0)  # (N, k)
        num_true = torch.bincount(photo_of[inside], minlength=len(ranked))  # (N,), |G|
        wanted = torch.ones_like(num_true).bool() if predict is None else predict
        counted = wanted & (num_true > 0)
        self.photos += int(counted.sum())
        self.left_out += int((wanted & ~counted).sum())
        for k in self.ks:
            hits = hit[counted, :k].sum(dim=1)  # |R & G|
            self.sums[f"A@{k}"] += float((hits > 0).sum())
            self.sums[f"P@{k}"] += float(hits.sum()) / k
            self.sums[f"R@{k}"] += float((hits / num_true[counted]).sum())

    def add_up(self, processes: Processes) -> None:
        """Take in what the other processes have counted."""
        counts = [*self.sums.values(), self.photos, self.left_out]
        *sums, photos, left_out = processes.sum_of_numbers(counts)
        self.sums = dict(zip(self.sums, sums, strict=True))
        self.photos, self.left_out = int(photos), int(left_out)

    def compute(self) -> dict[str, float]:
        """{"A@1": …, "P@1": …, …, "photos": …, "left_out": …}, in per cent.

        NaN where no photo counted.
        """
        means = {
            name: 100 * total / self.photos if self.photos else float("nan")
            for name, total in self.sums.items()
        }
        return {**means, "photos": self.photos, "left_out": self.left_out}


def rank_each(ranker: Ranker, batch: Batch, sets: Sequence[range], k: int) -> list[Tensor]:
    """The ranking of each set of candidates, in one pass where the ranker can."""
    if isinstance(ranker, OnePassRanker) and type(ranker).__call__ is OnePassRanker.__call__:
        return ranker.several(batch, sets, k)  # a subclass that calls otherwise ranks otherwise
    return [ranker(batch, ids, k) for ids in sets]


def evaluate(
    ranker: Ranker,
    batches: Iterable[Batch],
    hashtags: Hashtags,
    candidates: tuple[str, ...] = CANDIDATES,
    processes: Processes | None = None,
) -> dict[str, dict[str, float]]:
    """A ranker's metrics on all photos of all users, for each set of candidates.

    Args:
        ranker: (batch, candidates, k) -> (N, k) ids, best first.
        batches: of `UserHistories`.
        hashtags: the vocabulary.
        candidates: of "seen", "unseen", "all".
        processes: who else evaluates, each other photos; None for nobody.

    Returns:
        {"seen": {"A@1": …, "photos": …}, …}, in per cent.
    """
    metrics = {which: HashtagMetrics() for which in candidates}
    sets, k = [hashtags.candidates(which) for which in metrics], max(HashtagMetrics().ks)
    for batch in batches:
        rankings = rank_each(ranker, batch, sets, k)
        for metric, ids, ranked in zip(metrics.values(), sets, rankings, strict=True):
            metric.update(
                ranked,
                batch.hashtag_ids.to(ranked.device),
                batch.hashtag_offsets.to(ranked.device),
                ids,
                batch.predict.to(ranked.device),
            )
    if processes is not None and processes.number > 1:
        for metric in metrics.values():
            metric.add_up(processes)
    return {which: metric.compute() for which, metric in metrics.items()}

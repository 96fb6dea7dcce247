"""Metrics of each user by itself, also of some of the photos alone: for intervals and hard cases.

The mean over all photos is the mean over users, each weighing as many photos as count of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from torch import Tensor

from hashtag_core.data.hashtags import CANDIDATES, Hashtags
from hashtag_core.data.histories import Batch, UserHistories, collate
from hashtag_core.evaluation.metrics import HashtagMetrics, Ranker, rank_each

Case = Callable[[Batch], Tensor]  # a user's batch -> (N,) bool, which photos are meant


def evaluate_by_user(
    ranker: Ranker,
    histories: UserHistories,
    hashtags: Hashtags,
    candidates: tuple[str, ...] = CANDIDATES,
    cases: Mapping[str, Case | None] | None = None,
) -> list[dict]:
    """A ranker's metrics on each user's photos.

    Args:
        ranker: (batch, candidates, k) -> (N, k) ids, best first.
        histories: whose photos.
        hashtags: the vocabulary.
        candidates: of "seen", "unseen", "all".
        cases: which photos, by name; None for all of them.

    Returns:
        A dict for each user, case and set of candidates in which a photo counts: user, case,
        candidates, the metrics in per cent, photos, left_out.
    """
    cases = {"every photo": None} if cases is None else cases
    sets, rows = [hashtags.candidates(which) for which in candidates], []
    for item in range(len(histories)):
        batch = collate([histories[item]])
        rankings = rank_each(ranker, batch, sets, max(HashtagMetrics().ks))
        for case, meant in cases.items():
            predict = batch.predict if meant is None else batch.predict & meant(batch)
            for which, ids, ranked in zip(candidates, sets, rankings, strict=True):
                metric = HashtagMetrics()
                ranked = ranked.cpu()
                metric.update(ranked, batch.hashtag_ids, batch.hashtag_offsets, ids, predict)
                if metric.photos:
                    row = {"user": histories.users[item], "case": case, "candidates": which}
                    rows.append({**row, **metric.compute()})
    return rows


def mean_over_photos(rows: list[dict], metric: str) -> float:
    """The mean over all photos of rows of `evaluate_by_user`; NaN where there are none."""
    photos = np.array([row["photos"] for row in rows], dtype=np.float64)
    values = np.array([row[metric] for row in rows])
    return float(values @ photos / photos.sum()) if len(rows) else float("nan")

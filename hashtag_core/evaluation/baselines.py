"""Baselines that need no training: rankers of the form (batch, candidates, k) -> (N, k) ids."""

from __future__ import annotations

import torch
from torch import Tensor

from hashtag_core.data.hashtags import Hashtags
from hashtag_core.data.histories import Batch
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError
from hashtag_core.evaluation.metrics import Ranker


def frequency(batch: Batch, candidates: range, k: int) -> Tensor:
    """[A]: always the most frequent training hashtags, which are the lowest ids.

    Unseen hashtags all have the frequency 0; among them the order is that of their names.
    """
    ids = torch.full((k,), -1)
    best = torch.tensor(candidates[:k])
    ids[: len(best)] = best
    return ids.expand(len(batch.rows), k)  # (N, k)


def repeat_recent(batch: Batch, candidates: range, k: int) -> Tensor:
    """The user's recent hashtags: the last photo's weigh 1, each step back half as much.

    Weights of a repeated hashtag add up. The rest, and all of it for a user's first photo, is by
    frequency. The paper has no such row; real photo streams repeat themselves, so it is strong.
    """
    ranked = []
    photo_of = batch.photo_of_hashtags()  # (M,)
    first = 0
    for length in batch.mask.sum(dim=1).tolist():
        mine = (photo_of >= first) & (photo_of < first + length)
        mine &= (batch.hashtag_ids >= candidates.start) & (batch.hashtag_ids < candidates.stop)
        photos, ids = photo_of[mine] - first, batch.hashtag_ids[mine]
        # No other hashtag can be among the k best: those all weigh 0 and are less frequent.
        local = torch.unique(torch.cat([ids, torch.tensor(candidates[:k], dtype=torch.long)]))
        used = torch.zeros(length, len(local), dtype=torch.float64)  # (T, L)
        used[photos, torch.searchsorted(local, ids)] = 1.0
        order = _by_recency(used)[:, :k]
        best = torch.full((length, k), -1)
        best[:, : order.shape[1]] = local[order]
        ranked.append(best)
        first += length
    return torch.cat(ranked)  # (N, k)


def _by_recency(used: Tensor) -> Tensor:
    """(T, L) used or not -> (T, L): before each photo, the columns by falling sum of weights.

    A float64 adds up 50 steps of 1, 1/2, 1/4, … without rounding, and 50 newer steps outweigh all
    older ones. So the columns are sorted by the oldest 50 steps first, and stably by newer ones.
    """
    length = len(used)
    steps = torch.arange(length)[:, None] - torch.arange(length)[None] - 1  # (T, T), steps back
    order = torch.arange(used.shape[1]).expand_as(used)  # (T, L)
    for newest in reversed(range(0, max(length - 1, 1), 50)):
        inside = (steps >= newest) & (steps < newest + 50)
        weights = torch.where(inside, 0.5 ** (steps - newest).clamp(0, 50).double(), 0.0)
        score = (weights @ used).gather(1, order)  # (T, L)
        order = order.gather(1, score.sort(dim=1, descending=True, stable=True).indices)
    return order


def oracle(photos: PhotoCollection, hashtags: Hashtags) -> Ranker:
    """The best possible ranking, where the truth is known: for simulated collections.

    They have a column `oracle`: each photo's hashtags by falling probability, given everything
    but the photo's own draw. The rest is by frequency.

    Args:
        photos: the collection, with that column.
        hashtags: the vocabulary.

    Raises:
        InputError: where the collection has no such column.
    """
    if not photos.has("oracle"):
        raise InputError("only a simulated collection knows the truth: no column `oracle`.")
    column = photos.column("oracle")

    def rank(batch: Batch, candidates: range, k: int) -> Tensor:
        ranked = frequency(batch, candidates, k).clone()  # (N, k)
        for n, row in enumerate(batch.rows.tolist()):
            known = (hashtags.ids.get(name, -1) for name in column[row].as_py())
            first = [i for i in known if i in candidates]
            rest = [i for i in candidates[:k] if i not in first]
            best = (first + rest)[:k]
            ranked[n, : len(best)] = torch.tensor(best)
        return ranked

    return rank

"""Baselines that need no training: rankers of the form (batch, candidates, k) -> (N, k) ids."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice

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

    No weight is computed. A sum of halves is a binary number: its digits say on which photos the
    hashtag stands, the newest first. To sort by it, sort by the oldest photo first and stably by
    each newer one. So a photo brings its hashtags to the front, and no other two change places.
    """
    ranked = torch.full((len(batch.rows), k), -1)  # (N, k)
    photos = batch.hashtag_ids.split(batch.hashtag_offsets.diff().tolist())  # N times (K,)
    n = 0
    for length in batch.mask.sum(dim=1).tolist():
        # hashtag -> its place, the higher the better; the best ones last. None but the used ones
        # and these can be among the k best: all others weigh 0 and are less frequent.
        places = OrderedDict((i, -i) for i in reversed(candidates[:k]))
        top = 1
        for ids in photos[n : n + length]:
            best = list(islice(reversed(places), k))
            ranked[n, : len(best)] = torch.tensor(best, dtype=torch.long)
            own = [i for i in ids.tolist() if i in candidates]
            for i in sorted(own, key=lambda i: places.get(i, -i)):  # never used: by frequency
                places[i] = top
                places.move_to_end(i)
                top += 1
            n += 1
    return ranked


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

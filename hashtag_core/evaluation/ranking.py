"""Ranking: the exact top k among any number of hashtags (§4).

The vocabulary goes by in tiles; a tile's scores are compared with the best so far, and only photos
for which it holds something better do more work. Memory does not depend on V, nor on N where there
are very many photos. The tiles are always the same ones, so the score of a hashtag never depends on
which others are ranked.

Shapes: N photos, V hashtags, C candidates in a tile, d joint space.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hashtag_core.data.hashtags import Hashtags
from hashtag_core.data.histories import Batch
from hashtag_core.model.joint_embedding import PHOTOS, HashtagModel
from hashtag_core.model.products import fold, product

Users = Callable[[Batch, Tensor], Tensor]  # batch, psi -> (N, d_u), the user before each photo
Pairs = tuple[Tensor, Tensor]  # (P,) photos and (P,) hashtag ids

TILE = {"cpu": 1024, "cuda": 65_536}  # hashtags at a time


def top_hashtags(
    queries: Tensor, psi: Tensor, tag_side: nn.Module, candidates: range, k: int
) -> tuple[Tensor, Tensor]:
    """The k candidates with the highest scores, best first; ties go to the lower id.

    Args:
        queries: (N, d), the image side of Equation 7.
        psi: (V, d_w), all hashtags.
        tag_side: (V, d_w) -> (V, d), phi_tag.
        candidates: which ids of psi to rank among.
        k: how many.

    Returns:
        (scores, ids): (N, k) float32 and (N, k) int64. Where there are fewer than k candidates,
        the rest is -inf and -1.
    """
    return top_of_each(queries, psi, tag_side, [candidates], k)[0]


@torch.no_grad()
def top_of_each(
    queries: Tensor,
    psi: Tensor,
    tag_side: nn.Module,
    sets: Sequence[range],
    k: int,
    without: Pairs | None = None,
) -> list[tuple[Tensor, Tensor]]:
    """The same for several sets of candidates that may overlap, from one pass over the vocabulary.

    Args:
        queries: as in `top_hashtags`.
        psi: as there.
        tag_side: as there.
        sets: of candidates.
        k: how many of each set.
        without: (P,) int64 photos and (P,) int64 ids: the hashtags that a photo shall not get.

    Returns:
        What `top_hashtags` returns, for each of the sets.
    """
    if len(queries) > PHOTOS:
        parts = []
        for start in range(0, len(queries), PHOTOS):
            q = queries[start : start + PHOTOS]
            part = None if without is None else _of_part(without, start)
            parts.append(top_of_each(q, psi, tag_side, sets, k, part))
        return [
            (torch.cat([scores for scores, _ in of_set]), torch.cat([ids for _, ids in of_set]))
            for of_set in zip(*parts, strict=True)
        ]
    missing = queries.new_full((len(queries), k), -torch.inf, dtype=torch.float32)
    none = _to_keys(missing, torch.tensor(_LOW, device=queries.device))  # (N, k)
    queries, tag_side, offset = fold(queries, tag_side, len(psi))
    pieces = _pieces(sets)
    best = {piece: none for piece in pieces}  # keys, falling
    for tile, scores in _tiles(queries, psi, tag_side, pieces, without):
        for piece in pieces:
            first, stop = max(tile.start, piece.start), min(tile.stop, piece.stop)
            if first < stop:
                inside = scores[:, first - tile.start : stop - tile.start]
                best[piece] = _better(best[piece], inside, range(first, stop))
    found = []
    for candidates in sets:
        own = torch.cat([none, *(best[piece] for piece in pieces if piece.start in candidates)], 1)
        top, numbers = _from_keys(own.topk(k, dim=1).values)
        numbers = numbers.masked_fill((numbers == _LOW) | (top == -torch.inf), -1)
        found.append((top + offset, numbers))
    return found


@torch.no_grad()
def log_sum_exp(queries: Tensor, psi: Tensor, tag_side: nn.Module, without: Pairs) -> Tensor:
    """The logarithm of the sum of exp f over all hashtags but some of each photo: (N,) float64.

    Args:
        queries: (N, d), as in `top_hashtags`.
        psi: (V, d_w), all hashtags.
        tag_side: phi_tag.
        without: as in `top_of_each`.
    """
    if len(queries) > PHOTOS:
        starts = range(0, len(queries), PHOTOS)
        parts = ((queries[s : s + PHOTOS], _of_part(without, s)) for s in starts)
        return torch.cat([log_sum_exp(q, psi, tag_side, own) for q, own in parts])
    total = queries.new_full((len(queries),), -torch.inf, dtype=torch.float64)  # (N,)
    queries, tag_side, offset = fold(queries, tag_side, len(psi))
    for _, scores in _tiles(queries, psi, tag_side, [range(len(psi))], without):
        total = torch.logaddexp(total, scores.logsumexp(dim=1).double())
    return total if isinstance(offset, float) else total + offset[:, 0]


def _of_part(without: Pairs, start: int) -> Pairs:
    """Those of the photos from `start` on, counted from there, as many as go by at a time."""
    photos, ids = without
    own = (photos >= start) & (photos < start + PHOTOS)
    return photos[own] - start, ids[own]


def _pieces(sets: Sequence[range]) -> list[range]:
    """Ranges that do not overlap, of which each set is made."""
    ends = sorted({end for ids in sets for end in (ids.start, ids.stop)})
    pieces = map(range, ends, ends[1:])
    return [piece for piece in pieces if any(piece.start in ids for ids in sets)]


def _better(best: Tensor, scores: Tensor, ids: range) -> Tensor:
    """The best keys (N, k) when these hashtags' scores, (N, C), are looked at, too."""
    numbers = torch.arange(ids.start, ids.stop, device=scores.device)
    worst = _from_keys(best[:, -1])[0]  # (N,)
    if (worst == -torch.inf).any():  # there are no k hashtags yet
        return torch.cat([best, _to_keys(scores, numbers)], dim=1).topk(best.shape[1], dim=1).values
    n, c = (scores > worst[:, None]).nonzero(as_tuple=True)  # equal ones have higher ids here
    _merge(best, n, _to_keys(scores[n, c], numbers[c]))
    return best


def _tiles(
    queries: Tensor,
    psi: Tensor,
    tag_side: nn.Module,
    pieces: list[range],
    without: Pairs | None = None,
) -> Iterator[tuple[range, Tensor]]:
    """The tiles that hold any of the pieces: ids, and scores (N, C) float32 (Equation 7)."""
    tile = TILE.get(queries.device.type, 16_384)
    for start in range(0, max((piece.stop for piece in pieces), default=0), tile):
        ids = range(start, min(start + tile, len(psi)))  # always whole tiles
        if any(piece.start < ids.stop and ids.start < piece.stop for piece in pieces):
            tags = tag_side(psi[ids.start : ids.stop])  # (C, d)
            scores = product(queries, tags).float()
            if without is not None:
                photos, left_out = without
                here = (left_out >= ids.start) & (left_out < ids.stop)  # (P,)
                scores[photos[here], left_out[here] - ids.start] = -torch.inf
            yield ids, scores


# topk leaves open which of two equal scores comes first. So score and id are put into one integer,
# the score in the upper half (its bits, reordered to compare as the number does), the id, counted
# down, in the lower: no two are equal, and the greater integer is the better hashtag.

_LOW = 0xFFFFFFFF


def _merge(best: Tensor, n: Tensor, keys: Tensor) -> None:
    """Put keys (P,), of photos n (P,) in rising order, among the best (N, k), in place."""
    if not len(n):
        return
    photos, counts = n.unique_consecutive(return_counts=True)
    row = torch.arange(len(photos), device=n.device).repeat_interleave(counts)  # (P,)
    column = torch.arange(len(n), device=n.device) - (counts.cumsum(0) - counts)[row]
    new = best[photos, -1:].repeat(1, int(counts.max()))  # what is no better changes nothing
    new[row, column] = keys
    best[photos] = torch.cat([best[photos], new], dim=1).topk(best.shape[1], dim=1).values


def _to_keys(scores: Tensor, ids: Tensor) -> Tensor:
    bits = (scores + 0.0).contiguous().view(torch.int32).long()  # + 0.0 turns -0.0 into 0.0
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    return (ordered << 32) | (_LOW - ids)


def _from_keys(keys: Tensor) -> tuple[Tensor, Tensor]:
    ordered = keys >> 32
    bits = torch.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered)
    return bits.int().view(torch.float32), _LOW - (keys & _LOW)


class OnePassRanker:
    """A ranker that finds the best of several sets of candidates in one pass."""

    def __call__(self, batch: Batch, candidates: range, k: int) -> Tensor:
        """The k best of the candidates for each photo, best first: (N, k) ids, -1 where none."""
        return self.several(batch, [candidates], k)[0]

    def several(self, batch: Batch, sets: Sequence[range], k: int) -> list[Tensor]:
        """The same for each set of candidates."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False, repr=False)
class ModelRanker(OnePassRanker):
    """A ranker for `evaluate`, from a model's scores: (batch, candidates, k) -> (N, k) ids.

    Attributes:
        model: a trained model.
        psi: (V, d_w) of its vocabulary, on the device where to compute.
        users: (batch, psi) -> (N, d_u), the user before each photo; None for what the model makes
            of all the photos before it.
    """

    model: HashtagModel
    psi: Tensor
    users: Users | None = None

    def __repr__(self) -> str:
        return f"ModelRanker: {type(self.model).__name__}, {len(self.psi):,} hashtags"

    @torch.inference_mode()
    def several(self, batch: Batch, sets: Sequence[range], k: int) -> list[Tensor]:
        """The k best of each set of candidates, from one query a photo: (N, k) each."""
        model = self.model.eval()
        batch, psi = batch.to(self.psi.device), model.psi(self.psi)
        if self.users is None:
            queries = model(batch, psi)  # (N, d), in float32: bfloat16 would make ties
        else:
            users = self.users(batch, psi)
            queries = model.queries(batch.of_photos(batch.query_images), users)
        return [ids for _, ids in top_of_each(queries, psi, model.phi_tag, sets, k)]


def model_ranker(
    model: HashtagModel, hashtags: Hashtags, device: torch.device, users: Users | None = None
) -> ModelRanker:
    """A model as a ranker.

    Args:
        model: a trained model.
        hashtags: its vocabulary.
        device: where to compute.
        users: (batch, psi) -> (N, d_u), the user before each photo; None for what the model
            makes of all the photos before it.
    """
    return ModelRanker(model, hashtags.psi.to(device), users)

"""Ranking: the exact top k among any number of hashtags (§4).

The vocabulary goes by in tiles; a tile's scores are compared with the best so far, and only photos
for which it holds something better do more work. Memory does not depend on V, nor on N where there
are very many photos. The tiles are always the same ones, so the score of a hashtag never depends on
which others are ranked.

Shapes: N photos, V hashtags, C candidates in a tile, d joint space.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from hashtag_core.data.hashtags import Hashtags
from hashtag_core.data.histories import Batch
from hashtag_core.evaluation.metrics import Ranker
from hashtag_core.model.joint_embedding import PHOTOS, HashtagModel
from hashtag_core.model.products import fold, product

Users = Callable[[Batch, Tensor], Tensor]  # batch, psi -> (N, d_u), the user before each photo

TILE = {"cpu": 1024, "cuda": 65_536}  # hashtags at a time


@torch.no_grad()
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
    if len(queries) > PHOTOS:
        parts = [top_hashtags(q, psi, tag_side, candidates, k) for q in queries.split(PHOTOS)]
        scores, ids = (torch.cat(part) for part in zip(*parts, strict=True))
        return scores, ids
    missing = torch.full((len(queries), k), -torch.inf, device=queries.device)
    best = _to_keys(missing, torch.tensor(_LOW, device=queries.device))  # (N, k), falling
    queries, tag_side, offset = fold(queries, tag_side, len(psi))
    for ids, scores in _tiles(queries, psi, tag_side, candidates):
        worst = _from_keys(best[:, -1])[0]  # (N,)
        if (worst == -torch.inf).any():  # there are no k hashtags yet
            best = torch.cat([best, _to_keys(scores, ids)], dim=1).topk(k, dim=1).values
            continue
        n, c = (scores > worst[:, None]).nonzero(as_tuple=True)  # equal ones have higher ids here
        _merge(best, n, _to_keys(scores[n, c], ids[c]))
    scores, ids = _from_keys(best)
    return scores + offset, ids.masked_fill(ids == _LOW, -1)


def _tiles(
    queries: Tensor, psi: Tensor, tag_side: nn.Module, candidates: range
) -> Iterator[tuple[Tensor, Tensor]]:
    """The candidates tile by tile: ids (C,), and scores (N, C) float32 (Equation 7)."""
    tile = TILE.get(queries.device.type, 16_384)
    if not len(candidates):
        return
    for start in range(candidates.start // tile * tile, candidates.stop, tile):
        tags = tag_side(psi[start : start + tile])  # always whole tiles: (C, d)
        scores = product(queries, tags).float()
        first, stop = max(start, candidates.start), min(start + tile, candidates.stop)
        yield (
            torch.arange(first, stop, device=queries.device),
            scores[:, first - start : stop - start],
        )


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


def model_ranker(
    model: HashtagModel, hashtags: Hashtags, device: torch.device, users: Users | None = None
) -> Ranker:
    """A ranker for `evaluate`: (batch, candidates, k) -> (N, k) ids, from the model's scores.

    Args:
        model: a trained model.
        hashtags: its vocabulary.
        device: where to compute.
        users: (batch, psi) -> (N, d_u), the user before each photo; None for what the model
            makes of all the photos before it.
    """
    given = hashtags.psi.to(device)  # (V, d_w)

    @torch.inference_mode()
    def rank(batch: Batch, candidates: range, k: int) -> Tensor:
        model.eval()
        batch, psi = batch.to(device), model.psi(given)
        if users is None:
            queries = model(batch, psi)  # (N, d), in float32: bfloat16 would make ties
        else:
            queries = model.queries(batch.query_images[batch.mask], users(batch, psi))
        return top_hashtags(queries, psi, model.phi_tag, candidates, k)[1]  # (N, k)

    return rank

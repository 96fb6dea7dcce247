"""Ranking: the exact top k of any number of hashtags, in chunks of the vocabulary (§4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHUNK = 16_384  # hashtags at a time


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
    best = torch.empty(len(queries), 0, dtype=torch.int64, device=queries.device)
    for start in range(candidates.start, candidates.stop, CHUNK):
        ids = torch.arange(start, min(start + CHUNK, candidates.stop), device=queries.device)
        scores = queries @ tag_side(psi[ids[0] : ids[-1] + 1]).T  # Eq. 7: (N, C)
        keys = torch.cat([best, _to_keys(scores.float(), ids)], dim=1)  # (N, k + C)
        best = keys.topk(min(k, keys.shape[1]), dim=1).values  # (N, k)
    scores, ids = _from_keys(best)
    missing = (0, k - ids.shape[1])
    return (
        nn.functional.pad(scores, missing, value=-torch.inf),
        nn.functional.pad(ids, missing, value=-1),
    )


# topk leaves open which of two equal scores comes first. So score and id are put into one integer,
# the score in the upper half (its bits, reordered to compare as the number does), the id, counted
# down, in the lower: no two are equal, and the greater integer is the better hashtag.

_LOW = 0xFFFFFFFF


def _to_keys(scores: Tensor, ids: Tensor) -> Tensor:
    bits = (scores + 0.0).contiguous().view(torch.int32).long()  # + 0.0 turns -0.0 into 0.0
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    return (ordered << 32) | (_LOW - ids)


def _from_keys(keys: Tensor) -> tuple[Tensor, Tensor]:
    ordered = keys >> 32
    bits = torch.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered)
    return bits.int().view(torch.float32), _LOW - (keys & _LOW)

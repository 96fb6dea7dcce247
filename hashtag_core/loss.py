"""The training objective: softmax over all training hashtags (§3.3, Equations 8 and 9)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def softmax_loss(
    queries: Tensor, psi: Tensor, tag_side: nn.Module, targets: Tensor, weights: Tensor
) -> Tensor:
    """The weighted negative log-likelihood of one target hashtag per photo.

    It takes what the scores are made of and not the scores, so that they need never exist all
    at once.

    Args:
        queries: (N, d), the image side of Equation 7.
        psi: (V, d_w), the training hashtags.
        tag_side: (V, d_w) -> (V, d), phi_tag.
        targets: (N,) int64, ids in psi.
        weights: (N,), 1 / (U N_u) for Equation 9.

    Returns:
        A scalar.
    """
    scores = queries @ tag_side(psi).T  # Eq. 7: (N, V)
    minus_log_p = F.cross_entropy(scores.float(), targets, reduction="none")  # Eq. 8: (N,)
    return (weights * minus_log_p).sum()  # Eq. 9

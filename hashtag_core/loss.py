"""The training objective: softmax over all training hashtags (§3.3, Equations 8 and 9)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def softmax_loss(
    queries: Tensor, psi: Tensor, tag_side: nn.Sequential, targets: Tensor, weights: Tensor
) -> Tensor:
    """The weighted negative log-likelihood of one target hashtag per photo.

    It takes what the scores are made of and not the scores: the last linear layer of the tag side
    is applied to the N queries, not to the V hashtags. That is exact, and a third less work.

    Args:
        queries: (N, d), the image side of Equation 7.
        psi: (V, d_w), the training hashtags.
        tag_side: (V, d_w) -> (V, d), phi_tag; it ends with a linear layer.
        targets: (N,) int64, ids in psi.
        weights: (N,), 1 / (U N_u) for Equation 9.

    Returns:
        A scalar.
    """
    hidden, last = tag_side[:-1](psi), tag_side[-1]  # (V, d), and the linear layer W h + b
    # q^T (W h + b) = (W^T q)^T h + q^T b, and q^T b, the same for all hashtags, cancels in Eq. 8
    scores = (queries @ last.weight) @ hidden.T  # Eq. 7 up to q^T b: (N, V)
    minus_log_p = F.cross_entropy(scores.float(), targets, reduction="none")  # Eq. 8: (N,)
    return (weights * minus_log_p).sum()  # Eq. 9

"""One matrix product, by the fastest library that torch brings along: queries times hashtags.

On CPUs torch multiplies float32 matrices with MKL, which leaves a third of an AMD processor unused
(`hashtag-core benchmark ranking` shows it). oneDNN, also in torch, does not.
"""

from __future__ import annotations

import torch
from torch import Tensor


def product(a: Tensor, b: Tensor) -> Tensor:
    """The product a @ b.T, (N, d), (C, d) -> (N, C), in the dtype of both; without gradients.

    Args:
        a: (N, d).
        b: (C, d), of the same dtype; also a transposed matrix, without a copy.
    """
    on_cpu = a.device.type == b.device.type == "cpu" and a.dtype == b.dtype == torch.float32
    if on_cpu and _has_onednn():
        return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
    return a @ b.T


def _has_onednn() -> bool:
    """Whether torch has the operator that `torch.compile` uses for linear layers."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")

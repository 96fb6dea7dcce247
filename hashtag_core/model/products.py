"""One matrix product, queries times hashtags, by the faster of the libraries torch brings along.

On CPUs torch multiplies float32 matrices with MKL, which leaves a third of an AMD processor unused
(`hashtag-core benchmark ranking` shows it). oneDNN, also in torch, does not, but it compiles a
kernel for each new shape: milliseconds, and megabytes as long as it keeps it.
"""

from __future__ import annotations

import os
from functools import cache

import torch
from torch import Tensor, nn

ALIGNED = 16  # numbers: where a row has a multiple of so many, MKL is up to twice as fast
KERNELS = "64"  # that oneDNN keeps; by default 1,024, up to a gigabyte
CACHES = "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"  # read at the first kernel


def product(a: Tensor, b: Tensor, once: bool = False) -> Tensor:
    """The product a @ b.T, (N, d), (C, d) -> (N, C), in the dtype of both; without gradients.

    Args:
        a: (N, d).
        b: (C, d), of the same dtype; also a transposed matrix, without a copy.
        once: whether products of these very sizes will hardly come again.
    """
    on_cpu = a.device.type == b.device.type == "cpu" and a.dtype == b.dtype == torch.float32
    if on_cpu and not once and a.shape[1] and _has_onednn():
        return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
    if not on_cpu:
        return a @ b.T
    rows = a.new_empty(len(a), -(-len(b) // ALIGNED) * ALIGNED)[:, : len(b)]
    return torch.mm(a, b.T, out=rows)


@cache
def _has_onednn() -> bool:
    """Whether torch has the operator that `torch.compile` uses for linear layers.

    Before it is used, it is told to keep fewer kernels.
    """
    for name in CACHES:
        os.environ.setdefault(name, KERNELS)
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def fold(
    queries: Tensor, tag_side: nn.Module, hashtags: int
) -> tuple[Tensor, nn.Module, Tensor | float]:
    """Move a last linear layer W h + b of the tag side to the queries, where that is cheaper.

    q^T (W h + b) = (W^T q)^T h + q^T b: exact. q^T b is the same for all hashtags of a photo, so it
    cancels in Equation 8 and in every ranking.

    Returns:
        (W^T q, the layers before, q^T b (N, 1)); or the same queries and tag side, and 0.
    """
    if not isinstance(tag_side, nn.Sequential) or not isinstance(tag_side[-1], nn.Linear):
        return queries, tag_side, 0.0
    last, n = tag_side[-1], len(queries)
    as_it_is = hashtags * last.out_features * (last.in_features + n)
    if last.in_features * n * (last.out_features + hashtags) > as_it_is:
        return queries, tag_side, 0.0
    offset = 0.0 if last.bias is None else queries @ last.bias[:, None]  # (N, 1)
    return queries @ last.weight, tag_side[:-1], offset

"""The loss and its gradients at 442,000 hashtags, against the plain way and torch's chunked one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hashtag_core.benchmarks.measure import compare, measure
from hashtag_core.model.loss import softmax_loss

SIZES = {"hashtags": 442_000, "photos": 200, "d_w": 300, "d": 1024}


def make(
    device: str, folds: bool, hashtags: int, photos: int, d_w: int, d: int, dtype=torch.float32
):
    """Queries, psi, a tag side (with or without a last linear layer) and targets, from a seed."""
    torch.manual_seed(0)
    queries, psi = torch.randn(photos, d) / d**0.5, torch.randn(hashtags, d_w)
    layers = [nn.Linear(d_w, d), nn.ReLU(), nn.Linear(d, d)]
    side = nn.Sequential(*layers, *([] if folds else [nn.Tanh()])).to(device, dtype)
    targets = torch.randint(hashtags, (photos,)).to(device)
    weights = torch.full((photos,), 1 / photos, dtype=dtype, device=device)
    queries, psi = queries.to(device, dtype), psi.to(device, dtype)
    return queries.requires_grad_(), psi, side, targets, weights


def case(device: str, way: str, folds: bool, **sizes) -> Callable[[], dict[str, Tensor]]:
    """Forward and backward of one way to compute the loss."""
    queries, psi, side, targets, weights = make(device, folds, **sizes)

    def work() -> dict[str, Tensor]:
        if way == "ours":
            loss = softmax_loss(queries, psi, side, targets, weights)
        elif way == "F.cross_entropy":
            each = F.cross_entropy(queries @ side(psi).T, targets, reduction="none")
            loss = (weights * each).sum()
        else:
            chunked = nn.LinearCrossEntropyOptions()
            loss = F.linear_cross_entropy(queries, side(psi), targets, options=chunked)
        for leaf in (queries, *side.parameters()):
            leaf.grad = None
        loss.backward()
        return {"loss": loss.detach(), "queries": queries.grad, "first layer": side[0].weight.grad}

    return work


def run(device: str, repeats: int = 3, **sizes) -> list[dict]:
    """All comparisons; `sizes` replaces some of `SIZES`.

    Returns:
        Rows of `measure.compare`.
    """
    sizes = {**SIZES, **sizes}
    ways = ["ours", "F.cross_entropy"]
    if hasattr(nn, "LinearCrossEntropyOptions"):  # torch 2.12 and later
        ways.append("F.linear_cross_entropy, chunked")
    rows = []
    for folds in (True, False):
        name = "loss, tag side folded" if folds else "loss, tag side not folded"
        measured = {
            way: measure(case, device, repeats, way=way, folds=folds, **sizes)
            for way in (ways if folds else ways[:2])
        }
        rows += [
            compare("loss", name, way, measured["ours"], measured[way])
            for way in list(measured)[1:]
        ]
    rows.append(_exactness(device, sizes))
    return rows


def _exactness(device: str, sizes: dict) -> dict:
    """The relative errors of the gradients in float32, against float64, on fewer hashtags."""
    few = {**sizes, "hashtags": min(sizes["hashtags"], 20_000)}
    ours = case(device, "ours", True, **few)()
    exact = case(device, "F.cross_entropy", True, **few, dtype=torch.float64)()
    errors = {
        name: float((ours[name].double() - exact[name]).norm() / exact[name].norm())
        for name in exact
    }
    return {"benchmark": "loss", "case": "relative error, float32", "against": "float64", **errors}

"""The loss and its gradients at 442,000 hashtags, against the plain way and torch's chunked one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hashtag_core.benchmarks.measure import Meter, compare
from hashtag_core.model.loss import softmax_loss

SIZES = {"hashtags": 442_000, "photos": 200, "d_w": 300, "d": 1024}
QUICK = {"hashtags": 5_000, "photos": 50, "d": 256}


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


def errors(device: str, **sizes) -> Callable[[], dict[str, Tensor]]:
    """The relative errors of the loss and its gradients in float32, against float64."""
    ours = case(device, "ours", True, **sizes)
    exactly = case(device, "F.cross_entropy", True, **sizes, dtype=torch.float64)

    def work() -> dict[str, Tensor]:
        found, exact = ours(), exactly()
        return {n: (found[n].double() - x).norm() / x.norm() for n, x in exact.items()}

    return work


def ways(folds: bool) -> list[str]:
    """What is measured where the tag side folds, and where it does not; ours comes first."""
    plain = ["ours", "F.cross_entropy"]
    if folds and hasattr(nn, "LinearCrossEntropyOptions"):  # torch 2.12 and later
        plain.append("F.linear_cross_entropy, chunked")
    return plain


def count(device: str, repeats: int, **sizes) -> int:
    """How many measurements `run` makes."""
    return len(ways(True)) + len(ways(False)) + 1


def run(meter: Meter, **sizes) -> Iterator[dict]:
    """A row for each alternative, and one with the errors, on fewer hashtags."""
    for folds in (True, False):
        name = "loss, tag side folded" if folds else "loss, tag side not folded"
        ours, *others = ways(folds)
        our_time = meter.measure(f"{name}: {ours}", case, way=ours, folds=folds, **sizes)
        for way in others:
            time = meter.measure(f"{name}: {way}", case, way=way, folds=folds, **sizes)
            yield compare("loss", name, way, our_time, time)
    few = {**sizes, "hashtags": min(sizes["hashtags"], 20_000)}
    found = meter.measure("loss, errors", errors, repeats=0, **few).result
    row = {"benchmark": "loss", "case": "relative error, float32", "against": "float64"}
    yield row | {name: float(error) for name, error in found.items()}

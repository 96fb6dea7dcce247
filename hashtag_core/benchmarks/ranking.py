"""The exact ten best of 568,000 hashtags, against the bare matrix product and exact FAISS."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from hashtag_core.benchmarks.measure import compare, measure
from hashtag_core.evaluation.ranking import top_hashtags

SIZES = {"hashtags": 568_000, "photos": 200, "d": 1024}
K = 10


def case(
    device: str, way: str, hashtags: int, photos: int, d: int
) -> Callable[[], dict[str, Tensor]]:
    """One way to rank; the hashtags' places in the joint space are given."""
    torch.manual_seed(0)
    tags, queries = torch.randn(hashtags, d).to(device), torch.randn(photos, d).to(device)
    if way == "faiss IndexFlatIP":
        import faiss

        faiss.omp_set_num_threads(torch.get_num_threads())
        index = faiss.IndexFlatIP(d)
        index.add(tags.numpy())

    @torch.inference_mode()
    def work() -> dict[str, Tensor]:
        if way == "ours":
            best = top_hashtags(queries, tags, nn.Identity(), range(hashtags), K)
            return {"scores": best[0]}
        if way == "faiss IndexFlatIP":
            return {"scores": torch.from_numpy(index.search(queries.numpy(), K)[0])}
        scores = queries @ tags.T  # (N, V)
        return {"one score": scores[:, 0]}

    return work


def run(device: str, repeats: int = 5, **sizes) -> list[dict]:
    """All comparisons; `sizes` replaces some of `SIZES`."""
    sizes = {**SIZES, **sizes}
    ways = ["ours", "the bare product"]
    if device == "cpu" and find_spec("faiss"):
        ways.append("faiss IndexFlatIP")
    measured = {way: measure(case, device, repeats, way=way, **sizes) for way in ways}
    return [
        compare("ranking", f"exact top {K}", way, measured["ours"], measured[way])
        for way in ways[1:]
    ]

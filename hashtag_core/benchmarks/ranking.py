"""The exact ten best of 568,000 hashtags, against the bare matrix product and exact FAISS."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from hashtag_core.benchmarks.measure import Meter, compare, installed
from hashtag_core.evaluation.ranking import top_hashtags

SIZES = {"hashtags": 568_000, "photos": 200, "d": 1024}
QUICK = {"hashtags": 20_000}
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


def ways(device: str) -> list[str]:
    """What is measured; ours comes first."""
    faiss = ["faiss IndexFlatIP"] if device == "cpu" and installed("faiss") else []
    return ["ours", "the bare product", *faiss]


def count(device: str, repeats: int, **sizes) -> int:
    """How many measurements `run` makes."""
    return len(ways(device))


def run(meter: Meter, **sizes) -> Iterator[dict]:
    """A row for each alternative."""
    ours, *others = ways(meter.device)
    our_time = meter.measure(f"ranking: {ours}", case, way=ours, **sizes)
    for way in others:
        time = meter.measure(f"ranking: {way}", case, way=way, **sizes)
        yield compare("ranking", f"exact top {K}", way, our_time, time)

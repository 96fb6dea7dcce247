"""The paper's training, measured on a few users: what would all of it take on this device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hashtag_core.benchmarks.batching import make_batches
from hashtag_core.benchmarks.measure import measure
from hashtag_core.model.joint_embedding import HashtagModel, ModelConfig
from hashtag_core.training.loop import train_step

SIZES = {"hashtags": 442_000}
EPOCHS, USERS, PHOTOS = 20, 21_000, 133  # of the paper; PHOTOS of each user
USERS_PER_BATCH = 16
SLICE = {"cpu": 1, "cuda": 64}  # users that are measured


def case(device: str, hashtags: int) -> Callable[[], dict[str, Tensor]]:
    """Training steps of `fit` with the paper's sizes; the batches lie on the device."""
    made = make_batches(SLICE[device], USERS_PER_BATCH, PHOTOS, hashtags, d_i=2048)
    loader = [batch.to(device) for batch in made]
    torch.manual_seed(0)
    model = HashtagModel(ModelConfig.paper()).to(device)
    psi = torch.randn(hashtags, 300).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-5)

    def work() -> dict[str, Tensor]:
        for batch in loader:
            targets = batch.hashtag_ids[batch.hashtag_offsets[:-1]]
            loss = train_step(model, optimizer, batch, targets, psi)
        return {"loss": loss}

    return work


def run(device: str, repeats: int = 3, **sizes) -> list[dict]:
    """One row: the slice's time and memory, and what it means for the paper's 20 epochs."""
    found = measure(case, device, repeats, **{**SIZES, **sizes})
    per_user = found.median / SLICE[device]
    return [
        {
            "benchmark": "training",
            "case": f"{EPOCHS} epochs, {USERS:,} users, from {SLICE[device]} user(s)",
            "against": "nothing",
            "seconds": found.median,
            "seconds per user": per_user,
            "hours, extrapolated": per_user * EPOCHS * USERS / 3600,
            "megabytes": found.peak_bytes / 2**20,
        }
    ]

"""The paper's training, measured on a few users: what would all of it take on this device."""

from __future__ import annotations

from hashtag_core.benchmarks.batching import training
from hashtag_core.benchmarks.measure import measure
from hashtag_core.model.joint_embedding import ModelConfig

SIZES = {"hashtags": 442_000}
EPOCHS, USERS, PHOTOS = 20, 21_000, 133  # of the paper; PHOTOS of each user
USERS_PER_BATCH = 16
SLICE = {"cpu": 1, "cuda": 64}  # users that are measured


def run(device: str, repeats: int = 3, **sizes) -> list[dict]:
    """One row: the slice's time and memory, and what it means for the paper's 20 epochs."""
    shape = {"users": SLICE[device], "photos": PHOTOS, "config": ModelConfig.paper()}
    took = measure(
        training, device, repeats, users_per_batch=USERS_PER_BATCH, **shape, **{**SIZES, **sizes}
    )
    per_user = took.median / SLICE[device]
    return [
        {
            "benchmark": "training",
            "case": f"{EPOCHS} epochs, {USERS:,} users, from {SLICE[device]} user(s)",
            "against": "nothing",
            "seconds": took.median,
            "seconds per user": per_user,
            "hours, extrapolated": per_user * EPOCHS * USERS / 3600,
            "megabytes": took.peak_bytes / 2**20,
        }
    ]

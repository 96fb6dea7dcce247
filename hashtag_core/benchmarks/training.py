"""The paper's training, measured on a few users: what would all of it take on this device."""

from __future__ import annotations

from collections.abc import Iterator

from hashtag_core.benchmarks.batching import training
from hashtag_core.benchmarks.measure import Meter
from hashtag_core.model.joint_embedding import ModelConfig

SIZES = {"hashtags": 442_000}
QUICK = {"hashtags": 5_000}
EPOCHS, USERS, PHOTOS = 20, 21_000, 133  # of the paper; PHOTOS of each user
USERS_PER_BATCH = 16
SLICE = {"cpu": 1, "cuda": 64}  # users that are measured


def count(device: str, repeats: int, **sizes) -> int:
    """How many measurements `run` makes."""
    return 1


def run(meter: Meter, hashtags: int) -> Iterator[dict]:
    """One row: the slice's time and memory, and what it means for the paper's 20 epochs."""
    users = SLICE[meter.device]
    took = meter.measure(
        "a slice of the paper's training", training, users_per_batch=USERS_PER_BATCH, users=users,
        photos=PHOTOS, hashtags=hashtags, config=ModelConfig.paper(),
    )  # fmt: skip
    per_user = took.median / users
    yield {
        "benchmark": "training",
        "case": f"{EPOCHS} epochs, {USERS:,} users, from {users} user(s)",
        "against": "nothing",
        "seconds": took.median,
        "seconds per user": per_user,
        "hours, extrapolated": per_user * EPOCHS * USERS / 3600,
        "megabytes": took.peak_bytes / 2**20,
    }

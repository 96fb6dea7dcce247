"""How long the model waits for its features: read ahead, against read between the steps."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hashtag_core.benchmarks.measure import Meter, compare
from hashtag_core.data.hashtags import Hashtags
from hashtag_core.data.histories import UserHistories
from hashtag_core.data.loading import batches, prefetched
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.model.joint_embedding import HashtagModel, ModelConfig
from hashtag_core.training.loop import train_step

if TYPE_CHECKING:
    import pyarrow as pa

SIZES = {"users": 96, "photos": 100, "d_i": 2048}  # each user has so many photos
QUICK = {"users": 16, "photos": 20}
HASHTAGS, D_W = 4_000, 300


def write_features(folder: Path, users: int, photos: int, d_i: int) -> None:
    """Write features.npy of all users' photos."""
    rng = np.random.default_rng(0)
    np.save(folder / "features.npy", rng.normal(size=(users * photos, d_i)).astype(np.float16))


def made_up(photos: Sequence[int], hashtags: int, d_w: int) -> tuple[pa.Table, Hashtags]:
    """The photos of users with so many each, and the hashtags of which each photo has two."""
    import pyarrow as pa

    users = np.repeat(np.arange(len(photos)), photos)
    rows = range(len(users))
    table = pa.table(
        {
            "photo_id": [f"{row:06d}" for row in rows],
            "user": [f"{user:04d}" for user in users],
            "time": pa.array([None] * len(rows), pa.timestamp("s")),
            "hashtags": [[f"h{row % hashtags}", f"h{(7 * row + 1) % hashtags}"] for row in rows],
        }
    )
    torch.manual_seed(0)
    names = [f"h{i}" for i in range(hashtags)]
    counts = torch.ones(hashtags, dtype=torch.long)  # all are seen
    return table, Hashtags(names, torch.randn(hashtags, d_w), counts)


def open_cold(folder: Path) -> np.ndarray:
    """The memory map, with nothing of it in memory where the system lets us say so."""
    path = folder / "features.npy"
    if hasattr(os, "posix_fadvise"):
        with path.open("rb+") as file:
            os.fsync(file)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def case(
    device: str, ahead: bool, folder: Path, users: int, photos: int, d_i: int
) -> Callable[[], dict[str, Tensor]]:
    """An epoch over users whose features come from the disk; "waiting" is its share of the time."""
    table, hashtags = made_up([photos] * users, HASHTAGS, D_W)
    histories = UserHistories(PhotoCollection(table, open_cold(folder), {}), hashtags, range(users))
    config = ModelConfig.small if device == "cpu" else ModelConfig.paper
    model = HashtagModel(config(d_i, D_W)).to(device)
    psi = hashtags.psi.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)

    def work() -> dict[str, Tensor]:
        histories.features = open_cold(folder)
        loader = batches(histories, users_per_batch=16)
        coming = prefetched(loader, device, ahead)
        start, waiting = time.perf_counter(), 0.0
        for _ in range(len(loader)):
            before = time.perf_counter()
            batch = next(coming)
            waiting += time.perf_counter() - before
            targets = batch.hashtag_ids[batch.hashtag_offsets[:-1]]
            train_step(model, optimizer, batch, targets, psi).item()
        return {"waiting": torch.tensor(waiting / (time.perf_counter() - start))}

    return work


def count(device: str, repeats: int, **sizes) -> int:
    """How many measurements `run` makes."""
    return 2


def run(meter: Meter, **sizes) -> Iterator[dict]:
    """One row: an epoch's time, and the shares of it that the model waits."""
    names = ("features read ahead", "read between the steps")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_features(folder, **sizes)
        ahead, between = (
            meter.measure(what, case, ahead=what == names[0], folder=folder, **sizes)
            for what in names
        )
    shares = [float(found.result.pop("waiting")) for found in (ahead, between)]
    row = compare("reading", *names, ahead, between)
    yield {**row, "waiting": shares[0], "against_waiting": shares[1]}

"""How long the model waits for its features: read ahead, against read between the steps."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hashtag_core.benchmarks.measure import compare, measure
from hashtag_core.data.hashtags import Hashtags
from hashtag_core.data.histories import UserHistories
from hashtag_core.data.loading import batches, prefetched
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.model.joint_embedding import HashtagModel, ModelConfig
from hashtag_core.training.loop import train_step

USERS, PHOTOS, D_I, HASHTAGS, D_W = 96, 100, 2048, 4_000, 300


def make_collection(folder: Path) -> None:
    """Write features.npy of all users' photos."""
    rng = np.random.default_rng(0)
    np.save(folder / "features.npy", rng.normal(size=(USERS * PHOTOS, D_I)).astype(np.float16))


def open_cold(folder: Path) -> np.ndarray:
    """The memory map, with nothing of it in memory where the system lets us say so."""
    path = folder / "features.npy"
    if hasattr(os, "posix_fadvise"):
        with path.open("rb+") as file:
            os.fsync(file)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def case(device: str, ahead: bool, folder: Path) -> Callable[[], dict[str, Tensor]]:
    """An epoch over users whose features come from the disk; "waiting" is its share of the time."""
    import pyarrow as pa

    rows = np.arange(USERS * PHOTOS)
    table = pa.table(
        {
            "photo_id": [f"{row:06d}" for row in rows],
            "user": [f"{row // PHOTOS:04d}" for row in rows],
            "time": pa.array([None] * len(rows), pa.timestamp("s")),
            "hashtags": [[f"h{row % HASHTAGS}", f"h{(7 * row + 1) % HASHTAGS}"] for row in rows],
        }
    )
    torch.manual_seed(0)
    names = [f"h{i}" for i in range(HASHTAGS)]
    counts = torch.ones(HASHTAGS, dtype=torch.long)
    hashtags = Hashtags(names, torch.randn(HASHTAGS, D_W), counts)
    histories = UserHistories(PhotoCollection(table, open_cold(folder), {}), hashtags, range(USERS))
    config = ModelConfig.small if device == "cpu" else ModelConfig.paper
    model = HashtagModel(config(D_I, D_W)).to(device)
    psi = hashtags.psi.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

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


def run(device: str, repeats: int = 3) -> list[dict]:
    """One row: an epoch's time, and the shares of it that the model waits."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_collection(folder)
        ahead = measure(case, device, repeats, ahead=True, folder=folder)
        between = measure(case, device, repeats, ahead=False, folder=folder)
    shares = [float(took.result.pop("waiting")) for took in (ahead, between)]
    row = compare("reading", "features read ahead", "read between the steps", ahead, between)
    return [{**row, "waiting": shares[0], "against_waiting": shares[1]}]

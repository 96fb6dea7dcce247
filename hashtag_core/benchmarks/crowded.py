"""Training beside other processes that are busy: our thread settings against torch's own.

What the settings are, and why they matter, stands in `threads.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from hashtag_core import threads
from hashtag_core.benchmarks.busy import busy_processes
from hashtag_core.benchmarks.measure import Measured, Meter, compare, environment, together
from hashtag_core.benchmarks.reading import made_up
from hashtag_core.data.histories import UserHistories
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.model.joint_embedding import HashtagModel, ModelConfig
from hashtag_core.training.loop import fit
from hashtag_core.training.state import TrainConfig

SIZES = {"users": 80, "photos": 46, "busy": 2}  # of data/open_art; at most so many busy processes
QUICK = {"users": 8, "photos": 12, "busy": 1}
DEVICES = ("cpu",)
VALIDATION = 0.15  # so many users more, of the training ones
D_I, HASHTAGS, D_W = 1280, 4_000, 50
OURS, TORCHS = "our thread settings", "torch's default waiting"
NOTHING_SET = dict.fromkeys((*threads.WAIT, *threads.OTHERS))
SETTINGS: dict[str, dict[str, str | None]] = {
    OURS: {**NOTHING_SET, **threads.WAIT},
    # What libgomp and LLVM's and Intel's OpenMP do where nothing is set. It has to be set here:
    # else a process that imports the library would choose ours.
    TORCHS: {**NOTHING_SET, "GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"},
}


def case(
    device: str, users: int, photos: int, parts: dict | None = None, epochs: int = 2
) -> Callable[[], dict[str, Tensor]]:
    """Some epochs of quickstart's training, with validation, on made-up users.

    Args:
        device: where to compute.
        users: for training; there are some more for validation.
        photos: of each user on average.
        parts: how the model's config differs from that of `ours (image+hashtag)`.
        epochs: how many.
    """
    rng = np.random.default_rng(0)
    everybody = users + max(round(VALIDATION * users), 1)
    lengths = rng.integers(photos // 4, 2 * photos - photos // 4 + 1, size=everybody)
    table, hashtags = made_up(lengths, HASHTAGS, D_W)
    features = rng.normal(size=(len(table), D_I)).astype(np.float16)
    collection = PhotoCollection(table, features, {})
    train = UserHistories(collection, hashtags, range(users))
    valid = UserHistories(collection, hashtags, range(users, everybody))
    settings = replace(TrainConfig.small(), epochs=epochs)

    def work() -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = HashtagModel(ModelConfig.small(D_I, D_W, **(parts or {})))
        _, log = fit(model, train, valid, hashtags, settings, device=device)
        return {"loss": torch.tensor(log[-1]["loss"])}

    return work


def count(device: str, repeats: int, users: int, photos: int, busy: int) -> int:
    """How many measurements `run` makes: quiet and beside others, in both settings."""
    return busy * repeats * 2 * len(SETTINGS)


def run(meter: Meter, users: int, photos: int, busy: int) -> Iterator[dict]:
    """A row for a quiet machine, and one for each number of busy processes.

    Quiet and crowded measurements take turns, so that a machine which becomes slower meanwhile
    does so for both.
    """
    for number in range(1, busy + 1):
        took: dict[tuple[str, int], list[Measured]] = {}
        for _ in range(meter.repeats):
            for beside in (0, number):
                for settings in SETTINGS:
                    found = _measure(meter, settings, beside, users=users, photos=photos)
                    took.setdefault((settings, beside), []).append(found)
        all_of = {key: together(measured) for key, measured in took.items()}
        if number == 1:
            name = "two epochs on a quiet machine"
            yield compare("crowded", name, TORCHS, all_of[OURS, 0], all_of[TORCHS, 0])
        name = f"two epochs beside {number} busy process{'es' if number > 1 else ''}"
        row = compare("crowded", name, TORCHS, all_of[OURS, number], all_of[TORCHS, number])
        ours, theirs = (all_of[s, number].median / all_of[s, 0].median for s in (OURS, TORCHS))
        yield {**row, "times the quiet time": ours, "against times the quiet time": theirs}


def _measure(meter: Meter, settings: str, beside: int, **sizes: int) -> Measured:
    """Once, in a process of its own that starts with the settings."""
    with busy_processes(beside), environment(SETTINGS[settings]):
        return meter.measure(f"crowded, {beside} busy: {settings}", case, repeats=1, **sizes)

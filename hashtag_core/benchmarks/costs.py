"""What the steps of a reproduction cost here: each kind of work measured on a slice, and scaled.

Reading is measured on the beginning of the very file, the ConvNet on made-up pictures of a size as
photo sites have them, training and ranking on made-up users with as many hashtags as there will be.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hashtag_core.benchmarks import ranking
from hashtag_core.benchmarks.batching import make_batches, training
from hashtag_core.benchmarks.measure import measure
from hashtag_core.data.pictures import load_picture
from hashtag_core.model.convnet import DEFAULT_CONVNET, ConvNet, load_convnet
from hashtag_core.model.joint_embedding import HashtagModel, ModelConfig
from hashtag_core.prepare.staging import Piece, Source
from hashtag_core.study.reproduction import TEST, TRAINING, VALIDATION, Size

READ_SECONDS = 3.0
PICTURES, WIDTH, HEIGHT = 16, 500, 375
RANKED = 200  # photos
USERS = {"cpu": 1, "cuda": 64}  # of the slice of training
PICTURE_BYTES = 100e3  # of a picture as it is fetched; our guess


@dataclass(frozen=True)
class Cost:
    """What a step takes.

    Attributes:
        seconds: of its work.
        disk: bytes that it leaves there, or needs for a while.
        memory: bytes, beside what the program itself takes (0.5 GB).
    """

    seconds: float
    disk: float
    memory: float


@dataclass(frozen=True)
class TrainingSpeed:
    """Of one model.

    Attributes:
        per_photo: seconds that a photo takes once in training.
        ranking: seconds to rank all hashtags for a photo.
        memory: bytes that training takes, and ranking.
        weights: numbers of the model.
    """

    per_photo: float
    ranking: float
    memory: float
    weights: float

    def of(self, size: Size, epochs: int, models: int) -> Cost:
        """So many models: training, validation after each epoch, and the test."""
        learned = self.per_photo * TRAINING * size.photos + self.ranking * VALIDATION * size.photos
        tested = self.ranking * TEST * size.photos * 2  # among the seen ones, and among all
        disk = self.weights * 4 * (models + 4)  # a checkpoint: weights, the best ones, Adam's
        return Cost(models * (epochs * learned + tested), disk if models else 0.0, self.memory)


def reading(source: Source) -> Cost:
    """Of all inputs of a source, by what its first seconds took."""
    import pyarrow.parquet as pq

    done, written, started, seconds = 0, 0, 0.0, 0.0
    pieces = ((n, p) for n in range(len(source.sizes)) for p in source.pieces(n))
    for number, piece in pieces:
        if not isinstance(piece, Piece):
            continue
        understood, packed = source.understand(piece.data, False), io.BytesIO()
        if not started:  # the first one waits for the words, whatever the size
            started = time.perf_counter()
            understood = source.understand(piece.data, False)
        pq.write_table(understood.table, packed, compression="zstd")
        done, written = sum(source.sizes[:number]) + piece.position, written + packed.tell()
        seconds = time.perf_counter() - started
        if seconds > READ_SECONDS:
            break
    share = max(done, 1) / max(sum(source.sizes), 1)
    return Cost(seconds / share, 2 * written / share, 1.5e9)  # blocks, and the collection of them


def _looking(device: str, convnet: str, part: str) -> Callable[[], dict[str, Tensor]]:
    """Decode pictures, or run the ConvNet on them; torchvision's has no trained weights here."""
    from PIL import Image

    if convnet == DEFAULT_CONVNET:
        network = load_convnet(convnet, device)
    else:
        from torchvision import models

        module = models.get_model(convnet, weights=None).eval().requires_grad_(False).to(device)
        transform = models.get_model_weights(convnet).DEFAULT.transforms()
        network = ConvNet(convnet, "random", module, transform)
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    packed = io.BytesIO()
    Image.fromarray(noise).resize((WIDTH, HEIGHT)).save(packed, "JPEG", quality=85)

    def decode() -> dict[str, Tensor]:
        decoded = [network.transform(load_picture(packed.getvalue())) for _ in range(PICTURES)]
        return {"decoded": torch.stack(decoded)}  # (N, 3, H, W)

    batch = decode()["decoded"]
    return decode if part == "decode" else lambda: {"features": network.features(batch)}


def features(device: str, convnet: str) -> dict[str, float]:
    """Seconds to decode a picture, and to run the ConvNet on it."""
    return {
        part: measure(_looking, device, 1, convnet=convnet, part=part).median / PICTURES
        for part in ("decode", "look")
    }


def training_speed(device: str, size: Size, sizes: str, d_i: int) -> TrainingSpeed:
    """Of the paper's model, or of a small one, with so many hashtags."""
    config = ModelConfig.paper(d_i) if sizes == "paper" else ModelConfig.small(d_i, 50)
    users, photos = USERS.get(device, USERS["cpu"]), round(size.photos / size.users)
    how: dict[str, Any] = {"users_per_batch": 16, "users": users, "photos": photos}
    slice_ = measure(training, device, 1, hashtags=round(size.seen), config=config, **how)
    number = sum(int(batch.mask.sum()) for batch in make_batches(users, 16, photos, 2, 1))
    ranks = measure(
        ranking.case, device, 1, way="ours", hashtags=round(size.hashtags), photos=RANKED,
        d=config.d,
    )  # fmt: skip
    with torch.device("meta"):
        weights = sum(p.numel() for p in HashtagModel(config).parameters())
    table = size.hashtags * config.d * 4
    return TrainingSpeed(
        slice_.median / number, ranks.median / RANKED,
        max(slice_.peak_bytes, ranks.peak_bytes) + table, weights,
    )  # fmt: skip

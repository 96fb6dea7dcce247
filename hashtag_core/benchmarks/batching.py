"""Several users a batch against one, and all histories of a user in one GRU pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from hashtag_core.benchmarks.measure import Meter, compare
from hashtag_core.data.histories import Batch
from hashtag_core.model.joint_embedding import HashtagModel, ModelConfig
from hashtag_core.model.user_encoders import hashtag_sums
from hashtag_core.training.loop import train_step

# of `photos` each on average; the second comparison is of a user with `prefixes` photos
SIZES = {"users": 16, "photos": 100, "prefixes": 100}
QUICK = {"users": 8, "photos": 20, "prefixes": 50}
HASHTAGS = 4_000  # in the loss


def make_batches(
    users: int, users_per_batch: int, photos: int, hashtags: int, d_i: int = 1280
) -> list[Batch]:
    """Made-up users with half to one and a half times `photos` photos, three hashtags each."""
    torch.manual_seed(0)
    lengths = torch.randint(photos // 2, photos * 3 // 2 + 1, (users,)).sort().values
    made = []
    for part in lengths.split(users_per_batch):
        mask = torch.arange(int(part.max())) < part[:, None]  # (B, T)
        images, n = torch.randn(*mask.shape, d_i) * mask[..., None], int(part.sum())
        made.append(
            Batch(
                history_images=images,
                query_images=images,
                mask=mask,
                hashtag_ids=torch.randint(hashtags, (3 * n,)),
                hashtag_offsets=torch.arange(0, 3 * n + 1, 3),
                rows=torch.arange(n),
                users=torch.arange(len(part)),
                predict=torch.ones(n, dtype=torch.bool),
            )
        )
    return made


def training(
    device: str,
    users_per_batch: int,
    users: int,
    photos: int,
    hashtags: int = HASHTAGS,
    config: ModelConfig | None = None,
) -> Callable[[], dict[str, Tensor]]:
    """Training steps of `fit` over the same users; the batches lie on the device."""
    config = config or ModelConfig.small(1280, 50)
    made = make_batches(users, users_per_batch, photos, hashtags, config.d_i)
    loader = [batch.to(device) for batch in made]
    torch.manual_seed(0)
    model = HashtagModel(config).to(device)
    psi = torch.randn(hashtags, config.d_w).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)

    def work() -> dict[str, Tensor]:
        for batch in loader:
            targets = batch.hashtag_ids[batch.hashtag_offsets[:-1]]
            loss = train_step(model, optimizer, batch, targets, psi)
        return {f"loss, {users_per_batch} users a batch": loss}

    return work


def encoding(device: str, way: str, prefixes: int) -> Callable[[], dict[str, Tensor]]:
    """The user before each of T photos, in one pass, or by encoding every history anew."""
    [batch] = [b.to(device) for b in make_batches(1, 1, prefixes, HASHTAGS)]
    torch.manual_seed(0)
    encoder = HashtagModel(ModelConfig.small(1280, 50)).to(device).user_encoder
    psi = torch.randn(HASHTAGS, 50).to(device)

    @torch.inference_mode()
    def work() -> dict[str, Tensor]:
        if way == "one pass":
            return {"users": encoder(batch, psi)[0, 1:]}
        y = hashtag_sums(batch, psi)  # (1, T, d_w)
        users = []
        for t in range(1, y.shape[1] + 1):
            x = encoder.pair(batch.history_images[:, :t], y[:, :t])  # (1, t, d_pair)
            users.append(encoder.aggregate(x)[0, -1])
        return {"users": torch.stack(users)}

    return work


def count(device: str, repeats: int, **sizes) -> int:
    """How many measurements `run` makes."""
    return 4


def run(meter: Meter, users: int, photos: int, prefixes: int) -> Iterator[dict]:
    """Both comparisons; a time ratio of 1/4 is four times as many users a second."""
    name = f"training, {users} users a batch"
    both = {"users": users, "photos": photos}
    several = meter.measure(name, training, users_per_batch=users, **both)
    one = meter.measure("training, one user a batch", training, users_per_batch=1, **both)
    yield compare("batching", name, "one user a batch", several, one)
    ways = ("one pass", "every history anew")
    at_once, anew = (
        meter.measure(f"histories, {way}", encoding, way=way, prefixes=prefixes) for way in ways
    )
    yield compare("batching", "all histories in one GRU pass", ways[1], at_once, anew)

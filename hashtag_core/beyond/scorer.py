"""s, the scorer of hashtags that there is evidence of, and how it is trained.

For a photo with candidates C (`evidence.py`), the softmax over all hashtags of `ours+` is

    p(y) = exp(s_y) / Z                 for y in C
    p(y) = exp(c) p_f(y | not C) / Z    for every other y,    Z = exp(c) + sum over C of exp(s)

with p_f the softmax of f over the others, unseen ones too, and c what is left to them. -log p of a
true hashtag splits into a part of s and c, and one of f, log p_f(y | not C): nothing in the one
moves the other. So f is the paper's model, trained as the paper does, and s is trained after it.

Shapes: N photos, P candidates of all of them, F inputs of a candidate, C inputs of a moment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from hashtag_core.beyond.evidence import Candidates
from hashtag_core.beyond.looks import ENOUGH
from hashtag_core.printing import progress_bar

CLIP = 6.0  # inputs are at most so many standard deviations from their mean


@dataclass(frozen=True)
class ScorerConfig:
    """How large s is and how it is trained.

    Chosen on half of open_art's users (data/README); for many photos, on the validation users of a
    simulated site.

    Attributes:
        width: numbers of both hidden layers.
        dropout: in both of them.
        epochs: over all training photos.
        learning_rate: of AdamW, the highest of one cycle.
        weight_decay: of AdamW.
        photos: in a batch.
        apart: how much the ranking of seen hashtags among themselves, and of unseen ones among
            themselves, counts beside that of all.
    """

    width: int = 80
    dropout: float = 0.4
    epochs: int = 12
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    photos: int = 192
    apart: float = 2.0

    @classmethod
    def for_photos(cls, number: int) -> ScorerConfig:
        """The settings for so many training photos: where there are many, more is learned."""
        return cls() if number < ENOUGH else cls(width=160, dropout=0.15)


class Dropout(nn.Module):
    """Dropout by one random byte a number: on a CPU torch's own takes half of the training.

    Args:
        share: of the numbers that become 0, to the nearest 256th.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.left_out = round(256 * share)

    def forward(self, x: Tensor) -> Tensor:
        """The same numbers; in training without some, the others larger by as much."""
        if not self.training or not self.left_out:
            return x
        seed = int(torch.randint(2**31, ()))
        drawn = np.random.Generator(np.random.SFC64(seed)).integers(0, 256, x.shape, np.uint8)
        kept = torch.from_numpy(drawn).to(x.device) >= self.left_out
        return x * kept * (256 / (256 - self.left_out))


class Scorer(nn.Module):
    """s of each candidate, and c of each photo.

    Args:
        inputs: F.
        moments: C.
        config: its sizes.
    """

    inputs_mean: Tensor
    inputs_scale: Tensor
    moments_mean: Tensor
    moments_scale: Tensor

    def __init__(self, inputs: int, moments: int, config: ScorerConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        for d_in in (inputs, config.width):
            layers += [nn.Linear(d_in, config.width), nn.ReLU(), Dropout(config.dropout)]
        last = nn.Linear(config.width, 1)
        self.s = nn.Sequential(*layers, last)
        self.c = nn.Linear(moments, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(self.c.weight)
        for name, size in (("inputs", inputs), ("moments", moments)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))

    def measure(self, candidates: Candidates) -> None:
        """Take the means and standard deviations of the inputs from training candidates."""
        for name in ("inputs", "moments"):
            given = getattr(candidates, name).astype(np.float64)
            if not len(given):
                continue
            getattr(self, f"{name}_mean").copy_(torch.from_numpy(given.mean(axis=0)))
            getattr(self, f"{name}_scale").copy_(torch.from_numpy(given.std(axis=0) + 1e-6))

    def forward(self, inputs: Tensor, moments: Tensor) -> tuple[Tensor, Tensor]:
        """(P, F), (N, C) -> s (P,), c (N,)."""
        inputs = (inputs - self.inputs_mean) / self.inputs_scale
        moments = (moments - self.moments_mean) / self.moments_scale
        return self.s(inputs.clamp(-CLIP, CLIP))[:, 0], self.c(moments.clamp(-CLIP, CLIP))[:, 0]


def split_loss(
    s: Tensor, c: Tensor | None, hits: Tensor, photo: Tensor, sizes: Tensor, weights: Tensor
) -> Tensor:
    """The part of -log p of the photos' hashtags that s and c decide, each weighing 1 / |H|.

    Args:
        s: (P,), of the candidates.
        c: (N,), what is left to f; None to rank the given candidates among themselves.
        hits: (P,) float, 1 where a candidate is a true hashtag of its photo.
        photo: (P,) int64, which photo each candidate is of.
        sizes: (N,) float, |H|, how many hashtags each photo has.
        weights: (N,), what each photo weighs.

    Returns:
        A scalar, the weighted mean over photos; without c, those without a true candidate are 0.
    """
    n = len(weights)
    per_photo = torch.zeros(n, dtype=s.dtype, device=s.device)
    true = per_photo.index_add(0, photo, hits)  # (N,), |H & C|
    largest = torch.full_like(per_photo, -torch.inf).scatter_reduce(0, photo, s.detach(), "amax")
    # a photo without candidates has -inf
    largest = largest.clamp(min=-1e30) if c is None else torch.maximum(largest, c.detach())
    z = per_photo.index_add(0, photo, (s - largest[photo]).exp())
    score = per_photo.index_add(0, photo, hits * s)  # of the true ones together
    if c is None:
        counted, sizes = weights * (true > 0), true.clamp(min=1)
        z = z.clamp(min=1e-30)
    else:
        counted = weights
        z = z + (c - largest).exp()
        score = score + (sizes - true) * c
    return (counted * (z.log() + largest - score / sizes)).sum() / weights.sum()


def train_scorer(
    candidates: Candidates,
    hits: np.ndarray,
    sizes: np.ndarray,
    weights: np.ndarray,
    config: ScorerConfig,
    seed: int = 0,
    description: str = "s",
) -> Scorer:
    """Train s and c on the candidates of training photos.

    Args:
        candidates: of N photos, none of which has seen its own user in the memory.
        hits: (P,) float32, 1 where a candidate is a true hashtag.
        sizes: (N,), how many hashtags each photo has.
        weights: (N,), what each photo weighs: 1 / N_u, as in Equation 9.
        config: how.
        seed: of the first weights, the order of photos and dropout.
        description: what the progress bar says.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        scorer = Scorer(candidates.inputs.shape[1], candidates.moments.shape[1], config)
        scorer.measure(candidates)
        inputs, moments = map(torch.from_numpy, (candidates.inputs, candidates.moments))
        true, known = torch.from_numpy(hits), torch.from_numpy(candidates.known)
        number = torch.as_tensor(sizes, dtype=torch.float32)  # (N,)
        weight = torch.as_tensor(weights / weights.mean(), dtype=torch.float32)
        steps = -(-len(number) // config.photos)
        optimizer = torch.optim.AdamW(
            scorer.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, config.learning_rate, total_steps=config.epochs * steps + 1
        )
        scorer.train()
        for _ in progress_bar(range(config.epochs), desc=description, leave=None):
            for part in torch.randperm(len(number)).tensor_split(steps):  # N' photos
                pairs, photo = _of_photos(candidates.offsets, part.numpy())
                s, c = scorer(inputs[pairs], moments[part])
                y, w, own = true[pairs], weight[part], known[pairs]
                loss = split_loss(s, c, y, photo, number[part], w)
                for kind in (own, ~own):
                    alone = split_loss(s[kind], None, y[kind], photo[kind], number[part], w)
                    loss = loss + config.apart * alone
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    return scorer.eval()


def _of_photos(offsets: np.ndarray, photos: np.ndarray) -> tuple[Tensor, Tensor]:
    """The candidates of some photos, and which of those photos each is of: (P',) int64 both."""
    sizes = offsets[photos + 1] - offsets[photos]
    starts = np.repeat(offsets[photos] - np.cumsum(sizes) + sizes, sizes)
    pairs = starts + np.arange(len(starts))
    return torch.from_numpy(pairs), torch.from_numpy(np.repeat(np.arange(len(photos)), sizes))

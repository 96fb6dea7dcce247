"""`ours+`: the paper's model f, and s where there is evidence. One softmax over all hashtags.

    plus = train_plus(model, fold.train, fold.valid)
    evaluate(plus.ranker(fold.hashtags), batches(fold.test, 8), fold.hashtags)

What it keeps to the paper's rules: new users, photos and hashtags need no retraining, no parameter
belongs to a hashtag, and training users alone are learned from. Validation users choose two
numbers: how far s is trusted, and a temperature.

Shapes: N photos, P candidates of all of them, k best hashtags, V hashtags.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hashtag_core.beyond.evidence import Candidates, Parts, PictureSpace, Reader, each_user
from hashtag_core.beyond.memory import Memory
from hashtag_core.beyond.scorer import Scorer, ScorerConfig, split_loss, train_scorer
from hashtag_core.data.hashtags import Hashtags
from hashtag_core.data.histories import Batch, UserHistories
from hashtag_core.errors import InputError
from hashtag_core.evaluation.baselines import repeat_recent
from hashtag_core.evaluation.by_user import evaluate_by_user
from hashtag_core.evaluation.metrics import Ranker
from hashtag_core.evaluation.ranking import log_sum_exp, top_of_each
from hashtag_core.model.joint_embedding import HashtagModel
from hashtag_core.printing import progress_bar

TRUST = 1.0, 0.75, 0.5, 0.25
TEMPERATURES = np.exp(np.linspace(-0.7, 0.7, 57))
LOWEST = -1e300
NOTHING = -14.0  # the log-weight in `repeat recent` of what was not used


@dataclass
class Scored:
    """The log p of N photos' candidates, and what is left to all other hashtags.

    Attributes:
        candidates: of the photos.
        log_p: (P,) float64.
        rest: (N,) float64, the log of what all other hashtags share.
    """

    candidates: Candidates
    log_p: np.ndarray
    rest: np.ndarray


@dataclass(eq=False)
class Plus:
    """f and s together.

    Attributes:
        model: f; None ranks the hashtags without evidence by their frequency.
        reader: reads users and the memory.
        scorer: s and c.
        trust: 1 for s as it was learned, 0 for `repeat recent` itself, and steps between.
        temperature: by which s and c are divided.
    """

    model: HashtagModel | None
    reader: Reader
    scorer: Scorer
    trust: float = 1.0
    temperature: float = 1.0

    @torch.inference_mode()
    def score(self, candidates: Candidates) -> Scored:
        """The log p of the candidates: a softmax of s, c and nothing else."""
        given = map(torch.from_numpy, (candidates.inputs, candidates.moments))
        s, c = (out.double().numpy() / self.temperature for out in self.scorer(*given))
        if self.trust < 1:
            recent = np.maximum(np.log(np.maximum(candidates.decayed, 1e-30)), NOTHING)
            s = self.trust * s + (1 - self.trust) * recent
            c = self.trust * c + (1 - self.trust) * NOTHING
        photo = candidates.photo_of()
        largest = c.copy()
        np.maximum.at(largest, photo, s)
        total = np.bincount(photo, np.exp(s - largest[photo]), minlength=len(c))
        log_z = np.log(total + np.exp(c - largest)) + largest
        return Scored(candidates, s - log_z[photo], c - log_z)

    def ranker(self, hashtags: Hashtags, device: torch.device | str = "cpu") -> Ranker:
        """A ranker for `evaluate`; with trust 0 it is `repeat_recent`."""
        return (
            repeat_recent if self.trust == 0 else PlusRanker(self, hashtags, torch.device(device))
        )


@dataclass(eq=False)
class PlusRanker:
    """(batch, candidates, k) -> (N, k) ids, best first; ties go to the lower id."""

    plus: Plus
    hashtags: Hashtags
    device: torch.device
    _latest: tuple[Batch, Scored] | None = field(default=None, repr=False)

    def __call__(self, batch: Batch, candidates: range, k: int) -> Tensor:
        """The k best of the candidates for each photo: (N, k)."""
        return self.best(batch, candidates, k)[1]

    @torch.inference_mode()
    def best(self, batch: Batch, candidates: range, k: int) -> tuple[Tensor, Tensor]:
        """The log p (float64) and ids of the k best, (N, k) both; where fewer, -inf and -1."""
        scored = self.scored(batch)
        own, photo = scored.candidates, torch.from_numpy(scored.candidates.photo_of())
        given = torch.from_numpy(own.ids)  # (P,)
        inside = (given >= candidates.start) & (given < candidates.stop)
        place = torch.arange(len(photo)) - torch.from_numpy(own.offsets)[photo]
        shape = len(own.moments), int(np.diff(own.offsets).max(initial=0))
        log_p = torch.full(shape, -torch.inf, dtype=torch.float64)
        ids = torch.full(shape, -1)
        log_p[photo[inside], place[inside]] = torch.from_numpy(scored.log_p)[inside]
        ids[photo[inside], place[inside]] = given[inside]
        others, others_ids, nothing = self._others(batch, (photo, given), candidates, k)
        rest = torch.from_numpy(scored.rest)  # (N,)
        log_p[nothing] -= torch.log1p(-rest[nothing].exp())[:, None]  # it belongs to nobody
        log_p = torch.cat([log_p, others + rest[:, None]], dim=1)
        ids = torch.cat([ids, others_ids], dim=1)
        by_id = ids.argsort(dim=1)  # ties go to the lower one
        log_p, ids = log_p.gather(1, by_id), ids.gather(1, by_id)
        best = log_p.argsort(dim=1, descending=True, stable=True)[:, :k]
        log_p, ids = log_p.gather(1, best), ids.gather(1, best)
        return log_p, ids.masked_fill(log_p == -torch.inf, -1)

    def _others(
        self, batch: Batch, without: tuple[Tensor, Tensor], candidates: range, k: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The k best hashtags without evidence: log p_f(y | not C) and ids, (N, k) both.

        And (N,) bool, for which photos there is none at all.
        """
        model, device = self.plus.model, self.device
        if model is None:
            counts = torch.log(self.hashtags.counts.double() + 0.5)  # (V,)
            scores = counts.repeat(len(batch.rows), 1)  # (N, V)
            scores[without] = -torch.inf
            total, part = scores.logsumexp(dim=1), scores[:, candidates.start : candidates.stop]
            part = F.pad(part, (0, k), value=-torch.inf)  # so that there are k
            top, ids = part.sort(dim=1, descending=True, stable=True)
            top, ids = top[:, :k], ids[:, :k] + candidates.start
            ids = ids.masked_fill(top == -torch.inf, -1)
            return top - total.clamp(min=LOWEST)[:, None], ids, total == -torch.inf
        model, moved = model.eval().to(device), batch.to(device)
        psi = model.psi(self.hashtags.psi.to(device))
        queries, pairs = model(moved, psi), (without[0].to(device), without[1].to(device))
        total = log_sum_exp(queries, psi, model.phi_tag, pairs)
        top, ids = top_of_each(queries, psi, model.phi_tag, [candidates], k, pairs)[0]
        top = top.double() - total.clamp(min=LOWEST)[:, None]
        return top.cpu(), ids.cpu(), (total == -torch.inf).cpu()

    def scored(self, batch: Batch) -> Scored:
        """The log p of the candidates of a batch's photos; the last batch's is remembered."""
        if self._latest is None or self._latest[0] is not batch:
            parts = [self.plus.reader.read(*user) for user in _users(batch)]
            self._latest = batch, self.plus.score(Candidates.joined(parts))
        return self._latest[1]


def _users(batch: Batch) -> list[tuple[np.ndarray, list[np.ndarray]]]:
    """Each user's pictures, (T, d_i), and the hashtags of T photos."""
    images = batch.of_photos(batch.history_images).float().cpu().numpy()  # (N, d_i)
    offsets = batch.hashtag_offsets[1:-1].cpu().numpy()
    hashtags = np.split(batch.hashtag_ids.cpu().numpy(), offsets)
    ends = batch.mask.sum(dim=1).cumsum(dim=0).tolist()
    return [
        (images[start:end], hashtags[start:end])
        for start, end in zip([0, *ends], ends, strict=False)
    ]


def train_plus(
    model: HashtagModel | None,
    train: UserHistories,
    valid: UserHistories,
    parts: Parts | None = None,
    config: ScorerConfig | None = None,
    seed: int = 0,
    description: str = "ours+",
) -> Plus:
    """Train s on the training users, and choose trust and temperature on the validation users.

    Args:
        model: f, trained on the same users; None for the frequency of hashtags.
        train: the training users' histories.
        valid: the validation users'.
        parts: of what s is made.
        config: how large s is and how it is trained.
        seed: of its training.
        description: what the progress bar says.

    Raises:
        InputError: where there are fewer than two training users, or no validation user.
    """
    if len(train) < 2 or not len(valid):
        raise InputError(
            f"{len(train)} training users, {len(valid)} validation users: s needs at least two "
            "and one."
        )
    parts = parts or Parts()
    users = list(each_user(train))
    images, hashtags = np.concatenate([u[1] for u in users]), [h for u in users for h in u[2]]
    space = PictureSpace.of(images)
    memory = Memory(
        space(images),
        np.concatenate(hashtags),
        np.concatenate([[0], np.cumsum([len(own) for own in hashtags])]),
        np.repeat([u[0] for u in users], [len(u[2]) for u in users]),
        train.hashtags.num_seen,
    )
    reader = Reader(parts, space, memory)
    read = [
        reader.read(images, own, user)
        for user, images, own in progress_bar(users, desc=f"{description}: reading", leave=None)
    ]
    candidates = Candidates.joined(read)
    hits, sizes = _truth(candidates, hashtags)
    weights = np.concatenate([np.full(len(u[2]), 1 / len(u[2])) for u in users])
    settings = config or ScorerConfig()
    scorer = train_scorer(candidates, hits, sizes, weights, settings, seed, f"{description}: s")
    plus = Plus(model, reader, scorer)
    plus.temperature = _choose_temperature(plus, valid)
    plus.trust = _choose_trust(plus, valid)
    return plus


def _truth(candidates: Candidates, hashtags: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Which candidates are true hashtags of their photos, (P,); how many each photo has, (N,)."""
    sizes = np.array([len(own) for own in hashtags])
    base = 1 + max(candidates.ids.max(initial=0), max(own.max() for own in hashtags))
    true = np.repeat(np.arange(len(sizes)), sizes) * base + np.concatenate(hashtags)
    hits = np.isin(candidates.photo_of() * base + candidates.ids, true)
    return hits.astype(np.float32), sizes


@torch.inference_mode()
def _choose_temperature(plus: Plus, valid: UserHistories) -> float:
    """Under which the validation users' hashtags are most probable."""
    users = list(each_user(valid))
    candidates = Candidates.joined([plus.reader.read(images, own) for _, images, own in users])
    hits, sizes = map(torch.from_numpy, _truth(candidates, [h for u in users for h in u[2]]))
    s, c = plus.scorer(*map(torch.from_numpy, (candidates.inputs, candidates.moments)))
    weights = torch.from_numpy(np.concatenate([np.full(len(u[2]), 1 / len(u[2])) for u in users]))
    photo = torch.from_numpy(candidates.photo_of())
    losses = [
        float(split_loss(s.double() / t, c.double() / t, hits.double(), photo, sizes, weights))
        for t in TEMPERATURES
    ]
    return float(TEMPERATURES[int(np.argmin(losses))])


def _choose_trust(plus: Plus, valid: UserHistories) -> float:
    """The guard: the highest trust that surely gains on `repeat recent`, by validation users.

    The gain of a user is that in A@1 + R@10 among all hashtags; it is sure where the mean over
    users, each weighing as many photos as count, is more than its standard error. Where none is
    sure, the trust is 0, and `ours+` is `repeat recent` itself.
    """

    def of_users(ranker: Ranker) -> np.ndarray:
        rows = evaluate_by_user(ranker, valid, valid.hashtags, ("all",))
        return np.array([[row["A@1"] + row["R@10"], row["photos"]] for row in rows])

    rule = of_users(repeat_recent)  # (U, 2)
    weights = rule[:, 1] / rule[:, 1].sum()
    for trust in TRUST:
        gains = of_users(replace(plus, trust=trust).ranker(valid.hashtags))[:, 0] - rule[:, 0]
        mean = weights @ gains
        if len(gains) > 1 and mean > np.sqrt(weights**2 @ (gains - mean) ** 2):
            return trust
    return 0.0

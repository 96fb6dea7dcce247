"""`ours+`: the paper's model f, and s where there is evidence. One softmax over all hashtags.

    plus = train_plus(model, fold.train, fold.valid)  # of plus_training
    evaluate(plus.ranker(fold.hashtags), batches(fold.test, 8), fold.hashtags)

What it keeps to the paper's rules: new users, photos and hashtags need no retraining, no parameter
belongs to a hashtag, and training users alone are learned from. Validation users choose three
numbers: how far s is trusted, and two temperatures.

Shapes: N photos, P candidates of all of them, k best hashtags, V hashtags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hashtag_core.beyond.evidence import (
    Candidates,
    Reader,
)
from hashtag_core.beyond.scorer import Scorer
from hashtag_core.beyond.usage import UserPast
from hashtag_core.data.hashtags import Hashtags
from hashtag_core.data.histories import Batch
from hashtag_core.evaluation.baselines import repeat_recent
from hashtag_core.evaluation.metrics import Ranker
from hashtag_core.evaluation.ranking import OnePassRanker, log_sum_exp, top_of_each
from hashtag_core.model.joint_embedding import HashtagModel

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
        f_temperature: by which f is divided. It knows its training users by heart, and so it is too
            sure of new ones.
    """

    model: HashtagModel | None
    reader: Reader
    scorer: Scorer
    trust: float = 1.0
    temperature: float = 1.0
    f_temperature: float = 1.0

    def __repr__(self) -> str:
        f = "no f" if self.model is None else type(self.model.user_encoder).__name__
        numbers = f"trust {self.trust:g}, temperature {self.temperature:.2f}"
        return f"Plus: {f} and s of {self.scorer.config.width} numbers, {numbers}\n  {self.reader}"

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

    def log_p(self, past: UserPast, images: np.ndarray, f: Tensor) -> Tensor:
        """The log p of all hashtags for each of N pictures, as the next photo of one user.

        Args:
            past: the user's photos so far.
            images: (N, d_i) float32.
            f: (N, V) float64, the paper's scores; -inf for a hashtag that f does not know.

        Returns:
            (N, V) float64.
        """
        scored = self.score(self.reader.before(past, images))
        own = (
            torch.from_numpy(scored.candidates.photo_of()),
            torch.from_numpy(scored.candidates.ids),
        )
        log_p = f / self.f_temperature
        log_p[own] = -torch.inf
        total = log_p.logsumexp(dim=1).clamp(min=LOWEST)  # (N,)
        log_p -= (total - torch.from_numpy(scored.rest))[:, None]
        log_p[own] = torch.from_numpy(scored.log_p)
        return log_p

    @property
    def device(self) -> torch.device:
        """Where f is; s computes on the CPU."""
        return torch.device("cpu") if self.model is None else next(self.model.parameters()).device

    def ranker(self, hashtags: Hashtags, device: torch.device | str | None = None) -> Ranker:
        """A ranker for `evaluate`, f computing where it is or on `device`; `repeat_recent` where
        the trust is 0.
        """
        if self.trust == 0:
            return repeat_recent
        return PlusRanker(self, hashtags, self.device if device is None else torch.device(device))


@dataclass(eq=False)
class PlusRanker(OnePassRanker):
    """(batch, candidates, k) -> (N, k) ids, best first; ties go to the lower id."""

    plus: Plus
    hashtags: Hashtags
    device: torch.device
    read: dict[int, Candidates] = field(default_factory=dict, repr=False)  # by a batch's first row
    _latest: tuple[Batch, Scored] | None = field(default=None, repr=False)

    def several(self, batch: Batch, sets: Sequence[range], k: int) -> list[Tensor]:
        """The k best of each set of candidates for each photo: (N, k) each."""
        return [ids for _, ids in self.best_of_each(batch, sets, k)]

    def best(self, batch: Batch, candidates: range, k: int) -> tuple[Tensor, Tensor]:
        """The log p (float64) and ids of the k best, (N, k) both; where fewer, -inf and -1."""
        return self.best_of_each(batch, [candidates], k)[0]

    @torch.inference_mode()
    def best_of_each(
        self, batch: Batch, sets: Sequence[range], k: int
    ) -> list[tuple[Tensor, Tensor]]:
        """`best` for each set of candidates, from one pass of f."""
        scored = self.scored(batch)
        own, photo = scored.candidates, torch.from_numpy(scored.candidates.photo_of())
        ids, log_p = torch.from_numpy(own.ids), torch.from_numpy(scored.log_p)  # (P,) both
        rest = torch.from_numpy(scored.rest)  # (N,)
        others, nothing = self._others(batch, (photo, ids), sets, k)
        # what nothing is left for belongs to the candidates
        log_p = log_p - torch.where(nothing, torch.log1p(-rest.exp()), 0)[photo]
        place = torch.arange(len(photo)) - torch.from_numpy(own.offsets)[photo]
        shape = len(own.moments), int(np.diff(own.offsets).max(initial=0))
        found = []
        for candidates, (others_log_p, others_ids) in zip(sets, others, strict=True):
            inside = (ids >= candidates.start) & (ids < candidates.stop)
            both = torch.full(shape, -torch.inf, dtype=torch.float64), torch.full(shape, -1)
            for table, values in zip(both, (log_p, ids), strict=True):
                table[photo[inside], place[inside]] = values[inside]
            of_all = torch.cat([both[0], others_log_p + rest[:, None]], dim=1)
            of_ids = torch.cat([both[1], others_ids], dim=1)
            by_id = of_ids.argsort(dim=1)  # ties go to the lower one
            of_all, of_ids = of_all.gather(1, by_id), of_ids.gather(1, by_id)
            best = of_all.argsort(dim=1, descending=True, stable=True)[:, :k]
            of_all, of_ids = of_all.gather(1, best), of_ids.gather(1, best)
            found.append((of_all, of_ids.masked_fill(of_all == -torch.inf, -1)))
        return found

    def _others(
        self, batch: Batch, without: tuple[Tensor, Tensor], sets: Sequence[range], k: int
    ) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
        """The k best hashtags without evidence of each set: log p_f(y | not C) and ids, (N, k).

        And (N,) bool, for which photos there is none at all.
        """
        model, device = self.plus.model, self.device
        if model is None:
            counts = torch.log(self.hashtags.counts.double() + 0.5)  # (V,)
            scores = counts.repeat(len(batch.rows), 1)  # (N, V)
            scores[without] = -torch.inf
            total, best = scores.logsumexp(dim=1), []
            for candidates in sets:
                part = F.pad(
                    scores[:, candidates.start : candidates.stop], (0, k), value=-torch.inf
                )
                top, ids = part.sort(dim=1, descending=True, stable=True)
                top, ids = top[:, :k], ids[:, :k] + candidates.start
                best.append((top, ids.masked_fill(top == -torch.inf, -1)))
        else:
            model, moved = model.eval().to(device), batch.to(device)
            psi = model.psi(self.hashtags.psi.to(device))
            queries = model(moved, psi) / self.plus.f_temperature  # (N, d)
            pairs = without[0].to(device), without[1].to(device)
            total = log_sum_exp(queries, psi, model.phi_tag, pairs).cpu()
            found = top_of_each(queries, psi, model.phi_tag, sets, k, pairs)
            best = [(top.double().cpu(), ids.cpu()) for top, ids in found]
        shares = total.clamp(min=LOWEST)[:, None]
        return [(top - shares, ids) for top, ids in best], total == -torch.inf

    def scored(self, batch: Batch) -> Scored:
        """The log p of the candidates of a batch's photos; the last batch's is remembered."""
        if self._latest is None or self._latest[0] is not batch:
            read = self.read.get(int(batch.rows[0])) or read_batch(self.plus.reader, batch)
            self._latest = batch, self.plus.score(read)
        return self._latest[1]


def read_batch(reader: Reader, batch: Batch) -> Candidates:
    """The candidates before each photo of a batch's users."""
    images = batch.of_photos(batch.history_images).float().cpu().numpy()  # (N, d_i)
    offsets = batch.hashtag_offsets[1:-1].cpu().numpy()
    hashtags = np.split(batch.hashtag_ids.cpu().numpy(), offsets)
    ends = batch.mask.sum(dim=1).cumsum(dim=0).tolist()
    return Candidates.joined(
        reader.read(images[start:end], hashtags[start:end])
        for start, end in zip([0, *ends], ends, strict=False)
    )

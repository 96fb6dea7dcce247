"""How `ours+` is trained: s on training users, and three numbers on validation users.

    plus = train_plus(model, fold.train, fold.valid)

f is the paper's model, trained before. Shapes: N photos, P candidates of all of them, V hashtags.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from hashtag_core.beyond.evidence import (
    Candidates,
    Parts,
    PictureSpace,
    Reader,
    each_user,
    in_16_bits,
)
from hashtag_core.beyond.memory import Memory
from hashtag_core.beyond.plus import Plus, PlusRanker, read_batch
from hashtag_core.beyond.scorer import ScorerConfig, split_loss, train_scorer
from hashtag_core.data.hashtags import Hashtags
from hashtag_core.data.histories import Batch, UserHistories, collate
from hashtag_core.errors import InputError
from hashtag_core.evaluation.baselines import repeat_recent
from hashtag_core.evaluation.by_user import evaluate_by_user
from hashtag_core.evaluation.metrics import Ranker
from hashtag_core.evaluation.ranking import log_sum_exp
from hashtag_core.model.joint_embedding import HashtagModel
from hashtag_core.printing import progress_bar

TRUST = 1.0, 0.75, 0.5, 0.25
TEMPERATURES = np.exp(np.linspace(-0.7, 0.7, 57))
TEMPERATURES_OF_F = np.exp(np.linspace(-0.5, 1.5, 21))


def train_plus(
    model: HashtagModel | None,
    train: UserHistories,
    valid: UserHistories,
    parts: Parts | None = None,
    config: ScorerConfig | None = None,
    seed: int = 0,
    description: str = "ours+",
) -> Plus:
    """Train s on the training users; choose trust and temperatures on the validation users.

    Args:
        model: f, trained on the same users; None for the frequency of hashtags.
        train: the training users' histories.
        valid: the validation users'.
        parts: of what s is made.
        config: how large s is and how it is trained; by the number of photos where not given.
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
        in_16_bits(space(images)),
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
    settings = config or ScorerConfig.for_photos(len(sizes))
    scorer = train_scorer(candidates, hits, sizes, weights, settings, seed, f"{description}: s")
    plus = Plus(model, reader, scorer)
    looked_at = [collate([valid[item]]) for item in range(len(valid))]
    of_valid = {int(batch.rows[0]): read_batch(reader, batch) for batch in looked_at}
    plus.temperature = _choose_temperature(plus, looked_at, of_valid)
    if model is not None:
        model.eval()
        plus.f_temperature = _choose_f_temperature(model, valid.hashtags, looked_at, of_valid)
    plus.trust = _choose_trust(plus, valid, of_valid)
    return plus


def _truth(candidates: Candidates, hashtags: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Which candidates are true hashtags of their photos, (P,); how many each photo has, (N,)."""
    sizes = np.array([len(own) for own in hashtags])
    base = 1 + max(candidates.ids.max(initial=0), max(own.max() for own in hashtags))
    true = np.repeat(np.arange(len(sizes)), sizes) * base + np.concatenate(hashtags)
    hits = np.isin(candidates.photo_of() * base + candidates.ids, true)
    return hits.astype(np.float32), sizes


@torch.inference_mode()
def _choose_temperature(plus: Plus, valid: list[Batch], read: dict[int, Candidates]) -> float:
    """Under which the validation users' hashtags are most probable."""
    candidates = Candidates.joined(read.values())
    hashtags = [np.split(b.hashtag_ids.numpy(), b.hashtag_offsets[1:-1].numpy()) for b in valid]
    hits, sizes = map(torch.from_numpy, _truth(candidates, [h for own in hashtags for h in own]))
    s, c = plus.scorer(*map(torch.from_numpy, (candidates.inputs, candidates.moments)))
    photos = np.array([len(batch.rows) for batch in valid])
    weights = torch.from_numpy(np.repeat(1 / photos, photos))
    photo = torch.from_numpy(candidates.photo_of())
    losses = [
        float(split_loss(s.double() / t, c.double() / t, hits.double(), photo, sizes, weights))
        for t in TEMPERATURES
    ]
    return float(TEMPERATURES[int(np.argmin(losses))])


@torch.inference_mode()
def _choose_f_temperature(
    model: HashtagModel, hashtags: Hashtags, valid: list[Batch], read: dict[int, Candidates]
) -> float:
    """Under which the validation users' hashtags without evidence are most probable."""
    device = next(model.parameters()).device
    psi, losses = model.psi(hashtags.psi.to(device)), np.zeros(len(TEMPERATURES_OF_F))
    for batch in (batch.to(device) for batch in valid):
        own = read[int(batch.rows[0])]
        ids, photo = batch.hashtag_ids, batch.photo_of_hashtags()  # (M,) both
        pairs = torch.from_numpy(own.photo_of()).to(device), torch.from_numpy(own.ids).to(device)
        other = ~torch.isin(photo * len(hashtags) + ids, pairs[0] * len(hashtags) + pairs[1])
        photo, queries = photo[other], model(batch, psi)
        weights = 1 / (batch.hashtag_offsets.diff()[photo] * len(batch.rows))
        f = (queries[photo] * model.phi_tag(psi[ids[other]])).sum(dim=1)
        for i, t in enumerate(TEMPERATURES_OF_F):
            total = log_sum_exp(queries / t, psi, model.phi_tag, pairs)  # (N,)
            losses[i] += float(weights.double() @ (total[photo] - f.double() / t))
    return float(TEMPERATURES_OF_F[int(np.argmin(losses))])


def _choose_trust(plus: Plus, valid: UserHistories, read: dict[int, Candidates]) -> float:
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
        trusted = replace(plus, trust=trust)
        ranker = PlusRanker(trusted, valid.hashtags, plus.device, read)
        gains = of_users(ranker)[:, 0] - rule[:, 0]
        mean = weights @ gains
        if len(gains) > 1 and mean > np.sqrt(weights**2 @ (gains - mean) ** 2):
            return trust
    return 0.0

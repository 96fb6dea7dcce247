"""Pictures for a hashtag by `ours+` (A.5): ranked by its p(y | I, u).

As `evaluation.image_retrieval`, whose `Pool` it searches in. Every picture is read as the next
photo of the user who asks, so what the user has done speaks for a hashtag, and what like pictures
of training users have. Shapes: P pictures, Q hashtags, d_u user, d_w word vector.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hashtag_core.beyond.evidence import each_user
from hashtag_core.beyond.plus import Plus
from hashtag_core.beyond.usage import UserPast
from hashtag_core.errors import InputError
from hashtag_core.evaluation.image_retrieval import Pool, evaluate_pool, user_of_half

PICTURES = 1024  # at a time


@torch.inference_mode()
def picture_log_p(
    plus: Plus, images: np.ndarray, past: UserPast, user: Tensor, psi: Tensor
) -> Tensor:
    """The log p(y | I, u) of every picture and all hashtags, for one user.

    Args:
        plus: `ours+` with f, whose pictures to predict have the features of past ones.
        images: (P, d_i) float32.
        past: the user's photos so far.
        user: (d_u,), what f makes of them.
        psi: (V, d_w), all hashtags.

    Returns:
        (P, V) float64.

    Raises:
        InputError: where there is no f.
    """
    model, found = plus.model, []
    if model is None:
        raise InputError("pictures for a hashtag need f.")
    for start in range(0, len(images), PICTURES):
        part = images[start : start + PICTURES]
        queries = model.queries(torch.from_numpy(part).to(psi.device), user.expand(len(part), -1))
        found.append(plus.log_p(past, part, model.scores(queries, psi).double().cpu()))
    return torch.cat(found)


def evaluate_plus_retrieval(plus: Plus, pool: Pool, device: torch.device) -> list[dict]:
    """How well `ours+` finds the pictures that users mean by their hashtags.

    Args:
        plus: with f.
        pool: of `make_pool`.
        device: where f computes.

    Returns:
        As `evaluation.image_retrieval.evaluate_retrieval`.

    Raises:
        InputError: where a second ConvNet made the features of the pictures to predict.
    """
    halves = pool.halves
    if plus.model is None or halves.query_features is not None:
        raise InputError("pictures by ours+ need f, and one ConvNet for past and new ones.")
    psi = plus.model.eval().to(device).psi(halves.hashtags.psi.to(device))
    images = pool.images.numpy()
    pasts, states = [], []
    for item, (_, pictures, hashtags) in enumerate(each_user(halves)):
        past = plus.reader.new_user()
        for picture, own in zip(plus.reader.look(pictures), hashtags, strict=True):
            past.add(own, *picture)
        pasts.append(past)
        states.append(user_of_half(plus.model, halves[item], psi))

    def read(item: int) -> Tensor:
        return picture_log_p(plus, images, pasts[item], states[item], psi)

    nobody = picture_log_p(
        plus, images, plus.reader.new_user(), torch.zeros_like(states[0]), psi
    )  # (P, V)
    latest: dict[int, Tensor] = {}  # each user asks as this user, and before that as another one

    def scores(item: int, ids: list[int]) -> dict[str, Tensor]:
        another = (item + 1) % len(pasts)
        both = {i: latest[i] if i in latest else read(i) for i in (item, another)}
        latest.clear()
        latest.update(both)
        users = {"everyone": nobody, "this user": both[item], "another user": both[another]}
        return {reading: log_p[:, ids] for reading, log_p in users.items()}

    return evaluate_pool(pool, scores)

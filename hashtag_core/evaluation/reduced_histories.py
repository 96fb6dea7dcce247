"""Predictions from less of the history: Ours-FH, the last photos alone (§4.2, A.6)."""

from __future__ import annotations

import torch
from torch import Tensor

from hashtag_core.data.histories import LONG, Batch
from hashtag_core.errors import InputError
from hashtag_core.evaluation.ranking import Users
from hashtag_core.model.joint_embedding import HashtagModel
from hashtag_core.model.user_encoders import StepwiseUserEncoder, hashtag_sums, stepwise


def users_of_last_photos(
    encoder: StepwiseUserEncoder, images: Tensor, hashtag_sums: Tensor, photos: int
) -> Tensor:
    """The user before each photo, from no more than the last `photos` photos (§4.2, A.6).

    All T positions go forward together, one photo of their history at a time.

    Args:
        encoder: a user encoder with `update`.
        images: (T, d_i), one user's.
        hashtag_sums: (T, d_w), `hashtag_sums` of them.
        photos: how many of the newest photos to read; 0 for no history.

    Returns:
        (T, d_u).
    """
    length = len(images)
    users = images.new_zeros(length, encoder.d_u)  # (T, d_u)
    for back in range(min(photos, length - 1), 0, -1):
        newer = encoder.update(users[back:], images[:-back], hashtag_sums[:-back])
        users = torch.cat([users[:back], newer])  # photos 1 to `back` do not have so old a photo
    return users


def fixed_history(model: HashtagModel) -> Users:
    """Ours-FH: every photo is predicted from the photos before the first one to predict."""

    def users(batch: Batch, psi: Tensor) -> Tensor:
        states = model.users(batch, psi)  # (B, T + 1, d_u)
        wanted = torch.zeros_like(batch.mask)
        wanted[batch.mask] = batch.predict
        first = wanted.int().argmax(dim=1)  # (B,)
        fixed = states[torch.arange(len(states), device=states.device), first]  # (B, d_u)
        return fixed[:, None].expand(-1, batch.mask.shape[1], -1)[batch.mask]  # (N, d_u)

    return users


def last_photos(model: HashtagModel, photos: int) -> Users:
    """Every photo is predicted from no more than the last `photos` photos before it.

    Raises:
        InputError: where the user encoder cannot go on from photo to photo.
    """
    encoder = stepwise(model.user_encoder)
    if encoder is None:
        name = f"{model.config.encoder} ({type(model.user_encoder).__name__})"
        raise InputError(f"{name}: reading the last photos alone needs `update`, as the GRU has.")

    def users(batch: Batch, psi: Tensor) -> Tensor:
        sums = hashtag_sums(batch, psi)  # (B, T, d_w)
        before = []
        for mask, images, y in zip(batch.mask, batch.history_images, sums, strict=True):
            images, y = images[mask], y[mask]  # (T, d_i), (T, d_w)
            for start in range(0, len(images), LONG):
                first = max(start - photos, 0)  # the oldest one that these read
                part = slice(first, start + LONG)
                states = users_of_last_photos(encoder, images[part], y[part], photos)
                before.append(states[start - first :])
        return torch.cat(before)  # (N, d_u)

    return users

"""The user conditional joint embedding of images and hashtags (§3.2, Equations 6 and 7).

Shapes: B users, T photos of a user, N photos, V hashtags, d_i / d_v image features, d_w word
vector, d_u user, d_c user conditional image, d joint space.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hashtag_core.fusion import Mutan
from hashtag_core.histories import Batch
from hashtag_core.user_encoders import build_user_encoder


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of a model. The paper gives d_i, d_v, d_w and d_u; the others are our choice.

    Attributes:
        d_i: image feature, user side.
        d_v: image feature, query side.
        d_w: word vector.
        d_x: image-hashtags pair.
        d_u: user representation.
        d_c: user conditional image representation.
        d: joint space.
        rank: R of MUTAN.
        history: what the user encoder reads: "image+hashtag", "hashtag", "none" (user agnostic).
    """

    d_i: int
    d_v: int
    d_w: int
    d_x: int
    d_u: int
    d_c: int
    d: int
    rank: int
    history: str = "image+hashtag"

    @classmethod
    def paper(cls, history: str = "image+hashtag") -> ModelConfig:
        """ResNet-50, GloVe (300 numbers) and d_u = 1024 as in §4; d_x, d_c, d, rank are ours."""
        return cls(2048, 2048, 300, d_x=1024, d_u=1024, d_c=1024, d=1024, rank=5, history=history)

    @classmethod
    def small(cls, d_i: int, d_w: int, history: str = "image+hashtag") -> ModelConfig:
        """For two CPU cores and a small collection."""
        return cls(d_i, d_i, d_w, d_x=256, d_u=256, d_c=256, d=256, rank=3, history=history)


class HashtagModel(nn.Module):
    """f(v, u, y) = phi_iu(g(v, u))^T phi_tag(psi(y)) (Equation 7).

    A hashtag enters through psi(y) alone, so the model has no parameter per hashtag and ranks
    hashtags that it has never seen.

    Args:
        config: its sizes, and which of the library's user encoders it has.
        user_encoder: another one instead: a module with the `forward` and `update` of `GRUEncoder`.
    """

    def __init__(self, config: ModelConfig, user_encoder: nn.Module | None = None) -> None:
        super().__init__()
        c = config
        self.config = config
        self.user_encoder = user_encoder or build_user_encoder(
            c.history, c.d_i, c.d_w, c.d_x, c.d_u
        )
        self.image_norm = nn.LayerNorm(c.d_v)
        self.g = Mutan(c.d_v, c.d_u, c.d_c, c.rank)  # Eq. 6
        self.phi_iu = nn.Sequential(nn.ReLU(), nn.Linear(c.d_c, c.d))
        self.phi_tag = nn.Sequential(nn.Linear(c.d_w, c.d), nn.ReLU(), nn.Linear(c.d, c.d))

    def users(self, batch: Batch, psi: Tensor) -> Tensor:
        """Each user before each photo, (B, T, d_u), from psi of all hashtags, (V, d_w)."""
        photos = torch.arange(len(batch.rows), device=psi.device)
        photo_of = photos.repeat_interleave(batch.hashtag_offsets.diff())  # (M,)
        sums = psi.new_zeros(len(photos), psi.shape[1])  # (N, d_w)
        sums = sums.index_add(0, photo_of, psi[batch.hashtag_ids])  # Eq. 3, y_t: (N, d_w)
        padded = sums.new_zeros(*batch.mask.shape, sums.shape[1])  # (B, T, d_w)
        padded[batch.mask] = sums
        return self.user_encoder(batch.history_images, padded)  # (B, T, d_u)

    def queries(self, images: Tensor, users: Tensor) -> Tensor:
        """The image side of Equation 7: (N, d_v), (N, d_u) -> (N, d)."""
        z = self.g(self.image_norm(images), users)  # Eq. 6: (N, d_c)
        return self.phi_iu(z)  # (N, d)

    def forward(self, batch: Batch, psi: Tensor) -> Tensor:
        """One query per photo of the batch, each from the photos before it: (N, d)."""
        users = self.users(batch, psi)[batch.mask]  # (N, d_u)
        return self.queries(batch.query_images[batch.mask], users)  # (N, d)

    def scores(self, queries: Tensor, psi: Tensor) -> Tensor:
        """Equation 7's f of every query and hashtag: (N, d), (V, d_w) -> (N, V)."""
        return queries @ self.phi_tag(psi).T

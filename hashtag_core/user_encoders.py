"""User encoders: a user's photos so far -> user representation u (§3.1, Equations 2 to 5).

An encoder reads all T photos at once and returns T representations: the one at position t is made
of the photos before t, and the first one is zero. It can also go on from a representation by one
more photo. Shapes: B users, T photos of a user, d_i image feature, d_w word vector, d_x
image-hashtags pair, d_u user.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hashtag_core.fusion import ElementwiseProduct


class GRUEncoder(nn.Module):
    """The paper's user encoder: a GRU over image-hashtags pairs.

    Args:
        d_i: size of the image features.
        d_w: size of the word vectors.
        d_x: size of a pair's representation.
        d_u: size of the user representation, the GRU's hidden state.
        fusion: Equation 4; None for the hashtags alone ("ours (hashtag)").
    """

    def __init__(
        self, d_i: int, d_w: int, d_x: int, d_u: int, fusion: nn.Module | None = None
    ) -> None:
        super().__init__()
        activation = fusion.branch_activation if fusion is not None else nn.ReLU
        self.fusion = fusion
        if fusion is not None:
            self.f_im = nn.Sequential(nn.LayerNorm(d_i), nn.Linear(d_i, d_x), activation())
        self.f_tag = nn.Sequential(nn.Linear(d_w, d_x), activation())
        self.gru = nn.GRU(d_x, d_u, batch_first=True)
        self.d_u = d_u

    def pair(self, images: Tensor, hashtag_sums: Tensor) -> Tensor:
        """x_t of each photo (Equations 2 to 4): (..., d_i), (..., d_w) -> (..., d_x)."""
        x_tag = self.f_tag(hashtag_sums)  # Eq. 3: (..., d_x)
        if self.fusion is None:
            return x_tag
        x_im = self.f_im(images)  # Eq. 2, the ConvNet's feature projected: (..., d_x)
        return self.fusion(x_im, x_tag)  # Eq. 4: (..., d_x)

    def forward(self, images: Tensor, hashtag_sums: Tensor) -> Tensor:
        """The representation before each photo: (B, T, d_i), (B, T, d_w) -> (B, T, d_u)."""
        states, _ = self.gru(self.pair(images, hashtag_sums))  # Eq. 5, h_t: (B, T, d_u)
        h_0 = states.new_zeros(len(states), 1, self.d_u)
        return torch.cat([h_0, states[:, :-1]], dim=1)  # u_{1:t-1} = h_{t-1}: (B, T, d_u)

    def update(self, users: Tensor, images: Tensor, hashtag_sums: Tensor) -> Tensor:
        """One more photo each: (B, d_u), (B, d_i), (B, d_w) -> (B, d_u)."""
        x = self.pair(images, hashtag_sums)[:, None]  # (B, 1, d_x)
        _, h = self.gru(x, users[None].contiguous())  # Eq. 5: (1, B, d_u)
        return h[0]  # (B, d_u)


class NoHistory(nn.Module):
    """Every user is zero: the model becomes an image classifier ("user agnostic", [B])."""

    def __init__(self, d_u: int) -> None:
        super().__init__()
        self.d_u = d_u

    def forward(self, images: Tensor, hashtag_sums: Tensor) -> Tensor:
        """(B, T, d_i), (B, T, d_w) -> zeros (B, T, d_u)."""
        return images.new_zeros(*images.shape[:2], self.d_u)

    def update(self, users: Tensor, images: Tensor, hashtag_sums: Tensor) -> Tensor:
        """(B, d_u), (B, d_i), (B, d_w) -> the same (B, d_u)."""
        return users


def build_user_encoder(history: str, d_i: int, d_w: int, d_x: int, d_u: int) -> nn.Module:
    """The encoder for what a history holds: "image+hashtag", "hashtag" or "none"."""
    if history == "image+hashtag":
        return GRUEncoder(d_i, d_w, d_x, d_u, fusion=ElementwiseProduct())
    if history == "hashtag":
        return GRUEncoder(d_i, d_w, d_x, d_u, fusion=None)
    if history == "none":
        return NoHistory(d_u)
    raise ValueError(f"history {history!r}: choose image+hashtag, hashtag or none.")

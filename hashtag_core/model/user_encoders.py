"""User encoders: a user's photos -> user representation u (§3.1, Equations 2 to 5).

`UserEncoder` is what the model asks of one: write your own, and give it to `HashtagModel`. Shapes:
B users, T photos of a user, N photos in the batch, V hashtags, d_i image feature, d_w word vector,
d_x image-hashtags pair, d_u user.
"""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from hashtag_core.data.histories import Batch
from hashtag_core.model.fusion import Fusion, linear
from hashtag_core.model.gru import GRU

CHUNK = 65_536  # hashtags at a time


class UserEncoder(Protocol):
    """A module that reads histories; the model asks no more of it.

    Attributes:
        d_u: size of the user representation.
    """

    d_u: int

    def __call__(self, batch: Batch, psi: Tensor) -> Tensor:
        """Users after 0 to T photos: (B, T + 1, d_u), from psi of all hashtags, (V, d_w).

        At position t stands the user after t photos, at position 0 the user without a history.
        Photo t + 1 is predicted from position t.
        """
        ...


class StepwiseUserEncoder(UserEncoder, Protocol):
    """One that can go on from a user, photo by photo: what prediction needs (`prediction.py`).

    Its user without a history has to be zeros, as the paper's h_0 is.
    """

    def update(self, users: Tensor, images: Tensor, hashtag_sums: Tensor) -> Tensor:
        """One more photo each: (B, d_u), (B, d_i), (B, d_w) -> (B, d_u)."""
        ...


def stepwise(encoder: UserEncoder) -> StepwiseUserEncoder | None:
    """The same encoder, where it can go on photo by photo; None where it cannot."""
    return cast(StepwiseUserEncoder, encoder) if hasattr(encoder, "update") else None


def photo_sums(batch: Batch, vectors: Tensor, counted: Tensor | None = None) -> Tensor:
    """Sum the vectors of each photo's hashtags: (V, d) -> (N, d).

    Args:
        batch: of N photos.
        vectors: (V, d), one for each hashtag.
        counted: (M,) bool, which of the batch's hashtags to count; None for all.
    """
    sums = vectors.new_zeros(len(batch.rows), vectors.shape[1])  # (N, d)
    photo_of = batch.photo_of_hashtags()  # (M,)
    for start in range(0, len(photo_of), CHUNK):
        part = slice(start, start + CHUNK)
        chosen = vectors[batch.hashtag_ids[part]]  # (C, d)
        if counted is not None:
            chosen = chosen * counted[part, None]
        sums.index_add_(0, photo_of[part], chosen)
    return sums


def hashtag_sums(batch: Batch, psi: Tensor) -> Tensor:
    """y_t of Equation 3, the sum of psi over each photo's hashtags: (V, d_w) -> (B, T, d_w)."""
    return batch.padded(photo_sums(batch, psi))


class PairEncoder(nn.Module):
    """The first half of the paper's encoder: each photo's image and hashtags -> x_t (Eq. 2 to 4).

    Args:
        d_i: size of the image features.
        d_w: size of the word vectors.
        d_x: size of each branch.
        fusion: Equation 4; None for the hashtags alone ("ours (hashtag)").
    """

    def __init__(self, d_i: int, d_w: int, d_x: int, fusion: Fusion | None = None) -> None:
        super().__init__()
        activation = fusion.branch_activation if fusion is not None else nn.ReLU
        self.fusion = fusion
        if fusion is not None:
            self.f_im = nn.Sequential(nn.LayerNorm(d_i), linear(d_i, d_x), activation())
        self.f_tag = nn.Sequential(nn.Linear(d_w, d_x), activation())
        self.d_pair = d_x if fusion is None else fusion.d_out

    def pair(self, images: Tensor, hashtag_sums: Tensor) -> Tensor:
        """x_t of each photo: (..., d_i), (..., d_w) -> (..., d_pair)."""
        x_tag = self.f_tag(hashtag_sums)  # Eq. 3: (..., d_x)
        if self.fusion is None:
            return x_tag
        x_im = self.f_im(images)  # Eq. 2, the ConvNet's feature projected: (..., d_x)
        return self.fusion(x_im, x_tag)  # Eq. 4: (..., d_pair)

    def forward(self, batch: Batch, psi: Tensor) -> Tensor:
        """Users after 0 to T photos: (B, T + 1, d_u), from psi of all hashtags, (V, d_w)."""
        images, y = batch.of_photos(batch.history_images), photo_sums(batch, psi)  # (N, …)
        x = batch.padded(self.pair(images, y))  # (B, T, d_pair)
        states = self.aggregate(x)  # (B, T, d_u)
        return F.pad(states, (0, 0, 1, 0))  # h_0 = 0 in front: (B, T + 1, d_u)

    def aggregate(self, x: Tensor) -> Tensor:
        """(B, T, d_pair) -> (B, T, d_u), at t from x_1 to x_t alone: the second half."""
        raise NotImplementedError


class GRUEncoder(PairEncoder):
    """The paper's user encoder: a GRU over image-hashtags pairs (Equation 5).

    Args:
        d_i, d_w, d_x, fusion: of `PairEncoder`.
        d_u: size of the user representation, the GRU's hidden state.
    """

    def __init__(
        self, d_i: int, d_w: int, d_x: int, d_u: int, fusion: Fusion | None = None
    ) -> None:
        super().__init__(d_i, d_w, d_x, fusion)
        self.gru = GRU(self.d_pair, d_u)
        self.d_u = d_u

    def aggregate(self, x: Tensor) -> Tensor:
        """h_t: (B, T, d_pair) -> (B, T, d_u)."""
        return self.gru(x)[0]

    def update(self, users: Tensor, images: Tensor, hashtag_sums: Tensor) -> Tensor:
        """One more photo each: (B, d_u), (B, d_i), (B, d_w) -> (B, d_u)."""
        x = self.pair(images, hashtag_sums)[:, None]  # (B, 1, d_pair)
        _, h = self.gru(x, users[None].contiguous())  # Eq. 5: (1, B, d_u)
        return h[0]  # (B, d_u)


class PoolingEncoder(PairEncoder):
    """The mean or the maximum of all pairs so far: what §3.1 compares the GRU with.

    Args:
        d_i, d_w, d_x, fusion: of `PairEncoder`.
        pooling: "mean" or "max".
    """

    def __init__(
        self, d_i: int, d_w: int, d_x: int, pooling: str, fusion: Fusion | None = None
    ) -> None:
        super().__init__(d_i, d_w, d_x, fusion)
        self.pooling = pooling
        self.d_u = self.d_pair

    def aggregate(self, x: Tensor) -> Tensor:
        """(B, T, d_pair) -> (B, T, d_pair)."""
        if self.pooling == "max":
            return x.cummax(dim=1).values
        t = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]  # (T, 1)
        return x.cumsum(dim=1) / t


class TCNEncoder(PairEncoder):
    """A temporal convolutional network [4] in place of the GRU, as §3.1 suggests.

    Blocks of two causal convolutions over three photos each, with dilations 1, 2, 4, 8, 16 and
    residual connections: the last state depends on the 125 newest photos.

    Args:
        d_i, d_w, d_x, fusion: of `PairEncoder`.
        d_u: size of the user representation, the channels of every block.
    """

    def __init__(
        self, d_i: int, d_w: int, d_x: int, d_u: int, fusion: Fusion | None = None
    ) -> None:
        super().__init__(d_i, d_w, d_x, fusion)
        self.d_u = d_u
        sizes = [self.d_pair, d_u, d_u, d_u, d_u]
        self.blocks = nn.Sequential(
            *(CausalBlock(size, d_u, dilation=2**i) for i, size in enumerate(sizes))
        )

    def aggregate(self, x: Tensor) -> Tensor:
        """(B, T, d_pair) -> (B, T, d_u)."""
        return self.blocks(x.transpose(1, 2)).transpose(1, 2)


class CausalBlock(nn.Module):
    """Two dilated convolutions that look back only, and a residual connection."""

    def __init__(self, d_in: int, d_out: int, dilation: int) -> None:
        super().__init__()
        self.back = 2 * dilation  # how far a kernel of three reaches
        self.first = weight_norm(nn.Conv1d(d_in, d_out, kernel_size=3, dilation=dilation))
        self.second = weight_norm(nn.Conv1d(d_out, d_out, kernel_size=3, dilation=dilation))
        self.skip = nn.Conv1d(d_in, d_out, 1) if d_in != d_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, d_in, T) -> (B, d_out, T)."""
        h = self.first(F.pad(x, (self.back, 0))).relu()  # (B, d_out, T)
        h = self.second(F.pad(h, (self.back, 0))).relu()  # (B, d_out, T)
        return (h + self.skip(x)).relu()

"""The user representations that the paper compares with (§4.1): [B], [C], [D], [E] and [43].

Each is a `UserEncoder` (`user_encoders.py`). Shapes: B users, T photos of a user, N photos and M
hashtags in the batch, V hashtags, d_w word vector, d_u user.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hashtag_core.data.histories import Batch
from hashtag_core.model.user_encoders import hashtag_sums, photo_sums


class NoHistory(nn.Module):
    """[B]: every user is zero; the model becomes an image classifier ("user agnostic")."""

    def __init__(self, d_u: int) -> None:
        super().__init__()
        self.d_u = d_u

    def forward(self, batch: Batch, psi: Tensor) -> Tensor:
        """Zeros: (B, T + 1, d_u)."""
        users, photos = batch.mask.shape
        return psi.new_zeros(users, photos + 1, self.d_u)

    def update(self, users: Tensor, images: Tensor, hashtag_sums: Tensor) -> Tensor:
        """(B, d_u), (B, d_i), (B, d_w) -> the same (B, d_u)."""
        return users


class HashtagCounts(nn.Module):
    """[C] and [D]: which hashtags the user has used (Eq. 10), or how often each (Eq. 11).

    The vector has an entry for every hashtag of a fixed vocabulary, nearly all of them 0. It is
    never written out: the linear map that takes it in, V -> d_u, is the sum of the map's columns
    over the hashtags of the user's photos.

    Args:
        num_hashtags: V.
        d_u: size of what the linear map gives.
        binary: [C] where True, [D] where False.
    """

    def __init__(self, num_hashtags: int, d_u: int, binary: bool) -> None:
        super().__init__()
        self.d_u = d_u
        self.binary = binary
        self.columns = nn.Parameter(nn.Linear(num_hashtags, d_u).weight.T.clone())  # (V, d_u)

    def forward(self, batch: Batch, psi: Tensor) -> Tensor:
        """Users after 0 to T photos: (B, T + 1, d_u); of psi only how many there are is read.

        Hashtags that no training user has have no column, and count for nothing.
        """
        counted = first_uses(batch) if self.binary else None
        columns = F.pad(self.columns, (0, 0, 0, max(len(psi) - len(self.columns), 0)))  # (V, d_u)
        sums = batch.padded(photo_sums(batch, columns, counted))  # (B, T, d_u)
        return F.pad(sums.cumsum(dim=1), (0, 0, 1, 0))  # (B, T + 1, d_u)


def first_uses(batch: Batch) -> Tensor:
    """(M,) bool: which of the batch's hashtags their user had not used on an earlier photo."""
    user_of = batch.mask.nonzero()[batch.photo_of_hashtags(), 0]  # (M,)
    pairs = user_of * (batch.hashtag_ids.max() + 1) + batch.hashtag_ids  # (M,)
    _, number = pairs.unique(return_inverse=True)  # (M,), the same for the same pair
    position = torch.arange(len(number), device=number.device)
    first = torch.full_like(position, len(position)).scatter_reduce(0, number, position, "amin")
    return first[number] == position  # hashtags stand in the order of photos


class HashtagSum(nn.Module):
    """[E]: the sum of psi over all hashtags that the user has used so far, as often as used."""

    def __init__(self, d_w: int) -> None:
        super().__init__()
        self.d_u = d_w

    def forward(self, batch: Batch, psi: Tensor) -> Tensor:
        """Users after 0 to T photos: (B, T + 1, d_w)."""
        return F.pad(hashtag_sums(batch, psi).cumsum(dim=1), (0, 0, 1, 0))


class UserVectors(nn.Module):
    """[43], Tensor (MCLL): a learned vector for each user, the same before every photo.

    All start as a vector filled with 1 / d_u. Users that are not trained on keep it, which is how
    the paper represents an unknown user.

    Args:
        num_users: users of the collection, trained on or not.
        d_u: size of the vectors.
    """

    def __init__(self, num_users: int, d_u: int) -> None:
        super().__init__()
        self.d_u = d_u
        self.vectors = nn.Parameter(torch.full((num_users, d_u), 1 / d_u))

    def forward(self, batch: Batch, psi: Tensor) -> Tensor:
        """The users' vectors, repeated: (B, T + 1, d_u)."""
        vectors = self.vectors[batch.users]  # (B, d_u)
        return vectors[:, None].expand(-1, batch.mask.shape[1] + 1, -1)

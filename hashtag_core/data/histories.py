"""User histories: one item is one user's photos in time order (§3, Notations).

Several users make one padded batch. Shapes: B users, T photos of a user (padded), N photos in the
batch (unpadded, user by user), M hashtags of all N photos, d_i / d_v image features of the user
side / query side.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from hashtag_core.data.hashtags import Hashtags
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError

LONG = 1000  # photos: a longer history is learned from in pieces; the paper's have at most 200


class Whole(NamedTuple):
    """The batch that several processes share: how large it is, and where one's part begins."""

    users: int
    photos: int
    first_photo: int


@dataclass
class Batch:
    """B users' photos, padded at the end, and their hashtags, not padded.

    `of_photos` turns anything of shape (B, T, ...) into (N, ...), in the order of the hashtags.

    Attributes:
        history_images: (B, T, d_i) float32, what the user encoder sees; zeros where padded.
        query_images: (B, T, d_v) float32, what is to be labelled; the same tensor as
            `history_images` unless there are features of a second ConvNet.
        mask: (B, T) bool, True where there is a photo.
        hashtag_ids: (M,) int64, the hashtags of all photos, one photo after the other.
        hashtag_offsets: (N + 1,) int64: photo n has hashtag_ids[offsets[n] : offsets[n + 1]].
        rows: (N,) int64, the photos' rows in the collection.
        users: (B,) int64, the users' numbers in the collection.
        predict: (N,) bool, which photos are learned from or evaluated; the others are history
            and nothing else.
        weights: (B,), what each history weighs in the loss; None: all the same, as users do.
        whole: the batch that this is a process's part of; None: this one itself.
    """

    history_images: Tensor
    query_images: Tensor
    mask: Tensor
    hashtag_ids: Tensor
    hashtag_offsets: Tensor
    rows: Tensor
    users: Tensor
    predict: Tensor
    weights: Tensor | None = None
    whole: Whole | None = None

    def __repr__(self) -> str:
        users, longest = self.mask.shape
        return (
            f"Batch: {users:,} users, {len(self.rows):,} photos (padded to {users} x {longest}), "
            f"{len(self.hashtag_ids):,} hashtags, on {self.mask.device}"
        )

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        moved = {n: x.to(device) for n, x in vars(self).items() if isinstance(x, Tensor)}
        if self.query_images is self.history_images:
            moved["query_images"] = moved["history_images"]
        return Batch(**(vars(self) | moved))

    def of_photos(self, x: Tensor) -> Tensor:
        """What is not padding: (B, T, ...) -> (N, ...), which is `x[mask]`, perhaps as a view."""
        return x.flatten(0, 1) if len(self.rows) == self.mask.numel() else x[self.mask]

    def padded(self, x: Tensor) -> Tensor:
        """The other way round, with zeros where there is no photo: (N, ...) -> (B, T, ...)."""
        if len(self.rows) == self.mask.numel():
            return x.unflatten(0, self.mask.shape)
        padded = x.new_zeros(*self.mask.shape, *x.shape[1:])
        padded[self.mask] = x
        return padded

    def photo_of_hashtags(self) -> Tensor:
        """(M,) int64: which of the N photos each hashtag stands on."""
        photos = torch.arange(len(self.rows), device=self.rows.device)
        return photos.repeat_interleave(self.hashtag_offsets.diff())

    def photo_weights(self) -> Tensor:
        """(N,) float32: 1 / (B N_u) for each photo of user u, the weights of Equation 9.

        B counts the users of the whole batch, also where this is a part of it. Histories that are
        pieces of one user's have weights of their own (`UserHistories.at_most`).
        """
        counted = self.mask.clone()  # (B, T)
        counted[self.mask] = self.predict
        photos = counted.sum(dim=1, keepdim=True).clamp(min=1)  # (B, 1), N_u
        users = len(self.mask) if self.whole is None else self.whole.users
        each = counted / photos / users  # (B, T)
        if self.weights is not None:
            each = each * self.weights[:, None]
        return each[self.mask]  # (N,)

    def draw_targets(self, generator: torch.Generator | None = None) -> Tensor:
        """(N,) int64: one hashtag of each photo, uniformly at random (§3.3).

        A part of a batch draws what the whole batch would.
        """
        counts = self.hashtag_offsets.diff()  # (N,)
        _, photos, first = self.whole or Whole(0, len(counts), 0)
        draw = torch.rand(photos, generator=generator)[first : first + len(counts)]
        draw = draw.to(counts.device)
        return self.hashtag_ids[self.hashtag_offsets[:-1] + (draw * counts).long()]  # (N,)


class UserHistories(Dataset):
    """The photo histories of some users of a collection, one user an item.

    Photos without any hashtag of the vocabulary are left out, as in the paper, and counted. A photo
    whose picture could not be read (NaN in the features) is kept for its hashtags: its feature is
    zeros.

    Args:
        photos: the collection.
        hashtags: the vocabulary.
        users: user numbers; a user left with no photo is left out, and counted.
        keep: (P,) bool, which photos to read at all; None for all.
        predict: (P,) bool, which of them to learn from or to evaluate; None for all.
        query_features: (P, d_v) features of a second ConvNet for the query side (§3.2.1); None
            takes the collection's own, of its second ConvNet or of the one for both sides.
        order: (P,) int64, the rows in the order in which each user's are read (`shuffled`); None
            for that of the collection, which is time.

    Attributes:
        hashtags: the vocabulary.
        features: (P, d_i), the collection's, or a tensor on a device (`resident`).
        weights: what each item weighs in the loss; 1 where it is all of a user (`at_most`).
        left_out: {"photos": …, "users": …}.
    """

    def __init__(
        self,
        photos: PhotoCollection,
        hashtags: Hashtags,
        users: Sequence[int] | np.ndarray,
        keep: np.ndarray | None = None,
        predict: np.ndarray | None = None,
        query_features: np.ndarray | None = None,
        order: np.ndarray | None = None,
    ) -> None:
        self.photos = photos
        self.hashtags = hashtags
        self.features: np.ndarray | Tensor = photos.features
        own = photos.query_features if query_features is None else query_features
        self.query_features: np.ndarray | Tensor | None = own
        everything = np.ones(len(photos), dtype=bool)
        keep = everything if keep is None else keep
        order = np.arange(len(photos)) if order is None else order
        self.predict = everything if predict is None else predict
        ids = hashtags.ids_in(photos)
        known = ids >= 0
        photo_of = np.repeat(np.arange(len(photos)), np.diff(photos.hashtag_offsets))
        counts = np.bincount(photo_of[known], minlength=len(photos))
        self.hashtag_ids = ids[known]
        self.hashtag_offsets = np.concatenate([[0], np.cumsum(counts)])  # (P + 1,)
        self.users: list[int] = []
        self.rows: list[np.ndarray] = []
        self.weights: list[float] = []
        self.left_out = {"photos": 0, "users": 0}
        for user in users:
            rows = order[photos.rows_of(user)]
            rows = rows[keep[rows]]
            kept = rows[counts[rows] > 0]
            self.left_out["photos"] += len(rows) - len(kept)
            if len(kept):
                self.users.append(int(user))
                self.rows.append(kept)
                self.weights.append(1.0)
            else:
                self.left_out["users"] += 1

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        photos = sum(map(len, self.rows))
        return (
            f"UserHistories: {len(self):,} users, {photos:,} photos; left out: "
            f"{self.left_out['users']:,} users, {self.left_out['photos']:,} photos"
        )

    def __getitem__(self, item: int) -> dict:
        rows = self.rows[item]

        def read(features: np.ndarray | Tensor) -> np.ndarray | Tensor:
            """(T, d): one slice, which is one sequential read of a memory map."""
            first = rows.min()
            own = features[first : rows.max() + 1][rows - first]  # a copy
            if isinstance(own, np.ndarray) and not np.isfinite(own).all():
                check_features(own, rows, self.photos)  # those on a GPU are by `resident`
            own[own != own] = 0  # NaN: a picture that could not be read
            return own

        starts, ends = self.hashtag_offsets[rows], self.hashtag_offsets[rows + 1]
        ids = [self.hashtag_ids[start:end] for start, end in zip(starts, ends, strict=True)]
        return {
            "history_images": read(self.features),
            "query_images": None if self.query_features is None else read(self.query_features),
            "hashtag_ids": np.concatenate(ids),
            "hashtag_counts": ends - starts,
            "rows": rows,
            "user": self.users[item],
            "predict": self.predict[rows],
            "weight": self.weights[item],
        }

    def only(self, items: Sequence[int]) -> UserHistories:
        """These items alone, in this order."""
        chosen = copy.copy(self)
        chosen.users = [self.users[item] for item in items]
        chosen.rows = [self.rows[item] for item in items]
        chosen.weights = [self.weights[item] for item in items]
        return chosen

    def in_pieces(self, photos: int) -> UserHistories:
        """The same users cut into histories of `photos` photos that do not overlap (§4.3).

        One item is one piece; what remains at the end of a user is left out.
        """
        pieces = self.only([])
        for user, rows in zip(self.users, self.rows, strict=True):
            for start in range(0, len(rows) - photos + 1, photos):
                pieces.users.append(user)
                pieces.rows.append(rows[start : start + photos])
                pieces.weights.append(1.0)
        return pieces

    def at_most(self, photos: int) -> UserHistories:
        """The same users and photos, in histories of at most `photos` photos.

        A longer one becomes consecutive items of nearly the same length, and each of them begins
        without a history, as a new user does. In the loss the items of one user weigh together
        what another user weighs; the mean weight of all items is 1.
        """
        pieces = self.only([])
        for user, rows, weight in zip(self.users, self.rows, self.weights, strict=True):
            parts = np.array_split(rows, -(-len(rows) // photos))
            learned = [int(self.predict[part].sum()) for part in parts]
            pieces.users += [user] * len(parts)
            pieces.rows += parts
            pieces.weights += [weight * n / max(sum(learned), 1) for n in learned]
        more = len(pieces) / max(len(self), 1)
        pieces.weights = [weight * more for weight in pieces.weights]
        return pieces


def check_features(
    features: np.ndarray | Tensor, rows: np.ndarray | range, photos: PhotoCollection
) -> None:
    """Refuse features, (N, d) of these rows, with infinity in them; NaN stands for no picture.

    Raises:
        InputError: the error names the row.
    """
    parts = torch.as_tensor(features).split(65_536)
    infinite = torch.cat([part.isinf().any(dim=1) for part in parts])  # (N,)
    if infinite.any():
        row = int(rows[int(infinite.nonzero()[0])])
        raise InputError(
            f"{photos.folder or 'collection'}: row {row} of the features holds infinity. Extract "
            "them again (`hashtag-core prepare features`)."
        )


def collate(users: list[dict], whole: Whole | None = None) -> Batch:
    """Pad the histories of B users to the longest one."""
    lengths = torch.tensor([len(user["rows"]) for user in users])  # (B,)
    mask = torch.arange(int(lengths.max())) < lengths[:, None]  # (B, T)

    def padded(name: str) -> Tensor:
        own = [torch.as_tensor(user[name]) for user in users]  # (T, d) each
        return pad_sequence(own, batch_first=True).to(torch.get_default_dtype())  # (B, T, d)

    def joined(name: str) -> Tensor:
        return torch.from_numpy(np.concatenate([user[name] for user in users]))

    images = padded("history_images")
    ends = joined("hashtag_counts").cumsum(0)  # (N,)
    return Batch(
        history_images=images,
        query_images=images if users[0]["query_images"] is None else padded("query_images"),
        mask=mask,
        hashtag_ids=joined("hashtag_ids"),
        hashtag_offsets=torch.cat([ends.new_zeros(1), ends]),  # (N + 1,)
        rows=joined("rows"),
        users=torch.tensor([user["user"] for user in users]),
        predict=joined("predict"),
        weights=torch.tensor([user["weight"] for user in users]),
        whole=whole,
    )

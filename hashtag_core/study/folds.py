"""One fold: a split, its vocabulary, and the histories of its three sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hashtag_core.data.hashtags import Hashtags, build_fixed_hashtags, build_hashtags
from hashtag_core.data.histories import UserHistories
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.splits import Split, split_in_time

if TYPE_CHECKING:
    from gensim.models import KeyedVectors


@dataclass(frozen=True)
class Fold:
    """One split and what follows from it: the vocabulary, and the histories of three sets.

    The vocabulary is that of the test set, H^train and the test users' hashtags. `valid.hashtags`
    has the same seen ones, with the same ids, and the validation users' unseen ones.
    """

    hashtags: Hashtags
    train: UserHistories
    valid: UserHistories
    test: UserHistories

    def __repr__(self) -> str:
        return "Fold\n" + "\n".join(f"  {name:9s}{part}" for name, part in vars(self).items())


def make_fold(
    photos: PhotoCollection,
    split: Split,
    vectors: KeyedVectors,
    order: np.ndarray | None = None,
    every_hashtag: bool = False,
) -> Fold:
    """The open vocabulary: the training users decide what is seen.

    `order` is that of `UserHistories`; the other settings have it too. `every_hashtag` is that of
    `build_hashtags`.
    """
    test, valid = (
        build_hashtags(photos, split.train, vectors, users, every_hashtag)
        for users in (split.test, split.valid)
    )
    vocabularies = zip((test, valid, test), split, strict=True)
    return Fold(test, *(UserHistories(photos, v, users, order=order) for v, users in vocabularies))


def make_fixed_fold(
    photos: PhotoCollection, split: Split, size: int, order: np.ndarray | None = None
) -> Fold:
    """The fixed vocabulary: the most frequent hashtags of the training users."""
    hashtags = build_fixed_hashtags(photos, photos.of_users(split.train), size)
    return Fold(hashtags, *(UserHistories(photos, hashtags, users, order=order) for users in split))


def make_transductive_fold(
    photos: PhotoCollection, split: Split, size: int, order: np.ndarray | None = None
) -> Fold:
    """Table 3: the same users in all three sets, their photos cut in time; fixed vocabulary.

    The users are all but the split's test users, so that there are folds here too. Test photos
    have the training photos as their history, and the test photos before them.
    """
    users = np.union1d(split.train, split.valid)
    train, valid, test = split_in_time(photos, users, order)
    hashtags = build_fixed_hashtags(photos, train, size)
    parts = ((train, train), (train | valid, valid), (train | test, test))  # kept, predicted
    return Fold(
        hashtags,
        *(UserHistories(photos, hashtags, users, *part, order=order) for part in parts),
    )

"""Splits by user: nobody's photos are in two sets (§4, Datasets); and in time, for Table 3."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hashtag_core.data.photos import PhotoCollection
from hashtag_core.errors import InputError


class Split(NamedTuple):
    """Three disjoint sets of user numbers, each sorted."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray

    def __repr__(self) -> str:
        parts = ", ".join(f"{len(users):,} {name}" for name, users in self._asdict().items())
        return f"Split of users: {parts}"


def user_folds(
    users: PhotoCollection | np.ndarray | int, folds: int = 5, seed: int = 0
) -> list[Split]:
    """`folds` splits in which every user is a test user exactly once.

    The users, in random order, are cut where the photos of those in front are nearest to the share
    of a fold. Of the photos that a fold does not test, one eighth validates and the rest trains:
    with five folds that is the paper's 70 / 10 / 20 per cent of the photos (§4), as near as whole
    users allow.

    Args:
        users: the collection whose U users to split; or (U,), how many photos each has; or U
            alone, and all have equally many.
        folds: at least 2.
        seed: of the random order of users.

    Raises:
        InputError: where there are too few users to have all three sets in every fold.
    """
    if folds < 2:
        raise InputError(f"{folds} folds: at least 2 are needed.")
    if isinstance(users, PhotoCollection):
        photos = np.diff(users.user_offsets)  # (U,), of each user
    else:
        photos = np.ones(users, dtype=np.int64) if isinstance(users, int) else users
    order = np.random.default_rng(seed).permutation(len(photos))
    parts = _cut(order, photos, [k / folds for k in range(1, folds)])
    splits = []
    for fold, test in enumerate(parts):
        rest = np.concatenate(parts[fold + 1 :] + parts[:fold])
        valid, train = _cut(rest, photos, [1 / 8])
        if not len(train) or not len(test):
            raise InputError(
                f"{len(photos)} users are too few for {folds} folds of three sets each."
            )
        splits.append(Split(np.sort(train), np.sort(valid), np.sort(test)))
    return splits


def _cut(users: np.ndarray, photos: np.ndarray, shares: list[float]) -> list[np.ndarray]:
    """Users in their order, cut where those in front have as nearly as can be such a share.

    Each part has a user at least, if there are so many.
    """
    before = np.concatenate([[0], np.cumsum(photos[users])])  # photos of the users in front
    cuts = [0]
    for behind, share in zip(range(len(shares), 0, -1), shares, strict=True):
        nearest = int(np.abs(before - share * before[-1]).argmin())
        cuts.append(max(min(nearest, len(users) - behind), cuts[-1] + 1))
    return np.split(users, cuts[1:])


def split_in_time(
    photos: PhotoCollection, users: np.ndarray, order: np.ndarray | None = None
) -> tuple[np.ndarray, ...]:
    """The transductive split: the same users in training and test, their photos cut in time (§4.1).

    Of each user's photos the first 70 % train, the next 10 % validate, the last 20 % test.

    Args:
        photos: the collection, P photos.
        users: the users that take part.
        order: (P,) int64, the rows in another order than that of time (`shuffled`).

    Returns:
        (train, valid, test), each (P,) bool.
    """
    lengths = np.diff(photos.user_offsets)  # (U,)
    share = positions(photos) / np.repeat(lengths, lengths)  # (P,), the part that is older
    if order is not None:
        share[order] = share.copy()
    mine = photos.of_users(users)
    return mine & (share < 0.7), mine & (share >= 0.7) & (share < 0.8), mine & (share >= 0.8)


def positions(photos: PhotoCollection) -> np.ndarray:
    """(P,) int64: how many photos of its user are older than each photo."""
    firsts = np.repeat(photos.user_offsets[:-1], np.diff(photos.user_offsets))
    return np.arange(len(photos)) - firsts


def shuffled(photos: PhotoCollection, seed: int = 0) -> np.ndarray:
    """(P,) int64: the rows with each user's photos in random order, users as they were.

    What a model loses on them is what the order of the photos was worth. It is a control: series
    of like photos, and what only looks like one because files stand by name, go alike.
    """
    lengths = np.diff(photos.user_offsets)  # (U,)
    chance = np.random.default_rng(seed).random(len(photos))
    return np.lexsort((chance, np.repeat(np.arange(len(lengths)), lengths)))


def split_users(users: PhotoCollection | np.ndarray | int, seed: int = 0) -> Split:
    """One split, 70 / 10 / 20: the first of five folds; arguments as in `user_folds`."""
    return user_folds(users, folds=5, seed=seed)[0]

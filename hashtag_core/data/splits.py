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


def user_folds(num_users: int, folds: int = 5, seed: int = 0) -> list[Split]:
    """`folds` splits in which every user is a test user exactly once.

    Of the users that a fold does not test, one eighth validates and the rest trains: with five
    folds that is the paper's 70 / 10 / 20.

    Args:
        num_users: U.
        folds: at least 2.
        seed: of the random order of users.

    Raises:
        InputError: where there are too few users to have all three sets in every fold.
    """
    if folds < 2:
        raise InputError(f"{folds} folds: at least 2 are needed.")
    parts = np.array_split(np.random.default_rng(seed).permutation(num_users), folds)
    splits = []
    for fold, test in enumerate(parts):
        rest = np.concatenate(parts[fold + 1 :] + parts[:fold])
        valid, train = np.split(rest, [max(1, round(len(rest) / 8))])
        if not len(train) or not len(test):
            raise InputError(f"{num_users} users are too few for {folds} folds of three sets each.")
        splits.append(Split(np.sort(train), np.sort(valid), np.sort(test)))
    return splits


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


def split_users(num_users: int, seed: int = 0) -> Split:
    """One split, 70 / 10 / 20: the first of five folds."""
    return user_folds(num_users, folds=5, seed=seed)[0]

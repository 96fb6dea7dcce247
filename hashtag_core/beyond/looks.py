"""How hashtags look: the mean picture of each, and so what a picture shows.

Single pictures say little of each other: a place, a day and chance are in them, too. In the mean of
many pictures with the same hashtag these cancel out. With S_y the sum of the training pictures that
carry y and n_y their number, and the pictures of every hashtag spread around its mean alike, by
Bayes' rule

    p(y | z) ∝ n_y exp(-|z - μ_y|² / 2 σ²),    μ_y = S_y / (n_y + 4)

(the 4 draws the mean of few pictures towards 0, near the mean of all; σ² is the variance of one
number within a hashtag, of all hashtags together). Only hashtags that at least two users have
count. A training user's own pictures are taken out of every number. Means of few photos mislead
more than they help: on open_art they made `ours+` too sure. So a memory needs `ENOUGH` of them.

Shapes: P training photos, M hashtags of all of them, T pictures that ask, K hashtags that count,
L of them a user's, d_z picture vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hashtag_core.beyond.usage import Vote

ENOUGH = 10_000  # training photos
SHRINK = 4.0  # pictures at 0 that every mean begins with
LEAST_VARIANCE = 1e-4  # where all pictures of a hashtag are the same
SCORES = 2**24  # numbers at a time
MOST = 200  # hashtags that a picture shows, the most probable ones


@dataclass
class Sums:
    """What is known of the pictures of K hashtags.

    Attributes:
        vectors: (K, d_z) float64, the sum S of the pictures.
        squares: (K,) float64, the sum of their squared lengths.
        count: (K,) float64, n.
        users: (K,) float64, how many users have such a picture.
    """

    vectors: np.ndarray
    squares: np.ndarray
    count: np.ndarray
    users: np.ndarray

    def of(self, which: np.ndarray) -> Sums:
        """Those of the hashtags `which`, (L,)."""
        return Sums(self.vectors[which], self.squares[which], self.count[which], self.users[which])

    def less(self, own: Sums) -> Sums:
        """Without what one user has of the same hashtags."""
        return Sums(
            self.vectors - own.vectors,
            self.squares - own.squares,
            self.count - own.count,
            self.users - own.users,
        )

    @cached_property
    def known(self) -> np.ndarray:
        """(K,) bool, which of them two users have."""
        return self.users > 1

    @cached_property
    def spread(self) -> np.ndarray:
        """(2,): the squared distances to the means, all together, and their degrees of freedom."""
        count = np.maximum(self.count, 1)
        around = self.squares - (self.vectors**2).sum(axis=1) / count
        return np.array([around[self.known].sum(), (count - 1)[self.known].sum()])

    @cached_property
    def means(self) -> tuple[np.ndarray, np.ndarray]:
        """(K, d_z) float32, μ of each; and (K,) float32, its squared length."""
        means = (self.vectors / (self.count[:, None] + SHRINK)).astype(np.float32)
        return means, (means**2).sum(axis=1)

    def log_p(self, z: np.ndarray, variance: float) -> np.ndarray:
        """The log of p(y | z) of pictures z (T, d_z), up to a constant of each picture: (T, K)."""
        means, squares = self.means
        prior = np.log(np.maximum(self.count, 1)) - squares / (2 * variance)
        prior[~self.known] = -np.inf
        return z @ means.T / np.float32(variance) + prior.astype(np.float32)


class Looks:
    """The mean pictures of the hashtags of a memory.

    Args:
        pictures: (P, d_z) float32, zeros where there is no picture.
        hashtag_ids: (M,) int64.
        photo_of: (M,) int64, the photo of each of them.
        owners: (P,) int64, whose photo it is.
    """

    def __init__(
        self,
        pictures: np.ndarray,
        hashtag_ids: np.ndarray,
        photo_of: np.ndarray,
        owners: np.ndarray,
    ) -> None:
        self._pictures = pictures
        seen = np.asarray(pictures.any(axis=1))[photo_of]  # (M,)
        ids, photos = hashtag_ids[seen], photo_of[seen]
        pairs = np.unique(np.stack([ids, owners[photos]]), axis=1)
        names, users = np.unique(pairs[0], return_counts=True)
        self.ids = names[users > 1]  # (K,), rising
        counts = np.isin(ids, self.ids)
        ids, photos = ids[counts], photos[counts]
        order = np.argsort(owners[photos], kind="stable")
        self._photos, self._owners = photos[order], owners[photos[order]]
        self._row = np.searchsorted(self.ids, ids[order])  # which of the K
        self.sums = self._sums_of(slice(None), self._row, users[users > 1].astype(np.float64))

    def _sums_of(self, part: slice, rows: np.ndarray, users: np.ndarray) -> Sums:
        """The sums of some of the photos' hashtags, each added to the row that is given for it."""
        photos, size = self._photos[part], len(users)
        vectors = np.zeros((size, self._pictures.shape[1]))
        squares, some = np.zeros(size), max(1, SCORES // max(vectors.shape[1], 1))
        for start in range(0, len(photos), some):
            z, to = self._pictures[photos[start : start + some]], rows[start : start + some]
            np.add.at(vectors, to, z)
            squares += np.bincount(to, (z.astype(np.float64) ** 2).sum(axis=1), minlength=size)
        count = np.bincount(rows, minlength=size).astype(np.float64)
        return Sums(vectors, squares, count, users)

    def shown(self, z: np.ndarray, without: int | None = None) -> list[Vote]:
        """What each picture shows.

        Args:
            z: (T, d_z) float32.
            without: a user whose photos are left out; None for nobody.

        Returns:
            For each picture the most probable hashtags and their p(y | z); none where there is no
            picture, or no hashtag that two users have.
        """
        part = slice(0)  # of the photos' hashtags, those of the user
        if without is not None:
            part = slice(*np.searchsorted(self._owners, [without, without + 1]))
        which, rows = np.unique(self._row[part], return_inverse=True)  # (L,), (M',)
        own, before = self._sums_of(part, rows, np.ones(len(which))), self.sums.of(which)
        rest = before.less(own)
        around, free = self.sums.spread - before.spread + rest.spread
        variance = max(around / max(free * z.shape[1], 1), LEAST_VARIANCE)
        found, some = [], max(1, SCORES // max(len(self.ids), 1))
        for start in range(0, len(z), some):
            asked = z[start : start + some]
            log_p = self.sums.log_p(asked, variance)  # (T', K)
            log_p[:, which] = rest.log_p(asked, variance)
            found += [self._best(*each) for each in zip(log_p, asked, strict=True)]
        return found

    def _best(self, log_p: np.ndarray, picture: np.ndarray) -> Vote:
        """The most probable of the K hashtags, and their shares."""
        highest = log_p.max(initial=-np.inf)
        if not picture.any() or highest == -np.inf:
            return Vote(self.ids[:0], np.zeros(0))
        shares = np.exp(log_p - highest, dtype=np.float64)
        top = np.arange(len(shares))
        if len(shares) > MOST:
            top = np.sort(np.argpartition(-shares, MOST)[:MOST])
        top = top[shares[top] > 0]
        return Vote(self.ids[top], shares[top] / shares.sum())

"""The memory: hashtags of like photos of other users.

It keeps the training users' photos: of each a short picture vector and its hashtags. A photo to
predict asks in three ways: whose picture is like this one, whose hashtags are like those that the
user has used lately, and both at once. The most like photos give their hashtags, each with a share.
A large memory also knows how hashtags look (`looks.py`). All photos are compared with, exactly, up
to a million; above that FAISS finds like pictures, where installed. A training user does not see
photos of their own in it, as a test user does not; only how rare a hashtag is on the memory's
photos, all say together.

Shapes: P photos in memory, M hashtags of all of them, T photos that ask, k neighbours, d_z picture
vector, V hashtags.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from hashtag_core.beyond.looks import ENOUGH, Looks
from hashtag_core.beyond.usage import Vote

NEIGHBOURS = 100
TEMPERATURES = {"pictures": (0.07, 0.15), "hashtags": (0.1,), "both": (0.12,)}
RECENT, PHOTOS = 0.6, 12  # what each step back is worth in a user's recent hashtags; how many
SCORES = 2**24  # likenesses at a time
MANY = 2**20  # photos, above which FAISS looks for like pictures
CLOSER = 1000  # photos that are then looked at closer: by picture, and as many by hashtags


class Memory:
    """Photos of some users, to be asked for like ones.

    Args:
        pictures: (P, d_z) float32 of unit length; d_z = 0 without pictures.
        hashtag_ids: (M,) int64, the photos' hashtags, one photo after the other.
        hashtag_offsets: (P + 1,).
        owners: (P,) int64, whose photo it is.
        num_hashtags: V.
    """

    def __init__(
        self,
        pictures: np.ndarray,
        hashtag_ids: np.ndarray,
        hashtag_offsets: np.ndarray,
        owners: np.ndarray,
        num_hashtags: int,
    ) -> None:
        self.pictures, self.owners = pictures, owners
        self.hashtag_ids, self.hashtag_offsets = hashtag_ids, hashtag_offsets
        photo_of = np.repeat(np.arange(len(owners)), np.diff(hashtag_offsets))  # (M,)
        pairs = np.unique(np.stack([hashtag_ids, owners[photo_of]]), axis=1)
        self.count = np.bincount(hashtag_ids, minlength=num_hashtags)  # (V,) photos
        self.users = np.bincount(pairs[0], minlength=num_hashtags)  # (V,) users
        self.everyone = len(np.unique(owners))
        self.rarity = self.rarity_of(self.users, self.everyone)
        squares = np.bincount(photo_of, self.rarity[hashtag_ids] ** 2, minlength=len(owners))
        weights = self.rarity[hashtag_ids] / np.sqrt(squares)[photo_of]  # (M,)
        self.looks = None
        if pictures.shape[1] and len(owners) >= ENOUGH:
            self.looks = Looks(pictures, hashtag_ids, photo_of, owners)
        by_hashtag = np.argsort(hashtag_ids, kind="stable")
        self._photos, self._weights = photo_of[by_hashtag], weights[by_hashtag].astype(np.float32)
        self._starts = np.concatenate([[0], np.cumsum(self.count)])  # (V + 1,)

    def __len__(self) -> int:
        return len(self.owners)

    def __repr__(self) -> str:
        return f"Memory: {len(self):,} photos of {self.everyone:,} users"

    def bag(self, recent: list[np.ndarray], rarity: np.ndarray | None = None) -> dict[int, float]:
        """A user's recent hashtags, each weighted by rarity and age.

        Args:
            recent: of each photo, the newest first.
            rarity: (V,) of `rarity_of`; None for that of all users of the memory. What nobody has
                is left out.
        """
        rarity, recent = self.rarity if rarity is None else rarity, recent[:PHOTOS]
        if not recent:
            return {}
        ids = np.concatenate(recent)  # (M,)
        back = np.repeat(np.arange(len(recent)), [len(own) for own in recent])  # (M,)
        known = ids < len(rarity)
        ids, back = ids[known], back[known]
        weights = rarity[ids].astype(np.float64)
        squares = np.bincount(back, weights**2, minlength=len(recent))
        weights *= RECENT**back / np.sqrt(np.maximum(squares, 1e-30))[back]
        names, places = np.unique(ids[weights > 0], return_inverse=True)
        total = np.bincount(places, weights[weights > 0], minlength=len(names))
        shares = total / max(float(np.linalg.norm(total)), 1e-30)
        return dict(zip(names.tolist(), shares.tolist(), strict=True))

    @staticmethod
    def rarity_of(users: np.ndarray, everyone: int) -> np.ndarray:
        """(V,) float32: how rare each hashtag is that so many of all users have; 0 for none."""
        rarity = np.log((everyone + 1) / (users + 0.5)).clip(0.1)
        return np.where(users > 0, rarity, 0).astype(np.float32)

    def like_hashtags(self, bag: dict[int, float]) -> np.ndarray:
        """The cosine of each photo's hashtags with a bag: (P,) float32."""
        like = np.zeros(len(self), dtype=np.float32)
        for i, weight in bag.items():
            own = slice(self._starts[i], self._starts[i + 1])
            like[self._photos[own]] += weight * self._weights[own]
        return like

    def ask(
        self, pictures: np.ndarray, bags: list[dict[int, float]], without: int | None = None
    ) -> tuple[list[list[Vote]], np.ndarray]:
        """What like photos of others say of T photos of a user.

        Args:
            pictures: (T, d_z) of the photos to predict.
            bags: T, of the hashtags before each.
            without: a user whose photos are left out; None for nobody.

        Returns:
            For each photo each of `votes`; and (T, 2), the highest likeness of a picture and of
            hashtags.
        """
        votes, best = [], np.zeros((len(bags), 2), dtype=np.float32)
        for t, (allowed, near, like) in enumerate(self._likenesses(pictures, bags, without)):
            votes.append(self._votes(near, like, allowed, bool(pictures[t].any())))
            if len(allowed):
                best[t] = near.max(), like.max()
        return votes, best

    def _likenesses(
        self, pictures: np.ndarray, bags: list[dict[int, float]], without: int | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """For each photo that asks: photos (A,), the likeness of their pictures and hashtags."""
        others = self.owners != (-1 if without is None else without)  # (P,)
        allowed, many = np.flatnonzero(others), max(1, SCORES // max(len(self), 1))
        for t, bag in enumerate(bags):
            like = self.like_hashtags(bag)  # (P,)
            if self.index is not None:
                closer = self._closer(pictures[t], like, others)
                yield closer, self.pictures[closer] @ pictures[t], like[closer]
                continue
            if t % many == 0:
                likeness = pictures[t : t + many] @ self.pictures.T  # (C, P)
            yield allowed, likeness[t % many, allowed], like[allowed]

    @cached_property
    def index(self) -> Any:
        """The pictures' FAISS index; None where all are compared with, or FAISS is not there."""
        if len(self) <= MANY or not self.pictures.shape[1]:
            return None
        try:
            import faiss
        except ImportError:
            return None
        lists, d_z = int(len(self) ** 0.5), self.pictures.shape[1]
        index = faiss.IndexIVFFlat(faiss.IndexFlatIP(d_z), d_z, lists, faiss.METRIC_INNER_PRODUCT)
        index.train(self.pictures[:: max(1, len(self) // (40 * lists))])
        index.add(self.pictures)
        index.nprobe = max(16, lists // 32)
        return index

    def _closer(self, picture: np.ndarray, like: np.ndarray, others: np.ndarray) -> np.ndarray:
        """The allowed photos that may be among the most like ones, (A,), rising."""
        number = min(2 * CLOSER, len(self))  # some of them the user's own
        by_picture = self.index.search(picture[None], number)[1][0]
        by_picture = by_picture[by_picture >= 0]
        by_picture = by_picture[others[by_picture]][:CLOSER]
        by_hashtags = np.flatnonzero(others & (like > 0))
        if len(by_hashtags) > CLOSER:
            top = np.argpartition(-like[by_hashtags], CLOSER)[:CLOSER]
            by_hashtags = by_hashtags[top]
        return np.union1d(by_picture, by_hashtags)

    def _votes(
        self, near: np.ndarray, like: np.ndarray, allowed: np.ndarray, seen: bool
    ) -> list[Vote]:
        """The votes of the allowed photos; without a picture to be seen, hashtags alone count."""
        by_hashtags = np.where(like > 0, like, -np.inf)
        asked = {"hashtags": by_hashtags, "pictures": near, "both": near + like}
        if not seen:
            asked |= {"pictures": np.full_like(near, -np.inf), "both": by_hashtags}
        return [
            vote
            for kind in self.kinds
            for vote in self._shares(allowed, asked[kind], TEMPERATURES[kind])
        ]

    @property
    def kinds(self) -> tuple[str, ...]:
        """What is asked for."""
        return tuple(TEMPERATURES) if self.pictures.shape[1] else ("hashtags",)

    @property
    def votes(self) -> list[str]:
        """The names of the votes: what is asked for, and the temperature."""
        return [f"{kind} {t}" for kind in self.kinds for t in TEMPERATURES[kind]]

    def _shares(
        self, photos: np.ndarray, likeness: np.ndarray, temperatures: tuple[float, ...]
    ) -> list[Vote]:
        """Votes of the most like of some photos, in proportion to exp(likeness / temperature)."""
        top = np.arange(len(likeness))
        if len(likeness) > NEIGHBOURS:
            top = np.argpartition(-likeness, NEIGHBOURS)[:NEIGHBOURS]
        top = top[likeness[top] > -np.inf]
        if not len(top):
            return [Vote(top, top.astype(np.float32))] * len(temperatures)
        first, sizes = self.hashtag_offsets[photos[top]], np.diff(self.hashtag_offsets)[photos[top]]
        ends = sizes.cumsum()
        entries = np.arange(ends[-1]) + np.repeat(first - ends + sizes, sizes)
        ids, places = np.unique(self.hashtag_ids[entries], return_inverse=True)
        votes = []
        for temperature in temperatures:
            weights = np.exp((likeness[top] - likeness[top].max()) / temperature)
            weights = np.repeat(weights / weights.sum(), sizes)
            votes.append(Vote(ids, np.bincount(places, weights, minlength=len(ids))))
        return votes

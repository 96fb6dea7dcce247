"""Of which hashtags there is evidence, and what speaks for each: what s reads.

Before a photo, the candidates are the hashtags that its user has used and those of like photos of
others (`memory.py`). Of all other hashtags nothing is known but their words: they are f's.

Shapes: N photos, P pairs of a photo and a candidate, F inputs of a pair, C inputs of the moment,
T photos of a user, d_i image feature, d_z picture vector, V hashtags.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hashtag_core.beyond.memory import PHOTOS, Memory
from hashtag_core.beyond.usage import (
    ALIKE,
    MOMENT,
    MOMENT_ALIKE,
    MOMENT_PICTURED,
    PICTURED,
    USED,
    Described,
    UserPast,
    Vote,
)
from hashtag_core.data.histories import UserHistories

MOST_USED, MOST_VOTED = 40, 20  # candidates of a photo: used ones, and of each vote
NO_SHARE = 1e-3  # added to a share before its logarithm


@dataclass(frozen=True)
class Parts:
    """Of what s is made; each part can be left out.

    Attributes:
        usage: how the user has used a hashtag.
        pictures: attention of the picture to predict over the user's past pictures.
        memory: like photos of other users. Off, no training photo is asked; how many others have
            each hashtag still counts.
        looks: the mean pictures of hashtags, where the memory is large enough to have them.
    """

    usage: bool = True
    pictures: bool = True
    memory: bool = True
    looks: bool = True


@dataclass
class PictureSpace:
    """Image features as short vectors, by the principal axes of the training pictures.

    Attributes:
        mean: (d_i,) float32.
        axes: (d_i, d_z) float32, each divided by the square root of its standard deviation, so that
            the strongest ones do not decide alone. Both hold numbers of 16 bits, as they are kept.
    """

    mean: np.ndarray
    axes: np.ndarray

    def __repr__(self) -> str:
        return "PictureSpace: {} numbers of a picture's {}".format(*self.axes.shape[::-1])

    @classmethod
    def of(cls, images: np.ndarray, size: int = 128) -> PictureSpace:
        """The space of some pictures, (N, d_i); those of zeros could not be read."""
        images = images[images.any(axis=1)].astype(np.float64)
        if images.size == 0:
            return cls(
                np.zeros(images.shape[1], np.float32), np.zeros((images.shape[1], 0), np.float32)
            )
        variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(images.T, bias=True)))
        strongest = np.argsort(-variances)[: min(size, len(variances))]
        strongest = strongest[variances[strongest] > 1e-6 * variances.max()]
        scaled = axes[:, strongest] / variances[strongest] ** 0.25
        return cls(in_16_bits(images.mean(axis=0)), in_16_bits(scaled))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """(N, d_i) -> (N, d_z) float32 of unit length; zeros where there is no picture."""
        z = (images - self.mean) @ self.axes
        z /= np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-6)
        return np.where(images.any(axis=1, keepdims=True), z, 0).astype(np.float32)


def in_16_bits(numbers: np.ndarray) -> np.ndarray:
    """The nearest numbers of 16 bits, as float32: what a file of `keeping` gives back."""
    return numbers.astype(np.float16).astype(np.float32)


@dataclass
class Candidates:
    """The candidates of N photos, photo by photo.

    Attributes:
        ids: (P,) int64, hashtags, rising within a photo.
        offsets: (N + 1,) int64: photo n has ids[offsets[n] : offsets[n + 1]].
        inputs: (P, F) float32, what s reads of each.
        moments: (N, C) float32, what it reads of each photo's moment.
        decayed: (P,) float32, what *repeat recent* gives each: each step back weighs half.
        known: (P,) bool, which of them other training users have.
    """

    ids: np.ndarray
    offsets: np.ndarray
    inputs: np.ndarray
    moments: np.ndarray
    decayed: np.ndarray
    known: np.ndarray

    def photo_of(self) -> np.ndarray:
        """(P,) int64: which photo each candidate is of."""
        return np.repeat(np.arange(len(self.moments)), np.diff(self.offsets))

    @classmethod
    def joined(cls, parts: Iterable[Candidates]) -> Candidates:
        """Those of the photos of several users, one after the other."""
        parts = list(parts)
        names = ("ids", "inputs", "moments", "decayed", "known")
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        sizes = np.concatenate([np.diff(part.offsets) for part in parts])
        return cls(offsets=np.concatenate([[0], np.cumsum(sizes)]), **arrays)


class Seen(NamedTuple):
    """A picture: its vector (d_z,) of unit length, and what it shows, where looks are known."""

    z: np.ndarray
    shown: Vote | None


class Reader:
    """Reads a user photo by photo, and says what there is evidence of before each.

    Args:
        parts: what to look at.
        space: of pictures.
        memory: the training users' photos.
    """

    def __init__(self, parts: Parts, space: PictureSpace, memory: Memory) -> None:
        self.parts, self.space, self.memory = parts, space, memory
        self.d_z = space.axes.shape[1] if parts.pictures else 0
        self.looks = memory.looks if parts.memory and parts.looks else None
        self.alike = self.looks is not None and self.d_z > 0  # past pictures, by what they show

    def __repr__(self) -> str:
        looks_at = ", ".join(name for name, on in vars(self.parts).items() if on) or "nothing"
        return f"Reader: looks at {looks_at}\n  {self.space}\n  {self.memory}"

    @property
    def columns(self) -> list[str]:
        """The names of the F inputs of a candidate."""
        used = (USED if self.parts.usage else ()) + (PICTURED if self.d_z else ())
        used += ALIKE if self.alike else ()
        voted = self.memory.votes if self.parts.memory else []
        voted += ["looks"] if self.looks else []
        return [*used, "is used", "photos of others", "others", *voted, *self.moments]

    @property
    def moments(self) -> list[str]:
        """The names of the C inputs of the moment."""
        like = ["like picture", "like hashtags"] if self.parts.memory else []
        pictured: tuple[str, ...] = MOMENT_PICTURED if self.d_z else ()
        pictured += MOMENT_ALIKE if self.alike else ()
        return [*MOMENT, *pictured, *like]

    def new_user(self) -> UserPast:
        """A user without a history."""
        return UserPast(self.d_z, self.alike)

    def look(self, images: np.ndarray, without: int | None = None) -> list[Seen]:
        """What is seen in each of T pictures, (T, d_i), zeros where there is none."""
        z = self.space(images)
        shown = self.looks.shown(z, without) if self.looks else [None] * len(z)
        return list(map(Seen, z, shown))

    def read(
        self, images: np.ndarray, hashtags: list[np.ndarray], without: int | None = None
    ) -> Candidates:
        """The candidates before each of a user's photos.

        Args:
            images: (T, d_i), zeros where there is no picture.
            hashtags: T arrays of ids.
            without: the user, where it is one of the memory, whose photos shall count for nothing.
        """
        seen, past = self.look(images, without), self.new_user()
        counts = self._counts(without, hashtags)
        rarity = self.memory.rarity_of(counts[1], self.memory.everyone - (without is not None))
        described, ids, bags = [], [], []
        for picture, own in zip(seen, hashtags, strict=True):
            described.append(past.describe(*picture))
            ids.append(np.array(past.ids, dtype=np.int64))
            bags.append(self.memory.bag(past.recent(PHOTOS), rarity))
            past.add(own, *picture)
        return self._candidates(described, ids, seen, bags, counts, without)

    def before(self, past: UserPast, images: np.ndarray) -> Candidates:
        """The candidates before one more photo of a user, for each of N pictures, (N, d_i)."""
        seen, bag = self.look(images), self.memory.bag(past.recent(PHOTOS))
        ids, counts = np.array(past.ids, dtype=np.int64), (self.memory.count, self.memory.users)
        described = [past.describe(*picture) for picture in seen]
        n = len(seen)
        return self._candidates(described, [ids] * n, seen, [bag] * n, counts, None)

    def _counts(
        self, without: int | None, hashtags: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """(V,) photos and users with each hashtag, of all users but one."""
        count, users = self.memory.count, self.memory.users
        if without is None:
            return count, users
        own = np.bincount(np.concatenate(hashtags), minlength=len(count))
        return count - own, users - (own > 0)

    def _candidates(
        self,
        described: list[Described],
        ids: list[np.ndarray],
        seen: list[Seen],
        bags: list[dict[int, float]],
        counts: tuple[np.ndarray, np.ndarray],
        without: int | None,
    ) -> Candidates:
        votes: list[list[Vote]] = [[]] * len(ids)
        best = np.zeros((len(ids), 0), dtype=np.float32)
        if self.parts.memory:
            z = np.stack([picture.z for picture in seen])
            votes, best = self.memory.ask(z, bags, without)
            for of_photo, picture in zip(votes, seen, strict=True):
                of_photo += [picture.shown] if picture.shown else []
        rows = [
            self._of_photo(described[t], ids[t], votes[t], best[t], counts) for t in range(len(ids))
        ]
        chosen, inputs, moments, decayed, known = zip(*rows, strict=True)
        return Candidates(
            np.concatenate(chosen),
            np.concatenate([[0], np.cumsum([len(part) for part in chosen])]),
            np.concatenate(inputs),
            np.stack(moments),
            np.concatenate(decayed),
            np.concatenate(known),
        )

    def _of_photo(
        self,
        described: Described,
        ids: np.ndarray,
        votes: list[Vote],
        best: np.ndarray,
        counts: tuple[np.ndarray, np.ndarray],
    ) -> tuple[np.ndarray, ...]:
        """ids, inputs, moment, decayed and known of one photo's candidates."""
        kept = np.argsort(-described.promise, kind="stable")[:MOST_USED]
        voted = [ids[:0]]
        for vote in votes:
            voted.append(vote.ids[np.argsort(-vote.shares, kind="stable")[:MOST_VOTED]])
        chosen = np.union1d(ids[kept], np.concatenate(voted))  # rising
        place = np.searchsorted(chosen, ids[kept])  # of the used ones among the candidates
        used = described.used[kept]
        columns = np.zeros((len(chosen), used.shape[1] + 1), dtype=np.float32)
        columns[place] = np.column_stack([used, np.ones(len(kept))])
        decayed = columns[:, USED.index("decayed 0.5")].copy()
        if not self.parts.usage:
            columns = columns[:, len(USED) :]
        others = np.zeros((len(chosen), 2), dtype=np.float32)  # photos, users
        in_memory = chosen < len(counts[0])
        for column, count in enumerate(counts):
            others[in_memory, column] = np.log1p(count[chosen[in_memory]])
        shares = np.zeros((len(chosen), len(votes)), dtype=np.float32)
        for column, vote in enumerate(votes):
            shares[:, column] = np.log(_share_of(chosen, vote) + NO_SHARE)
        moment = np.concatenate([described.moment, best]).astype(np.float32)
        of_moment = np.broadcast_to(moment, (len(chosen), len(moment)))
        inputs = np.concatenate([columns, others, shares, of_moment], axis=1)
        return chosen, inputs, moment, decayed, others[:, 0] > 0


def _share_of(ids: np.ndarray, vote: Vote) -> np.ndarray:
    """What a vote gives to some hashtags, (H,)."""
    if not len(vote.ids):
        return np.zeros(len(ids))
    place = np.searchsorted(vote.ids, ids).clip(max=len(vote.ids) - 1)
    return np.where(vote.ids[place] == ids, vote.shares[place], 0)


def each_user(
    histories: UserHistories,
) -> Iterator[tuple[int, np.ndarray, list[np.ndarray]]]:
    """Each user's number, pictures (T, d_i) float32, and hashtags of T photos."""
    for item in range(len(histories)):
        user = histories[item]
        images = np.asarray(user["history_images"], dtype=np.float32)
        ends = user["hashtag_counts"].cumsum()
        yield user["user"], images, np.split(user["hashtag_ids"], ends[:-1])

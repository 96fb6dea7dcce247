"""What a user has done so far: which hashtags, when, beside which others, on which pictures.

A hashtag that the user has used is described by how: counted with several decays, last and first
use, runs, what stood beside the last photo's hashtags before, and by an attention of the picture to
predict over the user's past pictures, each of which gives its hashtags. All is of photos before the
one to predict. A photo is added in time that does not grow with the past, and nothing old is read
again: per hashtag a few numbers are kept, per photo its hashtags and a short picture vector.

Shapes: T photos so far, L hashtags used so far, E hashtags of all T photos, d_z picture vector, F
features of a used hashtag, C features of the moment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

EQUAL = 0.99  # Jaccard: the same hashtags
DECAYS = np.array([0.2, 0.5, 0.8, 0.95])  # what each step back is worth
SHARP = 0.2, 0.08  # temperatures of the attention over past pictures
USED = (
    *(f"decayed {d}" for d in DECAYS), "share", "count", "rate", "lag", "age", "run", "continues",
    "on the last photo", "on the last but one", "on the third last",
    "beside like", "after like", "after equal",
)  # fmt: skip
PICTURED = (
    *(f"attention {tau}" for tau in SHARP), "attention, recent", "after like picture", "most like",
    "most like - best", "on the nearest", "on the nearest three", "likeness at last use",
    "mean likeness",
)  # fmt: skip
MOMENT = (
    "photos", "jaccard", "jaccard usually", "equal usually", "size", "size usually", "used",
    "equal run", "new usually",
)  # fmt: skip
ALIKE = (
    "alike", "alike, sharp", "alike, recent", "most alike", "share of alike", "mean alikeness",
)  # fmt: skip
MOMENT_PICTURED = (
    "likeness of last", "best likeness", "last - best", "lag of best", "last - usual",
    "jaccard at such a step", "likeness of last but one",
)  # fmt: skip
MOMENT_ALIKE = "alikeness of last", "best alikeness", "all alikeness"
SHOWN = 24  # hashtags kept of what a picture shows


class Vote(NamedTuple):
    """Hashtags (H,), rising, and the share (H,) that each gets."""

    ids: np.ndarray
    shares: np.ndarray


def _grown(array: np.ndarray, size: int) -> np.ndarray:
    """The same array with room for `size` along its last axis; where short, for some more."""
    if array.shape[-1] >= size:
        return array
    more = np.zeros((*array.shape[:-1], max(size + 15, size * 17 // 16)), dtype=array.dtype)
    more[..., : array.shape[-1]] = array
    return more


@dataclass
class Described:
    """The hashtags that a user has used, as they look before the next photo.

    Attributes:
        used: (L, F) float32, columns `USED` and, with pictures, `PICTURED`, with looks `ALIKE`.
        moment: (C,) float32, `MOMENT` and, with pictures, `MOMENT_PICTURED`, with looks
            `MOMENT_ALIKE`.
        promise: (L,) a rough order, to keep the best of very many.
    """

    used: np.ndarray
    moment: np.ndarray
    promise: np.ndarray


@dataclass
class UserPast:
    """A user's photos so far, as `describe` needs them; hashtags are numbers of any kind.

    Args:
        d_z: numbers of a picture vector; 0 where pictures are not looked at.
        looks: whether it is also looked at what pictures show (`looks.py`). Two pictures, a and b,
            are then alike by Σ_y √(p(y | a) p(y | b)), from 0 to 1 (Bhattacharyya's coefficient),
            over the `SHOWN` most probable hashtags of the past one.
    """

    d_z: int
    looks: bool = False
    photos: int = 0  # T
    ids: list[int] = field(default_factory=list)  # L hashtags, in the order of first use
    _number: dict[int, int] = field(default_factory=dict)
    _size: int = 0  # E

    def __post_init__(self) -> None:
        self._tags = np.zeros(0, dtype=np.int32)  # (E,), which of the L
        self._photo = np.zeros(0, dtype=np.int32)  # (E,), on which photo
        self._first_of = np.zeros(1, dtype=np.int64)  # (T + 1,), where each photo's begin
        self._pictures = np.zeros((self.d_z, 0), dtype=np.float16)  # (d_z, T), of unit length
        self._shown = np.zeros((SHOWN, 0), dtype=np.int32)  # (SHOWN, T), hashtags by `looks`
        self._roots = np.zeros((SHOWN, 0), dtype=np.float16)  # (SHOWN, T), √p of each
        self._of_photo = np.zeros((4, 0), dtype=np.float32)  # jaccard, new share, size, likeness
        self._of_tag = np.zeros((5 + len(DECAYS), 0))  # count, first, last, run, went on, decayed
        self._means = np.zeros(4)  # decayed sums: weight, jaccard, equal, new
        self._equal = 0  # photos in a row with equal hashtags

    def __len__(self) -> int:
        return self.photos

    def __repr__(self) -> str:
        return f"UserPast: {self.photos:,} photos, {len(self.ids):,} hashtags"

    @property
    def nbytes(self) -> int:
        """What the past takes, in bytes."""
        return sum(x.nbytes for x in vars(self).values() if isinstance(x, np.ndarray))

    def add(
        self,
        hashtags: list[int] | np.ndarray,
        picture: np.ndarray | None = None,
        shown: Vote | None = None,
    ) -> None:
        """One more photo: its hashtags, each once, its picture vector (d_z,), what it shows."""
        t, size = self.photos, self._size + len(hashtags)
        own = np.array([self._number_of(int(name)) for name in hashtags], dtype=np.int32)  # (K,)
        before = self._on_photo(1)
        self._of_tag = _grown(self._of_tag, len(self.ids))
        count, first, last, run, went_on = self._of_tag[:5]
        decayed = self._of_tag[5:]
        new = count[own] == 0
        first[own[new]], last[own[new]] = t, -1
        lag = t - last[own]
        at_once = (lag == 1) & ~new
        decayed[:, own] = np.where(new, 0, decayed[:, own] * DECAYS[:, None] ** lag) + 1
        went_on[own[at_once]] += 1
        run[own] = np.where(at_once, run[own], 0) + 1
        count[own] += 1
        last[own] = t
        shared = np.isin(own, before).sum()
        jaccard = shared / max(len(own) + len(before) - shared, 1)
        likeness = 0.0
        if self.d_z:
            self._pictures = _grown(self._pictures, t + 1)
            z = np.zeros(self.d_z, np.float32) if picture is None else picture
            likeness = float(self._pictures[:, t - 1].astype(np.float32) @ z) if t else 0.0
            self._pictures[:, t] = z
        if self.looks:
            self._shown, self._roots = _grown(self._shown, t + 1), _grown(self._roots, t + 1)
            if shown is not None:
                top = np.argsort(-shown.shares, kind="stable")[:SHOWN]
                self._shown[: len(top), t] = shown.ids[top]
                self._roots[: len(top), t] = np.sqrt(shown.shares[top])
        self._of_photo = _grown(self._of_photo, t + 1)
        self._of_photo[:, t] = jaccard, new.mean(), len(own), likeness
        if t:
            self._means = 0.9 * self._means + [1, jaccard, jaccard > EQUAL, new.mean()]
            self._equal = (self._equal + 1) * (jaccard > EQUAL)
        self._tags, self._photo = _grown(self._tags, size), _grown(self._photo, size)
        self._tags[self._size : size], self._photo[self._size : size] = own, t
        self._first_of = _grown(self._first_of, t + 2)
        self._first_of[t + 1] = self._size = size
        self.photos += 1

    def pictures(self) -> np.ndarray:
        """The picture vectors of the past photos: (T, d_z) float32, the oldest first."""
        return self._pictures[:, : self.photos].T.astype(np.float32)

    def recent(self, photos: int) -> list[np.ndarray]:
        """The hashtags of the last photos, the newest first."""
        ids = np.array(self.ids, dtype=np.int64)
        return [ids[self._on_photo(back)] for back in range(1, min(photos, self.photos) + 1)]

    def _number_of(self, name: int) -> int:
        """Which of the L a hashtag is; one that is new becomes the last of them."""
        number = self._number.setdefault(name, len(self.ids))
        if number == len(self.ids):
            self.ids.append(name)
        return number

    def _on_photo(self, back: int) -> np.ndarray:
        """The hashtags of the photo so many steps back, 1 for the last one."""
        t = self.photos - back
        return self._tags[self._first_of[t] : self._first_of[t + 1]] if t >= 0 else self._tags[:0]

    def alike(self, shown: Vote | None) -> np.ndarray:
        """How alike the past pictures are to one that shows this: (T,), from 0 to 1."""
        ids, roots = self._shown[:, : self.photos], self._roots[:, : self.photos]  # (SHOWN, T)
        if shown is None or not len(shown.ids):
            return np.zeros(self.photos)
        asked = np.zeros(1 + max(int(shown.ids[-1]), int(ids.max(initial=0))))
        asked[shown.ids] = np.sqrt(shown.shares)
        return (asked[ids] * roots).sum(axis=0)

    def describe(self, picture: np.ndarray | None = None, shown: Vote | None = None) -> Described:
        """The used hashtags before a photo with this picture vector, (d_z,), that shows this."""
        n, E = self.photos, self._size
        tags, photo = self._tags[:E].astype(np.intp), self._photo[:E].astype(np.intp)  # once
        L = len(self.ids)
        count, first, last, run, went_on = self._of_tag[:5, :L]
        lag, age = n - last, n - first

        def votes(weights: np.ndarray) -> np.ndarray:
            """What each hashtag gets when every photo, (T,), gives its weight to its own: (L,)."""
            return np.bincount(tags, weights[photo], minlength=L)

        decayed = self._of_tag[5:, :L] * DECAYS[:, None] ** (lag - 1) * (1 - DECAYS[:, None])
        on = np.zeros((3, L))
        for back in (1, 2, 3):
            on[back - 1, self._on_photo(back)] = 1
        jaccard_to_last = np.zeros(n)
        if n:
            overlap = np.bincount(photo, on[0][tags], minlength=n)
            size = self._of_photo[2, :n]
            jaccard_to_last = overlap / (size + size[-1] - overlap)
        earlier = np.append(jaccard_to_last[:-1], 0.0)[:n]  # not the last itself
        after = np.append(0.0, earlier[:-1])[:n]  # its weight to the photo behind it
        columns = [
            *decayed, count / max(n, 1), np.log1p(count), count / age, np.log(lag), np.log(age),
            np.log1p(np.where(lag == 1, run, 0)), (went_on + 1) / (count - (lag == 1) + 1.5), *on,
            votes(earlier) / (earlier.sum() + 0.3), votes(after) / (after.sum() + 0.3),
            votes(1.0 * (after > EQUAL)) / ((after > EQUAL).sum() + 0.3),
        ]  # fmt: skip
        w, mean_jaccard, mean_equal, mean_new = self._means
        jaccards, _, sizes, likenesses = self._of_photo[:, :n]
        moment = [
            np.log1p(n),
            jaccards[-1] if n else 0.0,
            (mean_jaccard + 0.5) / (w + 1),
            (mean_equal + 0.4) / (w + 1),
            np.log(sizes[-1]) if n else 0.0,
            np.log(sizes.mean()) if n else 0.0,
            np.log1p(L),
            np.log1p(self._equal),
            (mean_new + 0.3) / (w + 1),
        ]
        promise = decayed[2] + columns[4]
        if self.d_z:
            Z = self._pictures[:, :n].astype(np.float32)  # (d_z, T)
            z = np.zeros(self.d_z, np.float32) if picture is None else picture
            likeness = z @ Z  # (T,)
            lags = n - np.arange(n)
            spread = [_softmax(likeness / tau) for tau in SHARP]
            spread.append(_softmax(likeness / 0.12 - 0.8 * np.log(lags)))
            following = np.zeros(n)
            if n > 1:
                following[1:] = _softmax(Z[:, n - 1] @ Z[:, : n - 1] / 0.1)
            attention = [votes(weights) for weights in (*spread, following)]
            most = np.full(L, -1.0)
            np.maximum.at(most, tags, likeness[photo].astype(np.float64))
            order = np.argsort(-likeness, kind="stable")[:3]
            nearest = [np.zeros(n), np.zeros(n)]
            best = float(likeness[order[0]]) if n else 0.0
            if n:
                nearest[0][order[0]], nearest[1][order] = 1, 1 / 3
            columns += [
                *attention, most, most - best, *map(votes, nearest),
                likeness[last.astype(int)] if n else most, votes(likeness) / count,
            ]  # fmt: skip
            to_last = float(likeness[-1]) if n else 0.0
            alike = np.exp(-(((likenesses[1:] - to_last) / 0.1) ** 2))
            moment += [
                to_last, best, to_last - best, np.log(n - order[0]) if n else 0.0,
                to_last - likenesses[1:][-20:].mean() if n > 1 else 0.0,
                (alike @ jaccards[1:] + 0.5) / (alike.sum() + 1),
                float(likeness[-2]) if n > 1 else 0.0,
            ]  # fmt: skip
            promise = promise + attention[0] + attention[2]
        if self.looks:
            alike = self.alike(shown)  # (T,)
            most = np.zeros(L)
            np.maximum.at(most, tags, alike[photo])
            logits = alike / 0.1, alike / 0.03, alike / 0.1 - 0.8 * np.log(n - np.arange(n))
            share = votes(alike**2) / ((alike**2).sum() + 0.1)
            columns += [*(votes(_softmax(each)) for each in logits), most, share]
            columns.append(votes(alike) / count)
            moment += [alike[-1] if n else 0.0, alike.max(initial=0), np.log1p(alike.sum())]
        used = np.stack(columns, axis=1).astype(np.float32)
        return Described(used, np.array(moment, dtype=np.float32), promise)


def _softmax(logits: np.ndarray) -> np.ndarray:
    if not len(logits):
        return logits
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()

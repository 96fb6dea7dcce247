"""The vocabulary: which hashtags there are, how each is represented, which are seen (§3, §4).

Seen hashtags occur in the photos of the training users; unseen ones do not, and are known by their
word vectors alone. Shapes: V hashtags, d_w word vector, P photos.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.splitting import KINDS, words_of
from hashtag_core.data.words import approximate_psi, sum_of
from hashtag_core.errors import InputError, printable
from hashtag_core.files import reading
from hashtag_core.formats import check_columns, read_parquet

if TYPE_CHECKING:
    import pyarrow as pa
    from gensim.models import KeyedVectors

CANDIDATES = ("seen", "unseen", "all")
COLUMNS = {"name": "text", "count": "whole numbers", "psi": "lists of numbers of 32 bits"}
KIND = {"kind": "text"}  # a column that files of older versions lack


@dataclass(frozen=True)
class Hashtags:
    """V hashtags with their representations: first the seen ones, the most frequent first.

    Attributes:
        names: V hashtags. Seen by falling count, then unseen; equal ones by name.
        psi: (V, d_w) float32, psi(y) of each hashtag.
        counts: (V,) int64, in how many training photos it stands; 0 means unseen.
        left_out: how many different hashtags were left out, by reason.
        kinds: V of `splitting.KINDS`, how psi of each is made of words; empty where psi is learned.
    """

    names: list[str]
    psi: Tensor
    counts: Tensor
    left_out: dict[str, int] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        left_out = "".join(f"; left out: {n:,} ({why})" for why, n in self.left_out.items() if n)
        first = ", ".join(self.names[:5])
        made = ", ".join(f"{n:,} {kind}" for kind, n in self.made_of.items())
        made = f" ({made})" if made else ""
        return printable(
            f"Hashtags: {len(self):,}, {self.num_seen:,} seen and {len(self) - self.num_seen:,} "
            f"unseen, psi of {self.psi.shape[1]} numbers{made}: {first}, …{left_out}"
        )

    @property
    def made_of(self) -> dict[str, int]:
        """How many hashtags are whole words, summed, split, known in part, and approximated."""
        return {kind: n for kind in KINDS if (n := self.kinds.count(kind))}

    @cached_property
    def num_seen(self) -> int:
        """How many hashtags are seen; they are ids 0 to num_seen - 1."""
        return int((self.counts > 0).sum())

    @cached_property
    def ids(self) -> dict[str, int]:
        """Hashtag -> its id."""
        return {name: i for i, name in enumerate(self.names)}

    def candidates(self, which: str) -> range:
        """The ids to rank among: "seen" (Table 1), "unseen" or "all" (Table 2)."""
        every, n = range(len(self)), self.num_seen
        ranges = {"seen": every[:n], "unseen": every[n:], "all": every}
        if which not in ranges:
            raise ValueError(f"candidates {which!r}: choose one of {', '.join(CANDIDATES)}.")
        return ranges[which]

    def ids_in(self, photos: PhotoCollection) -> np.ndarray:
        """The id of each of `photos.hashtag_names`, -1 where the vocabulary does not have it."""
        encoded = photos.hashtag_names
        known = [self.ids.get(name, -1) for name in encoded.dictionary.to_pylist()]
        return np.array(known, dtype=np.int64)[encoded.indices.to_numpy()]

    def save(self, path: Path) -> None:
        """Write the vocabulary as a parquet file: name, count, psi, kind."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        offsets = pa.array(np.arange(len(self) + 1, dtype=np.int32) * self.psi.shape[1])
        vectors = pa.ListArray.from_arrays(offsets, self.psi.flatten().numpy())
        columns = {"name": self.names, "count": self.counts.numpy(), "psi": vectors}
        if self.kinds:
            columns |= {"kind": self.kinds}
        pq.write_table(pa.table(columns), path)

    @classmethod
    def load(cls, path: Path) -> Hashtags:
        """Read what `save` wrote.

        Raises:
            InputError: where it is damaged, or no vocabulary; the error says in which row.
        """
        import pyarrow.parquet as pq

        with reading(path):
            schema = pq.read_schema(path)
            check_columns(schema, COLUMNS, path)
            check_columns(schema, KIND, path, optional=True)
        table = read_parquet(path, [name for name in (*COLUMNS, *KIND) if name in schema.names])
        kinds = table["kind"].to_pylist() if "kind" in table.column_names else []
        names, counts, vectors = (table[name].combine_chunks() for name in COLUMNS)
        lengths = vectors.value_lengths().fill_null(-1).to_numpy()  # (V,)
        numbers = vectors.flatten().to_numpy(zero_copy_only=False)  # (V d_w,), a null is NaN
        if not len(names):
            raise InputError(f"{path}: there is no hashtag in it. Train the model again.")
        spoilt = {  # (V,) bool
            "`name` is null or stands there twice": ~_first_ones(names),
            "`count` is no number from 0 up": counts.fill_null(-1).to_numpy() < 0,
            "`psi` has another length than in row 0": (lengths != lengths[0]) | (lengths < 0),
        }
        for what, where in spoilt.items():
            if where.any():
                raise InputError(f"{path}: row {where.argmax()}: {what}. Train the model again.")
        matrix = numbers.reshape(len(names), -1).copy()  # (V, d_w)
        finite = np.isfinite(matrix).all(axis=1)
        if not finite.all():
            row = finite.argmin()
            raise InputError(f"{path}: row {row}: `psi` is not finite. Train the model again.")
        count = counts.to_numpy().copy()
        if (np.diff(count > 0) & (count[1:] > 0)).any():
            raise InputError(f"{path}: unseen hashtags (count 0) come last. Train the model again.")
        return cls(
            names.to_pylist(), torch.from_numpy(matrix), torch.from_numpy(count), kinds=kinds
        )


def _first_ones(names: pa.Array) -> np.ndarray:
    """(V,) bool: whether a name is one, and stands there for the first time."""
    first = np.zeros(len(names), dtype=bool)
    codes = names.dictionary_encode().indices.fill_null(-1).to_numpy()
    first[np.unique(codes, return_index=True)[1]] = True
    return first & (codes >= 0)


def build_hashtags(
    photos: PhotoCollection,
    train_users: np.ndarray,
    vectors: KeyedVectors,
    new_users: np.ndarray | None = None,
    every_hashtag: bool = False,
) -> Hashtags:
    """The open vocabulary: H^train, and the hashtags of the users that are to be predicted (§4).

    Args:
        photos: the whole collection, P photos.
        train_users: the user numbers whose hashtags are seen.
        vectors: word vectors, from `load_word_vectors`.
        new_users: those whose other hashtags are the unseen ones: the test users, say, as the
            paper has it, and not the validation users. None for everybody else.
        every_hashtag: also those without any known word, as `approximate_psi` represents them. The
            paper leaves them out.

    Returns:
        The vocabulary; `left_out` counts hashtags none of whose words has a vector, and those that
        no user here has.

    Raises:
        InputError: where that leaves none.
    """
    count_of = _counts(photos, photos.of_users(train_users))
    names = [*count_of]
    if new_users is not None:
        of_new = _counts(photos, photos.of_users(new_users))
        names = [name for name in names if count_of[name] or of_new[name]]
    represented, kinds = {}, {}
    for name in names:
        words, kind = words_of(photos.capitals.get(name, name), vectors.key_to_index)
        if kind is not None:
            represented[name], kinds[name] = sum_of(words, vectors), kind
        elif every_hashtag:
            represented[name], kinds[name] = approximate_psi(name, vectors), KINDS[-1]
    if not represented:
        raise InputError("no hashtag of the collection has a word vector.")
    order = sorted(represented, key=lambda name: (-count_of[name], name))
    matrix = torch.from_numpy(np.stack([represented[name] for name in order]))  # (V, d_w)
    counts = torch.tensor([count_of[name] for name in order])  # (V,)
    left_out = {"no word vector": len(names) - len(order)}
    left_out["of other users"] = len(count_of) - len(names)
    return Hashtags(order, matrix, counts, left_out, [kinds[name] for name in order])


def build_fixed_hashtags(photos: PhotoCollection, train: np.ndarray, size: int) -> Hashtags:
    """A fixed vocabulary: the `size` most frequent hashtags of the training photos, all seen.

    The paper gives its rule in a supplement that is not at hand; this one is ours. There are no
    word vectors here (psi has no column): models learn a vector for each hashtag.

    Args:
        photos: the whole collection, P photos.
        train: (P,) bool, the training photos.
        size: how many hashtags; the paper has 18,583. Ties go to the lower name.

    Returns:
        The vocabulary; `left_out` counts the less frequent hashtags.
    """
    count_of = _counts(photos, train)
    in_training = [name for name, count in count_of.items() if count]
    order = sorted(in_training, key=lambda name: (-count_of[name], name))[:size]
    counts = torch.tensor([count_of[name] for name in order])  # (V,)
    left_out = {"not frequent enough in training": len(count_of) - len(order)}
    return Hashtags(order, torch.empty(len(order), 0), counts, left_out)


def _counts(photos: PhotoCollection, train: np.ndarray) -> dict[str, int]:
    """On how many of the training photos, (P,) bool, each hashtag of the collection stands."""
    encoded = photos.hashtag_names
    in_training = np.repeat(train, np.diff(photos.hashtag_offsets))  # one per hashtag
    counts = np.bincount(encoded.indices.to_numpy()[in_training], minlength=len(encoded.dictionary))
    return dict(zip(encoded.dictionary.to_pylist(), counts.tolist(), strict=True))

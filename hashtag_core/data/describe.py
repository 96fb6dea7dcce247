"""What is in a photo collection (A.1): counts, and how much users repeat themselves.

An occurrence is one hashtag on one photo. Shapes: U users, P photos, M occurrences, V different
hashtags.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashtag_core.data.hashtags import build_hashtags
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.splits import positions, split_users
from hashtag_core.data.words import known_words

if TYPE_CHECKING:
    import pandas as pd
    from gensim.models import KeyedVectors

POSITIONS = 50  # of the histories, in `distributions`


def describe(photos: PhotoCollection, vectors: KeyedVectors, seed: int = 0) -> pd.DataFrame:
    """What is in the data, for `table data`.

    The rows, by their column `what`:

    - users, photos, different hashtags;
    - different hashtags with a word vector;
    - seen and unseen hashtags: the open vocabulary, see `build_hashtags`; those on a photo of a
      training user of `split_users(seed)`, and of a test user's others;
    - unseen hashtags among test occurrences: of the occurrences on the test users' photos whose
      hashtag has a word vector, those whose hashtag is unseen;
    - photos a user, hashtags a photo: minimum, median, mean, maximum;
    - photos that repeat the previous one: of the photos that are not their user's first, those
      with exactly the hashtags, in any order, of the same user's photo before;
    - occurrences new to their user: those whose hashtag is on none of the same user's photos
      before; all hashtags of a first photo are new;
    - hashtags of one user only, on one photo only: of the different hashtags;
    - occurrences of the 100 most frequent hashtags: of all occurrences, those whose hashtag is one
      of the 100 that are on the most photos.

    Args:
        photos: the collection.
        vectors: word vectors, from `load_word_vectors`.
        seed: of the split into seen and unseen.

    Returns:
        A DataFrame with the columns what, value (float; NaN where there is nothing to divide by)
        and unit ("%" or what is counted).

    Raises:
        InputError: where there are too few users to split, or no hashtag has a word vector.
    """
    import pandas as pd

    uses = _occurrences(photos)
    split = split_users(photos, seed)
    hashtags = build_hashtags(photos, split.train, vectors, split.test)
    with_vector = len(hashtags) + sum(
        known_words(photos.capitals.get(name, name), vectors) != []
        for name in set(photos.hashtag_names.dictionary.to_pylist()) - hashtags.ids.keys()
    )
    ids = hashtags.ids_in(photos)  # (M,)
    tested = ids[np.isin(uses.user, split.test) & (ids >= 0)]
    photos_of = np.bincount(uses.hashtag)  # (V,)
    top_100 = np.sort(photos_of)[-100:].sum()
    users_of = np.bincount(uses.hashtag[uses.is_new])  # (V,), a user's first use counts once
    rows = [
        ("users", len(photos.users), "users"),
        ("photos", len(photos), "photos"),
        ("different hashtags", len(photos_of), "hashtags"),
        ("different hashtags with a word vector", with_vector, "hashtags"),
        ("seen hashtags", hashtags.num_seen, "hashtags"),
        ("unseen hashtags", len(hashtags) - hashtags.num_seen, "hashtags"),
        ("unseen hashtags among test occurrences", _percent(tested >= hashtags.num_seen), "%"),
        *_spread("photos a user", np.diff(photos.user_offsets), "photos"),
        *_spread("hashtags a photo", np.diff(photos.hashtag_offsets), "hashtags"),
        ("photos that repeat the previous one", _percent(_repeats_previous(photos, uses)), "%"),
        ("occurrences new to their user", _percent(uses.is_new), "%"),
        ("hashtags of one user only", _percent(users_of == 1), "%"),
        ("hashtags on one photo only", _percent(photos_of == 1), "%"),
        ("occurrences of the 100 most frequent hashtags", 100 * top_100 / len(ids), "%"),
    ]
    return pd.DataFrame(rows, columns=["what", "value", "unit"]).astype({"value": float})


def distributions(photos: PhotoCollection) -> dict[str, np.ndarray]:
    """What `plots.numbers.plot_data` draws.

    Returns:
        "photos per user": (U,) int64;
        "hashtags per photo": (P,) int64;
        "photos per hashtag": (V,) int64, falling: the most frequent hashtag first;
        "repeated share": (T,) per cent, T the longest history or 50: of the hashtags of users'
        photos number 1, 2, …, the part that the same user used before; each photo weighs the
        same. Only users with that many photos count, so the users differ along the curve.
    """
    uses = _occurrences(photos)
    sizes = np.diff(photos.hashtag_offsets)  # (P,)
    share = np.bincount(uses.photo[~uses.is_new], minlength=len(photos)) / sizes  # (P,)
    position = positions(photos)  # (P,)
    early = position < POSITIONS
    totals = np.bincount(position[early], weights=share[early])  # (T,)
    return {
        "photos per user": np.diff(photos.user_offsets),
        "hashtags per photo": sizes,
        "photos per hashtag": np.sort(np.bincount(uses.hashtag))[::-1],
        "repeated share": 100 * totals / np.bincount(position[early]),
    }


class _Occurrences(NamedTuple):
    """(M,) each: the user, the photo, the hashtag, and whether this user had not used it before."""

    user: np.ndarray
    photo: np.ndarray
    hashtag: np.ndarray
    is_new: np.ndarray


def _occurrences(photos: PhotoCollection) -> _Occurrences:
    encoded = photos.hashtag_names
    hashtag = encoded.indices.to_numpy().astype(np.int64)
    photo = np.repeat(np.arange(len(photos)), np.diff(photos.hashtag_offsets))
    user = np.repeat(np.arange(len(photos.users)), np.diff(photos.user_offsets))[photo]
    first = np.unique(user * len(encoded.dictionary) + hashtag, return_index=True)[1]
    is_new = np.zeros(len(hashtag), dtype=bool)
    is_new[first] = True  # rows are in the order of time
    return _Occurrences(user, photo, hashtag, is_new)


def _repeats_previous(photos: PhotoCollection, uses: _Occurrences) -> np.ndarray:
    """(P - U,) bool, for each photo but the users' first."""
    different = len(photos.hashtag_names.dictionary)
    pair = uses.photo * different + uses.hashtag  # (M,), a number for each photo and hashtag
    again = np.isin(pair - different, pair)  # (M,), the same hashtag on the photo before
    shared = np.bincount(uses.photo[again], minlength=len(photos))  # (P,)
    sizes = np.diff(photos.hashtag_offsets)  # (P,)
    alike = (shared == sizes) & (sizes == np.roll(sizes, 1))
    return np.delete(alike, photos.user_offsets[:-1])


def _percent(mask: np.ndarray) -> float:
    return 100 * float(mask.mean()) if len(mask) else float("nan")


def _spread(what: str, values: np.ndarray, unit: str) -> list[tuple[str, float, str]]:
    numbers = (values.min(), np.median(values), values.mean(), values.max())
    names = ("minimum", "median", "mean", "maximum")
    return [(f"{what}, {n}", float(x), unit) for n, x in zip(names, numbers, strict=True)]

"""What training will miss of a collection, told when it is prepared: how much, why, what to do.

Users and photos are all counted. Words are looked up for the hashtags of `SAMPLE` photos, evenly
spread, so that a million photos take seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import TypedDict

from hashtag_core.data.words import load_vocabulary
from hashtag_core.prepare.cleaning import has_word_vector

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE = 5_000  # photos whose hashtags are looked up
ROWS_AT_A_TIME = 8192
REMEMBERED = 2**18  # hashtags that were looked up
MUCH = 0.05  # of the photos, users or hashtags: less is not worth a line
FOLDS = 5  # of `data.splits.split_users`, and each has a user at least


class Outlook(TypedDict):
    """What there is, and what training will miss of it, in report.json.

    `sampled` photos were looked at for words, and on `no_word` of them no hashtag has a vector;
    `hashtags` stand on those photos, of which `hashtags_no_word` have none.
    """

    photos: int
    no_picture: int
    users: int
    one_photo: int
    sampled: int
    no_word: int
    hashtags: int
    hashtags_no_word: int


def outlook(path: Path, pictures: int, all_known: bool = False) -> Outlook:
    """Look over the photos of a collection.

    Args:
        path: of its photos.parquet, which is sorted by user.
        pictures: how many of the photos have a picture.
        all_known: whether each hashtag has a word vector, as where others were not kept. Else they
            are looked up among the installed ones.
    """
    import pyarrow.parquet as pq

    users, one_photo, last = 0, 0, ("", 0)  # a user, and the photos so far
    found = np.zeros(4, dtype=np.int64)
    has_word = None if all_known else _remembering(_installed())
    with pq.ParquetFile(path) as file:
        photos = file.metadata.num_rows
        step = max(-(-photos // SAMPLE), 1)
        before = 0
        for batch in file.iter_batches(ROWS_AT_A_TIME, columns=["user", "hashtags"]):
            for counted in batch["user"].value_counts().to_pylist():
                user, number = counted["values"], counted["counts"]
                if user == last[0]:
                    number += last[1]
                else:
                    users, one_photo = users + 1, one_photo + (last[1] == 1)
                last = user, number
            if has_word is not None:
                found += _looked_up(batch["hashtags"][-before % step :: step], has_word)
            before += len(batch)
    sampled, no_word, hashtags, hashtags_no_word = found.tolist()
    return {
        "photos": photos,
        "no_picture": photos - pictures,
        "users": users,
        "one_photo": one_photo + (last[1] == 1),
        "sampled": sampled,
        "no_word": no_word,
        "hashtags": hashtags,
        "hashtags_no_word": hashtags_no_word,
    }


def outlook_lines(seen: Outlook) -> list[str]:
    """The same to read: only what matters, and what to do about it."""
    users = seen["users"]
    lines = []
    if users < FOLDS:
        lines.append(
            f"{users:12,d}  user(s): `train` and `table` need {FOLDS} at least, since they learn "
            "from some and test on others. `predict --history` takes one person's photos."
        )
    shares = (
        ("one_photo", "users", "of the users have one photo only, and so no history: --min-photos "
         "2 leaves them out"),
        ("no_picture", "photos", "of the photos have no picture: there, only hashtags are learned "
         "from"),
        ("hashtags_no_word", "hashtags", "of the hashtags have no word vector and are left out of "
         "the open vocabulary: --every-hashtag of `train` and `table` keeps them, by their "
         "letters; more words are in larger vectors (--words)"),
        ("no_word", "sampled", "of the photos have no hashtag with a word vector and are left out"),
    )  # fmt: skip
    for part, whole, what in shares:
        share = seen[part] / max(seen[whole], 1)
        if share >= MUCH:
            lines.append(f"{share:11.1%}  {what}")
    if not lines:
        return []
    is_part = 0 < seen["sampled"] < seen["photos"]
    some = f"; words: of {seen['sampled']:,} photos" if is_part else ""
    return [f"What training will miss (shares are told from {MUCH:.0%} on{some}):", *lines]


@lru_cache(maxsize=1)
def _installed() -> Callable[[str], bool]:
    return has_word_vector(load_vocabulary())


def _remembering(has_word: Callable[[str], bool]) -> Callable[[str], bool]:
    """The same, of what was asked before without looking it up."""
    known: dict[str, bool] = {}

    def remembered(hashtag: str) -> bool:
        if (answer := known.get(hashtag)) is None:
            if len(known) == REMEMBERED:
                known.clear()
            answer = known[hashtag] = has_word(hashtag)
        return answer

    return remembered


def _looked_up(lists: pa.ListArray, has_word: Callable[[str], bool]) -> list[int]:
    """[photos, those without any known hashtag, hashtags, those that are not known]."""
    encoded = lists.flatten().dictionary_encode()
    known = np.array([has_word(name) for name in encoded.dictionary.to_pylist()], dtype=np.int64)
    known_so_far = np.concatenate([[0], known[encoded.indices.to_numpy()].cumsum()])  # (M + 1,)
    ends = np.concatenate([[0], lists.value_lengths().to_numpy().cumsum()])  # (P + 1,)
    of_photo = np.diff(known_so_far[ends])  # (P,), hashtags with a word
    hashtags = len(encoded)
    return [len(lists), int((of_photo == 0).sum()), hashtags, int(hashtags - known_so_far[-1])]

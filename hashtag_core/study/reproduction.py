"""What a reproduction of the paper trains, how large its data are, and where ours differ.

The paper's numbers of users and photos are not in its text; they follow from its 6,139 test users,
who are a fifth of all, and from users with 50 to 200 photos.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hashtag_core.study.rows import (
    MODELS,
    SAME_AS,
    TABLE_1,
    TABLE_2,
    TABLE_3,
    TABLE_4,
    TABLE_5,
    needs_pictures,
)

if TYPE_CHECKING:
    from hashtag_core.data.photos import PhotoCollection
    from hashtag_core.training.state import TrainConfig

TABLES = {"1": TABLE_1, "2": TABLE_2, "3": TABLE_3, "4": TABLE_4, "5": TABLE_5}
FIGURE_3 = {  # the d_u of its models
    "small": [2**n for n in range(5, 11)],
    "paper": [2**n for n in range(5, 14)],
}
PAPER_WORDS = "glove.42B.300d"  # how the name of its file of word vectors begins
HEAPS = 0.75  # how the number of hashtags grows with the photos: photos ** HEAPS; our guess
TRAINING, VALIDATION, TEST = 0.7, 0.1, 0.2  # of the users (§4)
Model = tuple[str, str]  # setting, row


@dataclass(frozen=True)
class Size:
    """How large a collection is.

    Attributes:
        users: of all sets.
        photos: of all users.
        seen: hashtags of the training users.
        hashtags: all.
    """

    users: float
    photos: float
    seen: float
    hashtags: float

    @classmethod
    def paper(cls, share: float = 1.0) -> Size:
        """The paper's, or of a share of its users."""
        users = share * 6_139 / TEST
        hashtags = share**HEAPS
        return cls(users, 133 * users, 442_000 * hashtags, 568_000 * hashtags)

    @classmethod
    def of(cls, photos: PhotoCollection) -> Size:
        """That of a collection; of its hashtags, as many are seen as of the paper's."""
        hashtags = len(photos.hashtag_names.dictionary)
        return cls(len(photos.users), len(photos), hashtags * 442 / 568, hashtags)


def trained_rows(table: str, with_pictures: bool) -> list[Model]:
    """The models that one of `TABLES` needs."""
    models = dict.fromkeys(  # some rows are of one model
        (setting, SAME_AS.get(name, name))
        for setting, names in TABLES[table].items()
        for name in names
        if with_pictures or not needs_pictures(name, setting)
    )
    return [model for model in models if model[1] in MODELS]


def differences(
    photos: PhotoCollection,
    convnet: str | None,
    words: str | None,
    sizes: str,
    share: float,
    training: TrainConfig,
) -> list[str]:
    """In what our reproduction is not the paper's, a sentence each.

    Args:
        photos: the collection that was selected.
        convnet: which one made the features; None where there are no pictures.
        words: the file of word vectors; None for the installed ones.
        sizes: of the models, "small" or "paper".
        share: of the users that were drawn.
        training: of the models.
    """
    account = photos.meta.get("pictures", {})
    missing = len(photos) - int(account.get("read", 0))
    told = [
        "The photos are those whose metadata are public today; the paper does not say which "
        "release it used.",
        "The time of a photo is the date taken, and that of upload where nobody can believe it; "
        "the paper does not say how it treats impossible dates.",
        "The users are drawn into training, validation and test sets with our seed, not the "
        "paper's, whose division is not public.",
        "The fixed vocabulary is the most frequent hashtags of the training users; the paper "
        "gives its rule in a supplement that is not public.",
        "d_x, d_c, d and the rank of the fusion are ours: the paper does not give them.",
        f"Training: {training.users_per_batch:,} user(s) a batch (the paper's: 1), at most "
        f"{training.epochs:,} epoch(s) (20), Adam from {training.learning_rate:g} (5e-05), which "
        "falls to 0 along a cosine (the paper gives its start alone).",
    ]
    if share < 1:
        told.insert(0, f"A sample: {share:.3g} of the users were drawn. Nothing here compares.")
    if convnet is None:
        told.append("Without pictures: only the rows that need none.")
    else:
        told.append(f"Pictures: features by {convnet} (the paper's: resnet50, trained on ImageNet "
                    f"with weights of its time); {missing:,} of {len(photos):,} photos "
                    "have no picture (deleted since, or not fetched). One ConvNet is for "
                    "the history and for the picture to predict; the paper has two.")  # fmt: skip
    if words is None or not Path(words).name.startswith(PAPER_WORDS):
        ours = "GloVe 6B of 50 numbers" if words is None else Path(words).name
        told.append(f"Word vectors: {ours} (the paper's: 1.9 million words of 300).")
    if sizes != "paper":
        told.append("The models are small ones, trained for a small collection.")
    return told

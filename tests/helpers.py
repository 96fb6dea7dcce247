"""Small seeded data that fit in the head: made in memory, in milliseconds, without files."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import torch

from hashtag_core.data.hashtags import Hashtags, build_hashtags
from hashtag_core.data.histories import Batch, UserHistories, collate
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.model.joint_embedding import HashtagModel, ModelConfig

D_I, D_W = 6, 8  # sizes of the image features and of the word vectors
TRAIN_USERS = np.arange(6)  # of the eight users of `tiny_collection`
OTHER_USERS = np.array([6, 7])  # they also have hashtags that no training user has
ONE_PHOTO_USER, MANY_HASHTAGS_USER = 0, 1

TEXT = (
    "sun sea sky sand boat wave surf fish gull rock tree leaf moss bark fern deer bear wolf "
    "bird nest city road lamp tram roof door wall park shop cafe red blue green pink gold black "
    "white grey tiny huge"
)
WORDS = TEXT.split()  # 40 of them


def tiny_vectors(seed: int = 0):
    """A vector of 8 numbers for each of the 40 words: KeyedVectors, or like them without gensim."""
    numbers = np.random.default_rng(seed).normal(size=(len(WORDS), D_W)).astype(np.float32)
    try:
        from gensim.models import KeyedVectors
    except ImportError:
        places = {word: i for i, word in enumerate(WORDS)}
        return SimpleNamespace(key_to_index=places, vectors=numbers, vector_size=D_W)
    vectors = KeyedVectors(D_W, count=0)
    vectors.add_vectors(WORDS, numbers)
    return vectors


def tiny_histories(seed: int = 0) -> dict[str, list[list[str]]]:
    """User -> the hashtags of each photo, oldest first: what `collection` takes.

    user0 has one photo; user1's second photo has one hashtag and the third has thirty; user6 and
    user7 use ten words that the others do not.
    """
    rng = np.random.default_rng(seed)
    histories = {}
    for user in range(8):
        num_photos = 1 if user == ONE_PHOTO_USER else 3 + user % 4
        favourites = rng.choice(WORDS[:30], size=6, replace=False).tolist()
        if user in OTHER_USERS:
            new = 5 * (user - OTHER_USERS[0])  # five words of their own each
            favourites = favourites[:3] + WORDS[30 + new : 35 + new]
        histories[f"user{user}"] = [
            rng.choice(favourites, size=rng.integers(2, 5), replace=False).tolist()
            for _ in range(num_photos)
        ]
    histories[f"user{MANY_HASHTAGS_USER}"][1] = ["sun"]
    histories[f"user{MANY_HASHTAGS_USER}"][2] = WORDS[:30]
    return histories


def collection(histories: dict[str, list[list[str]]], seed: int = 0) -> PhotoCollection:
    """A PhotoCollection with these hashtags, and random image features that depend on the row."""
    rows = [
        (user, t, names) for user in sorted(histories) for t, names in enumerate(histories[user])
    ]
    table = pa.table(
        {
            "photo_id": [f"p{row:03d}" for row in range(len(rows))],
            "user": [user for user, _, _ in rows],
            "time": pa.array([t * 86_400 for _, t, _ in rows], pa.timestamp("s")),
            "hashtags": pa.array([names for _, _, names in rows], pa.list_(pa.string())),
        }
    )
    features = np.random.default_rng(seed).normal(size=(len(rows), D_I)).astype(np.float16)
    return PhotoCollection(table, features, {"format_version": 1, "source": "tests"})


def tiny_collection(seed: int = 0) -> PhotoCollection:
    """Eight users with one to six photos each."""
    return collection(tiny_histories(seed), seed)


def fold_of(photos: PhotoCollection, train_users=TRAIN_USERS) -> tuple[Hashtags, UserHistories]:
    """(the vocabulary, the histories of all users)."""
    hashtags = build_hashtags(photos, train_users, tiny_vectors())
    return hashtags, UserHistories(photos, hashtags, range(len(photos.users)))


def tiny_fold(seed: int = 0) -> tuple[PhotoCollection, Hashtags, UserHistories]:
    """(photos, the vocabulary, the histories of all users)."""
    photos = tiny_collection(seed)
    return photos, *fold_of(photos)


def batch_of(histories: UserHistories, *users: int) -> Batch:
    """One padded batch of these items of `histories`; of all of them where none is named."""
    return collate([histories[user] for user in (users or range(len(histories)))])


HISTORIES = {  # what the user encoder reads
    "image+hashtag": {},
    "hashtag": {"fusion": "only hashtags"},
    "none": {"encoder": "none"},
}


def tiny_config(history: str = "image+hashtag", **parts) -> ModelConfig:
    """A model of a few hundred parameters."""
    sizes = dict(d_i=D_I, d_v=D_I, d_w=D_W, d_x=5, d_u=7, d_c=6, d=4, rank=3)
    return ModelConfig(**sizes, **HISTORIES[history], **parts)


def tiny_model(history: str = "image+hashtag", seed: int = 0) -> HashtagModel:
    """A model with seeded random weights, in evaluation mode."""
    torch.manual_seed(seed)
    return HashtagModel(tiny_config(history)).eval()


def prepare(*arguments, **options):
    """A collection that was made by `sources.ingest.prepare`, loaded."""
    from hashtag_core.prepare import ingest

    return PhotoCollection.load(ingest.prepare(*arguments, **options))

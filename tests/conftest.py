"""What several files of tests use; what takes seconds to load is loaded once."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from helpers import D_I, D_W, WORDS, tiny_model
from html_reading import ODD, ODD_USERS
from photo_tables import IMAGE, SHUFFLED, fake_features, table_of
from picture_files import encode, red_and_blue

from hashtag_core.data.hashtags import build_hashtags
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.prediction import HashtagPredictor
from hashtag_core.prepare.writing import write_collection
from hashtag_core.repository import repository_folder
from hashtag_core.training.state import TrainConfig


def pytest_addoption(parser):
    parser.addoption("--device", help="with -m gpu: compute there instead of on a GPU; cpu")


def pytest_ignore_collect(collection_path, config):
    """`-m gpu` reads no other tests: they need packages that machines with a GPU often lack."""
    if config.option.markexpr == "gpu" and collection_path.name.startswith("test_"):
        return True
    return None


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tensors this small take longer to share among threads than to compute."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def open_art() -> PhotoCollection:
    """The collection that comes with the repository."""
    return PhotoCollection.load(repository_folder("data/open_art"))


@pytest.fixture(scope="session")
def glove():
    """The installed word vectors."""
    from hashtag_core.data.words import load_word_vectors

    return load_word_vectors()


@pytest.fixture(scope="session")
def convnet():
    """The ConvNet that comes with a package."""
    from hashtag_core.model.convnet import load_convnet

    return load_convnet()


@pytest.fixture
def folder(tmp_path):
    """The folder of a good collection of eight photos, which a test may spoil."""
    write_collection(tmp_path / "good", table_of(SHUFFLED), {"source": "test"}, fake_features)
    return tmp_path / "good"


@pytest.fixture(scope="session")
def small_art(open_art, tmp_path_factory):
    """The folder of real photos of some of the artists: those with 12 to 22 pictures."""
    import pyarrow.parquet as pq

    counts = np.diff(open_art.user_offsets)
    few = np.flatnonzero((counts >= 12) & (counts <= 22))[:20]
    rows = np.concatenate([np.arange(len(open_art))[open_art.rows_of(user)] for user in few])
    table = pq.read_table(open_art.folder / "photos.parquet").take(pa.array(rows))
    folder = tmp_path_factory.mktemp("data") / "small_art"
    features = np.asarray(open_art.features)[rows]
    write_collection(folder, table, open_art.meta, lambda pictures, path: np.save(path, features))
    return folder


@pytest.fixture
def two_epochs(monkeypatch):
    """Small trainings are very small ones."""
    settings = replace(TrainConfig.small(), epochs=2)
    monkeypatch.setattr(
        TrainConfig, "small", classmethod(lambda cls, seed=0: replace(settings, seed=seed))
    )


ODD_NAMES = ["$_$", "a<b", "two_words", "black+white", "&amp;"]  # all have a word vector


def site_histories(seed: int = 0) -> dict[str, list[list[str]]]:
    """User -> the hashtags of each photo of the collection `site`.

    Users of 9 to 30 photos, which often repeat the one before. Everybody has a word of
    one's own; hashtags with "zzz" have no word vector. One user has a single photo, one three,
    one nothing but "zzz".
    """
    rng = np.random.default_rng(seed)
    names = ["$_$", "<b>_user", "#3"] + [f"user{user:02d}" for user in range(3, 23)]
    histories = {}
    for number, user in enumerate(names):
        liked = rng.choice(WORDS[1:30] + ODD_NAMES, size=9, replace=False).tolist()
        liked += [f"own{number:02d}", WORDS[0], "zzz", f"zzz{number}"]
        photos: list[list[str]] = []
        for _ in range(int(rng.integers(9, 31))):
            if not photos or rng.random() < 0.6:
                photos.append(rng.choice(liked, size=rng.integers(1, 5), replace=False).tolist())
            else:
                photos.append(photos[-1])
        histories[user] = photos
    histories["user20"] = histories["user20"][:1]
    histories["user21"] = histories["user21"][:3]
    histories["user22"] = [["zzz", "zzz22"], ["zzz22"], ["zzz"], ["zzz"]]
    return histories


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of a small collection with pictures, odd names and its own word vectors."""
    rng = np.random.default_rng(1)
    histories = site_histories()
    rows = [(u, t, tags) for u, photos in histories.items() for t, tags in enumerate(photos)]
    pictures = [encode(red_and_blue(8 + n, 8), "PNG") for n in range(5)]
    table = pa.table(
        {
            "photo_id": [f"{user} {t:02d}" for user, t, _ in rows],
            "user": [user for user, _, _ in rows],
            "time": pa.array([86_400 * t for _, t, _ in rows], pa.timestamp("s")),
            "hashtags": [tags for _, _, tags in rows],
            "image": pa.array(
                [{"bytes": pictures[n % 5], "path": None} for n in range(len(rows))], IMAGE
            ),
        }
    )
    words = [*WORDS, "$", "a<b", "two", "words", "&amp;"]
    words += [f"own{number:02d}" for number in range(len(histories))]

    def extract(pictures, path):
        np.save(path, rng.normal(size=(len(pictures), 6)).astype(np.float16))
        vectors = np.random.default_rng(2).normal(size=(len(words), 8)).round(4).tolist()
        lines = [f"{w} {' '.join(map(str, v))}\n" for w, v in zip(words, vectors, strict=True)]
        (path.parent / "words.txt").write_text("".join(lines), encoding="utf-8")

    meta = {"source": "site", "words": "words.txt", "convnet": {"name": "none"}}
    folder = tmp_path_factory.mktemp("data") / "site"
    write_collection(folder, table, meta, extract)
    return folder


@pytest.fixture(scope="session")
def odd_photos(tmp_path_factory):
    """Users and hashtags whose names would like to be HTML; "zzzz" has no word vector."""
    rng = np.random.default_rng(0)
    rows = [(user, t) for user, size in ODD_USERS.items() for t in range(size)]
    names = WORDS[:30] + ODD
    tags = [rng.choice(names, size=rng.integers(1, 5), replace=False).tolist() for _ in rows]
    tags[2] = tags[14] = ["zzzz"]
    tags[3].append("zzzz")
    images = [encode(red_and_blue(10 + n, 20), "PNG") for n in range(len(rows))]
    table = pa.table(
        {
            "photo_id": [f"{n:02d}" for n in range(len(rows))],
            "user": [user for user, _ in rows],
            "time": pa.array([86_400 * t for _, t in rows], pa.timestamp("s")),
            "hashtags": tags,
            "image": pa.array([{"bytes": i, "path": None} for i in images], IMAGE),
        }
    )

    def extract(pictures, path):
        np.save(path, rng.normal(size=(len(pictures), D_I)).astype(np.float16))

    return write_collection(tmp_path_factory.mktemp("data") / "odd", table, {}, extract)


@pytest.fixture
def without_pictures(odd_photos, monkeypatch):
    """Takes the pictures of these rows, or of all, out of `odd_photos`."""

    def without(*rows: int) -> None:
        there, gone = odd_photos._pictures.image, set(rows or range(len(odd_photos)))
        monkeypatch.setitem(
            odd_photos._pictures.__dict__, "image", lambda row: None if row in gone else there(row)
        )

    return without


@pytest.fixture(scope="session")
def odd_predictor(odd_photos) -> HashtagPredictor:
    """A model with random weights for `odd_photos`; its ConvNet sees how wide a picture is."""
    from gensim.models import KeyedVectors

    words = [*WORDS, "img", *ODD[1:]]  # "img" stands in ODD[0]
    vectors = KeyedVectors(D_W, count=0)
    vectors.add_vectors(
        words, np.random.default_rng(1).normal(size=(len(words), D_W)).astype(np.float32)
    )
    train = [odd_photos.users.index(user) for user in ("long", "single", *ODD[:2])]
    hashtags = build_hashtags(odd_photos, np.array(train), vectors)
    assert 0 < hashtags.num_seen < len(hashtags)
    model = tiny_model()
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(1.7)  # else all scores are about the same
    made = HashtagPredictor(model, hashtags, device="cpu")
    made.vectors = vectors
    made.convnet = lambda pictures: torch.linspace(-1, 1, D_I)[None] * pictures[0].size[0] / 64
    return made

"""What several files of tests use; what takes seconds to load is loaded once."""

import pytest
import torch
from photo_tables import SHUFFLED, fake_features, table_of

from hashtag_core.convnet import load_convnet
from hashtag_core.photos import PhotoCollection, write_collection
from hashtag_core.sources.open_art import open_art_folder
from hashtag_core.words import load_word_vectors


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tensors this small take longer to share among threads than to compute."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def open_art() -> PhotoCollection:
    """The collection that comes with the repository."""
    return PhotoCollection.load(open_art_folder())


@pytest.fixture(scope="session")
def glove():
    """The installed word vectors."""
    return load_word_vectors()


@pytest.fixture(scope="session")
def convnet():
    """The ConvNet that comes with a package."""
    return load_convnet()


@pytest.fixture
def folder(tmp_path):
    """The folder of a good collection of eight photos, which a test may spoil."""
    write_collection(tmp_path / "good", table_of(SHUFFLED), {"source": "test"}, fake_features)
    return tmp_path / "good"

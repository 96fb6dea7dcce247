# The names that __init__.py hands on: loaded when they are asked for, known to editors at once.
from .hashtags import Hashtags, build_fixed_hashtags, build_hashtags
from .histories import Batch, UserHistories, collate
from .history_reading import collection_history, read_history
from .loading import batches
from .photos import PhotoCollection
from .pictures import load_picture
from .splits import Split, split_in_time, split_users, user_folds
from .words import known_words, load_vocabulary, load_word_vectors, psi

__all__ = [
    "Batch",
    "Hashtags",
    "PhotoCollection",
    "Split",
    "UserHistories",
    "batches",
    "build_fixed_hashtags",
    "build_hashtags",
    "collate",
    "collection_history",
    "known_words",
    "load_picture",
    "load_vocabulary",
    "load_word_vectors",
    "psi",
    "read_history",
    "split_in_time",
    "split_users",
    "user_folds",
]

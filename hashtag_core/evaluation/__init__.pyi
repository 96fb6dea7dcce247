# The names that __init__.py hands on: loaded when they are asked for, known to editors at once.
from .baselines import frequency, oracle, repeat_recent
from .image_retrieval import evaluate_retrieval, make_pool
from .metrics import HashtagMetrics, Ranker, evaluate
from .ranking import model_ranker, top_hashtags
from .reduced_histories import fixed_history, last_photos
from .rivals import (
    GRIDS,
    base_level,
    choose,
    decayed,
    personal_and_global,
    tifu_knn,
    up_cf,
)
from .user_retrieval import hashtag_vectors, represent, retrieval_metrics

__all__ = [
    "GRIDS",
    "HashtagMetrics",
    "Ranker",
    "base_level",
    "choose",
    "decayed",
    "evaluate",
    "evaluate_retrieval",
    "fixed_history",
    "frequency",
    "hashtag_vectors",
    "last_photos",
    "make_pool",
    "model_ranker",
    "oracle",
    "personal_and_global",
    "repeat_recent",
    "represent",
    "retrieval_metrics",
    "tifu_knn",
    "top_hashtags",
    "up_cf",
]

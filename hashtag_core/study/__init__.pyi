# The names that __init__.py hands on: loaded when they are asked for, known to editors at once.
from .figures import predictions, retrieval, user_map
from .folds import Fold, make_fixed_fold, make_fold, make_transductive_fold
from .rows import MODELS, Trained
from .study import Study
from .tables import (
    figure_3,
    figure_history,
    quickstart,
    table_1,
    table_2,
    table_3,
    table_4,
    table_5,
    table_encoders,
    table_retrieval,
)

__all__ = [
    "MODELS",
    "Fold",
    "Study",
    "Trained",
    "figure_3",
    "figure_history",
    "make_fixed_fold",
    "make_fold",
    "make_transductive_fold",
    "predictions",
    "quickstart",
    "retrieval",
    "table_1",
    "table_2",
    "table_3",
    "table_4",
    "table_5",
    "table_encoders",
    "table_retrieval",
    "user_map",
]

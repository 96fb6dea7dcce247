# The names that __init__.py hands on: loaded when they are asked for, known to editors at once.
from . import data as data
from . import errors as errors
from . import evaluation as evaluation
from . import model as model
from . import prediction as prediction
from . import study as study
from . import training as training
from .data import (
    Hashtags,
    PhotoCollection,
    UserHistories,
    batches,
    build_hashtags,
    load_word_vectors,
    split_users,
    user_folds,
)
from .errors import InputError
from .evaluation import HashtagMetrics, evaluate, model_ranker
from .model import HashtagModel, ModelConfig, UserEncoder
from .plus_prediction import PlusPredictor
from .prediction import HashtagPredictor
from .study import Study
from .training import TrainConfig, fit

__all__ = [
    "HashtagMetrics",
    "HashtagModel",
    "HashtagPredictor",
    "Hashtags",
    "InputError",
    "ModelConfig",
    "PhotoCollection",
    "PlusPredictor",
    "Study",
    "TrainConfig",
    "UserEncoder",
    "UserHistories",
    "batches",
    "build_hashtags",
    "evaluate",
    "fit",
    "load_word_vectors",
    "model_ranker",
    "split_users",
    "user_folds",
]
__version__: str

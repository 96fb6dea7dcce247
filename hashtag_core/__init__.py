"""hashtag_core: user-conditional, open-vocabulary image hashtag prediction.

A reference implementation of T. Durand, "Learning User Representations for Open Vocabulary Image
Hashtag Prediction", CVPR 2020. Equation, section and table numbers in the code are the paper's.
"""

from hashtag_core.data.hashtags import Hashtags, build_hashtags
from hashtag_core.data.histories import UserHistories
from hashtag_core.data.loading import batches
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.splits import split_users, user_folds
from hashtag_core.data.words import load_word_vectors
from hashtag_core.errors import InputError
from hashtag_core.evaluation.metrics import HashtagMetrics, evaluate
from hashtag_core.model.joint_embedding import HashtagModel, ModelConfig
from hashtag_core.prediction import HashtagPredictor
from hashtag_core.study.study import Study
from hashtag_core.training.loop import fit
from hashtag_core.training.state import TrainConfig

__version__ = "0.3.0"

__all__ = [
    "HashtagMetrics",
    "HashtagModel",
    "HashtagPredictor",
    "Hashtags",
    "InputError",
    "ModelConfig",
    "PhotoCollection",
    "Study",
    "TrainConfig",
    "UserHistories",
    "batches",
    "build_hashtags",
    "evaluate",
    "fit",
    "load_word_vectors",
    "split_users",
    "user_folds",
]

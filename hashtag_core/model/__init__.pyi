# The names that __init__.py hands on: loaded when they are asked for, known to editors at once.
from .baseline_encoders import HashtagCounts, HashtagSum, NoHistory, UserVectors
from .convnet import ConvNet, load_convnet
from .fusion import FUSIONS, Mutan, build_fusion
from .joint_embedding import ENCODERS, HashtagModel, ModelConfig, build_user_encoder, picture_scores
from .loss import softmax_loss
from .user_encoders import GRUEncoder, PoolingEncoder, TCNEncoder, UserEncoder, hashtag_sums

__all__ = [
    "ENCODERS",
    "FUSIONS",
    "ConvNet",
    "GRUEncoder",
    "HashtagCounts",
    "HashtagModel",
    "HashtagSum",
    "ModelConfig",
    "Mutan",
    "NoHistory",
    "PoolingEncoder",
    "TCNEncoder",
    "UserEncoder",
    "UserVectors",
    "build_fusion",
    "build_user_encoder",
    "hashtag_sums",
    "load_convnet",
    "picture_scores",
    "softmax_loss",
]

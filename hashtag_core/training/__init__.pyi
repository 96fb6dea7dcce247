# The names that __init__.py hands on: loaded when they are asked for, known to editors at once.
from .loop import choose_device, fit, model_ranker, train_step
from .runs import is_finished, load_run, save_run
from .state import TrainConfig, Training

__all__ = [
    "TrainConfig",
    "Training",
    "choose_device",
    "fit",
    "is_finished",
    "load_run",
    "model_ranker",
    "save_run",
    "train_step",
]

"""User-conditional, open-vocabulary image hashtag prediction: a reference implementation.

It implements T. Durand, "Learning User Representations for Open Vocabulary Image Hashtag
Prediction", CVPR 2020. Equation, section and table numbers in the code are the paper's. Read it
with the paper beside it, in this order (README.md in this folder has the equations):

    data        photos of users, their hashtags, word vectors, splits, histories, batches
    model       ConvNet, user encoders, fusion, joint embedding, loss
    training    the loop, its state, checkpoints, run folders
    evaluation  ranking, metrics, baselines, retrieval
    prediction  a trained model in use

    study, plots        the paper's tables and figures; how they are drawn
    course              the explorer, the notebooks, the doctor
    prepare, sources    the ways in: from files as people have them to a collection
    commands, cli, benchmarks; errors, files, devices, repository, threads      machinery

Names load when they are asked for: importing this package imports no torch. It only tells torch's
threads, if torch is not loaded yet, not to spin while they wait (`threads.py`).
"""

import lazy_loader

from hashtag_core.threads import wait_without_spinning

wait_without_spinning()

__version__ = "0.12.0"

ROOMS = ("data", "errors", "evaluation", "model", "prediction", "study", "training")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # __init__.pyi
__all__ = [name for name in __all__ if name not in ROOMS]  # `import *` brings names alone

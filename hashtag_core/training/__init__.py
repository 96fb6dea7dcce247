"""Training (§3.3, §4).

loop          fit: epochs, validation, the best epoch kept; one step
state         TrainConfig, and all that changes while a model is trained
checkpoints   checkpoint.pt: a training that was killed goes on from there
runs          a run folder: a trained model, its vocabulary, how it was made
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # __init__.pyi

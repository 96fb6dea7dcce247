"""The paper's experiments on any collection (§4).

study          folds, trained models and results, kept in one folder
folds          one split, its vocabulary and its three sets of histories
rows           the rows of every table
tables         every table, and the figures of numbers
figures        the figures of pictures and users
observations   does it hold? the paper's statements, with numbers
paper          the paper's numbers
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # __init__.pyi

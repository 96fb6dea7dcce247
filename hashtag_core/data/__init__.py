"""From photos to batches (§3, Notations; §4, Datasets).

photos       a PhotoCollection on disk: who posted which picture when, with which hashtags
meta         meta.json: where a collection came from, which files belong to it
pictures     one picture, read and decoded within bounds
words        word vectors, and psi of a hashtag (Equation 3)
hashtags     the vocabulary: which hashtags there are, which of them are seen
splits       users to train on, to validate with and to test
histories    a user's photos in order; several users padded to a Batch
loading      who goes into a batch together
describe     what is in a collection (A.1)
history_reading   one user's history, from a file
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # __init__.pyi

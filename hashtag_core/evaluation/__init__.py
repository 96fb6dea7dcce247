"""Evaluation: how good is a ranking (§4).

    ranking             the exact best k among any number of hashtags; a model as a ranker
    metrics             A@k, P@k, R@k
    baselines           rankers without training: frequency [A], repeat recent, oracle
    rivals              stronger rules than repeat recent, from the literature
    reduced_histories   predictions from less of the history: Ours-FH, the last photos alone
    user_retrieval      whose history is this? (Table 5)
    image_retrieval     pictures for a hashtag (A.5)

A ranker is any function (batch, candidates, k) -> (N, k) ids, the best first.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # __init__.pyi

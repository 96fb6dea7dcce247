"""The rows of rules that copy, each with the settings that are best on the validation users."""

from __future__ import annotations

from functools import partial

import numpy as np

from hashtag_core.data.photos import PhotoCollection
from hashtag_core.evaluation import rivals
from hashtag_core.evaluation.metrics import Ranker
from hashtag_core.study.folds import Fold
from hashtag_core.study.rows import IN_SECONDS, RIVALS


def rival(name: str, fold: Fold, photos: PhotoCollection) -> Ranker:
    """The ranker of a row of `RIVALS`, or of `IN_SECONDS`.

    Args:
        name: the row.
        fold: whose training users it may know, and whose validation users choose its settings.
        photos: the collection, for the times of its photos.
    """
    rule = RIVALS.get(name, "base_level")
    given = {
        "tifu_knn": (fold.train, fold.hashtags.num_seen),
        "up_cf": (fold.train, fold.hashtags.num_seen),
        "personal_and_global": (fold.hashtags.counts[: fold.hashtags.num_seen],),
    }
    make = partial(getattr(rivals, rule), *given.get(rule, ()))
    if name == IN_SECONDS:
        make = partial(make, times=seconds(photos))
    best, _ = rivals.choose(make, rivals.GRIDS[rule], fold.valid)
    return make(**best)


def seconds(photos: PhotoCollection) -> np.ndarray:
    """(P,) float64: when each photo was taken, in seconds since 1970; NaN where unknown."""
    times = photos.table["time"].cast("timestamp[us]", safe=False).cast("int64")
    return times.to_numpy(zero_copy_only=False).astype(np.float64) / 1e6

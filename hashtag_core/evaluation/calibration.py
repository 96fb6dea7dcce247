"""Are probabilities true? The first hashtag's p against how often it is the photo's.

A photo has several hashtags, and p is a distribution over hashtags (Equation 8): it says how
probable each is to be the one that is drawn from the photo. So a first hashtag that stands on a
photo with K hashtags is right with 1 / K, and another one with 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def reliability(said: np.ndarray, true: np.ndarray, bins: int = 15) -> pd.DataFrame:
    """Photos in bins of equal width of what was said.

    Args:
        said: (N,), p of each photo's first hashtag, 0 to 1.
        true: (N,), how probable it was to be drawn: 1 / K, or 0.
        bins: how many.

    Returns:
        A row per bin that is not empty: said and true, the means, and photos.
    """
    import pandas as pd

    place = np.minimum((np.asarray(said) * bins).astype(int), bins - 1)
    table = pd.DataFrame({"said": said, "true": true}).groupby(place)
    return table.mean().assign(photos=table.size())


def expected_calibration_error(said: np.ndarray, true: np.ndarray, bins: int = 15) -> float:
    """The mean over photos of the distance between said and true of their bin, in points.

    After Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI 2015.
    """
    table = reliability(said, true, bins)
    apart = (table["said"] - table["true"]).abs()
    return float(100 * (apart * table["photos"]).sum() / table["photos"].sum())

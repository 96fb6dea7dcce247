"""`table beyond`: can a model do better than copying? Rivals, the paper's rows, and `ours+`.

Every row is measured user by user, so that differences can be paired. The reference is the best of
the rules that copy (`COPYING`), for each number its own. Intervals are of users drawn anew within
each fold (bootstrap). The recipe of `ours+` was chosen on one half of open_art's users
(`chosen_on`); what the other half says is the row "the other half", and what counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from hashtag_core.beyond.plus import PlusRanker
from hashtag_core.data.histories import Batch, UserHistories, collate
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.splits import user_folds
from hashtag_core.evaluation.by_user import Case, evaluate_by_user
from hashtag_core.evaluation.calibration import expected_calibration_error, reliability
from hashtag_core.study.rows import COPYING, TABLE_BEYOND, rows_for
from hashtag_core.study.study import Study
from hashtag_core.study.tables import METRICS, measure

if TYPE_CHECKING:
    import pandas as pd

EVERY, OTHER_HALF = "every photo", "the other half"
DUPLICATE = 0.98  # cosine of two pictures' features
DRAWS = 1000  # of users, for an interval
HALVES = 2, 1  # folds and seed: the users of its first test set chose the recipe


def chosen_on(photos: PhotoCollection) -> np.ndarray:
    """The users on whom the recipe of `ours+` was chosen, where the collection is open_art."""
    folds, seed = HALVES
    return user_folds(photos, folds, seed)[0].test


def table_beyond(study: Study, models: Iterable[str] | None = None) -> pd.DataFrame:
    """Hashtag prediction beyond the paper, on the open vocabulary.

    Args:
        study: the collection, folds, seed and folder.
        models: only these rows (and `COPYING`, the reference); None for all.

    Returns:
        A row per case, set of candidates and model: the metrics' means over folds in per cent, with
        several folds "… std"; of each metric "… diff", against the best of `COPYING`, "… low" and
        "… high", its interval of 95 %, and "… ahead", in how many folds it is above 0; photos,
        users and folds.
    """
    import pandas as pd

    chosen = rows_for(study.photos, TABLE_BEYOND, models, in_time=study.order == "time")
    names = tuple(dict.fromkeys((*COPYING, *chosen["open"])))
    by_user = measure(study, {"open": names}, lambda *job: study.kept(*job, "by-user", _of_users))
    others = by_user[~by_user["user"].isin(chosen_on(study.photos)) & (by_user["case"] == EVERY)]
    by_user = pd.concat([by_user, others.assign(case=OTHER_HALF)])
    parts = by_user.groupby(["case", "candidates"], sort=False)
    return pd.concat([_compare(part) for _, part in parts], ignore_index=True)


def figure_reliability(study: Study) -> pd.DataFrame:
    """Whether the p of `ours+` is true, on the validation users of all folds.

    Returns:
        A row per bin: said and true, in per cent, and photos; its `attrs` have "ECE", the expected
        calibration error in points, and "photos".
    """
    said, true = [], []
    for number in study.numbers:
        fold = study.fold(number, "open")
        plus, vocabulary = study.plus(number, "open", "ours+"), fold.valid.hashtags
        ranker = PlusRanker(plus, vocabulary, plus.device)
        for item in range(len(fold.valid)):
            batch = collate([fold.valid[item]])
            log_p, first = ranker.best(batch, range(len(vocabulary)), 1)  # (N, 1) both
            photo = batch.photo_of_hashtags()  # (M,)
            hit = batch.hashtag_ids == first[photo, 0]
            right = torch.zeros(len(first)).index_add(0, photo, hit.float())  # (N,)
            said.append(log_p[:, 0].exp().numpy())
            true.append((right / batch.hashtag_offsets.diff()).numpy())
    both = np.concatenate(said), np.concatenate(true)
    table = reliability(*both)
    table[["said", "true"]] *= 100
    table.attrs = {"ECE": expected_calibration_error(*both), "photos": len(both[0])}
    return table


def _compare(rows: pd.DataFrame) -> pd.DataFrame:
    """One case and set of candidates: every model, against the best that copies."""
    import pandas as pd

    wide = rows.pivot_table(index=["fold", "user"], columns="model", values=[*METRICS, "photos"])
    folds = wide.index.get_level_values("fold").to_numpy()
    photos = wide["photos"].iloc[:, 0].to_numpy()
    values = {m: wide[m].to_numpy() for m in METRICS}  # (U, models)
    models = list(wide["photos"].columns)
    first = rows.iloc[0]
    table = {
        model: {"case": first["case"], "candidates": first["candidates"], "model": model}
        for model in dict.fromkeys(rows["model"])
    }
    draws = _draws(folds, photos)  # (draws, U), what each user weighs; the first: as they are
    for metric in METRICS:
        means = draws @ values[metric]  # (draws, models)
        copying = [models.index(name) for name in COPYING]
        reference = max(copying, key=lambda i: means[0, i])
        differences = means - means[:, [reference]]
        of_fold = [
            (photos[folds == f] @ values[metric][folds == f]) / photos[folds == f].sum()
            for f in np.unique(folds)
        ]
        for i, model in enumerate(models):
            low, high = np.quantile(differences[1:, i], (0.025, 0.975))
            table[model][metric] = means[0, i]
            if len(of_fold) > 1:
                table[model][f"{metric} std"] = np.std([f[i] for f in of_fold], ddof=1)
            table[model] |= {
                f"{metric} diff": differences[0, i],
                f"{metric} low": low,
                f"{metric} high": high,
                f"{metric} ahead": int(sum(f[i] > f[reference] for f in of_fold)),
            }
    counts = {"photos": int(photos.sum()), "users": len(photos), "folds": len(np.unique(folds))}
    return pd.DataFrame([row | counts for row in table.values()])


def _draws(folds: np.ndarray, photos: np.ndarray) -> np.ndarray:
    """What each user weighs in the mean over folds of the means over photos: (1 + DRAWS, U).

    The first row is of the users as they are, each other one of as many drawn from each fold.
    """
    generator = np.random.default_rng(0)
    weights = np.zeros((1 + DRAWS, len(folds)))
    for fold in np.unique(folds):
        users = np.flatnonzero(folds == fold)
        drawn = generator.multinomial(len(users), np.full(len(users), 1 / len(users)), size=DRAWS)
        times = np.concatenate([np.ones((1, len(users))), drawn]) * photos[users]
        weights[:, users] = times / times.sum(axis=1, keepdims=True)
    return weights / len(np.unique(folds))


def _of_users(study: Study, number: int, setting: str, name: str) -> list[dict]:
    fold = study.fold(number, setting)
    ranker = study.ranker(number, setting, name)
    cases = hard_cases(study.photos, fold.train)
    return evaluate_by_user(ranker, fold.test, fold.hashtags, cases=cases)


# --- the cases: a user's batch -> (N,) bool ---


def hard_cases(photos: PhotoCollection, train: UserHistories) -> dict[str, Case | None]:
    """Which photos each case is of; with pictures also those without a near-duplicate."""
    cases: dict[str, Case | None] = {EVERY: None}
    if photos.has_pictures:
        images = [torch.as_tensor(train[i]["history_images"]).float() for i in range(len(train))]
        cases["no near-duplicate"] = partial(_no_duplicate, normalize(torch.cat(images), dim=1))
    conditions: dict[str, Callable[[list[set[int]], int], bool]] = {
        "as the photo before": lambda sets, t: t > 0 and sets[t] == sets[t - 1],
        "not as the photo before": lambda sets, t: t > 0 and sets[t] != sets[t - 1],
        "nothing of the photo before": lambda sets, t: t > 0 and not sets[t] & sets[t - 1],
        "all new to the user": lambda sets, t: t > 0 and not sets[t] & set.union(*sets[:t]),
        "first five photos": lambda sets, t: t < 5,
        "no history": lambda sets, t: t == 0,
    }
    return cases | {name: partial(_where, holds) for name, holds in conditions.items()}


def _where(holds: Callable[[list[set[int]], int], bool], batch: Batch) -> Tensor:
    counts = batch.hashtag_offsets.diff().tolist()
    sets = [set(ids.tolist()) for ids in batch.hashtag_ids.split(counts)]
    return torch.tensor([holds(sets, t) for t in range(len(sets))])


def _no_duplicate(known: Tensor, batch: Batch) -> Tensor:
    """No picture of training users or of the user's own past looks nearly the same."""
    images = normalize(batch.of_photos(batch.history_images).float().cpu(), dim=1)  # (N, d_i)
    own = (images @ images.T).tril(-1).amax(dim=1)
    return torch.maximum((images @ known.T).amax(dim=1), own) <= DUPLICATE

"""Experiments: each a function from a photo collection to a table of numbers (§4)."""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hashtag_core.baselines import frequency, repeat_recent
from hashtag_core.hashtags import CANDIDATES, Hashtags, build_hashtags
from hashtag_core.histories import UserHistories, batches
from hashtag_core.metrics import Ranker, evaluate
from hashtag_core.model import HashtagModel, ModelConfig
from hashtag_core.photos import PhotoCollection
from hashtag_core.plots import Example
from hashtag_core.prediction import HashtagPredictor
from hashtag_core.splits import Split, split_users, user_folds
from hashtag_core.training import TrainConfig, choose_device, fit, model_ranker
from hashtag_core.words import load_word_vectors

if TYPE_CHECKING:
    import pandas as pd
    from gensim.models import KeyedVectors

METRICS = ("A@1", "A@10", "P@10", "R@1", "R@10")
HISTORY_OF = {  # the trained models and what their user encoder reads
    "user agnostic": "none",
    "ours (hashtag)": "hashtag",
    "ours (image+hashtag)": "image+hashtag",
}


@dataclass(frozen=True)
class Fold:
    """One split of the users and what follows from it."""

    split: Split
    hashtags: Hashtags
    train: UserHistories
    valid: UserHistories
    test: UserHistories


def make_fold(photos: PhotoCollection, split: Split, vectors: KeyedVectors) -> Fold:
    """The vocabulary and the histories of one split; the training users decide what is seen."""
    hashtags = build_hashtags(photos, split.train, vectors)
    sets = (UserHistories(photos, hashtags, u) for u in (split.train, split.valid, split.test))
    return Fold(split, hashtags, *sets)


def quickstart(
    photos: PhotoCollection,
    runs: str | Path = "runs/quickstart",
    folds: int = 1,
    seed: int = 0,
    device: str | None = None,
    words: str | Path | None = None,
) -> tuple[pd.DataFrame, Fold]:
    """Train and compare five models on the test users, to see what the history is worth.

    Args:
        photos: the collection.
        runs: trained models of the first fold go to a folder in it for each.
        folds: 1 for one split, 70 / 10 / 20; more for as many splits, each user tested once.
        seed: of the split and of all training.
        device: where to compute; chosen automatically where not given.
        words: a file of word vectors; None for the installed ones.

    Returns:
        (table, fold): a row per model and set of candidates, with the columns model, candidates,
        the metrics in per cent, photos and left_out; with several folds the means, columns
        "A@1 std" and so on, and the photos of all folds; a fold without any photo to count
        is not in the mean. And the first fold.
    """
    import pandas as pd

    target = choose_device(device)
    vectors = load_word_vectors(words)
    checksum = photos.checksum()
    results: dict[tuple[str, str], list[dict]] = {}
    first = None
    num_users = len(photos.users)
    splits = [split_users(num_users, seed)] if folds == 1 else user_folds(num_users, folds, seed)
    for number, split in enumerate(splits):
        fold = make_fold(photos, split, vectors)
        first = first or fold
        rankers: dict[str, Ranker] = {"frequency": frequency, "repeat recent": repeat_recent}
        for name, history in HISTORY_OF.items():
            d_i, d_w = photos.features.shape[1], fold.hashtags.psi.shape[1]
            torch.manual_seed(seed)  # the first weights
            untrained = HashtagModel(ModelConfig.small(d_i, d_w, history))
            provenance = {
                "source": photos.meta.get("source"),
                "convnet": photos.meta.get("convnet", {}).get("name"),
                "words": None if words is None else str(Path(words).resolve()),
                "sha256": checksum,
                "split": {"folds": folds, "seed": seed},
            }
            model, _ = fit(
                untrained,
                fold.train,
                fold.valid,
                fold.hashtags,
                TrainConfig.small(seed),
                folder=Path(runs) / history if number == 0 else None,
                device=target,
                provenance=provenance,
                description=name if folds == 1 else f"fold {number + 1}/{folds} {name}",
            )
            rankers[name] = model_ranker(model, fold.hashtags, target)
        for name, ranker in rankers.items():
            result = evaluate(ranker, batches(fold.test, 8), fold.hashtags)
            for which, values in result.items():
                results.setdefault((name, which), []).append(values)
    rows = [_row(name, which, values) for (name, which), values in results.items()]
    return pd.DataFrame(rows), first


def _row(model: str, candidates: str, folds: list[dict]) -> dict:
    row: dict = {"model": model, "candidates": candidates}
    for metric in METRICS:
        values = [fold[metric] for fold in folds if fold["photos"]]
        row[metric] = statistics.fmean(values) if values else math.nan
        if len(folds) > 1:
            row[f"{metric} std"] = statistics.stdev(values) if len(values) > 1 else math.nan
    for count in ("photos", "left_out"):
        row[count] = sum(fold[count] for fold in folds)
    return row


def as_text(table: pd.DataFrame) -> str:
    """The table of `quickstart` to read, a block for each set of candidates."""
    with_std = f"{METRICS[0]} std" in table
    width = 14 if with_std else 8
    lines = []
    for which in CANDIDATES:
        block = table[table["candidates"] == which].to_dict("records")
        head = f"{which} hashtags, {block[0]['photos']:,} photos"
        if block[0]["left_out"]:
            lines.append(f"({block[0]['left_out']:,} photos without any {which} hashtag left out)")
        lines.append(f"{head:34s}" + "".join(f"{metric:>{width}s}" for metric in METRICS))
        for row in block:
            cells = (
                f"{row[m]:.1f} ± {row[f'{m} std']:.1f}" if with_std else f"{row[m]:.1f}"
                for m in METRICS
            )
            lines.append(f"  {row['model']:32s}" + "".join(f"{cell:>{width}s}" for cell in cells))
        lines.append("")
    return "\n".join(lines)


def pick_examples(
    photos: PhotoCollection, fold: Fold, run: str | Path, seed: int = 0
) -> dict[str, list[Example]]:
    """Examples for `plots.plot_examples` from test users, drawn at random, not chosen.

    Args:
        photos: the collection.
        fold: whose test users.
        run: the run folder of the model that predicts.
        seed: of the draw.
    """
    predictor = HashtagPredictor.load(run, device="cpu")
    rng = random.Random(seed)
    long_enough = [i for i, rows in enumerate(fold.test.rows) if len(rows) >= 12]
    drawn = rng.sample(long_enough, min(5, len(long_enough)))
    times = {i: rng.randrange(8, len(fold.test.rows[i])) for i in drawn}

    def example(user: int, picture_of: int) -> Example:
        history = fold.test.rows[user][: times[user]]
        row = fold.test.rows[picture_of][times[picture_of]]
        state = predictor.new_user()
        for past in history:
            state = predictor.add_photo(state, photos.features[past], photos.hashtags_of(past))
        return Example(
            user=photos.users[fold.test.users[user]],
            history=[(photos.picture(past), photos.hashtags_of(past)) for past in history[-6:]],
            history_length=len(history),
            picture=photos.picture(row),
            true=photos.hashtags_of(row) if user == picture_of else [],
            predicted=[name for name, _ in predictor.predict(photos.features[row], state)],
        )

    alone, pair = drawn[:-2], drawn[-2:]
    same = [
        example(user, owner) for owner in pair for user in sorted(pair, key=lambda u: u != owner)
    ]
    return {
        "The next picture of held-out users, and the hashtags the model expects": [
            example(user, user) for user in alone
        ],
        "The same picture under two users' histories": same,
    }

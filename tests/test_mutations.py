"""One-line changes of the library that no other test noticed: here each of them is noticed."""

import pandas as pd
import pytest
import torch
from helpers import batch_of, collection, fold_of, tiny_collection

from hashtag_core.data.histories import UserHistories
from hashtag_core.data.loading import batches
from hashtag_core.evaluation.baselines import repeat_recent
from hashtag_core.study import observations as o
from hashtag_core.training.state import TrainConfig


def test_repeat_recent_reads_the_oldest_photo_of_a_long_history():
    """Not only the newest 50: what stands on the first one is ahead of what was never used."""
    histories = {"user0": [["sea"]] + [["sky"]] * 150, "user1": [["boat"]] * 9 + [["sea"]]}
    hashtags, items = fold_of(collection(histories), train_users=[1])
    ranked = repeat_recent(batch_of(items, 0), hashtags.candidates("all"), 3)
    assert [hashtags.names[i] for i in ranked[-1].tolist()] == ["sky", "sea", "boat"]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("users_per_batch", [3, 5, 7])
def test_a_last_batch_that_is_not_full_is_learned_from_and_evaluated(shuffle, users_per_batch):
    photos = tiny_collection()
    hashtags, _ = fold_of(photos)
    histories = UserHistories(photos, hashtags, range(8))
    generator = torch.Generator().manual_seed(0)
    loader = batches(histories, users_per_batch, shuffle, generator)
    sizes = [len(batch.users) for batch in loader]
    assert sum(sizes) == 8 and len(sizes) == len(loader) == -(-8 // users_per_batch)
    rows = torch.cat([batch.rows for batch in loader])
    assert sorted(rows.tolist()) == list(range(len(photos)))


def test_the_papers_training_is_the_papers():
    """§4: Adam, a learning rate that starts at 5e-5, 20 epochs, one user a batch."""
    paper = TrainConfig.paper()
    assert (paper.learning_rate, paper.epochs, paper.users_per_batch) == (5e-5, 20, 1)
    assert paper.patience >= paper.epochs  # never stopped early


def rows_with(differences: dict[str, list[float]]) -> pd.DataFrame:
    """By fold: `a` at 50, and the rows that are so far ahead of it."""
    rows = []
    for model, ahead in {"a": [0.0] * len(next(iter(differences.values()))), **differences}.items():
        for fold, points in enumerate(ahead):
            rows.append({"vocabulary": "open", "model": model, "fold": fold,
                         "A@1": 50 + points, "R@10": 50 + points})  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("ahead", "holds"),
    [
        ([0.9, 0.9], "yes"),  # closer than a point
        ([1.1, 1.1], "no"),
        ([-0.9, -0.9], "yes"),
        ([-1.1, -1.1], "no"),
        ([3.5, -0.5], "yes"),  # 1.5 ± 2.8: closer than the spread over folds
        ([5.0, 6.0], "no"),
    ],
)
def test_rows_are_alike_within_a_point_or_the_spread_over_folds(monkeypatch, ahead, holds):
    metrics, paper = o.PAPER["table 1"]
    numbers = {("open", "a"): (0,) * 5, ("open", "b"): (0,) * 5}
    monkeypatch.setitem(o.PAPER, "table 1", (metrics, paper | numbers))
    line = o._compared(rows_with({"b": ahead}), "open", "b", "a", alike=True)
    assert line["holds"] == holds

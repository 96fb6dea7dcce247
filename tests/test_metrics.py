"""A@k, P@k and R@k by hand, by a naive loop and by torchmetrics; the metrics of a whole fold."""

import math
from types import SimpleNamespace

import pytest
import torch
from helpers import tiny_fold, tiny_model
from torchmetrics.retrieval import RetrievalHitRate, RetrievalPrecision, RetrievalRecall

from hashtag_core.data.histories import UserHistories
from hashtag_core.data.loading import batches
from hashtag_core.evaluation.metrics import HashtagMetrics, evaluate
from hashtag_core.evaluation.ranking import ModelRanker


def metrics_of(ranked, truth, num_candidates=100, ks=(1, 3), first=0):
    """`ranked`: a list of ids for each photo; `truth`: a list of ids for each photo."""
    metrics = HashtagMetrics(ks)
    update(metrics, ranked, truth, range(first, num_candidates))
    return metrics.compute()


def update(metrics, ranked, truth, candidates):
    offsets = torch.tensor([0] + [len(ids) for ids in truth]).cumsum(0)
    ids = torch.tensor([i for ids in truth for i in ids], dtype=torch.long)
    metrics.update(torch.tensor(ranked), ids, offsets, candidates)


def naive(ranked, truth, candidates, k):
    """(A@k, P@k, R@k) in per cent, with sets."""
    rows = []
    for guess, true in zip(ranked, truth, strict=True):
        r, g = set(guess[:k]) & set(candidates), set(true) & set(candidates)
        if g:
            rows.append((len(r & g) > 0, len(r & g) / k, len(r & g) / len(g)))
    return [100 * sum(column) / len(rows) for column in zip(*rows, strict=True)]


def random_photos(num_photos, num_hashtags, seed=0):
    """A ranking of all hashtags and 0 to 5 true hashtags for each photo."""
    generator = torch.Generator().manual_seed(seed)
    ranked = torch.rand(num_photos, num_hashtags, generator=generator).argsort(dim=1).tolist()
    counts = torch.randint(0, 6, (num_photos,), generator=generator).tolist()
    truth = [torch.randperm(num_hashtags, generator=generator)[:n].tolist() for n in counts]
    return ranked, truth


# --- by hand ---


def test_two_of_three_hashtags_are_found_among_three():
    result = metrics_of([[7, 4, 9]], [[9, 7, 5]])
    assert result["A@1"] == 100 and result["P@1"] == 100
    assert result["R@1"] == pytest.approx(100 * 1 / 3)
    assert result["A@3"] == 100
    assert result["P@3"] == pytest.approx(100 * 2 / 3)
    assert result["R@3"] == pytest.approx(100 * 2 / 3)


def test_recall_divides_by_all_hashtags_of_the_photo_and_precision_by_k():
    result = metrics_of([[1, 2, 3]], [[1, 10, 11, 12, 13]])
    assert result["P@3"] == pytest.approx(100 * 1 / 3)
    assert result["R@3"] == pytest.approx(100 * 1 / 5)


def test_a_perfect_ranking_has_everything():
    result = metrics_of([[2, 5, 8], [1, 0, 4]], [[8, 2, 5], [0, 1, 4]])
    assert [result[name] for name in ("A@1", "P@1", "A@3", "P@3", "R@3")] == [100] * 5
    assert result["R@1"] == pytest.approx(100 * 1 / 3)


def test_no_hit_is_nothing():
    result = metrics_of([[1, 2, 3]], [[4, 5]])
    assert all(result[f"{name}@{k}"] == 0 for name in "APR" for k in (1, 3))
    assert result["photos"] == 1


def test_the_mean_is_over_photos_and_not_over_hashtags():
    result = metrics_of([[0, 1, 2], [3, 4, 5]], [[0], [3, 9, 10, 11]])
    assert result["R@3"] == pytest.approx(100 * (1 / 1 + 1 / 4) / 2)


def test_with_fewer_candidates_than_k_precision_still_divides_by_k():
    result = metrics_of([[1, 0, -1]], [[0, 1]], num_candidates=2)
    assert result["P@3"] == pytest.approx(100 * 2 / 3)
    assert result["R@3"] == 100


def test_an_empty_place_is_no_hit_of_the_previous_photos_last_hashtag():
    result = metrics_of([[0, 1, -1], [0, -1, -1]], [[2], [1]], num_candidates=3)
    assert all(result[f"{name}@{k}"] == 0 for name in "APR" for k in (1, 3))


def test_one_photos_hashtags_are_no_hit_for_another_photo():
    result = metrics_of([[1, 2, 3], [4, 5, 6]], [[4, 5, 6], [1, 2, 3]])
    assert result["A@3"] == 0


def test_hashtags_that_are_no_candidates_do_not_count():
    result = metrics_of([[5, 6, 7]], [[5, 0, 1, 9]], num_candidates=8, first=4)
    assert result["R@3"] == 100  # G is {5}
    assert result["P@3"] == pytest.approx(100 * 1 / 3)


def test_photos_without_a_true_candidate_are_left_out_and_counted():
    metrics = HashtagMetrics((1,))
    update(metrics, [[0], [1], [0]], [[0], [8, 9], [1]], range(4))
    assert metrics.left_out == 1
    assert metrics.compute() == {"A@1": 50.0, "P@1": 50.0, "R@1": 50.0, "photos": 2, "left_out": 1}


@pytest.mark.parametrize("num_photos", [0, 1])
def test_where_no_photo_counts_the_metrics_are_not_a_number(num_photos):
    metrics = HashtagMetrics((1,))
    for _ in range(num_photos):
        update(metrics, [[0]], [[9]], range(4))
    result = metrics.compute()
    assert result["photos"] == 0
    assert math.isnan(result["A@1"]) and math.isnan(result["P@1"]) and math.isnan(result["R@1"])


# --- random data ---


@pytest.mark.parametrize("candidates", [range(0, 30), range(0, 12), range(12, 30)])
def test_random_data_give_what_a_naive_loop_gives(candidates):
    ranked, truth = random_photos(200, 30)
    ranked = [[i for i in ids if i in candidates] for ids in ranked]
    metrics = HashtagMetrics((1, 5, 10))
    update(metrics, ranked, truth, candidates)
    result = metrics.compute()
    for k in (1, 5, 10):
        ours = [result[f"{name}@{k}"] for name in "APR"]
        assert ours == pytest.approx(naive(ranked, truth, candidates, k), rel=1e-5)


@pytest.mark.parametrize("k", [1, 5, 10])
def test_random_data_give_what_torchmetrics_gives(k):
    ranked, truth = random_photos(200, 30, seed=1)
    scores = torch.zeros(200, 30)
    target = torch.zeros(200, 30, dtype=torch.long)
    for n, (guess, true) in enumerate(zip(ranked, truth, strict=True)):
        scores[n, guess] = torch.linspace(1, 0, 30)  # the first guess has the highest score
        target[n, true] = 1
    photo = torch.arange(200)[:, None].expand(200, 30)
    result = metrics_of(ranked, truth, 30, ks=(k,))
    theirs = {"A": RetrievalHitRate, "P": RetrievalPrecision, "R": RetrievalRecall}
    for name, metric in theirs.items():
        reference = metric(top_k=k, empty_target_action="skip")(scores, target, indexes=photo)
        assert result[f"{name}@{k}"] == pytest.approx(100 * reference.item(), rel=1e-5)


def test_the_order_of_photos_and_their_division_into_updates_change_nothing():
    ranked, truth = random_photos(100, 30, seed=2)
    whole = metrics_of(ranked, truth, 30)
    shuffled = torch.randperm(100, generator=torch.Generator().manual_seed(0)).tolist()
    metrics = HashtagMetrics((1, 3))
    for i in range(0, 100, 7):
        part = shuffled[i : i + 7]
        update(metrics, [ranked[n] for n in part], [truth[n] for n in part], range(30))
    assert metrics.compute() == pytest.approx(whole, rel=1e-5)


# --- evaluate ---


@pytest.fixture(scope="module")
def fold():
    return tiny_fold()


def by_row(photos, hashtags):
    """A ranker that gives each photo a random order of its own, whatever the batch."""
    orders = torch.rand(len(photos), len(hashtags), generator=torch.Generator().manual_seed(0))

    def rank(batch, candidates, k):
        inside = orders[batch.rows, candidates.start : candidates.stop]
        return candidates.start + inside.argsort(dim=1)[:, :k]

    return rank


def test_the_order_of_users_and_the_size_of_batches_change_nothing(fold):
    photos, hashtags, histories = fold
    ranker = by_row(photos, hashtags)
    whole = evaluate(ranker, batches(histories, 8), hashtags)
    for users_per_batch in (1, 3):
        for users in (range(8), [5, 0, 7, 2, 1, 6, 4, 3]):
            items = batches(UserHistories(photos, hashtags, users), users_per_batch)
            result = evaluate(ranker, items, hashtags)
            for which in ("seen", "unseen", "all"):
                assert result[which] == pytest.approx(whole[which], rel=1e-5)


@pytest.mark.parametrize("which", ["seen", "unseen", "all"])
def test_evaluate_ranks_and_counts_the_named_candidates_only(fold, which):
    photos, hashtags, histories = fold
    of_training_users = range(photos.rows_of(6).start)  # users 0 to 5
    seen = {name for row in of_training_users for name in photos.hashtags_of(row)}
    wanted = {"seen": seen, "unseen": set(hashtags.names) - seen, "all": set(hashtags.names)}[which]
    candidates = [hashtags.ids[name] for name in wanted]

    ranker = by_row(photos, hashtags)
    everyone = next(iter(batches(histories, 8)))
    ranked = ranker(everyone, range(len(hashtags)), len(hashtags)).tolist()
    ranked = [[i for i in ids if i in candidates] for ids in ranked]
    names = [photos.hashtags_of(row) for row in everyone.rows.tolist()]
    truth = [[hashtags.ids[name] for name in photo] for photo in names]

    result = evaluate(ranker, batches(histories, 3), hashtags, (which,))
    assert list(result) == [which]
    assert result[which]["photos"] == sum(bool(wanted & set(photo)) for photo in names)
    for k in (1, 10):
        ours = [result[which][f"{name}@{k}"] for name in "APR"]
        assert ours == pytest.approx(naive(ranked, truth, candidates, k), rel=1e-5)


@pytest.mark.parametrize("ranked", [[3, 3], [3, 10], [-2, 3]])
def test_a_ranking_that_is_none_is_refused(ranked):
    with pytest.raises(ValueError, match="twice, or one outside"):
        update(HashtagMetrics((1,)), [ranked], [[3]], range(10))


def test_a_model_in_a_class_of_ones_own_ranks_as_the_class_says(fold):
    """Also where it has an attribute `several`, which the model's own ranker has; sets twice."""
    _, hashtags, histories = fold

    class Worst(ModelRanker):
        def __call__(self, batch, candidates, k):
            return super().__call__(batch, candidates, len(candidates)).flip(1)[:, :k]

    worst = Worst(tiny_model(), hashtags.psi)
    rankers = worst, lambda *arguments: worst(*arguments)
    rankers[1].several = SimpleNamespace()
    own, plain = (
        evaluate(ranker, batches(histories, 3), hashtags, ("all", "seen", "all"))
        for ranker in rankers
    )
    assert own == plain and list(own) == ["all", "seen"]
    assert "hashtags" in repr(worst) and worst != Worst(tiny_model(), hashtags.psi)

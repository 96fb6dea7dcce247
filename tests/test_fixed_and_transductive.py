"""The fixed vocabulary, the split in time, photos that are history only, and the oracle."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import chain

import numpy as np
import pyarrow as pa
import pytest
import torch
from helpers import WORDS, batch_of, collection, fold_of, tiny_collection, tiny_fold

from hashtag_core.data.hashtags import build_fixed_hashtags
from hashtag_core.data.histories import UserHistories
from hashtag_core.data.loading import batches
from hashtag_core.data.splits import Split, split_in_time
from hashtag_core.errors import InputError
from hashtag_core.evaluation.baselines import frequency, oracle
from hashtag_core.evaluation.metrics import HashtagMetrics, evaluate
from hashtag_core.study.folds import make_fixed_fold, make_transductive_fold

SPLIT = Split(train=np.array([1, 3, 6]), valid=np.array([0, 5]), test=np.array([2, 4, 7]))


@pytest.fixture(scope="module")
def photos():
    return tiny_collection()


def streams(**lengths):
    """Users with so many photos each, of random hashtags."""
    rng = np.random.default_rng(0)
    return collection(
        {
            user: [rng.choice(WORDS[:12], size=3, replace=False).tolist() for _ in range(length)]
            for user, length in lengths.items()
        }
    )


def rows_of(photos, user):
    return list(range(photos.rows_of(user).start, photos.rows_of(user).stop))


# --- the fixed vocabulary ---


def naive_vocabulary(photos, rows, size):
    """(names, counts) by counting the hashtags of these photos."""
    counts = Counter(name for row in rows for name in photos.hashtags_of(row))
    names = sorted(counts, key=lambda name: (-counts[name], name))[:size]
    return names, [counts[name] for name in names]


@pytest.mark.parametrize("size", [1, 5, 12, 1000])
def test_the_fixed_vocabulary_is_the_most_frequent_hashtags_of_the_training_photos(photos, size):
    train = np.arange(len(photos)) % 3 > 0
    hashtags = build_fixed_hashtags(photos, train, size)
    names, counts = naive_vocabulary(photos, np.flatnonzero(train).tolist(), size)
    assert hashtags.names == names
    assert hashtags.counts.tolist() == counts
    different = {name for row in range(len(photos)) for name in photos.hashtags_of(row)}
    assert hashtags.left_out == {"not frequent enough in training": len(different) - len(names)}


def test_the_fixed_vocabulary_by_hand():
    photos = collection({"a": [["sun", "sea"], ["sea", "sky"], ["fish", "gull"]]})
    hashtags = build_fixed_hashtags(photos, np.array([True, True, False]), 2)
    assert hashtags.names == ["sea", "sky"]  # of sky and sun, which tie, the lower name
    assert hashtags.counts.tolist() == [2, 1]
    assert hashtags.left_out == {"not frequent enough in training": 3}  # sun, fish, gull


def test_all_of_the_fixed_vocabulary_is_seen_and_has_no_word_vectors(photos):
    hashtags = build_fixed_hashtags(photos, np.arange(len(photos)) < 4, 1000)
    assert hashtags.num_seen == len(hashtags) > 0
    assert hashtags.candidates("seen") == hashtags.candidates("all")
    assert len(hashtags.candidates("unseen")) == 0
    assert hashtags.psi.shape == (len(hashtags), 0)


def test_hashtags_without_a_word_vector_are_in_the_fixed_vocabulary():
    photos = collection({"a": [["xyzzy", "sun"], ["xyzzy"]]})
    assert build_fixed_hashtags(photos, np.array([True, True]), 5).names == ["xyzzy", "sun"]


# --- the split in time ---


def parts_of(photos, users):
    """[rows of train, of valid, of test]."""
    return [np.flatnonzero(part).tolist() for part in split_in_time(photos, np.array(users))]


def test_of_ten_photos_seven_train_one_validates_and_two_test():
    assert parts_of(streams(a=10), [0]) == [[0, 1, 2, 3, 4, 5, 6], [7], [8, 9]]


def test_of_a_second_user_too():
    train, valid, test = parts_of(streams(a=3, b=10, c=20), [1, 2])
    assert train == [*range(3, 10), *range(13, 27)]
    assert valid == [10, 27, 28]
    assert test == [11, 12, 29, 30, 31, 32]


@pytest.mark.parametrize("length", [*range(1, 42), 100, 150, 190])
def test_a_photo_trains_if_less_than_70_percent_of_the_users_photos_are_older(length):
    expected = [[], [], []]
    for position in range(length):
        older = Fraction(position, length)  # exact, where 0.7 and 0.8 are not
        part = 0 if older < Fraction(7, 10) else 1 if older < Fraction(8, 10) else 2
        expected[part].append(position)
    assert parts_of(streams(a=length), [0]) == expected


def test_the_three_parts_are_all_photos_of_the_users_once(photos):
    users = [0, 2, 3, 7]
    whole = chain(*parts_of(photos, users))
    assert sorted(whole) == [row for user in users for row in rows_of(photos, user)]


def test_nothing_is_trained_on_that_is_newer_than_a_users_test_photo(photos):
    train, valid, test = split_in_time(photos, np.arange(8))
    for user in range(8):
        own = [
            np.flatnonzero(part[rows_of(photos, user)]).tolist() for part in (train, valid, test)
        ]
        assert [*chain(*own)] == list(range(len(rows_of(photos, user))))


# --- the fixed fold ---


def test_the_fixed_fold_counts_the_hashtags_of_the_training_users_alone(photos):
    fold = make_fixed_fold(photos, SPLIT, 10)
    rows = [row for user in SPLIT.train for row in rows_of(photos, user)]
    names, counts = naive_vocabulary(photos, rows, 10)
    assert fold.hashtags.names == names and fold.hashtags.counts.tolist() == counts


def test_every_photo_of_the_fixed_fold_with_a_hashtag_of_the_vocabulary_counts(photos):
    fold = make_fixed_fold(photos, SPLIT, 10)
    known = set(fold.hashtags.names)
    parts = {"train": SPLIT.train, "valid": SPLIT.valid, "test": SPLIT.test}
    for name, users in parts.items():
        histories, left_out = getattr(fold, name), 0
        expected = {}
        for user in users.tolist():
            rows = [row for row in rows_of(photos, user) if known & set(photos.hashtags_of(row))]
            left_out += len(rows_of(photos, user)) - len(rows)
            if rows:
                expected[user] = rows
        got = dict(zip(histories.users, histories.rows, strict=True))
        assert {user: rows.tolist() for user, rows in got.items()} == expected
        assert histories.left_out["photos"] == left_out
        assert all(item["predict"].all() for item in histories)


# --- the transductive fold ---


@pytest.fixture(scope="module")
def long_photos():
    return streams(a=20, b=10, c=13, d=10, e=7, f=1)


LONG = Split(train=np.array([0, 2, 4]), valid=np.array([1, 5]), test=np.array([3]))


def predicted_and_read(histories):
    """(rows to learn from or to evaluate, rows read at all)."""
    batch = batch_of(histories)
    return batch.rows[batch.predict].tolist(), batch.rows.tolist()


def test_the_transductive_fold_has_the_same_users_in_all_sets(long_photos):
    fold = make_transductive_fold(long_photos, LONG, 1000)
    for histories in (fold.train, fold.valid, fold.test):
        assert histories.users == [0, 1, 2, 4, 5]  # all but the split's test users


def test_the_transductive_fold_reads_and_predicts_the_photos_of_its_time(long_photos):
    fold = make_transductive_fold(long_photos, LONG, 1000)
    train, valid, test = parts_of(long_photos, [0, 1, 2, 4, 5])
    known = set(fold.hashtags.names)  # photos with no hashtag of the vocabulary are left out
    train, valid, test = (
        [row for row in rows if known & set(long_photos.hashtags_of(row))]
        for rows in (train, valid, test)
    )
    assert predicted_and_read(fold.train) == (train, train)
    assert predicted_and_read(fold.valid) == (valid, sorted(train + valid))
    assert predicted_and_read(fold.test) == (test, sorted(train + test))


def test_the_transductive_fold_by_hand():
    photos = streams(a=10, b=10)
    split = Split(train=np.array([1]), valid=np.array([], dtype=np.int64), test=np.array([0]))
    fold = make_transductive_fold(photos, split, 1000)
    assert predicted_and_read(fold.train) == ([*range(10, 17)], [*range(10, 17)])
    assert predicted_and_read(fold.valid) == ([17], [*range(10, 18)])
    assert predicted_and_read(fold.test) == ([18, 19], [*range(10, 17), 18, 19])


def test_training_never_reads_a_photo_that_is_tested(long_photos):
    fold = make_transductive_fold(long_photos, LONG, 1000)
    read = set(predicted_and_read(fold.train)[1])
    tested, validated = (set(predicted_and_read(part)[0]) for part in (fold.test, fold.valid))
    assert tested and validated
    assert not read & tested and not read & validated and not tested & validated


def test_the_transductive_vocabulary_is_counted_on_the_training_photos_alone(long_photos):
    fold = make_transductive_fold(long_photos, LONG, 6)
    names, counts = naive_vocabulary(long_photos, parts_of(long_photos, [0, 1, 2, 4, 5])[0], 6)
    assert fold.hashtags.names == names and fold.hashtags.counts.tolist() == counts


def test_a_user_without_a_photo_to_predict_is_history_only(long_photos):
    fold = make_transductive_fold(long_photos, LONG, 1000)
    assert fold.test[4]["user"] == 5 and not fold.test[4]["predict"].any()


# --- photos that are history only ---


@pytest.fixture(scope="module")
def half_predicted():
    """(hashtags, a batch): about half of the photos are to be predicted, none of user 4's."""
    photos, hashtags, _ = tiny_fold()
    predict = np.random.default_rng(0).random(len(photos)) < 0.5
    predict[rows_of(photos, 4)] = False
    predict[rows_of(photos, 5)] = True
    return hashtags, UserHistories(photos, hashtags, range(8), predict=predict)


def test_predict_follows_the_rows(half_predicted):
    _, histories = half_predicted
    batch = batch_of(histories, 6, 2, 5)
    assert batch.predict.tolist() == histories.predict[batch.rows].tolist()
    assert batch.predict.dtype == torch.bool


def test_each_user_weighs_the_same_with_the_photos_to_predict_alone(half_predicted):
    _, histories = half_predicted
    batch = batch_of(histories)
    expected = []
    for rows in histories.rows:
        predict = histories.predict[rows].tolist()
        expected += [1 / (8 * sum(predict)) if wanted else 0.0 for wanted in predict]
    assert batch.photo_weights().tolist() == pytest.approx(expected)
    users = [sum(own.tolist()) for own in batch.photo_weights().split(batch.mask.sum(1).tolist())]
    predicted = [bool(histories.predict[rows].any()) for rows in histories.rows]
    assert users == pytest.approx([1 / 8 if any_photo else 0 for any_photo in predicted])
    assert predicted[4] is False


def naive_metrics(ranked, truth, predict, candidates, k):
    """(A@k, P@k, R@k) in per cent, photos, left out."""
    rows, left_out = [], 0
    for guess, true, wanted in zip(ranked, truth, predict, strict=True):
        r, g = set(guess[:k]) & set(candidates), set(true) & set(candidates)
        if wanted and g:
            rows.append((len(r & g) > 0, len(r & g) / k, len(r & g) / len(g)))
        left_out += wanted and not g
    means = [100 * sum(column) / len(rows) for column in zip(*rows, strict=True)]
    return [*means, len(rows), left_out]


def as_list(result, k):
    return [*(result[f"{name}@{k}"] for name in "APR"), result["photos"], result["left_out"]]


def test_metrics_count_the_photos_to_predict_alone():
    generator = torch.Generator().manual_seed(0)
    ranked = torch.rand(200, 20, generator=generator).argsort(dim=1)
    ranked = torch.stack([ids[ids < 12] for ids in ranked])  # the candidates
    counts = torch.randint(1, 4, (200,), generator=generator)
    truth = [torch.randperm(20, generator=generator)[:n].tolist() for n in counts]
    predict = torch.rand(200, generator=generator) < 0.4
    metrics = HashtagMetrics((1, 5))
    offsets = torch.cat([torch.tensor([0]), counts.cumsum(0)])
    metrics.update(ranked, torch.tensor([*chain(*truth)]), offsets, range(12), predict)
    for k in (1, 5):
        expected = naive_metrics(ranked.tolist(), truth, predict.tolist(), range(12), k)
        assert as_list(metrics.compute(), k) == pytest.approx(expected, rel=1e-6)
    assert metrics.left_out > 0


def test_metrics_by_hand_with_a_photo_that_is_history():
    metrics = HashtagMetrics((1,))
    offsets, predict = torch.tensor([0, 1, 2, 3, 4]), torch.tensor([True, False, True, False])
    ids = torch.tensor([0, 1, 9, 9])  # the last two have no candidate
    metrics.update(torch.zeros(4, 1, dtype=torch.long), ids, offsets, range(5), predict)
    assert metrics.compute() == {"A@1": 100, "P@1": 100, "R@1": 100, "photos": 1, "left_out": 1}


@pytest.mark.parametrize("which", ["seen", "unseen", "all"])
@pytest.mark.parametrize("users_per_batch", [1, 3, 8])
def test_evaluate_counts_the_photos_to_predict_alone(half_predicted, which, users_per_batch):
    hashtags, histories = half_predicted
    orders = torch.rand(100, len(hashtags), generator=torch.Generator().manual_seed(0))

    def rank(batch, candidates, k):
        inside = orders[batch.rows, candidates.start : candidates.stop]
        return candidates.start + inside.argsort(dim=1)[:, :k]

    result = evaluate(rank, batches(histories, users_per_batch), hashtags, (which,))[which]
    batch, candidates = batch_of(histories), hashtags.candidates(which)
    ranked = rank(batch, candidates, len(hashtags)).tolist()
    truth = [ids.tolist() for ids in batch.hashtag_ids.split(batch.hashtag_offsets.diff().tolist())]
    for k in (1, 10):
        expected = naive_metrics(ranked, truth, batch.predict.tolist(), candidates, k)
        assert as_list(result, k) == pytest.approx(expected, rel=1e-6)


def test_the_transductive_test_set_is_evaluated_on_its_test_photos(long_photos):
    fold = make_transductive_fold(long_photos, LONG, 1000)
    result = evaluate(frequency, batches(fold.test, 2), fold.hashtags, ("seen",))["seen"]
    assert result["photos"] == len(predicted_and_read(fold.test)[0])


# --- the oracle ---


def with_oracle(histories, orders):
    photos = collection(histories)
    column = pa.array(orders, pa.list_(pa.string()))
    return replace(photos, table=photos.table.append_column("oracle", column))


@pytest.fixture
def known():
    """Seen: sea, sun, sky; unseen: fish, gull. `zzz` is not in the vocabulary."""
    histories = {"a": [["sea", "sun", "sky"], ["sea", "sun"], ["sea"]], "b": [["fish"], ["gull"]]}
    orders = [["sky", "sea"], ["gull", "zzz", "sun"], ["sea"], ["fish", "sky"], []]
    photos = with_oracle(histories, orders)
    hashtags, items = fold_of(photos, train_users=[0])
    assert hashtags.names == ["sea", "sun", "sky", "fish", "gull"]
    return photos, hashtags, items


def names_ranked(known, which, k, *users):
    photos, hashtags, items = known
    batch = batch_of(items, *users)
    ranked = oracle(photos, hashtags)(batch, hashtags.candidates(which), k)
    assert ranked.shape == (len(batch.rows), k)
    return [[hashtags.names[i] if i >= 0 else None for i in ids] for ids in ranked.tolist()]


def test_the_oracle_ranks_as_the_truth_says_and_the_rest_by_frequency(known):
    assert names_ranked(known, "all", 5) == [
        ["sky", "sea", "sun", "fish", "gull"],
        ["gull", "sun", "sea", "sky", "fish"],
        ["sea", "sun", "sky", "fish", "gull"],
        ["fish", "sky", "sea", "sun", "gull"],
        ["sea", "sun", "sky", "fish", "gull"],
    ]


def test_the_oracle_ranks_the_candidates_alone(known):
    assert names_ranked(known, "seen", 2, 0) == [["sky", "sea"], ["sun", "sea"], ["sea", "sun"]]
    unseen = names_ranked(known, "unseen", 2)
    assert unseen == [["fish", "gull"], ["gull", "fish"], *[["fish", "gull"]] * 3]


def test_the_oracle_cuts_at_k(known):
    assert names_ranked(known, "all", 1) == [["sky"], ["gull"], ["sea"], ["fish"], ["sea"]]
    assert names_ranked(known, "all", 2)[1] == ["gull", "sun"]


def test_with_fewer_candidates_than_k_the_oracle_leaves_places_empty(known):
    assert names_ranked(known, "unseen", 4, 1) == [["fish", "gull", None, None]] * 2
    assert names_ranked(known, "seen", 4, 0)[0] == ["sky", "sea", "sun", None]


def test_the_oracle_follows_the_photos_and_not_their_place_in_the_batch(known):
    whole = names_ranked(known, "all", 5)
    assert names_ranked(known, "all", 5, 1, 0) == whole[3:] + whole[:3]


@pytest.mark.parametrize("which", ["seen", "unseen", "all"])
@pytest.mark.parametrize("k", [1, 3, 10, 50])
def test_a_random_oracle_gives_what_a_naive_loop_gives(which, k):
    histories = {u: [[w] for w in WORDS[2 * n : 25 + n]] for n, u in enumerate("abc")}
    num_photos = sum(len(names) for names in histories.values())
    rng = np.random.default_rng(0)
    orders = [
        rng.choice(WORDS, size=rng.integers(0, 15), replace=False).tolist()
        for _ in range(num_photos)
    ]
    photos = with_oracle(histories, orders)
    hashtags, items = fold_of(photos, train_users=[0])
    candidates = hashtags.candidates(which)
    batch = batch_of(items)
    ours = oracle(photos, hashtags)(batch, candidates, k).tolist()
    for ids, row in zip(ours, batch.rows.tolist(), strict=True):
        known_ids = [hashtags.names.index(n) for n in orders[row] if n in hashtags.names]
        place = {i: rank for rank, i in enumerate(known_ids)}
        best = sorted(candidates, key=lambda i, p=place: (p.get(i, len(WORDS)), i))[:k]
        assert ids == best + [-1] * (k - len(best))


def test_metrics_take_what_the_oracle_gives(known):
    photos, hashtags, items = known
    result = evaluate(oracle(photos, hashtags), batches(items, 2), hashtags)
    assert result["all"]["photos"] == 5
    assert result["all"]["A@1"] == pytest.approx(100 * 3 / 5)  # sky, not gull, sea, fish, not sea


def test_a_collection_without_the_truth_is_refused(photos):
    hashtags, _ = fold_of(photos)
    with pytest.raises(InputError, match="no column `oracle`"):
        oracle(photos, hashtags)

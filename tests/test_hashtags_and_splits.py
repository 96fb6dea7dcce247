"""Which hashtags are seen, how often, and which users train, validate and test."""

from collections import Counter

import numpy as np
import pytest
import torch
from helpers import OTHER_USERS, TRAIN_USERS, WORDS, collection, tiny_collection, tiny_vectors

from hashtag_core.data.hashtags import Hashtags, build_hashtags
from hashtag_core.data.splits import split_users, user_folds
from hashtag_core.data.words import psi
from hashtag_core.errors import InputError


@pytest.fixture
def photos():
    return tiny_collection()


@pytest.fixture
def hashtags(photos) -> Hashtags:
    return build_hashtags(photos, TRAIN_USERS, tiny_vectors())


def hashtags_of_users(photos, users) -> list[str]:
    """Every hashtag of every photo of these users, counted by hand."""
    names = []
    for row in range(len(photos)):
        if photos.users.index(photos.table["user"][row].as_py()) in users:
            names += photos.hashtags_of(row)
    return names


# ---- the vocabulary


def test_seen_hashtags_are_those_in_training_photos(photos, hashtags):
    seen = set(hashtags.names[: hashtags.num_seen])
    assert seen == set(hashtags_of_users(photos, TRAIN_USERS))


def test_unseen_hashtags_are_those_of_other_users_only(photos, hashtags):
    unseen = set(hashtags.names[hashtags.num_seen :])
    others = set(hashtags_of_users(photos, OTHER_USERS))
    assert unseen == others - set(hashtags_of_users(photos, TRAIN_USERS))
    assert len(unseen) > 0


def test_counts_are_those_of_a_naive_loop_over_training_photos(photos, hashtags):
    counted = Counter(hashtags_of_users(photos, TRAIN_USERS))
    assert hashtags.counts.tolist() == [counted[name] for name in hashtags.names]


def test_the_order_is_by_count_and_then_by_name(hashtags):
    keys = [(-count, name) for name, count in zip(hashtags.names, hashtags.counts, strict=True)]
    assert keys == sorted(keys)
    assert len(set(hashtags.counts.tolist())) < len(hashtags)  # there are ties


def test_ids_are_the_places_in_names(hashtags):
    assert len(hashtags) == len(set(hashtags.names))
    assert [hashtags.ids[name] for name in hashtags.names] == list(range(len(hashtags)))


def test_psi_holds_a_row_for_each_hashtag(hashtags):
    expected = np.stack([psi(name, tiny_vectors()) for name in hashtags.names])
    assert torch.equal(hashtags.psi, torch.from_numpy(expected))


def test_the_candidates_are_a_range_each(hashtags):
    seen, unseen = hashtags.candidates("seen"), hashtags.candidates("unseen")
    assert all(hashtags.counts[i] > 0 for i in seen)
    assert all(hashtags.counts[i] == 0 for i in unseen)
    assert [*seen, *unseen] == [*hashtags.candidates("all")] == list(range(len(hashtags)))


def test_candidates_of_another_name_are_refused(hashtags):
    with pytest.raises(ValueError, match="seen, unseen, all"):
        hashtags.candidates("some")


def test_with_all_users_training_nothing_is_unseen(photos):
    hashtags = build_hashtags(photos, np.arange(8), tiny_vectors())
    assert len(hashtags.candidates("unseen")) == 0
    assert hashtags.num_seen == len(hashtags)


def test_hashtags_without_a_word_vector_are_left_out_and_counted():
    photos = collection({"a": [["sun", "xyzzy"], ["xyzzy", "qwrtz"]], "b": [["sea+xyzzy"]]})
    hashtags = build_hashtags(photos, np.array([0]), tiny_vectors())
    assert hashtags.names == ["sun", "sea+xyzzy"]
    assert hashtags.left_out == {"no word vector": 2}


def test_ids_in_follows_the_photos_hashtags(photos, hashtags):
    names = [name for row in range(len(photos)) for name in photos.hashtags_of(row)]
    assert hashtags.ids_in(photos).tolist() == [hashtags.names.index(name) for name in names]


def test_ids_in_is_minus_one_for_what_the_vocabulary_does_not_have(hashtags):
    other = collection({"a": [["sun", "xyzzy"], ["qwrtz"]]})
    assert hashtags.ids_in(other).tolist() == [hashtags.ids["sun"], -1, -1]


def test_a_saved_vocabulary_is_loaded_as_it_was(hashtags, tmp_path):
    hashtags.save(tmp_path / "hashtags.parquet")
    loaded = Hashtags.load(tmp_path / "hashtags.parquet")
    assert loaded.names == hashtags.names
    assert torch.equal(loaded.psi, hashtags.psi)
    assert torch.equal(loaded.counts, hashtags.counts)
    assert loaded.num_seen == hashtags.num_seen


def test_a_part_of_a_psi_matrix_is_saved_as_that_part(tmp_path):
    whole = torch.arange(12, dtype=torch.float32).reshape(6, 2)
    part = Hashtags(WORDS[:3], whole[::2], torch.tensor([2, 1, 0]))
    part.save(tmp_path / "hashtags.parquet")
    assert torch.equal(Hashtags.load(tmp_path / "hashtags.parquet").psi, whole[::2])


# ---- the splits


@pytest.mark.parametrize("num_users", [5, 23, 115])
def test_every_user_is_tested_exactly_once(num_users):
    tested = np.concatenate([split.test for split in user_folds(num_users)])
    assert sorted(tested.tolist()) == list(range(num_users))


@pytest.mark.parametrize("folds", range(2, 7))
@pytest.mark.parametrize("num_users", range(3, 12))
def test_three_sets_are_filled_disjoint_and_complete_or_the_users_are_too_few(num_users, folds):
    try:
        splits = user_folds(num_users, folds)
    except InputError:
        assert num_users < max(folds, 4)
        return
    assert len(splits) == folds
    for split in splits:
        sets = [split.train.tolist(), split.valid.tolist(), split.test.tolist()]
        assert all(sets)
        assert sorted([*sets[0], *sets[1], *sets[2]]) == list(range(num_users))


def test_five_folds_split_about_70_10_20():
    for split in user_folds(115):
        sizes = np.array([len(split.train), len(split.valid), len(split.test)])
        assert np.abs(sizes / 115 - [0.7, 0.1, 0.2]).max() < 0.01


def test_each_set_is_sorted():
    for split in user_folds(40):
        for users in (split.train, split.valid, split.test):
            assert np.array_equal(users, np.sort(users))


def test_the_same_seed_gives_the_same_split():
    for one, other in zip(user_folds(40, seed=3), user_folds(40, seed=3), strict=True):
        assert np.array_equal(one.train, other.train)
        assert np.array_equal(one.valid, other.valid)
        assert np.array_equal(one.test, other.test)


def test_another_seed_gives_another_split():
    assert not np.array_equal(user_folds(40, seed=3)[0].test, user_folds(40, seed=4)[0].test)


def test_users_are_not_split_in_their_order():
    assert not np.array_equal(user_folds(40)[0].test, np.arange(8))


def test_one_split_is_the_first_of_five_folds():
    assert np.array_equal(split_users(40, seed=2).test, user_folds(40, 5, seed=2)[0].test)


@pytest.mark.parametrize(("num_users", "folds"), [(0, 5), (4, 5), (2, 2), (10, 1), (10, 0)])
def test_too_few_users_or_folds_are_refused(num_users, folds):
    with pytest.raises(InputError):
        user_folds(num_users, folds)

"""Which hashtags are seen, how often, and which users train, validate and test."""

from collections import Counter

import numpy as np
import pytest
import torch
from helpers import OTHER_USERS, TRAIN_USERS, WORDS, collection, tiny_collection, tiny_vectors

from hashtag_core.data.hashtags import Hashtags, build_hashtags
from hashtag_core.data.splits import Split, split_users, user_folds
from hashtag_core.data.words import psi
from hashtag_core.errors import InputError
from hashtag_core.study.folds import make_fold


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
    assert hashtags.left_out == {"no word vector": 2, "of other users": 0}


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


# ---- splits by photos, and the unseen hashtags of whom


def uneven(seed: int = 0, users: int = 60):
    """A collection of users with 1 to 40 photos."""
    rng = np.random.default_rng(seed)
    return collection({f"u{u:02d}": [["sun"]] * int(rng.integers(1, 41)) for u in range(users)})


@pytest.mark.parametrize("seed", range(8))
def test_five_folds_split_the_photos_70_10_20_as_near_as_whole_users_allow(seed):
    photos = uneven(seed)
    of_user = np.diff(photos.user_offsets)
    longest = of_user.max() / of_user.sum()
    splits = user_folds(photos, seed=seed)
    assert sorted(np.concatenate([s.test for s in splits]).tolist()) == list(range(60))
    for split in splits:
        shares = np.array([of_user[users].sum() for users in split]) / of_user.sum()
        assert abs(shares[2] - 0.2) <= longest  # half a user at either end
        assert abs(shares[1] - 0.1) <= longest and abs(shares[0] - 0.7) <= 1.5 * longest


def test_one_user_with_nearly_all_photos_leaves_somebody_for_every_set():
    histories = {f"u{u}": [["sun"]] * (500 if u == 3 else 2) for u in range(9)}
    for seed in range(20):
        for split in user_folds(collection(histories), 5, seed):
            assert all(len(users) for users in split)


def test_the_order_of_users_in_the_collection_is_drawn_anew_for_each_seed():
    photos = uneven()
    assert not np.array_equal(
        user_folds(photos, seed=1)[0].test, user_folds(photos, seed=2)[0].test
    )


def test_unseen_hashtags_are_those_of_the_users_that_are_named(photos):
    users = np.array([0, 1, 2, 3, 4]), np.array([5, 6]), np.array([7])
    train, valid, test = users
    names = [{n for r in range(*photos.rows_of(u).indices(99)) for n in photos.hashtags_of(r)}
             for u in range(8)]  # fmt: skip
    seen = set().union(*(names[u] for u in train))
    for new in (valid, test):
        hashtags = build_hashtags(photos, train, tiny_vectors(), new)
        own = set().union(*(names[u] for u in new)) - seen
        assert set(hashtags.names[: hashtags.num_seen]) == seen
        assert hashtags.names[hashtags.num_seen :] == sorted(own)
        assert hashtags.left_out["of other users"] == len(set().union(*names) - seen - own)


def test_a_fold_evaluates_each_set_with_its_own_unseen_hashtags_and_the_same_ids(photos):
    split = Split(np.arange(5), np.array([5, 6]), np.array([7]))
    fold = make_fold(photos, split, tiny_vectors())
    seen = fold.hashtags.num_seen
    assert fold.test.hashtags is fold.hashtags is fold.train.hashtags
    assert fold.valid.hashtags.names[:seen] == fold.hashtags.names[:seen]
    assert torch.equal(fold.valid.hashtags.psi[:seen], fold.hashtags.psi[:seen])
    unseen = [set(h.names[seen:]) for h in (fold.hashtags, fold.valid.hashtags)]
    assert unseen[0] and unseen[1] and not unseen[0] & unseen[1]  # users 6 and 7 have their own
    for histories in (fold.valid, fold.test):  # nothing of their users is lost
        assert histories.left_out == {"photos": 0, "users": 0}
        rows = np.concatenate(histories.rows)
        count = sum(len(photos.hashtags_of(int(row))) for row in rows)
        assert count == sum(len(histories[i]["hashtag_ids"]) for i in range(len(histories)))


# ---- how psi is made


def test_kinds_say_how_psi_is_made_and_come_back(tmp_path):
    photos = collection({"a": [["sun", "red+sun", "redsun", "sun+zzz"]], "b": [["zzz", "qqq"]]})
    hashtags = build_hashtags(photos, np.array([0]), tiny_vectors())
    kinds = dict(zip(hashtags.names, hashtags.kinds, strict=True))
    assert kinds == {"sun": "whole", "red+sun": "summed", "redsun": "split", "sun+zzz": "in part"}
    assert "(1 whole, 1 summed, 1 split, 1 in part)" in repr(hashtags)
    hashtags.save(tmp_path / "h.parquet")
    assert Hashtags.load(tmp_path / "h.parquet").kinds == hashtags.kinds


def test_with_every_hashtag_nothing_is_left_out():
    photos = collection({"a": [["sun", "zzz"]], "b": [["qqq", "日本"]]})
    hashtags = build_hashtags(photos, np.array([0]), tiny_vectors(), every_hashtag=True)
    assert hashtags.names == ["sun", "zzz", "qqq", "日本"]
    assert hashtags.left_out == {"no word vector": 0, "of other users": 0}
    assert hashtags.made_of == {"whole": 1, "approximated": 3}
    assert hashtags.psi.isfinite().all() and len(hashtags.psi.unique(dim=0)) == 4


def test_a_vocabulary_of_an_older_version_has_no_kinds(hashtags, tmp_path):
    import pyarrow.parquet as pq

    hashtags.save(tmp_path / "h.parquet")
    pq.write_table(pq.read_table(tmp_path / "h.parquet").drop(["kind"]), tmp_path / "h.parquet")
    loaded = Hashtags.load(tmp_path / "h.parquet")
    assert loaded.names == hashtags.names and loaded.kinds == [] == [*loaded.made_of]

"""Shuffled histories: each user's photos in random order, and nothing else changed."""

from collections import Counter

import numpy as np
import pytest
import torch
from helpers import batch_of, fold_of, tiny_collection

from hashtag_core.data.histories import UserHistories
from hashtag_core.data.photos import PhotoCollection
from hashtag_core.data.splits import shuffled, split_in_time
from hashtag_core.errors import InputError
from hashtag_core.evaluation.baselines import repeat_recent
from hashtag_core.study.study import Study
from hashtag_core.study.tables import table_1, table_3


@pytest.fixture(scope="module")
def photos():
    return tiny_collection()


def test_each_users_photos_stand_in_another_order_among_themselves(photos):
    order = shuffled(photos, seed=1)
    for user in range(len(photos.users)):
        rows = photos.rows_of(user)
        assert sorted(order[rows].tolist()) == list(range(rows.start, rows.stop))
    assert order.tolist() != list(range(len(photos)))
    assert order.tolist() == shuffled(photos, seed=1).tolist()
    assert order.tolist() != shuffled(photos, seed=2).tolist()


def test_every_order_of_a_user_is_equally_likely(photos):
    rows = next(r for r in map(photos.rows_of, range(8)) if r.stop - r.start == 3)
    seen = Counter(tuple(shuffled(photos, seed)[rows] - rows.start) for seed in range(1200))
    assert len(seen) == 6 and min(seen.values()) > 140  # 200 expected, 4.6 standard deviations


def test_histories_are_read_in_the_order_that_is_given(photos):
    hashtags, _ = fold_of(photos)
    order = shuffled(photos, seed=3)
    histories = UserHistories(photos, hashtags, range(8), order=order)
    batch = batch_of(histories)
    features = torch.from_numpy(photos.features.astype(np.float32))
    assert batch.rows.tolist() == order.tolist()
    assert torch.equal(batch.of_photos(batch.history_images), features[order])
    names = [hashtags.names[i] for i in batch.hashtag_ids.tolist()]
    assert names == [name for row in order for name in photos.hashtags_of(int(row))]


def test_the_future_in_that_order_does_not_reach_a_prediction(photos):
    """What is read after a photo, in the order given, changes nothing at it or before it."""
    hashtags, _ = fold_of(photos)
    order = shuffled(photos, seed=3)
    whole = batch_of(UserHistories(photos, hashtags, [5], order=order))
    last = order[photos.rows_of(5)][-1]
    keep = np.arange(len(photos)) != last
    short = batch_of(UserHistories(photos, hashtags, [5], keep=keep, order=order))
    candidates, n = hashtags.candidates("all"), len(short.rows)
    assert n == len(whole.rows) - 1
    ranked = [repeat_recent(batch, candidates, 10)[:n] for batch in (whole, short)]
    assert torch.equal(*ranked)


def test_the_split_in_time_cuts_that_order(photos):
    order, users = shuffled(photos, seed=4), np.array([1, 3, 6])
    plain, other = split_in_time(photos, users), split_in_time(photos, users, order)
    for one, another in zip(plain, other, strict=True):
        # the same places, of other photos
        assert np.array_equal(another[order], one)
        for user in users:
            rows = photos.rows_of(user)
            assert one[rows].sum() == another[rows].sum()


@pytest.fixture(scope="module")
def site_photos(site):
    return PhotoCollection.load(site)


@pytest.fixture(scope="module")
def studies(site_photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("order")
    return {
        order: Study(site_photos, folder, folds=2, device="cpu", order=order)
        for order in ("time", "shuffled")
    }


def test_rows_that_know_no_order_stay_and_repeating_loses(studies):
    """Frequency counts training users' hashtags in any order; a site's users post in series."""
    tables = {
        order: table_1(study, ["frequency", "repeat recent"]).set_index(["vocabulary", "model"])
        for order, study in studies.items()
    }
    for vocabulary in ("fixed", "open"):
        kept, other = (tables[order].loc[vocabulary] for order in ("time", "shuffled"))
        assert kept.loc["frequency", "A@1"] == pytest.approx(other.loc["frequency", "A@1"])
        assert kept.loc["frequency", "photos"] == other.loc["frequency", "photos"]
        assert kept.loc["repeat recent", "A@1"] > other.loc["repeat recent", "A@1"] + 5


def test_all_settings_of_a_shuffled_study_have_its_order(studies, site_photos):
    order = shuffled(site_photos, 0)
    place = np.argsort(order)  # of each row in the order
    for setting in ("open", "fixed", "transductive"):
        fold = studies["shuffled"].fold(0, setting)
        for histories in (fold.train, fold.valid, fold.test):
            assert all((np.diff(place[rows]) > 0).all() for rows in histories.rows)
            assert any((np.diff(rows) < 0).any() for rows in histories.rows)
    table = table_3(studies["shuffled"], ["repeat recent"])
    assert len(table) == 1 and table["photos"][0] > 0


def test_both_orders_live_in_one_folder_and_do_not_meet(studies):
    paths = {study.path(0, "open", "sum") for study in studies.values()}
    assert len(paths) == 2
    assert studies["time"].provenance != studies["shuffled"].provenance
    assert "shuffled" in str(studies["shuffled"].path(0, "open", "sum"))


def test_an_order_that_is_not_there_is_an_input_error(site_photos, tmp_path):
    with pytest.raises(InputError, match="order 'random': choose one of time, shuffled"):
        Study(site_photos, tmp_path, order="random")

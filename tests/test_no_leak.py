"""A query is made of its own picture and of the photos before it: of nothing else."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import (
    D_I,
    MANY_HASHTAGS_USER,
    ONE_PHOTO_USER,
    WORDS,
    batch_of,
    collection,
    fold_of,
    tiny_fold,
    tiny_histories,
    tiny_model,
)

from hashtag_core.data.histories import UserHistories

HISTORIES = ["image+hashtag", "hashtag", "none"]
USER, T = 3, 6  # the user whose photos are changed has six of them
each_history = pytest.mark.parametrize("history", HISTORIES)
each_photo = pytest.mark.parametrize("t", range(T))


@pytest.fixture(scope="module")
def fold():
    return tiny_fold()


@torch.inference_mode()
def queries_by_user(photos, hashtags, model, users=None):
    """[(N_u, d) for each user], all users in one batch."""
    histories = UserHistories(
        photos, hashtags, range(len(photos.users)) if users is None else users
    )
    batch = batch_of(histories)
    return model(batch, hashtags.psi).split(batch.mask.sum(dim=1).tolist())


def which_changed(before, after):
    """The places (user, t) whose query is not exactly what it was."""
    return {
        (user, t)
        for user, (one, other) in enumerate(zip(before, after, strict=True))
        for t in range(len(one))
        if not torch.equal(one[t], other[t])
    }


@each_history
@each_photo
def test_a_photos_hashtags_reach_only_the_photos_after_it(fold, history, t):
    photos, hashtags, _ = fold
    changed = tiny_histories()
    changed["user3"][t] = ["sun", "gull"]  # as many photos, other hashtags
    model = tiny_model(history)
    before = queries_by_user(photos, hashtags, model)
    after = queries_by_user(collection(changed), hashtags, model)
    later = {(USER, s) for s in range(t + 1, T)}
    assert which_changed(before, after) == (set() if history == "none" else later)


@each_history
@each_photo
def test_a_picture_reaches_its_own_query_and_as_history_the_later_ones(fold, history, t):
    photos, hashtags, _ = fold
    features = photos.features.copy()
    row = photos.rows_of(USER).start + t
    features[row] = features[row][::-1]
    model = tiny_model(history)
    before = queries_by_user(photos, hashtags, model)
    after = queries_by_user(replace(photos, features=features), hashtags, model)
    last = T if history == "image+hashtag" else t + 1
    assert which_changed(before, after) == {(USER, s) for s in range(t, last)}


@each_history
def test_the_number_of_later_photos_changes_nothing(fold, history):
    photos, hashtags, _ = fold
    model = tiny_model(history)
    whole = queries_by_user(photos, hashtags, model, [USER])[0]
    rows = photos.rows_of(USER)
    for t in range(1, T + 1):
        first = slice(rows.start, rows.start + t)
        prefix = replace(photos, table=photos.table[first], features=photos.features[first])
        anew = queries_by_user(prefix, hashtags, model)[0]
        torch.testing.assert_close(anew, whole[:t])


@each_history
def test_a_user_in_a_batch_gets_what_the_user_gets_alone(fold, history):
    photos, hashtags, _ = fold
    model = tiny_model(history)
    together = queries_by_user(photos, hashtags, model)
    for user in range(len(photos.users)):
        alone = queries_by_user(photos, hashtags, model, [user])[0]
        torch.testing.assert_close(alone, together[user])


@each_history
def test_what_stands_in_the_padding_changes_nothing(fold, history):
    _, hashtags, histories = fold
    batch = batch_of(histories)
    garbage = torch.where(batch.mask[..., None], batch.history_images, 1e4)
    assert not batch.mask.all() and not torch.equal(garbage, batch.history_images)
    dirty = replace(batch, history_images=garbage, query_images=garbage)
    model = tiny_model(history)
    assert torch.equal(model(batch, hashtags.psi), model(dirty, hashtags.psi))


@each_history
def test_no_gradient_comes_from_a_later_picture(fold, history):
    _, hashtags, histories = fold
    batch, model = batch_of(histories, USER), tiny_model(history)
    images = batch.history_images.clone().requires_grad_()
    queries = model(replace(batch, history_images=images, query_images=images), hashtags.psi)
    for t in range(T):
        (gradient,) = torch.autograd.grad(queries[t].sum(), images, retain_graph=True)
        assert torch.count_nonzero(gradient[0, t + 1 :]) == 0
        assert torch.count_nonzero(gradient[0, t]) > 0


@each_history
def test_one_photo_at_a_time_equals_all_at_once(fold, history):
    _, hashtags, histories = fold
    batch, encoder = batch_of(histories, USER), tiny_model(history).user_encoder
    sums = torch.stack([hashtags.psi[ids].sum(dim=0) for ids in hashtags_of(batch)])[None]
    states = encoder(batch, hashtags.psi)  # (1, T + 1, d_u)
    user = torch.zeros(1, states.shape[2])
    for t in range(T):
        torch.testing.assert_close(states[:, t], user)
        user = encoder.update(user, batch.history_images[:, t], sums[:, t])


def hashtags_of(batch):
    """[the ids of each photo]."""
    return batch.hashtag_ids.split(batch.hashtag_offsets.diff().tolist())


@each_history
def test_the_first_photo_has_no_history(fold, history):
    photos, hashtags, histories = fold
    model = tiny_model(history)
    together = queries_by_user(photos, hashtags, model)
    for user, item in enumerate(histories):
        image = torch.from_numpy(item["history_images"][:1].astype(np.float32))
        anonymous = model.queries(image, torch.zeros(1, model.config.d_u))
        torch.testing.assert_close(together[user][:1], anonymous)
    assert len(together[ONE_PHOTO_USER]) == 1


def test_one_and_thirty_hashtags_are_both_a_history(fold):
    photos, hashtags, histories = fold
    counts = batch_of(histories, MANY_HASHTAGS_USER).hashtag_offsets.diff().tolist()
    assert counts[1:3] == [1, 30]
    model = tiny_model()
    before = queries_by_user(photos, hashtags, model)[MANY_HASHTAGS_USER]
    for t, names in [(1, ["sea"]), (2, WORDS[:29])]:  # another one; one less than thirty
        changed = tiny_histories()
        changed["user1"][t] = names
        after = queries_by_user(collection(changed), hashtags, model)[MANY_HASHTAGS_USER]
        assert torch.equal(before[: t + 1], after[: t + 1])
        assert not torch.allclose(before[t + 1], after[t + 1])


def test_the_order_of_a_photos_hashtags_changes_nothing(fold):
    photos, hashtags, _ = fold
    turned = {user: [n[::-1] for n in names] for user, names in tiny_histories().items()}
    model = tiny_model()
    one = torch.cat(queries_by_user(photos, hashtags, model))
    other = torch.cat(queries_by_user(collection(turned), hashtags, model))
    torch.testing.assert_close(one, other)


def test_features_of_a_second_convnet_reach_the_query_side_only(fold):
    photos, hashtags, _ = fold
    second = np.random.default_rng(1).normal(size=(len(photos), D_I)).astype(np.float16)
    batch = batch_of(UserHistories(photos, hashtags, range(8), query_features=second))
    assert torch.equal(batch.query_images[batch.mask], torch.from_numpy(second[batch.rows]).float())
    first = torch.from_numpy(photos.features[batch.rows]).float()
    assert torch.equal(batch.history_images[batch.mask], first)


def test_photos_and_users_without_a_known_hashtag_are_left_out_and_counted(fold):
    histories = deepcopy(tiny_histories())
    histories["user0"] = [["zzz"]]
    histories["user2"][1] = ["zzz", "qqq"]
    histories["user4"][0].append("zzz")
    photos = collection(histories)
    _, items = fold_of(photos)
    assert items.left_out == {"photos": 2, "users": 1}
    assert items.users == [1, 2, 3, 4, 5, 6, 7]
    gone = [photos.rows_of(0).start, photos.rows_of(2).start + 1]
    batch = batch_of(items)
    assert batch.rows.tolist() == sorted(set(range(len(photos))) - set(gone))
    images = torch.from_numpy(photos.features[batch.rows]).float()
    assert torch.equal(batch.history_images[batch.mask], images)

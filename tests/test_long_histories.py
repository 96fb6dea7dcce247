"""A user of 50,000 photos, a photo of 10,000 hashtags: nothing grows faster than they do."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from bounded import bounded
from helpers import (
    OTHER_USERS,
    TRAIN_USERS,
    WORDS,
    batch_of,
    collection,
    fold_of,
    tiny_config,
    tiny_fold,
    tiny_model,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from hashtag_core.data import loading
from hashtag_core.data.histories import Batch, UserHistories
from hashtag_core.data.loading import batches
from hashtag_core.errors import InputError
from hashtag_core.evaluation import image_retrieval, ranking, reduced_histories
from hashtag_core.evaluation.baselines import repeat_recent
from hashtag_core.evaluation.image_retrieval import evaluate_retrieval, make_pool
from hashtag_core.evaluation.metrics import evaluate
from hashtag_core.evaluation.ranking import model_ranker
from hashtag_core.evaluation.reduced_histories import last_photos
from hashtag_core.model import joint_embedding, user_encoders
from hashtag_core.model.joint_embedding import HashtagModel
from hashtag_core.training import loop
from hashtag_core.training.checkpoints import Checkpoint
from hashtag_core.training.loop import fit
from hashtag_core.training.state import TrainConfig

CPU = torch.device("cpu")
LONG_USER = """
import numpy as np, torch
from hashtag_core.data.histories import Batch

def long_history(users=(50_000,), hashtags=3_000, most=12, many=10_000, d_i=4):
    rng, photos = np.random.default_rng(0), sum(users)
    sizes = rng.integers(1, most, photos)
    sizes[[photos // 3, photos // 2]] = many  # two photos with so many hashtags
    ids = [rng.choice(max(hashtags, n), n, replace=False, shuffle=False) if n == many
           else np.unique((hashtags * rng.random(n) ** 3).astype(int)) for n in sizes]
    mask = torch.arange(max(users)) < torch.tensor(users)[:, None]
    images = torch.zeros(*mask.shape, d_i)
    counts = torch.tensor([0, *map(len, ids)])
    return Batch(
        history_images=images, query_images=images, mask=mask,
        hashtag_ids=torch.from_numpy(np.concatenate(ids)), hashtag_offsets=counts.cumsum(0),
        rows=torch.arange(photos), users=torch.arange(len(users)),
        predict=torch.ones(photos, dtype=torch.bool),
    )
"""


# --- repeat recent ---


def batch_with(histories: list[list[list[int]]]) -> Batch:
    """A batch of users with these hashtags on their photos, and nothing else."""
    photos = [ids for photos in histories for ids in photos]
    lengths = torch.tensor([len(photos) for photos in histories])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    images = torch.zeros(*mask.shape, 0)
    return Batch(
        history_images=images,
        query_images=images,
        mask=mask,
        hashtag_ids=torch.tensor([i for ids in photos for i in ids], dtype=torch.long),
        hashtag_offsets=torch.tensor([0, *map(len, photos)]).cumsum(0),
        rows=torch.arange(len(photos)),
        users=torch.arange(len(histories)),
        predict=torch.ones(len(photos), dtype=torch.bool),
    )


def by_exact_sums(histories: list[list[list[int]]], candidates: range, k: int) -> list[list[int]]:
    """The weights as they stand in the docstring, in exact fractions, kept from photo to photo."""
    ranked = []
    for photos in histories:
        weights = dict.fromkeys(candidates, Fraction(0))
        for ids in photos:
            best = sorted(candidates, key=lambda i: (-weights[i], i))[:k]
            ranked.append(best + [-1] * (k - len(best)))
            weights = {i: weight / 2 + (i in ids) for i, weight in weights.items()}
    return ranked


HASHTAG = st.integers(0, 11)
PHOTO = st.lists(HASHTAG, min_size=1, max_size=5, unique=True)
RUNS = st.lists(st.tuples(PHOTO, st.sampled_from([1, 1, 1, 2, 30, 60])), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(
    runs=st.lists(RUNS, min_size=1, max_size=3),
    start=st.integers(0, 12),
    size=st.integers(0, 14),
    k=st.integers(1, 16),
)
def test_repeat_recent_is_in_the_order_of_the_exact_sums(runs, start, size, k):
    # photos that repeat 30 and 60 times: the sums of two hashtags differ first far beyond 53 bits
    histories = [[photo for photo, times in user for _ in range(times)] for user in runs]
    candidates = range(start, start + size)
    ranked = repeat_recent(batch_with(histories), candidates, k)
    assert ranked.tolist() == by_exact_sums(histories, candidates, k)


def test_two_sums_that_differ_in_the_500th_binary_digit_only():
    photos = [[7], [3, 7]] + [[3, 7]] * 498 + [[1]]  # 7 was on one photo more, the oldest
    ranked = repeat_recent(batch_with([photos, photos[1:]]), range(10), 3)
    assert ranked[len(photos) - 1].tolist() == [7, 3, 0]
    assert ranked[-1].tolist() == [3, 7, 0]  # without it they are alike: the more frequent one


def test_repeat_recent_reads_50_000_photos_in_seconds_and_little_memory():
    program = LONG_USER + (
        "from hashtag_core.evaluation.baselines import repeat_recent\n"
        "batch = long_history()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "start = time.perf_counter()\n"
        "ranked = repeat_recent(batch, range(10_000), 10)\n"
        "assert ranked.shape == (50_000, 10)\n"
    )
    ran = bounded(program=program, imports=("torch",))
    assert ran.seconds < 60  # 3 s on a machine that does nothing else
    assert ran.megabytes < 200


# --- who is padded to whose length ---


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_long_history_stands_alone_in_its_batch(monkeypatch, size, processes):
    monkeypatch.setattr(loading, "LONG", 4)
    _, _, histories = tiny_fold()
    lengths = [len(rows) for rows in histories.rows]
    assert lengths == [1, 4, 5, 6, 3, 4, 5, 6]
    parts = [batches(histories, size, rank=r, processes=processes) for r in range(processes)]
    made = [batch.users.tolist() for part in parts for batch in part]
    assert [len(part) for part in parts] == [len(list(part)) for part in parts]
    together = [[0, 1], [2], [3], [4, 5], [6], [7]]  # at most two stand side by side
    assert sorted(made) == ([[u] for u in range(8)] if size == 1 else together)


@pytest.mark.parametrize("photos", [0, 1, 3, 9])
def test_predictions_from_the_last_photos_are_the_same_part_by_part(monkeypatch, photos):
    _, hashtags, histories = tiny_fold()
    users, batch = last_photos(tiny_model(), photos), batch_of(histories)
    with torch.no_grad():
        whole = users(batch, hashtags.psi)
        monkeypatch.setattr(reduced_histories, "LONG", 2)
        torch.testing.assert_close(users(batch, hashtags.psi), whole)


def test_where_no_history_is_long_the_batches_are_full():
    _, _, histories = tiny_fold()
    made = [batch.users.tolist() for batch in batches(histories, 3)]
    assert made == [[0, 1, 2], [3, 4, 5], [6, 7]]


# --- many photos, many hashtags: in parts ---


def fold_and_model():
    photos, hashtags, histories = tiny_fold()
    return photos, hashtags, histories, tiny_model()


@pytest.mark.parametrize("at_a_time", [1, 5, 33])
def test_rankings_and_queries_do_not_depend_on_how_many_photos_go_together(monkeypatch, at_a_time):
    _, hashtags, histories, model = fold_and_model()
    batch, candidates = batch_of(histories), hashtags.candidates("all")
    rank = model_ranker(model, hashtags, CPU)
    queries, best = model(batch, hashtags.psi), rank(batch, candidates, 50)
    monkeypatch.setattr(joint_embedding, "PHOTOS", at_a_time)
    monkeypatch.setattr(ranking, "PHOTOS", at_a_time)
    torch.testing.assert_close(model(batch, hashtags.psi), queries)
    assert torch.equal(rank(batch, candidates, 50), best)


@pytest.mark.parametrize("encoder", ["used hashtags", "hashtag occurrences", "hashtag sum", "GRU"])
def test_sums_over_hashtags_and_their_gradients_are_the_same_in_parts(monkeypatch, encoder):
    _, hashtags, histories = tiny_fold()
    torch.manual_seed(0)
    model = HashtagModel(tiny_config(encoder=encoder, num_hashtags=len(hashtags)))
    batch = batch_of(histories)

    def users_and_gradients():
        psi = hashtags.psi.clone().requires_grad_()
        users = model.users(batch, psi)
        leaves = [psi, *model.user_encoder.parameters()]
        return users, torch.autograd.grad(users.sin().sum(), leaves, allow_unused=True)

    users, gradients = users_and_gradients()
    monkeypatch.setattr(user_encoders, "CHUNK", 7)
    again, gradients_again = users_and_gradients()
    assert torch.equal(again, users)
    for one, other in zip(gradients, gradients_again, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other)


def test_image_retrieval_is_the_same_for_a_few_hashtags_at_a_time(monkeypatch):
    _, hashtags, histories, model = fold_and_model()
    pool = make_pool(histories)
    assert max(map(len, pool.asks)) >= 3
    whole = evaluate_retrieval(model, hashtags, pool, CPU)
    asked = []
    monkeypatch.setattr(
        image_retrieval,
        "picture_scores",
        lambda *a, _=image_retrieval.picture_scores: asked.append(len(a[-1])) or _(*a),
    )
    monkeypatch.setattr(image_retrieval, "SCORES", 2 * len(pool.images))
    assert evaluate_retrieval(model, hashtags, pool, CPU) == whole
    assert max(asked) == 2 and sum(asked) == 3 * sum(map(len, pool.asks))  # three readings


RANK = """
from types import SimpleNamespace
from hashtag_core.evaluation.ranking import model_ranker
rank = model_ranker(model, SimpleNamespace(psi=psi), torch.device("cpu"))
assert rank(long_history(), range(2_000), 10).shape == (50_000, 10)
"""


def test_ranking_50_000_photos_takes_little_memory():
    program = LONG_USER + (
        "from hashtag_core.model.joint_embedding import HashtagModel, ModelConfig\n"
        "torch.set_num_threads(1)\n"
        "sizes = dict(d_i=4, d_v=4, d_w=4, d_x=4, d_u=4, d_c=4, d=4, rank=2)\n"
        "model, psi = HashtagModel(ModelConfig(**sizes)), torch.randn(10_000, 4)\n"
    )
    ran = bounded(program=program + RANK, imports=("torch", "hashtag_core.prediction"))
    assert ran.megabytes < 400


# --- learning from long histories ---


def long_and_short() -> dict[str, list[list[str]]]:
    photos = [[WORDS[i % 30], WORDS[i * i % 30 + 1]] for i in range(60)]
    return {"user0": photos[:25], "user1": photos[25:30], "user2": photos[30:34]} | {
        f"user{u}": photos[8 * u : 8 * u + 4] for u in range(3, 7)
    }


def test_pieces_are_all_photos_in_order_and_a_user_weighs_what_another_weighs():
    _, histories = fold_of(collection(long_and_short()), range(7))
    pieces = histories.at_most(10)
    assert pieces.users == [0, 0, 0, 1, 2, 3, 4, 5, 6]
    assert [len(rows) for rows in pieces.rows] == [9, 8, 8, 5, 4, 4, 4, 4, 4]
    assert np.concatenate(pieces.rows).tolist() == np.concatenate(histories.rows).tolist()
    weights = torch.cat([batch.photo_weights() for batch in batches(pieces, 1)])
    of_user = torch.tensor([weights[rows].sum() for rows in histories.rows])
    torch.testing.assert_close(of_user, torch.full((7,), 9 / 7))  # 9 pieces, 7 users
    torch.testing.assert_close(weights[histories.rows[0]], torch.full((25,), 9 / 7 / 25))
    assert sum(pieces.weights) == pytest.approx(len(pieces))  # as of users: Equation 9


def test_photos_that_are_history_alone_do_not_count_in_the_weight_of_a_piece():
    photos = collection(long_and_short())
    hashtags, _ = fold_of(photos, range(7))
    predict = np.ones(len(photos), dtype=bool)
    predict[:15] = False  # of the first user's 25
    pieces = UserHistories(photos, hashtags, range(7), predict=predict).at_most(10)
    assert pieces.weights[:3] == pytest.approx([0, 9 / 7 * 2 / 10, 9 / 7 * 8 / 10])


def test_histories_that_are_not_long_stay_as_they_are():
    _, histories = fold_of(collection(long_and_short()), range(7))
    same = histories.at_most(25)
    assert same.users == histories.users and same.weights == histories.weights == [1.0] * 7
    assert all(map(np.array_equal, same.rows, histories.rows))


def trained(monkeypatch, capsys, folder=None, long=10, stop_after=None):
    """(weights, log, what was printed): `fit` on six users, where `long` photos are many."""
    monkeypatch.setattr(loop, "LONG", long)
    photos = collection(long_and_short())
    hashtags, histories = fold_of(photos, range(7))
    torch.manual_seed(0)

    def stop(model, log):
        if len(log) == stop_after:
            raise KeyboardInterrupt

    model, log = fit(
        HashtagModel(tiny_config()),
        histories.only(range(5)),
        histories.only([5, 6]),
        hashtags,
        TrainConfig(epochs=4, learning_rate=1e-2, users_per_batch=2),
        folder=folder,
        device="cpu",
        on_epoch=stop,
    )
    return model.state_dict(), log, capsys.readouterr().out


def test_training_reads_a_long_history_in_pieces_and_says_so(monkeypatch, capsys):
    lengths = []
    monkeypatch.setattr(
        loop, "train_step", lambda *a, _=loop.train_step: lengths.append(a[2].mask.shape) or _(*a)
    )
    _, log, out = trained(monkeypatch, capsys)
    assert max(photos for _, photos in lengths) == 9 and len(lengths) == 4 * 4  # 7 items, 2 a batch
    assert "1 training user(s) of more than 10 photos: learned from in pieces" in out
    assert len(log) == 4
    _, _, out = trained(monkeypatch, capsys, long=25)
    assert "pieces" not in out


def test_a_training_in_pieces_goes_on_as_if_it_had_not_been_stopped(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(Checkpoint, "due", lambda self: self.path is not None)
    weights, log, _ = trained(monkeypatch, capsys)
    with pytest.raises(KeyboardInterrupt):
        trained(monkeypatch, capsys, tmp_path, stop_after=2)
    again, log_again, out = trained(monkeypatch, capsys, tmp_path)
    assert "goes on in epoch" in out and log_again == log
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_validation_reads_a_long_history_whole_and_alone(monkeypatch):
    monkeypatch.setattr(loading, "LONG", 10)
    _, histories = fold_of(collection(long_and_short()), range(7))
    hashtags = fold_of(collection(long_and_short()), range(7))[0]
    ranker = model_ranker(tiny_model(), hashtags, CPU)
    shapes = [batch.mask.shape for batch in batches(histories, 16)]
    assert shapes == [(1, 25), (6, 5)]
    alone = evaluate(ranker, batches(histories, 16), hashtags, ("seen",))
    monkeypatch.setattr(loading, "LONG", 100)
    assert evaluate(ranker, batches(histories, 16), hashtags, ("seen",)) == alone


# --- a loss that is not finite ---


def test_a_loss_that_is_not_finite_is_not_blamed_on_the_learning_rate_alone():
    photos, hashtags, _ = tiny_fold()
    hashtags.psi[3] = torch.inf
    train, valid = (UserHistories(photos, hashtags, users) for users in (TRAIN_USERS, OTHER_USERS))
    with pytest.raises(InputError, match="huge numbers among the features and the word vectors"):
        fit(
            HashtagModel(tiny_config()), train, valid, hashtags, TrainConfig(epochs=1), device="cpu"
        )

"""User retrieval: metrics with a known answer and by naive loops, and the histories it is about."""

import math

import numpy as np
import pytest
import torch
from helpers import ONE_PHOTO_USER, batch_of, tiny_config, tiny_fold, tiny_model

from hashtag_core.data.histories import UserHistories
from hashtag_core.evaluation import user_retrieval
from hashtag_core.evaluation.user_retrieval import (
    hashtag_vectors,
    pieces_of,
    represent,
    retrieval_metrics,
)
from hashtag_core.model.joint_embedding import ENCODERS, HashtagModel


@pytest.fixture(scope="module")
def fold():
    return tiny_fold()


def directions(*degrees):
    radians = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([radians.cos(), radians.sin()], dim=1)


def metrics_of(vectors, users, ks=(1, 10)):
    return retrieval_metrics(vectors, torch.tensor(users), ks)


def naive(vectors, users, ks):
    """Sort all others by falling cosine, then by index; find the first of the same user."""
    rows, ranks = vectors.double().tolist(), []

    def length(x):
        return math.sqrt(sum(value * value for value in x))

    def cosine(x, y):
        dot = sum(a * b for a, b in zip(x, y, strict=True))
        return dot / (length(x) * length(y)) if length(x) * length(y) else 0.0

    for q, query in enumerate(rows):
        others = [r for r in range(len(rows)) if r != q]
        order = sorted(others, key=lambda r: (-round(cosine(query, rows[r]), 9), r))
        places = [place for place, r in enumerate(order, 1) if users[r] == users[q]]
        if places:
            ranks.append(places[0])
    found = {f"A@{k}": 100 * sum(rank <= k for rank in ranks) / len(ranks) for k in ks}
    ranks.sort()
    middle = (ranks[(len(ranks) - 1) // 2] + ranks[len(ranks) // 2]) / 2
    return {**found, "MR": middle, "queries": len(ranks), "users": len(set(users))}


# --- by hand ---


def test_ranks_by_hand():
    result = metrics_of(directions(0, 10, 12, 50), [0, 0, 1, 1], ks=(1, 2, 3))
    # 0: 10 is nearest: 1.  10: 12, 0: 2.  12: 10, 0, 50: 3.  50: 12 is nearest: 1.
    assert result == {"A@1": 50, "A@2": 75, "A@3": 100, "MR": 1.5, "queries": 4, "users": 2}


def test_of_an_odd_number_of_ranks_the_middle_one_is_the_median():
    result = metrics_of(directions(0, 1, 40, 3, 50), [0, 0, 0, 1, 1], ks=(1, 2))
    # 0: 1: 1.  1: 0: 1.  40: 50, 3, 1: 3.  3: 1, 0, 40, 50: 4.  50: 40, 3: 2.
    assert result == {"A@1": 40, "A@2": 60, "MR": 2, "queries": 5, "users": 2}


def test_where_a_user_is_always_nearest_to_himself_everything_is_perfect():
    result = metrics_of(directions(0, 1, 2, 90, 91, 180, 181), [4, 4, 4, 7, 7, 9, 9])
    assert result == {"A@1": 100, "A@10": 100, "MR": 1, "queries": 7, "users": 3}


def test_it_is_the_best_of_a_users_other_representations_that_counts():
    result = metrics_of(directions(0, 180, 3, 1), [0, 0, 0, 1], ks=(1, 2))
    # 0: 1, 3: 2.  180: 3: 1.  3: 1, 0: 2.  (1 is no query)
    assert result["A@1"] == pytest.approx(100 / 3) and result["A@2"] == 100


def test_ties_go_to_the_lower_index():
    result = metrics_of(torch.ones(4, 2), [0, 1, 0, 1], ks=(1, 2, 3))
    # 0: (1,) 2: 2.  1: (0, 2,) 3: 3.  2: 0: 1.  3: (0,) 1: 2.
    assert result == {"A@1": 25, "A@2": 75, "A@3": 100, "MR": 2, "queries": 4, "users": 2}


def test_a_zero_vector_has_the_cosine_0_with_everything():
    vectors = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    result = metrics_of(vectors, [0, 0, 1, 1], ks=(1, 2, 3))
    # zero: all tie, 1: 1.  right: zero and up tie, zero: 1.  left: zero, up: 2.  up: 0, 1, 2: 3.
    assert result == {"A@1": 50, "A@2": 75, "A@3": 100, "MR": 1.5, "queries": 4, "users": 2}


def test_where_all_vectors_are_zero_nothing_is_nan():
    result = metrics_of(torch.zeros(4, 3), [0, 0, 1, 1], ks=(1,))
    assert result == {"A@1": 50, "MR": 2, "queries": 4, "users": 2}  # the ranks are 1, 1, 3, 3


def test_a_user_with_one_representation_is_no_query_but_stands_in_the_way():
    result = metrics_of(directions(0, 20, 5), [0, 0, 1])
    assert result == {"A@1": 0, "A@10": 100, "MR": 2, "queries": 2, "users": 2}


def test_where_nobody_has_two_representations_there_is_no_number():
    result = metrics_of(directions(0, 20, 5), [0, 1, 2])
    assert result["queries"] == 0
    assert math.isnan(result["A@1"]) and math.isnan(result["MR"])


def test_the_length_of_a_vector_does_not_matter():
    vectors, users = random_vectors(30)
    scale = torch.tensor([2.0**n for n in range(-15, 15)])[:, None]  # without rounding
    assert metrics_of(vectors * scale, users) == metrics_of(vectors, users)


# --- random data ---


def random_vectors(number, size=6, seed=0):
    """Vectors that lie about their user's direction; some users have one alone."""
    generator = torch.Generator().manual_seed(seed)
    users = torch.randint(0, number // 3, (number,), generator=generator)
    centres = torch.randn(number, size, generator=generator, dtype=torch.float64)
    noise = torch.randn(number, size, generator=generator, dtype=torch.float64)
    return centres[users] + noise, users.tolist()


@pytest.mark.parametrize("chunk", [1, 7, 40, 512])
def test_random_data_give_what_a_naive_loop_gives_in_chunks_of_any_size(monkeypatch, chunk):
    monkeypatch.setattr(user_retrieval, "CHUNK", chunk)
    vectors, users = random_vectors(41)
    ours = metrics_of(vectors, users, ks=(1, 2, 5, 10))
    assert ours == pytest.approx(naive(vectors, users, ks=(1, 2, 5, 10)))
    assert 0 < ours["A@1"] < ours["A@5"] < 100  # it is neither trivial nor hopeless


@pytest.mark.parametrize("chunk", [3, 512])
def test_ties_across_chunks_go_to_the_lower_index(monkeypatch, chunk):
    monkeypatch.setattr(user_retrieval, "CHUNK", chunk)
    generator = torch.Generator().manual_seed(0)
    vectors = torch.eye(3)[torch.randint(0, 3, (20,), generator=generator)]
    vectors[[4, 11]] = 0.0
    users = torch.randint(0, 6, (20,), generator=generator).tolist()
    assert metrics_of(vectors, users, ks=(1, 3)) == pytest.approx(naive(vectors, users, (1, 3)))


@pytest.mark.parametrize("chunk", [7, 512])
def test_sparse_vectors_give_what_the_same_dense_ones_give(monkeypatch, chunk):
    monkeypatch.setattr(user_retrieval, "CHUNK", chunk)
    generator = torch.Generator().manual_seed(0)
    dense = torch.randint(-5, 4, (40, 12), generator=generator).clamp(min=0).double()
    dense[[3, 17]] = 0.0
    users = torch.randint(0, 12, (40,), generator=generator).tolist()
    result = metrics_of(dense.to_sparse(), users)
    assert result == metrics_of(dense, users)
    assert result == pytest.approx(naive(dense, users, ks=(1, 10)))


# --- the histories ---


@pytest.mark.parametrize("size", [1, 2, 3, 4, 6, 7])
def test_pieces_are_of_one_size_in_time_order_and_do_not_overlap(fold, size):
    photos, _, histories = fold
    pieces = histories.in_pieces(size)
    expected = []
    for user in range(8):
        rows = range(photos.rows_of(user).start, photos.rows_of(user).stop)
        while len(rows) >= size:
            expected.append((user, list(rows[:size])))
            rows = rows[size:]
    ours = [(piece["user"], piece["rows"].tolist()) for piece in pieces]
    assert ours == expected
    used = [row for _, rows in ours for row in rows]
    assert len(used) == len(set(used)) and used == sorted(used)


def test_cutting_into_pieces_leaves_the_histories_as_they_were(fold):
    _, _, histories = fold
    users, rows = list(histories.users), [own.tolist() for own in histories.rows]
    pieces_of(histories, 2)
    assert histories.users == users and [own.tolist() for own in histories.rows] == rows


def test_pieces_are_cut_from_the_photos_that_are_left(fold):
    photos, hashtags, _ = fold
    keep = np.arange(len(photos)) % 2 == 0
    for piece in UserHistories(photos, hashtags, range(8), keep).in_pieces(2):
        first, second = piece["rows"].tolist()
        assert second == first + 2 and first % 2 == 0


def test_a_piece_holds_the_hashtags_and_pictures_of_its_photos(fold):
    photos, hashtags, histories = fold
    for piece in histories.in_pieces(2):
        names = [name for row in piece["rows"] for name in photos.hashtags_of(row)]
        assert [hashtags.names[i] for i in piece["hashtag_ids"]] == names
        assert np.array_equal(piece["history_images"], photos.features[piece["rows"]])


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_only_users_with_two_pieces_are_searched_for(fold, size):
    _, _, histories = fold
    num_photos = {user: len(rows) for user, rows in enumerate(histories.rows)}
    expected = [user for user, n in num_photos.items() if n // size >= 2 for _ in range(n // size)]
    pieces = pieces_of(histories, size)
    assert pieces.users == expected
    assert ONE_PHOTO_USER not in pieces.users
    whole = {tuple(rows.tolist()) for rows in histories.in_pieces(size).rows}
    assert {tuple(rows.tolist()) for rows in pieces.rows} <= whole


def test_where_nobody_has_two_pieces_there_are_none(fold):
    assert len(pieces_of(fold[2], 5)) == 0


# --- the representations ---


@pytest.mark.parametrize("binary", [True, False])
def test_hashtag_vectors_count_the_hashtags_of_each_history(fold, binary):
    photos, hashtags, histories = fold
    pieces = histories.in_pieces(3)
    vectors = hashtag_vectors(pieces, len(hashtags), binary)
    assert vectors.is_sparse and vectors.shape == (len(pieces), len(hashtags))
    expected = [[0.0] * len(hashtags) for _ in range(len(pieces))]
    for vector, rows in zip(expected, pieces.rows, strict=True):
        for row in rows:
            for name in photos.hashtags_of(row):
                i = hashtags.names.index(name)
                vector[i] = 1.0 if binary else vector[i] + 1.0
    assert vectors.to_dense().tolist() == expected
    assert vectors.to_dense().max() == (1 if binary else 3)


@pytest.mark.parametrize("encoder", ENCODERS)
@torch.inference_mode()
def test_a_history_is_represented_by_the_state_after_its_last_photo(fold, encoder):
    _, hashtags, histories = fold
    torch.manual_seed(0)
    model = HashtagModel(tiny_config(encoder=encoder, num_hashtags=len(hashtags), num_users=8))
    pieces = histories.in_pieces(1 if encoder == "GRU" else 2)  # 34 of them; 14: one batch or more
    vectors = represent(model, pieces, hashtags.psi)
    assert vectors.shape == (len(pieces), model.user_encoder.d_u)
    for number, vector in enumerate(vectors):
        states = model.user_encoder(batch_of(pieces, number), hashtags.psi)
        torch.testing.assert_close(vector, states[0, -1])


@torch.inference_mode()
def test_the_last_photo_of_a_history_is_read_and_earlier_histories_are_not(fold):
    photos, hashtags, histories = fold
    model, pieces = tiny_model(), histories.in_pieces(2)
    vectors = represent(model, pieces, hashtags.psi)
    number = pieces.users.index(5) + 1  # the second history of a user
    rows = pieces.rows[number]
    batch = batch_of(pieces, number)
    sums = [
        hashtags.psi[ids].sum(dim=0)
        for ids in batch.hashtag_ids.split(batch.hashtag_offsets.diff().tolist())
    ]
    user = torch.zeros(1, 7)
    for t, row in enumerate(rows):
        image = torch.from_numpy(photos.features[row].astype(np.float32))
        user = model.user_encoder.update(user, image[None], sums[t][None])
    torch.testing.assert_close(vectors[number], user[0])


def test_represent_reads_learned_psi_where_there_is_one(fold):
    _, hashtags, histories = fold
    torch.manual_seed(0)
    config = tiny_config(learned_psi=True, num_hashtags=len(hashtags), encoder="hashtag sum")
    model, pieces = HashtagModel(config), histories.in_pieces(3)
    vectors = represent(model, pieces, torch.empty(len(hashtags), 0))  # a fixed vocabulary
    counts = hashtag_vectors(pieces, len(hashtags), binary=False)
    torch.testing.assert_close(vectors, counts.to_dense() @ model.learned_psi.weight.detach())
    assert not model.training and not vectors.requires_grad


def test_used_hashtags_are_found_again_among_users_who_share_none():
    users = [0, 0, 1, 1]
    vectors = torch.tensor([[2.0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [0, 0, 0, 3]])
    assert metrics_of(vectors.to_sparse(), users)["A@1"] == 100


# --- ties among representations that are equal but for rounding ---


@pytest.mark.parametrize("sparse", [False, True])
def test_ties_go_to_the_lower_index_also_where_rounding_parts_them(sparse):
    """Counts of few hashtags: many representations are multiples of each other."""
    for seed in range(300):
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randint(0, 3, (24, 5), generator=generator).float()
        rows = rows * torch.randint(1, 8, (24, 1), generator=generator)
        users = torch.randint(0, 6, (24,), generator=generator).tolist()
        found = metrics_of(rows.to_sparse() if sparse else rows, users, ks=(1, 2, 3))
        assert found == pytest.approx(naive(rows, users, (1, 2, 3))), seed

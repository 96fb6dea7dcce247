"""Every user encoder: its formula by naive loops in float64, and what all of them must keep to."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import (
    D_I,
    D_W,
    ONE_PHOTO_USER,
    batch_of,
    collection,
    tiny_config,
    tiny_fold,
    tiny_histories,
)
from test_formulas import close, dot, numbers

from hashtag_core.data.histories import UserHistories
from hashtag_core.errors import InputError
from hashtag_core.evaluation.reduced_histories import users_of_last_photos
from hashtag_core.model.baseline_encoders import HashtagCounts, UserVectors, first_uses
from hashtag_core.model.fusion import FUSIONS, ElementwiseProduct
from hashtag_core.model.joint_embedding import ENCODERS, HashtagModel, build_user_encoder
from hashtag_core.model.loss import softmax_loss
from hashtag_core.model.user_encoders import (
    CausalBlock,
    GRUEncoder,
    PoolingEncoder,
    TCNEncoder,
    hashtag_sums,
)
from hashtag_core.repository import repository_folder
from hashtag_core.training.runs import load_run

USER, T = 3, 6  # the user whose photos are changed has six of them
WITH_PAIRS = ["GRU", "mean pooling", "max pooling", "TCN"]
CASES = [(encoder, fusion) for encoder in WITH_PAIRS for fusion in FUSIONS] + [
    (encoder, "element-wise product") for encoder in ENCODERS if encoder not in WITH_PAIRS
]
FORGETS = ("none", "user vectors")  # the same user before every photo
each_case = pytest.mark.parametrize(("encoder", "fusion"), CASES)


def reads_pictures(case):
    encoder, fusion = case
    return encoder in WITH_PAIRS and fusion != "only hashtags"


@pytest.fixture(scope="module")
def fold():
    return tiny_fold()


def double(batch):
    images, queries = batch.history_images.double(), batch.query_images.double()
    return replace(batch, history_images=images, query_images=queries)


def make(encoder, fusion="element-wise product", seed=0, **parts):
    """One of `ENCODERS`, for the collection of `tiny_fold`, seeded and in float64."""
    torch.manual_seed(seed)
    config = tiny_config(num_hashtags=40, num_users=8, **parts)
    made = build_user_encoder(replace(config, encoder=encoder, fusion=fusion)).double().eval()
    if encoder == "user vectors":  # not all the same, as they are at first
        torch.nn.init.normal_(made.vectors)
    return made


def photos_of(batch):
    """[[the hashtag ids of each photo] for each user]."""
    photos = iter(batch.hashtag_ids.split(batch.hashtag_offsets.diff().tolist()))
    lengths = batch.mask.sum(dim=1).tolist()
    return [[next(photos).tolist() for _ in range(length)] for length in lengths]


def valid(batch, states):
    """[(N_u + 1, d_u) for each user]: the states that are not padding."""
    lengths = batch.mask.sum(dim=1).tolist()
    return [user[: n + 1] for user, n in zip(states, lengths, strict=True)]


# --- mean and max pooling ---


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_pooling_takes_the_mean_or_the_maximum_of_all_pairs_so_far(fold, pooling):
    _, hashtags, histories = fold
    batch, psi = double(batch_of(histories)), hashtags.psi.double()
    encoder = PoolingEncoder(D_I, D_W, 5, pooling, ElementwiseProduct(5)).double()
    pairs = encoder.pair(batch.history_images, hashtag_sums(batch, psi)).tolist()
    negative = False
    for b, states in enumerate(valid(batch, encoder(batch, psi))):
        close(states[0], [0.0] * 5)
        for t in range(1, len(states)):
            columns = [[pairs[b][s][j] for s in range(t)] for j in range(5)]
            expected = [max(c) if pooling == "max" else sum(c) / t for c in columns]
            close(states[t], expected)
            negative |= min(expected) < 0
    assert negative  # the zeros of the padding and of the first state would beat these


# --- the temporal convolutional network ---


def weights_of(convolution):
    """Weight normalisation: w = g v / |v| for each output channel."""
    normed = convolution.parametrizations.weight
    g, v = normed.original0, normed.original1
    return [
        (g[o].item() * v[o] / math.sqrt(sum(x * x for x in v[o].flatten().tolist()))).tolist()
        for o in range(len(v))
    ]


def causal_convolution(convolution, x, dilation):
    """x: T lists of d_in -> T lists of d_out, from x_{t - 2 dilation}, x_{t - dilation}, x_t."""
    weights, biases = weights_of(convolution), convolution.bias.tolist()
    out = []
    for t in range(len(x)):
        values = list(biases)
        for o, weight in enumerate(weights):
            for back, tap in ((2, 0), (1, 1), (0, 2)):
                s = t - back * dilation
                if s >= 0:
                    values[o] += sum(weight[i][tap] * x[s][i] for i in range(len(weight)))
        out.append([max(value, 0.0) for value in values])
    return out


def causal_block(block, x, dilation):
    h = causal_convolution(block.first, x, dilation)
    h = causal_convolution(block.second, h, dilation)
    skipped = x
    if len(x[0]) != len(h[0]):
        rows, biases = block.skip.weight[:, :, 0].tolist(), block.skip.bias.tolist()
        skipped = [[dot(row, y) + bias for row, bias in zip(rows, biases, strict=True)] for y in x]
    return [
        [max(a + b, 0.0) for a, b in zip(one, other, strict=True)]
        for one, other in zip(h, skipped, strict=True)
    ]


@pytest.mark.parametrize("d_pair", [3, 4])  # 3 needs a linear map around the first block
def test_the_tcn_is_five_blocks_of_two_causal_dilated_convolutions(d_pair):
    torch.manual_seed(0)
    encoder = TCNEncoder(D_I, D_W, d_pair, 4).double()
    x = numbers(2, 70, d_pair)
    ours = encoder.aggregate(x)  # (B, T, d_u)
    for b in range(2):
        expected = x[b].tolist()
        for i in range(5):
            expected = causal_block(encoder.blocks[i], expected, 2**i)
        close(ours[b], expected)
    assert len(encoder.blocks) == 5
    assert torch.count_nonzero(ours) > 0.2 * ours.numel()  # ReLU has not silenced it


def test_the_last_of_125_photos_back_matters_to_the_tcn_and_the_126th_does_not():
    torch.manual_seed(0)
    encoder = TCNEncoder(D_I, D_W, 3, 4).double()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.abs_().add_(0.5)  # nothing cancels, no ReLU is silent
    x = numbers(1, 140, 3).abs()
    changed = x.clone()
    changed[0, 5] += 10.0
    before, after = encoder.aggregate(x)[0], encoder.aggregate(changed)[0]
    reached = [t for t in range(140) if not torch.equal(before[t], after[t])]
    assert reached == list(range(5, 5 + 125))


# --- [C], [D], [E], [43] ---


@pytest.mark.parametrize("binary", [True, False])
def test_used_hashtags_and_occurrences_are_equations_10_and_11_times_a_matrix(fold, binary):
    _, hashtags, histories = fold
    batch, num_hashtags = double(batch_of(histories)), len(hashtags)
    encoder = HashtagCounts(num_hashtags, 7, binary).double()
    columns, repeated = encoder.columns.T.tolist(), False  # (d_u, V)
    states = valid(batch, encoder(batch, hashtags.psi.double()))
    for photos, user in zip(photos_of(batch), states, strict=True):
        u = [0.0] * num_hashtags
        close(user[0], [0.0] * 7)
        for t, ids in enumerate(photos):
            for i in ids:
                repeated |= u[i] > 0
                u[i] = 1.0 if binary else u[i] + 1.0
            close(user[t + 1], [dot(row, u) for row in columns])
    assert repeated


def test_first_uses_are_those_that_a_set_has_not_seen(fold):
    _, _, histories = fold
    batch = batch_of(histories, 3, 1, 3, 0, 6)  # a user twice counts as two users
    expected = []
    for photos in photos_of(batch):
        seen = set()
        for ids in photos:
            expected += [i not in seen for i in ids]
            seen.update(ids)
    assert first_uses(batch).tolist() == expected
    assert True in expected and False in expected


def test_the_matrix_of_hashtag_counts_starts_like_a_linear_layers():
    columns = HashtagCounts(400, 7, binary=True).columns
    assert columns.shape == (400, 7)
    assert 0.8 / 20 < columns.abs().max().item() <= 1 / 20  # uniform within 1 / sqrt(V)


def test_hashtag_sum_adds_up_psi_of_every_use(fold):
    _, hashtags, histories = fold
    batch, psi = double(batch_of(histories)), hashtags.psi.double()
    vectors = psi.tolist()
    for photos, user in zip(
        photos_of(batch), valid(batch, make("hashtag sum")(batch, psi)), strict=True
    ):
        total = [0.0] * D_W
        close(user[0], total)
        for t, ids in enumerate(photos):
            for i in ids:
                total = [x + y for x, y in zip(total, vectors[i], strict=True)]
            close(user[t + 1], total)


def test_a_user_vector_is_the_same_before_every_photo_and_the_users_own(fold):
    _, hashtags, histories = fold
    encoder = make("user vectors")
    batch = batch_of(histories, 5, 2, 7)
    states = encoder(batch, hashtags.psi)  # (B, T + 1, d_u)
    for b, user in enumerate((5, 2, 7)):
        assert all(torch.equal(state, encoder.vectors[user]) for state in states[b])


def test_user_vectors_follow_the_users_of_the_collection_and_not_the_items(fold):
    photos, hashtags, _ = fold
    encoder = make("user vectors")
    batch = batch_of(UserHistories(photos, hashtags, [6, 4]))
    assert torch.equal(encoder(batch, hashtags.psi)[:, 0], encoder.vectors[[6, 4]])


def test_training_moves_the_vectors_of_its_users_and_unknown_users_keep_1_over_d_u(fold):
    _, hashtags, histories = fold
    torch.manual_seed(0)
    model = HashtagModel(tiny_config(encoder="user vectors", num_users=8))
    vectors = model.user_encoder.vectors
    assert torch.equal(vectors, torch.full((8, 7), 1 / 7))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for users in ((1, 3), (4, 3), (1,)):
        batch = batch_of(histories, *users)
        targets = batch.draw_targets(torch.Generator().manual_seed(0))
        queries = model(batch, hashtags.psi)
        optimizer.zero_grad()
        softmax_loss(
            queries, hashtags.psi, model.phi_tag, targets, batch.photo_weights()
        ).backward()
        optimizer.step()
    moved = [not torch.equal(vector, torch.full((7,), 1 / 7)) for vector in vectors]
    assert moved == [user in (1, 3, 4) for user in range(8)]


def test_without_a_history_every_user_is_zero(fold):
    _, hashtags, histories = fold
    states = make("none")(batch_of(histories), hashtags.psi)
    assert states.shape == (8, 7, 7) and torch.count_nonzero(states) == 0


# --- the last photos alone ---


@pytest.mark.parametrize("fusion", ["element-wise product", "only hashtags"])
@pytest.mark.parametrize("photos_read", [0, 1, 2, 3, T - 1, T, T + 1, 100])
def test_the_user_of_the_last_photos_is_that_of_a_history_of_these_photos(
    fold, fusion, photos_read
):
    photos, hashtags, histories = fold
    encoder, psi = make("GRU", fusion), hashtags.psi.double()
    batch = double(batch_of(histories, USER))
    sums = hashtag_sums(batch, psi)[0]
    ours = users_of_last_photos(encoder, batch.history_images[0], sums, photos_read)
    assert ours.shape == (T, 7)
    first = photos.rows_of(USER).start
    for t in range(T):
        rows = list(range(first, first + t))[-photos_read:] if photos_read else []
        if not rows:
            assert torch.count_nonzero(ours[t]) == 0
            continue
        keep = np.isin(np.arange(len(photos)), rows)
        alone = batch_of(UserHistories(photos, hashtags, [USER], keep))
        assert alone.rows.tolist() == rows
        torch.testing.assert_close(ours[t], encoder(double(alone), psi)[0, -1])


def test_the_user_of_the_last_photos_of_a_user_with_one_photo_is_zero(fold):
    _, hashtags, histories = fold
    batch = double(batch_of(histories, ONE_PHOTO_USER))
    sums = hashtag_sums(batch, hashtags.psi.double())[0]
    ours = users_of_last_photos(make("GRU"), batch.history_images[0], sums, 3)
    assert ours.tolist() == [[0.0] * 7]


# --- what every encoder must keep to ---


@each_case
def test_a_user_has_a_state_after_0_to_t_photos_and_the_first_is_the_user_without(
    fold, encoder, fusion
):
    _, hashtags, histories = fold
    batch, made = double(batch_of(histories)), make(encoder, fusion)
    states = made(batch, hashtags.psi.double())
    assert states.shape == (8, T + 1, made.d_u)
    if encoder != "user vectors":
        assert torch.count_nonzero(states[:, 0]) == 0
    if encoder not in FORGETS:
        assert all(
            torch.count_nonzero(state) > 0 for state in states[batch.mask.sum(dim=1) == T, T]
        )


@each_case
@torch.inference_mode()
def test_a_photos_hashtags_change_no_user_before_it(fold, encoder, fusion):
    _, hashtags, histories = fold
    psi, made = hashtags.psi.double(), make(encoder, fusion)
    before = made(double(batch_of(histories)), psi)
    for t in range(T):
        changed = tiny_histories()
        changed["user3"][t] = ["sun", "gull"]
        items = UserHistories(collection(changed), hashtags, range(8))
        check_reach(before, made(double(batch_of(items)), psi), encoder, t, encoder not in FORGETS)


@each_case
@torch.inference_mode()
def test_a_picture_changes_no_user_before_it(fold, encoder, fusion):
    photos, hashtags, histories = fold
    psi, made = hashtags.psi.double(), make(encoder, fusion)
    reads = reads_pictures((encoder, fusion))
    before = made(double(batch_of(histories)), psi)
    for t in range(T):
        features = photos.features.copy()
        features[photos.rows_of(USER).start + t] *= -3
        items = UserHistories(replace(photos, features=features), hashtags, range(8))
        check_reach(before, made(double(batch_of(items)), psi), encoder, t, reads)


def check_reach(before, after, encoder, t, reads):
    """Photo t (from 0) changed: the users after 0 to t photos are the same, others may change."""
    others = torch.arange(8) != USER
    assert torch.equal(before[others], after[others])
    assert torch.equal(before[USER, : t + 1], after[USER, : t + 1])
    if not reads:
        assert torch.equal(before, after)
    elif encoder != "max pooling" or t == 0:  # a later photo need not hold any maximum
        assert not torch.allclose(before[USER, t + 1], after[USER, t + 1])


@pytest.mark.parametrize(("encoder", "fusion"), list(filter(reads_pictures, CASES)))
def test_no_gradient_comes_from_a_later_picture(fold, encoder, fusion):
    _, hashtags, histories = fold
    batch, made = double(batch_of(histories, USER)), make(encoder, fusion)
    images = batch.history_images.clone().requires_grad_()
    states = made(replace(batch, history_images=images), hashtags.psi.double())
    for t in range(1, T + 1):
        (gradient,) = torch.autograd.grad(states[0, t].sum(), images, retain_graph=True)
        assert torch.count_nonzero(gradient[0, t:]) == 0
        assert torch.count_nonzero(gradient[0, :t]) > 0


@each_case
def test_the_order_of_users_in_a_batch_is_that_of_their_states(fold, encoder, fusion):
    _, hashtags, histories = fold
    psi, made = hashtags.psi.double(), make(encoder, fusion)
    order = [5, 0, 7, 2, 1, 6, 4, 3]
    ours = valid(batch_of(histories), made(double(batch_of(histories)), psi))
    turned = batch_of(histories, *order)
    for user, states in zip(order, valid(turned, made(double(turned), psi)), strict=True):
        torch.testing.assert_close(states, ours[user])


@each_case
def test_a_user_in_a_batch_is_who_the_user_is_alone(fold, encoder, fusion):
    _, hashtags, histories = fold
    psi, made = hashtags.psi.double(), make(encoder, fusion)
    batch = double(batch_of(histories))
    for user, states in enumerate(valid(batch, made(batch, psi))):
        torch.testing.assert_close(made(double(batch_of(histories, user)), psi)[0], states)


@each_case
def test_what_stands_in_the_padding_changes_nothing(fold, encoder, fusion):
    _, hashtags, histories = fold
    psi, made = hashtags.psi.double(), make(encoder, fusion)
    batch = double(batch_of(histories))
    garbage = torch.where(batch.mask[..., None], batch.history_images, 1e4)
    dirty = replace(batch, history_images=garbage)
    for clean, other in zip(
        valid(batch, made(batch, psi)), valid(batch, made(dirty, psi)), strict=True
    ):
        assert torch.equal(clean, other)


@each_case
def test_gradients_reach_every_parameter(fold, encoder, fusion):
    _, hashtags, histories = fold
    torch.manual_seed(0)
    config = replace(tiny_config(num_hashtags=len(hashtags), num_users=8), encoder=encoder)
    model = HashtagModel(replace(config, fusion=fusion)).double()
    batch, psi = double(batch_of(histories)), hashtags.psi.double()
    targets = batch.draw_targets(torch.Generator().manual_seed(0))
    softmax_loss(model(batch, psi), psi, model.phi_tag, targets, batch.photo_weights()).backward()
    silent = {
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or parameter.grad.abs().max() < 1e-12
    }
    cancels = {"phi_tag.2.bias"}  # it adds the same q^T b to all hashtags of Equation 8
    assert silent - cancels == ({"g.W_u.weight"} if encoder == "none" else set())  # times u = 0


def test_gradients_reach_the_rows_of_the_batchs_hashtags_and_users_only(fold):
    _, hashtags, histories = fold
    batch = double(batch_of(histories, 4, 6))
    for binary in (True, False):
        counts = HashtagCounts(len(hashtags), 7, binary).double()
        counts(batch, hashtags.psi).square().sum().backward()
        reached = counts.columns.grad.abs().sum(dim=1).nonzero().flatten().tolist()
        assert reached == batch.hashtag_ids.unique().tolist()
    vectors = UserVectors(8, 7)
    vectors(batch, hashtags.psi).square().sum().backward()
    assert vectors.vectors.grad.abs().sum(dim=1).nonzero().flatten().tolist() == [4, 6]


# --- the model around them ---


@each_case
def test_the_model_predicts_each_photo_from_the_state_before_it(fold, encoder, fusion):
    _, hashtags, histories = fold
    torch.manual_seed(0)
    config = replace(tiny_config(num_hashtags=len(hashtags), num_users=8), encoder=encoder)
    model = HashtagModel(replace(config, fusion=fusion)).double().eval()
    batch, psi = double(batch_of(histories)), hashtags.psi.double()
    queries = model(batch, psi).split(batch.mask.sum(dim=1).tolist())
    for user, states in enumerate(valid(batch, model.user_encoder(batch, psi))):
        images = batch.query_images[user, : len(states) - 1]
        for t in range(len(states) - 1):
            anew = model.queries(images[t : t + 1], states[t : t + 1])
            torch.testing.assert_close(queries[user][t : t + 1], anew)


def test_names_make_the_encoders_they_name():
    kinds = {name: type(make(name)).__name__ for name in ENCODERS}
    assert kinds == {
        "GRU": "GRUEncoder",
        "mean pooling": "PoolingEncoder",
        "max pooling": "PoolingEncoder",
        "TCN": "TCNEncoder",
        "none": "NoHistory",
        "used hashtags": "HashtagCounts",
        "hashtag occurrences": "HashtagCounts",
        "hashtag sum": "HashtagSum",
        "user vectors": "UserVectors",
    }
    assert make("mean pooling").pooling == "mean" and make("max pooling").pooling == "max"
    assert make("used hashtags").binary and not make("hashtag occurrences").binary


def test_another_encoder_or_fusion_is_refused():
    with pytest.raises(ValueError, match="'LSTM': choose one of GRU, mean pooling"):
        build_user_encoder(tiny_config(encoder="LSTM"))
    with pytest.raises(ValueError, match="'mean': choose one of only hashtags"):
        build_user_encoder(tiny_config(fusion="mean"))


def test_learned_psi_takes_the_place_of_what_is_given(fold):
    _, hashtags, histories = fold
    torch.manual_seed(0)
    model = HashtagModel(tiny_config(learned_psi=True, num_hashtags=len(hashtags))).eval()
    learned = model.learned_psi.weight
    assert learned.shape == (len(hashtags), D_W)
    assert torch.equal(model.psi(hashtags.psi), learned)
    assert torch.equal(model.psi(hashtags.psi[:11]), learned[:11])  # the seen ones
    assert torch.equal(model.psi(torch.empty(len(hashtags), 0)), learned)  # no word vectors at all
    batch = batch_of(histories)
    psi = model.psi(hashtags.psi)
    targets = batch.draw_targets(torch.Generator().manual_seed(0))
    softmax_loss(model(batch, psi), psi, model.phi_tag, targets, batch.photo_weights()).backward()
    assert all(row.abs().sum() > 0 for row in learned.grad)


def test_without_learned_psi_the_given_vectors_are_used_and_nothing_is_learned_per_hashtag(fold):
    hashtags = fold[1]
    model = HashtagModel(tiny_config(num_hashtags=len(hashtags)))
    assert model.psi(hashtags.psi) is hashtags.psi
    assert model.learned_psi is None
    assert not any("psi" in name for name, _ in model.named_parameters())


def test_the_block_reaches_back_twice_its_dilation_twice():
    block = CausalBlock(2, 2, dilation=3).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.abs_().add_(0.5)
    x = numbers(1, 2, 20).abs()
    changed = x.clone()
    changed[0, :, 2] += 1
    moved = (block(x) != block(changed)).any(dim=1)[0].nonzero().flatten().tolist()
    assert moved == [2, 5, 8, 11, 14]


def test_a_gru_goes_on_photo_by_photo_as_it_goes_all_at_once(fold):
    _, hashtags, histories = fold
    psi, batch = hashtags.psi.double(), double(batch_of(histories, USER, 7))
    torch.manual_seed(0)
    encoder = GRUEncoder(D_I, D_W, 5, 7, ElementwiseProduct(5)).double()
    states, sums = encoder(batch, psi), hashtag_sums(batch, psi)
    users = states[:, 0]
    for t in range(4):  # both have that many photos
        users = encoder.update(users, batch.history_images[:, t], sums[:, t])
        torch.testing.assert_close(users, states[:, t + 1])


def test_an_encoder_that_is_none_is_one_line():
    class NoSize(torch.nn.Module):
        pass

    class Text(torch.nn.Module):
        d_u = "7"

    for wrong in (NoSize(), NoSize, object(), Text()):
        with pytest.raises(InputError, match="must be a torch module"):
            HashtagModel(tiny_config(), wrong)
    taken = type("GRU", (NoSize,), {"d_u": 7})
    with pytest.raises(InputError, match="a class 'GRU': ENCODERS has one of that name"):
        HashtagModel(tiny_config(), taken())


def test_a_run_of_a_known_encoder_takes_no_other_one():
    class Own(torch.nn.Module):
        d_u = 256

    folder = repository_folder("data/models") / "open-art"
    with pytest.raises(InputError, match="trained with 'GRU' of ENCODERS"):
        load_run(folder, Own())

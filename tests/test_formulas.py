"""The equations of the paper, each against a reference of plain Python loops in float64."""

import math
from dataclasses import replace

import pytest
import torch
from helpers import D_W, batch_of, tiny_fold, tiny_model
from torch import nn

from hashtag_core.model.fusion import ElementwiseProduct, Mutan
from hashtag_core.model.loss import softmax_loss
from hashtag_core.model.user_encoders import GRUEncoder, hashtag_sums

# --- the references: lists of floats in, lists of floats out ---


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def linear(layer, x):
    rows, biases = layer.weight.tolist(), layer.bias.tolist()
    return [dot(row, x) + bias for row, bias in zip(rows, biases, strict=True)]


def relu(x):
    return [max(value, 0.0) for value in x]


def selu(x):
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    return [scale * (value if value > 0 else alpha * (math.exp(value) - 1)) for value in x]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def layer_norm(layer, x):
    mean = sum(x) / len(x)
    std = math.sqrt(sum((value - mean) ** 2 for value in x) / len(x) + layer.eps)
    scale, shift = layer.weight.tolist(), layer.bias.tolist()
    return [s * (value - mean) / std + b for value, s, b in zip(x, scale, shift, strict=True)]


def mutan(layer, v, u):
    v = [math.tanh(value) for value in linear(layer.W_v, v)]
    u = [math.tanh(value) for value in linear(layer.W_u, u)]
    a, b = linear(layer.A, v), linear(layer.B, u)  # R d_c numbers each, one r after the other
    d_c = len(a) // layer.rank
    return [
        sum(a[r * d_c + j] * b[r * d_c + j] for r in range(layer.rank))  # (A_r v~)_j (B_r u~)_j
        for j in range(d_c)
    ]


def gru_step(gru, x, h):
    """Equation 5: reset gate r, update gate z, new state n, h_t = (1 - z) n + z h_{t-1}."""
    w_x, w_h = gru.weight_ih_l0.tolist(), gru.weight_hh_l0.tolist()
    b_x, b_h = gru.bias_ih_l0.tolist(), gru.bias_hh_l0.tolist()
    d_u, out = len(h), []
    for i in range(d_u):
        from_x = [dot(w_x[g * d_u + i], x) + b_x[g * d_u + i] for g in range(3)]
        from_h = [dot(w_h[g * d_u + i], h) + b_h[g * d_u + i] for g in range(3)]
        r, z = sigmoid(from_x[0] + from_h[0]), sigmoid(from_x[1] + from_h[1])
        n = math.tanh(from_x[2] + r * from_h[2])
        out.append((1 - z) * n + z * h[i])
    return out


def pair(encoder, image, hashtag_sum):
    """Equations 2 to 4 with the element-wise product."""
    x_im = selu(linear(encoder.f_im[1], layer_norm(encoder.f_im[0], image)))
    x_tag = selu(linear(encoder.f_tag[0], hashtag_sum))
    return [a * b for a, b in zip(x_im, x_tag, strict=True)]


def query(model, image, user):
    """The image side of Equation 7."""
    z = mutan(model.g, layer_norm(model.image_norm, image), user)
    return linear(model.phi_iu[1], relu(z))


def tag_side(model, vector):
    """The hashtag side of Equation 7."""
    return linear(model.phi_tag[2], relu(linear(model.phi_tag[0], vector)))


def close(ours, reference):
    reference = torch.tensor(reference, dtype=torch.float64)
    torch.testing.assert_close(ours.double(), reference, rtol=1e-9, atol=1e-10)


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def small():
    """A float64 model, the psi of all hashtags, and a batch of all users."""
    _, hashtags, histories = tiny_fold()
    batch = batch_of(histories)
    images = batch.history_images.double()
    batch = replace(batch, history_images=images, query_images=images)
    return tiny_model().double(), hashtags.psi.double(), batch


# --- Equations 2 to 6 ---


def test_the_elementwise_product_multiplies_component_by_component():
    a, b = numbers(3, 5, seed=1), numbers(3, 5, seed=2)
    ours = ElementwiseProduct(5)(a, b)
    close(ours, [[a[n, j].item() * b[n, j].item() for j in range(5)] for n in range(3)])


def test_selu_goes_before_the_elementwise_product_and_relu_before_the_others():
    product = GRUEncoder(6, 8, 5, 7, fusion=ElementwiseProduct(5))
    assert isinstance(product.f_im[-1], nn.SELU) and isinstance(product.f_tag[-1], nn.SELU)
    assert isinstance(GRUEncoder(6, 8, 5, 7).f_tag[-1], nn.ReLU)  # the hashtags alone
    assert Mutan.branch_activation is nn.ReLU


def test_mutan_is_the_sum_over_r_of_products():
    layer = Mutan(4, 6, 5, rank=3).double()
    v, u = numbers(2, 4, seed=1), numbers(2, 6, seed=2)
    close(layer(v, u), [mutan(layer, v[n].tolist(), u[n].tolist()) for n in range(2)])


def test_mutan_without_a_history_still_depends_on_the_image():
    layer, u = Mutan(4, 6, 5, rank=3), torch.zeros(2, 6)
    one, other = layer(torch.randn(2, 4), u)
    assert not torch.allclose(one, other)


def test_it_is_the_biases_that_keep_mutan_alive_without_a_history():
    layer = Mutan(4, 6, 5, rank=3)
    nn.init.zeros_(layer.W_u.bias)
    nn.init.zeros_(layer.B.bias)
    assert torch.count_nonzero(layer(torch.randn(2, 4), torch.zeros(2, 6))) == 0


def test_equation_3_sums_the_vectors_of_a_photos_hashtags(small):
    _, psi, batch = small
    sums = hashtag_sums(batch, psi)  # (B, T, d_w)
    n = 0
    for b, t in batch.mask.nonzero().tolist():  # the photos in the order of the hashtags
        expected = [0.0] * D_W
        for hashtag in range(batch.hashtag_offsets[n], batch.hashtag_offsets[n + 1]):
            vector = psi[batch.hashtag_ids[hashtag]].tolist()
            expected = [x + y for x, y in zip(expected, vector, strict=True)]
        close(sums[b, t], expected)
        n += 1
    assert n == len(batch.rows)
    assert torch.count_nonzero(sums[~batch.mask]) == 0  # the padding


def test_equations_2_to_4_make_an_image_hashtags_pair():
    encoder = GRUEncoder(6, 8, 5, 7, fusion=ElementwiseProduct(5)).double()
    images, sums = numbers(2, 6, seed=1), numbers(2, 8, seed=2)
    ours = encoder.pair(images, sums)
    close(ours, [pair(encoder, images[n].tolist(), sums[n].tolist()) for n in range(2)])


def test_equation_5_is_a_gru_that_starts_from_zero():
    encoder = GRUEncoder(6, 8, 5, 7).double()  # the hashtags alone
    sums = numbers(1, 4, 8)
    states = encoder.aggregate(encoder.pair(torch.zeros(1, 4, 6).double(), sums))[0]  # (T, d_u)
    h = [0.0] * 7
    for t in range(4):
        h = gru_step(encoder.gru, relu(linear(encoder.f_tag[0], sums[0, t].tolist())), h)
        close(states[t], h)  # what is known after t + 1 photos


# --- Equation 7, and the whole model ---


def test_equation_7_is_the_inner_product_of_both_sides(small):
    model, psi, _ = small
    images, users = numbers(3, 6, seed=1), numbers(3, 7, seed=2)
    ours = model.scores(model.queries(images, users), psi)  # (N, V)
    sides = [query(model, v.tolist(), u.tolist()) for v, u in zip(images, users, strict=True)]
    tags = [tag_side(model, vector.tolist()) for vector in psi]
    close(ours, [[dot(side, tag) for tag in tags] for side in sides])


def test_the_model_is_its_equations_one_after_the_other(small):
    model, psi, batch = small
    ours, expected, n = model(batch, psi), [], 0
    for b in range(len(batch.mask)):
        u = [0.0] * model.config.d_u
        for t in range(int(batch.mask[b].sum())):
            image = batch.history_images[b, t].tolist()
            expected.append(query(model, image, u))
            ids = batch.hashtag_ids[batch.hashtag_offsets[n] : batch.hashtag_offsets[n + 1]]
            x = pair(model.user_encoder, image, psi[ids].sum(dim=0).tolist())
            u = gru_step(model.user_encoder.gru, x, u)
            n += 1
    close(ours, expected)


# --- Equations 8 and 9 ---


def test_equation_9_is_the_mean_over_users_of_the_mean_over_their_photos(small):
    model, psi, batch = small
    targets = batch.draw_targets(torch.Generator().manual_seed(0))
    queries = model(batch, psi)
    ours = softmax_loss(queries, psi, model.phi_tag, targets, batch.photo_weights())
    scores, users, n = (queries @ model.phi_tag(psi).T).tolist(), [], 0
    for num_photos in batch.mask.sum(dim=1).tolist():  # they differ from user to user
        losses = []
        for _ in range(num_photos):
            p = math.exp(scores[n][targets[n]]) / sum(math.exp(f) for f in scores[n])  # Eq. 8
            losses.append(-math.log(p))
            n += 1
        users.append(sum(losses) / num_photos)
    assert ours.item() == pytest.approx(sum(users) / len(users), rel=1e-6)


def test_every_user_weighs_the_same_and_all_weights_sum_to_one(small):
    batch = small[2]
    weights = batch.photo_weights()
    assert weights.sum().item() == pytest.approx(1, abs=1e-6)
    expected = [1 / (8 * n) for n in batch.mask.sum(dim=1).tolist() for _ in range(n)]
    assert weights.tolist() == pytest.approx(expected)

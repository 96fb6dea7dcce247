"""Table 4's fusions, each against a naive loop in float64, and what all of them have in common."""

import pytest
import torch
from test_formulas import close, layer_norm, linear, mutan, numbers, relu, selu, sigmoid
from torch import nn

from hashtag_core.model.fusion import FUSIONS, build_fusion
from hashtag_core.model.user_encoders import GRUEncoder

D, RANK = 5, 3
PRODUCT = "element-wise product"
FUSING = [name for name in FUSIONS if name != "only hashtags"]
each_fusion = pytest.mark.parametrize("name", FUSING)


def with_random_weights(module):
    """In float64, and no parameter is left at 0 or 1, where a mistake might not show."""
    torch.manual_seed(0)
    for parameter in module.double().parameters():
        nn.init.normal_(parameter)
    return module


# --- the references: lists of floats in, lists of floats out ---


def glu(layer, a, b):
    """(W x + p) * sigmoid(V x + q): the layer holds W above V, and p above q."""
    both = linear(layer.W_and_V, a + b)  # `a + b` is the list [a; b]
    return [both[j] * sigmoid(both[D + j]) for j in range(D)]


def tirg(layer, a, b):
    """w_0 sigmoid(gate) * a + w_1 residual."""

    def network(parts):
        x = relu(layer_norm(parts[0], a + b))
        return linear(parts[4], relu(linear(parts[2], x)))

    gate, residual = network(layer.gate), network(layer.residual)
    w_0, w_1 = layer.w.tolist()
    return [w_0 * sigmoid(gate[j]) * a[j] + w_1 * residual[j] for j in range(D)]


NAIVE = {
    "sum": lambda layer, a, b: [a[j] + b[j] for j in range(D)],
    "concatenation": lambda layer, a, b: a + b,
    "bilinear": mutan,
    "GLU": glu,
    "TIRG": tirg,
    PRODUCT: lambda layer, a, b: [a[j] * b[j] for j in range(D)],
}


# --- each fusion ---


@each_fusion
def test_a_fusion_is_its_formula(name):
    layer = with_random_weights(build_fusion(name, D, RANK))
    a, b = numbers(4, D, seed=1), numbers(4, D, seed=2)
    close(layer(a, b), [NAIVE[name](layer, a[n].tolist(), b[n].tolist()) for n in range(4)])


@each_fusion
def test_a_pair_fuses_the_image_branch_with_the_hashtag_branch(name):
    encoder = with_random_weights(GRUEncoder(6, 8, D, 7, build_fusion(name, D, RANK)))
    images, sums = numbers(3, 6, seed=1), numbers(3, 8, seed=2)
    activation = selu if name == PRODUCT else relu
    expected = []
    for image, hashtag_sum in zip(images.tolist(), sums.tolist(), strict=True):
        x_im = activation(linear(encoder.f_im[1], layer_norm(encoder.f_im[0], image)))
        x_tag = activation(linear(encoder.f_tag[0], hashtag_sum))
        expected.append(NAIVE[name](encoder.fusion, x_im, x_tag))
    close(encoder.pair(images, sums), expected)


@each_fusion
def test_d_out_is_the_size_of_what_comes_out(name):
    layer = build_fusion(name, D, RANK)
    assert layer.d_out == (2 * D if name == "concatenation" else D)
    assert layer(torch.randn(2, 3, D), torch.randn(2, 3, D)).shape == (2, 3, layer.d_out)
    assert GRUEncoder(6, 8, D, 7, layer).gru.input_size == layer.d_out


@each_fusion
def test_branches_end_with_selu_before_the_product_and_with_relu_before_the_others(name):
    encoder = GRUEncoder(6, 8, D, 7, build_fusion(name, D, RANK))
    wanted = nn.SELU if name == PRODUCT else nn.ReLU
    assert type(encoder.f_im[-1]) is wanted
    assert type(encoder.f_tag[-1]) is wanted


@each_fusion
@pytest.mark.parametrize("training", [True, False])
def test_no_photo_changes_what_comes_out_for_another(name, training):
    layer = build_fusion(name, D, RANK).train(training)
    a, b = torch.randn(1, 6, D), torch.randn(1, 6, D)
    before = layer(a, b)
    for t in range(6):
        changed_a, changed_b = a.clone(), b.clone()
        changed_a[0, t], changed_b[0, t] = 100 * torch.randn(D), 100 * torch.randn(D)
        after = layer(changed_a, changed_b)
        others = torch.arange(6) != t
        assert torch.equal(before[0, others], after[0, others])
        assert not torch.allclose(before[0, t], after[0, t])


@each_fusion
def test_a_fusion_keeps_no_statistics(name):
    assert list(build_fusion(name, D, RANK).buffers()) == []


@each_fusion
def test_both_branches_reach_what_comes_out(name):
    layer = build_fusion(name, D, RANK)
    a, b = torch.randn(3, D, requires_grad=True), torch.randn(3, D, requires_grad=True)
    for gradient in torch.autograd.grad(layer(a, b).square().sum(), (a, b)):
        assert torch.count_nonzero(gradient) == gradient.numel()


# --- build_fusion ---


def test_the_names_are_the_rows_of_table_4():
    assert set(FUSIONS) == {
        "only hashtags",
        "sum",
        "concatenation",
        "bilinear",
        "GLU",
        "TIRG",
        "element-wise product",
    }


def test_only_hashtags_is_no_fusion_and_no_image_branch():
    assert build_fusion("only hashtags", D, RANK) is None
    encoder = GRUEncoder(6, 8, D, 7, None)
    assert not hasattr(encoder, "f_im") and encoder.d_pair == D
    sums = torch.randn(4, 8)
    assert torch.equal(encoder.pair(torch.randn(4, 6), sums), encoder.pair(torch.ones(4, 6), sums))


def test_the_rank_is_that_of_the_bilinear_fusion():
    assert build_fusion("bilinear", D, 2).rank == 2
    assert build_fusion("bilinear", D, 4).A.out_features == 4 * D


def test_another_name_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match="'Sum': choose one of only hashtags, sum, concatenation"):
        build_fusion("Sum", D, RANK)

"""The loss in chunks: loss and gradients equal the plain computation in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hashtag_core.model import loss as loss_module
from hashtag_core.model.loss import chunk_size, softmax_loss
from hashtag_core.model.products import fold, product

SIDES = {
    "folds": lambda d_w, d: nn.Sequential(nn.Linear(d_w, 7), nn.ReLU(), nn.Linear(7, d)),
    "folds, no bias": lambda d_w, d: nn.Sequential(nn.Linear(d_w, d, bias=False)),
    "does not fold": lambda d_w, d: nn.Sequential(nn.Linear(d_w, d), nn.Tanh()),
    "nothing": lambda d_w, d: nn.Identity(),
}


def plain(queries, psi, side, targets, weights):
    """Equation 8 and 9 as they stand, in float64."""
    log_p = (queries @ side(psi).T).log_softmax(dim=1)
    return -(weights * log_p[torch.arange(len(queries)), targets]).sum()


def make(photos, hashtags, d_w, d, side, seed, psi_learns):
    torch.manual_seed(seed)
    d = d_w if side == "nothing" else d
    queries = torch.randn(photos, d, dtype=torch.float64, requires_grad=True)
    psi = torch.randn(hashtags, d_w, dtype=torch.float64, requires_grad=psi_learns)
    side = SIDES[side](d_w, d).double()
    ids = torch.randint(hashtags, (photos,))
    return queries, psi, side, ids, torch.rand(photos, dtype=torch.float64)


def gradients(value, leaves):
    found = torch.autograd.grad(value, leaves, allow_unused=True, retain_graph=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)]


@settings(max_examples=150, deadline=None)
@given(
    photos=st.integers(1, 6),
    hashtags=st.integers(1, 40),
    d_w=st.integers(1, 5),
    d=st.integers(1, 5),
    side=st.sampled_from(sorted(SIDES)),
    chunk=st.integers(1, 50),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    psi_learns=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_loss_and_gradients_equal_the_plain_computation(
    photos, hashtags, d_w, d, side, chunk, dtype, psi_learns, seed
):
    exact = make(photos, hashtags, d_w, d, side, seed, psi_learns)
    expected = plain(*exact)
    leaves = [x for x in (exact[0], exact[1], *exact[2].parameters()) if x.requires_grad]
    wanted = gradients(expected, leaves)

    ours = make(photos, hashtags, d_w, d, side, seed, psi_learns)
    queries = ours[0].detach().to(dtype).requires_grad_()
    psi = ours[1].detach().to(dtype).requires_grad_(psi_learns)
    tag_side, weights = ours[2].to(dtype), ours[4].to(dtype)
    found = softmax_loss(queries, psi, tag_side, ours[3], weights, chunk)
    leaves = [x for x in (queries, psi, *tag_side.parameters()) if x.requires_grad]
    tolerance = (
        {"rtol": 1e-9, "atol": 1e-10} if dtype == torch.float64 else {"rtol": 1e-3, "atol": 1e-5}
    )
    torch.testing.assert_close(found.double(), expected, **tolerance)
    for again in range(2):  # the second backward pass as the first
        for ours_, theirs in zip(gradients(found, leaves), wanted, strict=True):
            torch.testing.assert_close(ours_.double(), theirs, **tolerance, msg=f"{again}")


@pytest.mark.parametrize("side", sorted(SIDES))
@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_gradcheck(side, chunk):
    queries, psi, tag_side, ids, weights = make(3, 11, 2, 3, side, 0, psi_learns=True)

    def f(queries, psi, *parameters):
        return softmax_loss(queries, psi, tag_side, ids, weights, chunk)

    assert torch.autograd.gradcheck(f, (queries, psi, *tag_side.parameters()))


def test_photos_that_share_a_target_each_count():
    queries, psi, side, _, weights = make(4, 9, 3, 2, "folds", 1, psi_learns=False)
    ids = torch.tensor([8, 8, 0, 8])
    loss = softmax_loss(queries, psi, side, ids, weights, chunk=2)
    torch.testing.assert_close(loss, plain(queries, psi, side, ids, weights))


def test_huge_scores_do_not_overflow():
    queries = torch.full((2, 1), 1e4, requires_grad=True)
    psi = torch.tensor([[1.0], [-1.0], [0.5]])
    loss = softmax_loss(queries, psi, nn.Identity(), torch.tensor([0, 1]), torch.ones(2), chunk=1)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(2e4)
    torch.testing.assert_close(queries.grad, torch.tensor([[0.0], [2.0]]))


def test_half_precision_keeps_small_gradients():
    """Under bfloat16 autocast sums are float32; a photo's small weight is no underflow."""
    torch.manual_seed(0)
    side = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6))
    queries, psi = torch.randn(5, 6, requires_grad=True), torch.randn(300, 4)
    ids, weights = torch.randint(300, (5,)), torch.full((5,), 1e-9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = softmax_loss(queries, psi, side, ids, weights, chunk=64)
    assert loss.dtype == torch.float32
    found = torch.autograd.grad(loss, [queries, *side[:1].parameters()])
    wanted = torch.autograd.grad(
        plain(queries, psi, side, ids, weights), [queries, *side[:1].parameters()]
    )
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == torch.float32
        assert (ours - theirs).norm() < 0.03 * theirs.norm()


def test_no_more_than_a_chunk_goes_through_the_tag_side():
    sizes = []

    class Watched(nn.Linear):
        def forward(self, psi):
            sizes.append(len(psi))
            return super().forward(psi)

    side = nn.Sequential(Watched(3, 4), nn.ReLU(), nn.Linear(4, 2))
    queries = torch.randn(3, 2, requires_grad=True)
    softmax_loss(queries, torch.randn(50, 3), side, torch.zeros(3).long(), torch.ones(3), chunk=8)
    assert max(sizes) == 8 and sum(sizes) == 2 * 50  # once for the normaliser, once for gradients


def test_without_gradients_the_vocabulary_is_gone_over_once():
    sizes = []

    class Watched(nn.Identity):
        def forward(self, psi):
            sizes.append(len(psi))
            return psi

    with torch.no_grad():
        softmax_loss(
            torch.randn(3, 2), torch.randn(20, 2), Watched(), torch.zeros(3).long(), torch.ones(3)
        )
    assert sum(sizes) == 20


def test_a_fold_is_exact_and_only_where_it_is_cheaper():
    torch.manual_seed(0)
    side = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 6)).double()
    queries, psi = torch.randn(5, 6).double(), torch.randn(30, 3).double()
    moved, rest, offset = fold(queries, side, hashtags=30)
    assert len(rest) == 2
    torch.testing.assert_close(moved @ rest(psi).T + offset, queries @ side(psi).T)
    wide = nn.Sequential(nn.Linear(3, 400), nn.Linear(400, 2))  # folded, each score costs 400
    few = torch.randn(5, 2)
    for queries, side in ((few, wide), (few, nn.Identity()), (few, nn.Sequential(nn.Tanh()))):
        assert fold(queries, side, 30) == (queries, side, 0.0)


def test_the_chunk_follows_the_memory_budget(monkeypatch):
    queries, psi = torch.randn(200, 1024), torch.zeros(1, 300).expand(100_000, -1)
    usual = chunk_size(queries, psi)
    assert 256 <= usual <= 16_384
    assert chunk_size(queries, psi[:300]) == 300  # all of them fit
    monkeypatch.setitem(loss_module.CHUNK_BYTES, "cpu", 4 * loss_module.CHUNK_BYTES["cpu"])
    assert chunk_size(queries, psi) == pytest.approx(4 * usual, rel=0.4)  # both rounded to 256


def test_a_vocabulary_that_fits_is_looked_at_once():
    """And what is found is the same, up to rounding."""
    torch.manual_seed(0)
    calls = []

    class Side(nn.Linear):
        def forward(self, x):
            calls.append(len(x))
            return super().forward(x)

    side = nn.Sequential(Side(5, 6), nn.ReLU(), nn.Linear(6, 4))
    queries, psi = torch.randn(7, 4, requires_grad=True), torch.randn(30, 5, requires_grad=True)
    targets, weights = torch.randint(30, (7,)), torch.rand(7)
    leaves = [queries, psi, side[0].weight, side[0].bias, side[2].weight]
    found = []
    for chunk, looked_at in ((None, [30]), (20, [20, 10, 20, 10])):
        loss = softmax_loss(queries, psi, side, targets, weights, chunk)
        found.append([loss, *torch.autograd.grad(loss, leaves)])
        assert calls == looked_at
        calls.clear()
    for once, twice in zip(*found, strict=True):
        torch.testing.assert_close(once, twice)


# --- the product ---


@pytest.mark.parametrize("shape", [(7, 5, 9), (1, 1, 1), (200, 64, 33), (0, 5, 3), (3, 5, 0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_product_is_the_product(shape, dtype):
    n, d, c = shape
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(n, d, generator=generator), torch.randn(c, d, generator=generator)
    exact = a.to(dtype).double() @ b.to(dtype).double().T
    limit = {torch.float64: 1e-12, torch.float32: 1e-4, torch.bfloat16: 0.2}[dtype]
    with torch.no_grad():
        found = product(a.to(dtype), b.to(dtype))
        turned = product(a.T.contiguous().T.to(dtype), b.T.contiguous().T.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=limit)
    torch.testing.assert_close(turned.double(), exact, rtol=0, atol=limit)


@pytest.mark.parametrize(("targets", "weights"), [(1, 3), (2, 3), (3, 1), (1, 1), (4, 3)])
def test_each_photo_has_one_target_and_one_weight(targets, weights):
    queries, psi, side, *_ = make(3, 9, 3, 2, "folds", 0, psi_learns=False)
    ids, given = torch.zeros(targets).long(), torch.ones(weights, dtype=torch.float64)
    with pytest.raises(ValueError, match=f"3 photos, {targets} targets, {weights} weights"):
        softmax_loss(queries, psi, side, ids, given)

"""`model.gru.GRU` computes what torch's GRU computes, and so do its gradients."""

import pytest
import torch
from torch import nn

from hashtag_core.model.gru import GRU


def both(d_x, d_u, dtype=torch.float64):
    """torch's, and ours with the same weights."""
    torch.manual_seed(0)
    theirs, ours = nn.GRU(d_x, d_u, batch_first=True).to(dtype), GRU(d_x, d_u).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


@pytest.mark.parametrize("shape", [(3, 11, 7, 5), (1, 1, 2, 3), (4, 6, 1, 1), (2, 30, 4, 8)])
@pytest.mark.parametrize("begins", [True, False])
def test_states_and_gradients_are_those_of_torch(shape, begins):
    users, photos, d_x, d_u = shape
    found = []
    for gru in both(d_x, d_u):
        torch.manual_seed(1)
        x = torch.randn(users, photos, d_x, dtype=torch.float64, requires_grad=True)
        h_0 = torch.randn(1, users, d_u, dtype=torch.float64, requires_grad=True)
        states, last = gru(x, h_0) if begins else gru(x)
        loss = (states * torch.randn_like(states)).sum() + (last * torch.randn_like(last)).sum()
        leaves = [x, *([h_0] if begins else []), *gru.parameters()]
        found.append([states, last, *torch.autograd.grad(loss, leaves)])
    for theirs, ours in zip(*found, strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_gradients_are_those_of_finite_differences():
    _, gru = both(3, 4)
    x = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    h_0 = torch.randn(1, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *inputs: gru(*inputs)[0], (x, h_0))


def test_equation_5_written_out():
    """One user, photo by photo, gate by gate, in plain numbers."""
    _, gru = both(3, 2)
    weights = gru.weight_ih_l0, gru.weight_hh_l0, gru.bias_ih_l0, gru.bias_hh_l0
    (W_r, W_z, W_n), (U_r, U_z, U_n), (b_r, b_z, b_n), (c_r, c_z, c_n) = (
        part.detach().chunk(3) for part in weights
    )
    x, h = torch.randn(1, 4, 3, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for x_t, state in zip(x[0], gru(x)[0][0], strict=True):
        r = torch.sigmoid(W_r @ x_t + b_r + U_r @ h + c_r)
        z = torch.sigmoid(W_z @ x_t + b_z + U_z @ h + c_z)
        n = torch.tanh(W_n @ x_t + b_n + r * (U_n @ h + c_n))
        h = (1 - z) * n + z * h
        torch.testing.assert_close(state, h)


def test_without_gradients_it_is_torchs():
    theirs, ours = both(3, 4, torch.float32)
    x = torch.randn(2, 6, 3)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x)[0], theirs(x)[0], rtol=0, atol=0)
    only = ours(x)[0].sum()  # x needs no gradient, and gets none
    only.backward()
    assert x.grad is None and ours.weight_hh_l0.grad.isfinite().all()
    for parameter in ours.parameters():
        parameter.requires_grad_(False)
    assert not ours(x)[0].requires_grad


@pytest.mark.parametrize("shape", [(0, 5, 3), (2, 5, 7), (2, 3)])
@pytest.mark.parametrize("begins", [None, (1, 2, 4), (2, 2, 4), (1, 3, 4), (2, 4)])
def test_other_shapes_are_taken_or_refused_as_by_torch(shape, begins):
    found = []
    for gru in both(3, 4, torch.float32):
        try:
            states, last = gru(torch.zeros(shape), None if begins is None else torch.zeros(begins))
            found.append((states.shape, last.shape))
        except (RuntimeError, ValueError) as error:
            found.append(type(error))
    assert found[0] == found[1]


def test_what_it_returns_can_be_changed_in_place():
    theirs, ours = both(3, 4, torch.float32)
    x = torch.randn(2, 6, 3)
    for gru in (theirs, ours):
        states, last = gru(x)
        kept = last.detach().clone()
        states.mul_(0)
        assert torch.equal(last.detach(), kept)
        (states.sum() + last.sum()).backward()
    torch.testing.assert_close(ours.weight_hh_l0.grad, theirs.weight_hh_l0.grad)


def test_under_autocast_it_is_torchs():
    theirs, ours = both(3, 4, torch.float32)
    x = torch.randn(2, 6, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(ours(x)[0], theirs(x)[0], rtol=0, atol=0)

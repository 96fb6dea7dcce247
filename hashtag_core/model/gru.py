"""The GRU of Equation 5, learned in about half of the time that torch's takes on a CPU.

torch remembers some twenty small steps for each photo and goes back through every one of them; with
four users a batch, most of the time is spent between them. Here the gradients are written out. What
does not depend on the photo after it is computed for all photos at once, and each weight matrix
gets its gradient in one product. On a GPU it is cuDNN that computes.

Shapes: B users, T photos of a user, d_x input, d_u user.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hashtag_core.devices import one_thread


class GRU(nn.GRU):
    """`torch.nn.GRU` of one layer, batch first: the same weights and, but for rounding, numbers.

    It is torch's own on a GPU, and where nothing is learned. Its gradients have no gradients: where
    those are needed, or for a `PackedSequence`, take `torch.nn.GRU`.

    Args:
        d_x: size of the input.
        d_u: size of the state.
    """

    def __init__(self, d_x: int, d_u: int) -> None:
        super().__init__(d_x, d_u, batch_first=True)

    def forward(  # type: ignore[override]  # no packed sequences
        self, x: Tensor, h_0: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(B, T, d_x), (1, B, d_u) or None for zeros -> all states (B, T, d_u), last (1, B, d_u).

        h_t = (1 - z) n + z h_{t-1}, with the gates z = sigma(W_z x_t + U_z h_{t-1} + b_z) and
        r = sigma(W_r x_t + U_r h_{t-1} + b_r), and n = tanh(W_n x_t + b_n + r (U_n h_{t-1} + c_n)).
        """
        weights = self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0
        learned = torch.is_grad_enabled() and any(w.requires_grad for w in (x, *weights))
        is_fit = x.device.type == "cpu" and x.dim() == 3 and x.numel() > 0
        if not (learned and is_fit) or torch.is_autocast_enabled("cpu"):
            return super().forward(x, h_0)
        if h_0 is None:
            h_0 = x.new_zeros(1, len(x), self.hidden_size)
        self.check_forward_args(x, h_0, None)
        states = _GRU.apply(x.transpose(0, 1), h_0[0], *weights)  # (T, B, d_u)
        return states.transpose(0, 1).clone(), states[-1:].clone()


class _GRU(torch.autograd.Function):
    """All states, (T, B, d_u), of inputs (T, B, d_x). W and U hold the rows of r, z and n."""

    @staticmethod
    def forward(ctx, x, h_0, W, U, b, c):
        """The states after each photo; what the gradients need is kept in `ctx`."""
        photos, (users, d) = len(x), h_0.shape
        from_x = torch.addmm(b, x.flatten(0, 1), W.T).view(photos, users, 3 * d)
        from_h = torch.empty_like(from_x)
        states = torch.cat([h_0[None], x.new_empty(photos, users, d)])  # (T + 1, B, d_u)
        both, n = from_x.split([2 * d, d], dim=2)
        r, z = both.split(d, dim=2)
        parts = states[:-1], states[1:], from_h, *from_h.split([2 * d, d], dim=2), both, r, z, n
        with one_thread():
            for t in zip(*(part.unbind() for part in parts), strict=True):
                h, h_after, of_h, both_of_h, n_of_h, both_t, r_t, z_t, n_t = t
                torch.addmm(c, h, U.T, out=of_h)
                both_t.add_(both_of_h).sigmoid_()  # from here on the gates stand in their place
                n_t.addcmul_(r_t, n_of_h).tanh_()
                torch.lerp(n_t, h, z_t, out=h_after)
        ctx.save_for_backward(x, W, U, states, from_x, from_h[..., 2 * d :])
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx, d_states):
        """Back through time, from the last photo to the first."""
        x, W, U, states, gates, n_of_h = ctx.saved_tensors
        before = states[:-1]  # h_{t-1}: (T, B, d_u)
        d = before.shape[2]
        r, z, n = gates.split(d, dim=2)
        to_n = (1 - z) * (1 - n * n)  # of h_t to what tanh is taken of
        to_gates = torch.stack(  # of h_t to what comes from h_{t-1}: r, z, n
            [to_n * n_of_h * r * (1 - r), (before - n) * z * (1 - z), to_n * r], dim=2
        )  # (T, B, 3, d_u)
        d_h = torch.cat([torch.zeros_like(before[:1]), d_states])  # to h_0, …, h_T: (T + 1, B, d_u)
        d_from_h = torch.empty_like(to_gates)
        of_h = d_h[1:, :, None]  # (T, B, 1, d_u)
        parts = d_h[:-1], d_h[1:], of_h, z, to_gates, d_from_h, d_from_h.flatten(2)
        with one_thread():
            for t in reversed(list(zip(*(part.unbind() for part in parts), strict=True))):
                d_before, d_t, of_h_t, z_t, to_gates_t, d_gates_t, flat = t
                torch.mul(to_gates_t, of_h_t, out=d_gates_t)
                d_before.addcmul_(d_t, z_t).addmm_(flat, U)
        d_from_x = d_from_h.clone()
        torch.mul(to_n, d_h[1:], out=d_from_x[:, :, 2])
        d_from_x, d_from_h = d_from_x.view(-1, 3 * d), d_from_h.view(-1, 3 * d)
        d_x = (d_from_x @ W).view_as(x) if ctx.needs_input_grad[0] else None
        d_W, d_U = d_from_x.T @ x.flatten(0, 1), d_from_h.T @ before.flatten(0, 1)
        return d_x, d_h[0], d_W, d_U, d_from_x.sum(dim=0), d_from_h.sum(dim=0)

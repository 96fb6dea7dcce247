"""Fusion operators: two vectors -> one, all with the signature fusion(a, b) -> c (Equations 4, 6).

`branch_activation` is the non-linearity that the layers before the operator should end with:
the paper takes ReLU, and SELU before the element-wise product, where ReLU would leave too many
zeros (§4.2).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ElementwiseProduct(nn.Module):
    """c = a * b, component by component: the paper's choice for Equation 4 (Table 4)."""

    branch_activation = nn.SELU

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(..., d), (..., d) -> (..., d)."""
        return a * b


class Mutan(nn.Module):
    """Bilinear fusion with a low-rank tensor: the approximation of Equation 6 by MUTAN [5].

    z = sum over r = 1..R of (A_r v~) * (B_r u~), v~ = tanh(W_v v), u~ = tanh(W_u u).

    v~ and u~ have size d_c, where the full tensor of Equation 6 has d_v d_u d_c entries. Every
    linear map has a bias, so that u = 0 (a user without a history) leaves a working function of v.

    Args:
        d_v: size of the first input.
        d_u: size of the second input.
        d_c: size of the output.
        rank: R.
    """

    branch_activation = nn.ReLU

    def __init__(self, d_v: int, d_u: int, d_c: int, rank: int) -> None:
        super().__init__()
        self.rank = rank
        self.W_v = nn.Linear(d_v, d_c)
        self.W_u = nn.Linear(d_u, d_c)
        self.A = nn.Linear(d_c, rank * d_c)
        self.B = nn.Linear(d_c, rank * d_c)

    def forward(self, v: Tensor, u: Tensor) -> Tensor:
        """(..., d_v), (..., d_u) -> (..., d_c)."""
        a = self.A(torch.tanh(self.W_v(v)))  # (..., R d_c)
        b = self.B(torch.tanh(self.W_u(u)))  # (..., R d_c)
        return (a * b).unflatten(-1, (self.rank, -1)).sum(dim=-2)  # (..., d_c)

"""Fusion operators: two vectors -> one, all of the form fusion(a, b) -> c (Eq. 4, 6, Table 4).

In Equation 4 a is the image branch and b the hashtag branch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hashtag_core.errors import InputError


class Fusion(nn.Module):
    """What all of them are: a module with forward(a, b) -> c.

    Attributes:
        d_out: size of c.
        branch_activation: the non-linearity that both branches end with. The paper takes ReLU, and
            SELU before the element-wise product, where ReLU would leave too many zeros (§4.2).
    """

    branch_activation: type[nn.Module] = nn.ReLU

    def __init__(self, d_out: int) -> None:
        super().__init__()
        self.d_out = d_out


class Sum(Fusion):
    """c = a + b."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(..., d), (..., d) -> (..., d)."""
        return a + b


class Concatenation(Fusion):
    """c = [a; b]."""

    def __init__(self, d: int) -> None:
        super().__init__(2 * d)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(..., d), (..., d) -> (..., 2 d)."""
        return torch.cat([a, b], dim=-1)


class ElementwiseProduct(Fusion):
    """c = a * b, component by component: the paper's choice for Equation 4 (Table 4)."""

    branch_activation = nn.SELU

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(..., d), (..., d) -> (..., d)."""
        return a * b


class GLU(Fusion):
    """Gated linear unit [11]: c = (W x + p) * sigmoid(V x + q) with x = [a; b]."""

    def __init__(self, d: int) -> None:
        super().__init__(d)
        self.W_and_V = nn.Linear(2 * d, 2 * d)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(..., d), (..., d) -> (..., d)."""
        return F.glu(self.W_and_V(torch.cat([a, b], dim=-1)), dim=-1)


class TIRG(Fusion):
    """Text-image residual gating [44]: c = w_0 sigmoid(gate(a, b)) * a + w_1 res(a, b).

    Gate and residual are two-layer networks on [a; b]. They have layer norm where the original
    has batch norm: over the photos of one user, batch norm would let later photos change the
    representation of earlier ones.
    """

    def __init__(self, d: int) -> None:
        super().__init__(d)
        self.gate = self._network(d)
        self.residual = self._network(d)
        self.w = nn.Parameter(torch.tensor([1.0, 1.0]))

    @staticmethod
    def _network(d: int) -> nn.Sequential:
        return nn.Sequential(
            nn.LayerNorm(2 * d), nn.ReLU(), nn.Linear(2 * d, 2 * d), nn.ReLU(), nn.Linear(2 * d, d)
        )

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(..., d), (..., d) -> (..., d)."""
        both = torch.cat([a, b], dim=-1)  # (..., 2 d)
        return self.w[0] * self.gate(both).sigmoid() * a + self.w[1] * self.residual(both)


class Mutan(Fusion):
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

    def __init__(self, d_v: int, d_u: int, d_c: int, rank: int) -> None:
        super().__init__(d_c)
        self.rank = rank
        self.W_v = linear(d_v, d_c)
        self.W_u = nn.Linear(d_u, d_c)
        self.A = nn.Linear(d_c, rank * d_c)
        self.B = nn.Linear(d_c, rank * d_c)

    def forward(self, v: Tensor, u: Tensor) -> Tensor:
        """(..., d_v), (..., d_u) -> (..., d_c)."""
        a = self.A(torch.tanh(self.W_v(v)))  # (..., R d_c)
        b = self.B(torch.tanh(self.W_u(u)))  # (..., R d_c)
        return (a * b).unflatten(-1, (self.rank, -1)).sum(dim=-2)  # (..., d_c)


def linear(d_in: int, d_out: int) -> nn.Linear:
    """A linear map with bias; where there is nothing to read (d_in = 0) the bias alone."""
    return nn.Linear(d_in, d_out) if d_in else BiasAlone(0, d_out)


class BiasAlone(nn.Linear):
    """A linear map of nothing: torch warns that it has no weights to draw, as it should be."""

    def reset_parameters(self) -> None:
        """The bias, of zeros, as `nn.Linear` draws it."""
        nn.init.uniform_(self.bias, 0, 0)


FUSIONS: dict[str, Callable[[int, int], Fusion | None]] = {  # d, rank ->
    # Table 4's rows; "only hashtags" has no image branch, hence no fusion
    "only hashtags": lambda d, rank: None,
    "sum": lambda d, rank: Sum(d),
    "concatenation": lambda d, rank: Concatenation(d),
    "bilinear": lambda d, rank: Mutan(d, d, d, rank),
    "GLU": lambda d, rank: GLU(d),
    "TIRG": lambda d, rank: TIRG(d),
    "element-wise product": lambda d, rank: ElementwiseProduct(d),
}


def build_fusion(name: str, d: int, rank: int) -> Fusion | None:
    """A row of Table 4 by its name, for two branches of size d; rank is for "bilinear"."""
    if name not in FUSIONS:
        raise InputError(
            f"fusion {name!r}: choose one of {', '.join(FUSIONS)}, or make it a key of FUSIONS."
        )
    return FUSIONS[name](d, rank)

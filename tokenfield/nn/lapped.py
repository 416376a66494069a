"""Lapped transforms: orthogonal-like codes of cells that overlap by half, as functions of the relative coordinate.

A filter across every border between cells, then a DCT of every cell (time-domain lapped transform; Tran, Liang and Tu
2003). The filter leaves what is even about a border alone and maps what is odd by an invertible matrix V:

    P = 1/2 [I J; J -I] [I 0; 0 V] [I J; J -I]

Each of the p functions of a cell covers two cells per axis, so that neighbours hand over without a seam, and for smooth
signals they need fewer bits than a DCT's of twice the size. V is fitted to maximise the coding gain. At the edge of a
picture the signal continues evenly: a mirrored cell's coefficients are the cell's own, the odd ones negated.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.nn.defaults import gradients


def dct(n: int) -> Float[Tensor, "n n"]:
    """The orthonormal DCT-II, a row per frequency; float64."""
    k, t = torch.arange(n, dtype=torch.float64)[:, None], torch.arange(n, dtype=torch.float64) + 0.5
    scale = torch.where(k == 0, (1 / n) ** 0.5, (2 / n) ** 0.5)
    return scale * (torch.pi / n * k * t).cos()


def border_filter(odd: Float[Tensor, "h h"]) -> Float[Tensor, "p p"]:
    """P, over the half cells on both sides of a border, from V."""
    identity = torch.eye(len(odd), dtype=odd.dtype)
    flip = identity.flip(0)
    butterfly = torch.cat([torch.cat([identity, flip], 1), torch.cat([flip, -identity], 1)]) / 2**0.5
    whole: Tensor = butterfly @ torch.block_diag(identity, odd) @ butterfly
    return whole


def lapped_pair(odd: Float[Tensor, "h h"]) -> tuple[Float[Tensor, "p q"], Float[Tensor, "q p"]]:
    """Analysis (p, 2 p), from a cell and half of each neighbour, and synthesis (2 p, p), the functions of a cell."""
    half = len(odd)
    forward, back = border_filter(odd), torch.linalg.inv(border_filter(odd))
    analysis, synthesis = forward.new_zeros(2 * half, 4 * half), forward.new_zeros(4 * half, 2 * half)
    analysis[:half, : 2 * half], analysis[half:, 2 * half :] = forward[half:], forward[:half]
    synthesis[: 2 * half, :half], synthesis[2 * half :, half:] = back[:, half:], back[:, :half]
    cosines = dct(2 * half).to(odd)
    return cosines @ analysis, synthesis @ cosines.T


@gradients()
def fit_lapped(correlation: Float[Tensor, " lags"], cell: int, steps: int = 100) -> Float[Tensor, "h h"]:
    """V of the greatest coding gain for a signal of this autocorrelation at lags 0 .. 2 cell - 1.

    That gain is the geometric mean over coefficients of variance times squared norm of the function, to be made small.
    """
    lag = torch.arange(2 * cell)
    covariance = correlation.double()[(lag[:, None] - lag).abs()]
    odd = torch.eye(cell // 2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([odd], max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        analysis, synthesis = lapped_pair(odd)
        variance = ((analysis @ covariance) * analysis).sum(1)
        gain: Tensor = (variance * synthesis.square().sum(0)).log().mean()
        gain.backward()
        return gain

    optimizer.step(loss)
    return odd.detach()


def sines(relative: Float[Tensor, "*q"], n: int) -> Float[Tensor, "*q n"]:
    """The n lowest sines that vanish at both ends of [-1, 1]: sin(pi k (r + 1) / 2), k = 1 .. n.

    On n pixels over two cells, scaled to unit norm, they are the orthonormal DST-II: sums of them are any values on the
    pixels, and end where their support does.
    """
    k = torch.arange(1, n + 1, device=relative.device, dtype=relative.dtype)
    scale = torch.where(k == n, (1 / n) ** 0.5, (2 / n) ** 0.5)
    return scale * (torch.pi / 2 * k * (relative.unsqueeze(-1) + 1)).sin()


class LappedFunctions(nn.Module):
    """The functions of a cell along one axis: `synthesis` on the pixels of two cells, by sines in between."""

    to_sines: Tensor

    def __init__(self, cell: int):
        super().__init__()
        self.cell = cell
        pixels = (torch.arange(2 * cell, dtype=torch.float64) + 0.5) / cell - 1
        self.register_buffer("to_sines", sines(pixels, 2 * cell).T.contiguous(), persistent=False)  # (2p, 2p)

    def forward(self, relative: Float[Tensor, "*q"], synthesis: Float[Tensor, "q2 p"],
                span: float = 1.0) -> Float[Tensor, "*q p"]:
        """Values at relative coordinates in cells, or means over boxes of `span` pixels around them."""
        angle = torch.pi * torch.arange(1, 2 * self.cell + 1, dtype=torch.float64) / (4 * self.cell)
        fade = ((span * angle).sin() / (span * angle.sin())).to(relative)
        return (sines(relative, 2 * self.cell) * fade) @ (self.to_sines.to(synthesis) @ synthesis).to(relative)

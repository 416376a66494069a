"""The relative head: every token is a function of the coordinate relative to its anchor.

    f_j(r) = sum_kl T_j[k, l] cos(pi k (r_y + 1) / 2) cos(pi l (r_x + 1) / 2),      T_j = A z_j + B u_j

with r the coordinate minus the token's anchor, in cells, z_j the token and u_j the decoder's transformer's features of
it and its neighbours. Since it is linear in z_j, a linear code of the cell (its principal components) is among the
functions it starts from. The cosines are separable, so a grid costs two small matrix products per gap between anchors.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.nn.anchors import Gaps, Neighbours, harmonics


class ScaledLinear(nn.Linear):
    """scale x (W x + b). Adam's steps do not depend on a gradient's size, so `scale` is the layer's relative rate."""

    def __init__(self, in_dim: int, out_dim: int, *, scale: float):
        super().__init__(in_dim, out_dim)
        self.scale = scale
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_dim) -> (..., out_dim). Weights are scaled, and not what comes out, which is larger."""
        return F.linear(x, self.weight * self.scale, self.bias * self.scale)

    @torch.no_grad()
    def set(self, weight: Tensor, bias: Tensor) -> None:
        """Make the layer compute weight x + bias."""
        self.weight.copy_(weight / self.scale)
        self.bias.copy_(bias / self.scale)


class RelativeHead(nn.Module):
    """Tokens to local functions with `channels` values each, and those to values at coordinates.

    The decoder's features beside a token are `feature_dim` wide, 0 if there are none. `num_harmonics` cosines per axis,
    twice the side of a cell in pixels, represent anything on the pixels.
    """

    def __init__(self, *, latent_dim: int, feature_dim: int, channels: int, num_harmonics: int):
        super().__init__()
        self.shape = (channels, num_harmonics, num_harmonics)
        size = channels * num_harmonics**2
        self.direct = ScaledLinear(latent_dim, size, scale=0.05)
        self.refined = ScaledLinear(feature_dim, size, scale=0.05) if feature_dim else None

    def coefficients(self, tokens: Float[Tensor, "b m n d"],
                     features: Float[Tensor, "b m n e"] | None) -> Float[Tensor, "b m+2 n+2 c k k"]:
        """T_j of every token, within a border of zeros: every coordinate then has four neighbours."""
        flat = self.direct(tokens)
        if self.refined is not None:
            flat += self.refined(features)  # in place: these are the largest numbers of decoding
        bordered: Tensor = F.pad(flat, [0, 0, 1, 1, 1, 1]).unflatten(-1, self.shape)
        return bordered

    def at_points(self, coefficients: Float[Tensor, "b m n c k k"], y: Neighbours,
                  x: Neighbours) -> Float[Tensor, "b four q c"]:
        """f_j(v - p_j) of the four neighbours of scattered points; (Q,) or (B, Q) of them."""
        k, count = self.shape[-1], coefficients.shape[0]
        batch = torch.arange(count, device=coefficients.device)[:, None]  # (B, 1): points are shared or own
        basis_y, basis_x = (harmonics(axis.relative, k).to(coefficients.dtype).expand(count, -1, -1, -1)
                            for axis in (y, x))
        values = []
        for i in (0, 1):
            for j in (0, 1):
                near = coefficients[batch, y.lower + 1 + i, x.lower + 1 + j]  # (B, Q, C, k, l)
                lines = torch.einsum("bqckl,bqk->bqcl", near, basis_y[:, :, i])
                values.append(torch.einsum("bqcl,bql->bqc", lines, basis_x[:, :, j]))
        return torch.stack(values, 1)

    def on_grid(self, coefficients: Float[Tensor, "b m n c k k"], y: Gaps, x: Gaps,
                fades: tuple[Float[Tensor, " k"], Float[Tensor, " k"]]) -> Float[Tensor, "b four q c"]:
        """The same on a tensor-product grid, row-major, one axis after the other; harmonics scaled by `fades`."""
        batch, (channels, k, _) = len(coefficients), self.shape
        rows, columns = y.relative.shape[1], x.relative.shape[1]  # gaps per axis
        values = []
        for i in (0, 1):
            near = coefficients[:, y.first + 1 + i : y.first + 1 + i + rows]  # (B, G, N, C, k, l)
            basis = (harmonics(y.relative[i], k) * fades[0]).to(near.dtype)  # (G, points, k)
            lines = basis @ near.permute(0, 1, 4, 2, 3, 5).flatten(3)  # (B, G, points, N C l)
            lines = lines.flatten(1, 2).index_select(1, y.place).view(batch, len(y.place), -1, channels, k)
            lines = lines.permute(2, 0, 1, 3, 4)  # (N, B, Y, C, l)
            for j in (0, 1):
                near = lines[x.first + 1 + j : x.first + 1 + j + columns].flatten(1, 3)  # (G, B Y C, l)
                basis = (harmonics(x.relative[j], k) * fades[1]).to(near.dtype).transpose(1, 2)  # (G, l, points)
                value = (near @ basis).unflatten(1, (batch, -1, channels))  # (G, B, Y, C, points)
                value = value.permute(1, 2, 0, 4, 3).flatten(2, 3).index_select(2, x.place)  # (B, Y, X, C)
                values.append(value.flatten(1, 2))
        return torch.stack(values, 1)

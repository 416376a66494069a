"""SIREN: the MLP of sines, its initialisation, and its modulated form that many pictures share.

*Implicit Neural Representations with Periodic Activation Functions* (Sitzmann et al., NeurIPS 2020): layers
sin(w0 (W x + b)), with weights drawn so that every layer's input to the sine keeps its variance (section 3.2).
*From data to functa* (Dupont et al., ICML 2022) gives a picture nothing but shifts of the inputs of shared layers:

    h_1 = sin(w0 (W_1 v + b_1 + s_1)),   h_l = sin(w0 (W_l h_(l-1) + b_l + s_l)),   y = W_L h_(L-1) + b_L + 1/2

Phases are some tens of radians: they and their sines are computed in float32, whatever the autocast type.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.nn.affine import wide
from tokenfield.nn.hyponet import sizes


def weight_bound(fan_in: int, w0: float, *, first: bool) -> float:
    """SIREN's weights are uniform within this bound (section 3.2): 1 / n for the first layer, sqrt(6 / n) / w0."""
    return 1 / fan_in if first else math.sqrt(6 / fan_in) / w0


def exactly(layer: nn.Module, x: Tensor) -> Tensor:
    """A linear or convolutional layer in float32 or wider, whatever the autocast type and that of its weights."""
    weights = {name: wide(p) for name, p in layer.named_parameters()}
    with torch.autocast(x.device.type, enabled=False):
        result: Tensor = torch.func.functional_call(layer, weights, wide(x).to(weights["weight"].dtype))
    return result


class ModulatedSiren(nn.Module):
    """A SIREN whose hidden layers are shifted, point by point or alike for all points of a picture.

    It has L = `depth` linear layers, the output included; 1/2 is added to values, so that pictures are centred.
    """

    def __init__(self, in_dim: int, dim: int, depth: int, out_dim: int, w0: float):
        super().__init__()
        self.dim, self.w0 = dim, w0
        layers = [nn.Linear(i, o) for i, o in sizes(in_dim, dim, depth, out_dim)]
        for number, layer in enumerate(layers):
            bound = weight_bound(layer.in_features, w0, first=number == 0)
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.zeros_(layer.bias)  # as functa's code has it
        self.layers = nn.ModuleList(layers)

    @property
    def num_shifts(self) -> int:
        """Shifts of all hidden layers together, (L - 1) d: what the map from a latent must give."""
        return (len(self.layers) - 1) * self.dim

    def locate(self, points: Float[Tensor, "*q x"]) -> Float[Tensor, "*q d"]:
        """W_1 v + b_1, all that depends on the coordinates alone."""
        return exactly(self.layers[0], points)

    def forward(self, located: Float[Tensor, "*q d"], shifts: Float[Tensor, "b p s"]) -> Float[Tensor, "b q c"]:
        """Values at located points (Q, d) or (B, Q, d), with shifts for every point (P = Q) or for all (P = 1)."""
        first, *others = wide(shifts).split(self.dim, -1)  # (B, P, d) each
        x = torch.sin(self.w0 * (located + first))
        for layer, shift in zip(list(self.layers)[1:-1], others, strict=True):
            x = torch.sin(self.w0 * (exactly(layer, x) + shift))
        return exactly(self.layers[-1], x) + 0.5

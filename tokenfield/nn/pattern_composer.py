"""Pattern composers as an aggregator, and the rest of their MLP as a head: the row `w/o STA` of LAINR's Table 3.

    m_v = ReLU( W h_F(v; sigma_q) + b ),    W = V U of the instance's tokens V

are the first two layers of an IPC (`tokenfield.models.hyponet_field`), which know no locality: every token acts at
every coordinate. With LAINR's multi-band head behind them this is `w/o STA`; with `NormalizedStack`, the layers that
are left of an IPC, it is `w/o both` and computes what IPC computes, to the bit.
"""

from collections.abc import Sequence
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Coordinates
from tokenfield.nn.affine import Affine, stack, wide
from tokenfield.nn.hyponet import FactorLayer, Features, Fourier, Hyponet, SharedLayer
from tokenfield.nn.token_decoder import Aggregator, Head


class PatternComposer(Aggregator):
    """An aggregator whose modulation vector is the second layer of a coordinate MLP, an instance's own.

    Both layers and a token are `dim` wide; the instance's matrix has rank R = `num_latents`.
    """

    def __init__(self, *, in_dim: int, dim: int, feature_dim: int, sigma_q: float, num_latents: int):
        super().__init__()
        features = Fourier(in_dim, feature_dim, sigma_q)
        self.net = Hyponet(features, [SharedLayer(features.out_dim, dim), FactorLayer(dim, dim, num_latents)])

    def locate(self, coords: Coordinates) -> Features:
        """The first layer, which all instances share."""
        return self.net.locate(coords)

    def prepare(self, tokens: Float[Tensor, "b r e"]) -> list[Affine]:
        """The second layer's matrix."""
        return self.net.prepare(tokens)

    def combine(self, located: Features, prepared: list[Affine]) -> Float[Tensor, "b q d"]:
        """m_v."""
        return self.net.activation(self.net.hidden(located, prepared))


class NormalizedStack(Head):
    """m_v through `depth` ReLU layers and an output whose rows have norm 1, as in the MLP of TransINR and IPC."""

    def __init__(self, *, dim: int, depth: int, out_dim: int):
        super().__init__()
        layers = [*(SharedLayer(dim, dim) for _ in range(depth)), SharedLayer(dim, out_dim)]
        self.layers = cast(Sequence[SharedLayer], nn.ModuleList(layers))

    def fold(self, out: nn.Linear | None) -> list[Affine]:
        """The normalised layers; the first comes after the aggregator's output map, if there is one."""
        (weight, bias), *others = [layer.affine() for layer in self.layers]
        if out is not None:
            weight, bias = weight @ out.weight, weight @ out.bias + bias
        return [(weight, bias), *others]

    def combine(self, located: None, folded: list[Affine], m: Float[Tensor, "b q d"]) -> Float[Tensor, "b q c"]:
        """Attended values (B, Q, d), before the aggregator's output map -> values (B, Q, d_out)."""
        return wide(stack(m, folded))

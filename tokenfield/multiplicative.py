"""Multiplicative modulation: the tokens scale the frequency features in place of being added to them.

A product of what depends on the coordinate and what depends on the token makes every token a function of its own, where
Eq. 7 shifts thresholds of functions that all tokens share.
"""

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor

from tokenfield.modulation import MultiBandModulation, wide


class MultiplicativeModulation(MultiBandModulation):
    """`MultiBandModulation` with another Eq. 7; composition and output are the same.

        m_v^(l) = h_F(v; sigma_l, W_F^(l), b_F^(l)) * (W_m^(l) m_v + b_m^(l))          (in place of Eq. 7)
    """

    def values(self, located: list[Tensor], modulations: Iterable[Tensor]) -> Float[Tensor, "b q c"]:
        """The bands' features and what the tokens scale them with -> values (B, Q, d_out)."""
        hidden = value = None
        for i, (feature, modulation) in enumerate(zip(located, modulations, strict=True)):
            band = feature * modulation
            hidden = band if hidden is None else self.compose[i - 1](band + hidden).relu_()  # Eq. 8
            term = wide(self.out[i](hidden))
            value = term if value is None else value + term  # Eq. 9
        return value

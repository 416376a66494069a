"""Multiplicative modulation: the tokens scale the frequency features in place of being added to them.

A product of what depends on the coordinate and what depends on the token makes every token a function of its own, where
Eq. 7 shifts thresholds of functions that all tokens share.
"""

from jaxtyping import Float
from torch import Tensor

from tokenfield.nn.token_decoder import MultiBandModulation


class MultiplicativeModulation(MultiBandModulation):
    """`MultiBandModulation` with another Eq. 7; composition and output are the same.

        m_v^(l) = h_F(v; sigma_l, W_F^(l), b_F^(l)) * (W_m^(l) m_v + b_m^(l))          (in place of Eq. 7)
    """

    def band(self, feature: Float[Tensor, "*shared q d"], modulation: Float[Tensor, "b q d"]) -> Float[Tensor, "b q d"]:
        """m_v^(l) of one band: a product, and no threshold."""
        return feature * modulation

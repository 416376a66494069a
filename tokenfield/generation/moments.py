"""Mean and deviation of data that never lies in memory at once, in any number of parts.

Every part knows its count, its mean and its sum of squared differences from that mean; two parts are merged exactly
(Chan, Golub and LeVeque, *Updating Formulae and a Pairwise Algorithm for Computing Sample Variances*, 1979; with parts
of one, Welford's algorithm). Sums of squares, the obvious alternative, lose all digits where a mean is large beside its
deviation.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Num
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared differences, entry by entry, in float64.

    Attributes:
        count: instances.
        mean: of them, any shape.
        squares: sum over the instances of (x - mean)^2, the same shape.
    """

    count: int
    mean: Float64[Tensor, "*s"]
    squares: Float64[Tensor, "*s"]

    @classmethod
    def none(cls, *shape: int) -> "Moments":
        """Of no instances: what a sum of moments starts with."""
        return cls(0, torch.zeros(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64))

    @classmethod
    def of(cls, values: Num[Tensor, "n *s"]) -> "Moments":
        """Of the instances along the first axis."""
        if len(values) == 0:
            return cls.none(*values.shape[1:])
        values = values.double()
        mean = values.mean(0)
        return cls(len(values), mean, (values - mean).square_().sum(0))

    def __add__(self, other: "Moments") -> "Moments":
        """Of both sets of instances together."""
        count = self.count + other.count
        if count == 0:
            return self
        difference = other.mean - self.mean
        mean = self.mean + difference * (other.count / count)
        squares = self.squares + other.squares + difference**2 * (self.count * other.count / count)
        return Moments(count, mean, squares)

    @property
    def deviation(self) -> Float64[Tensor, "*s"]:
        """sqrt(squares / count): that of the instances themselves, not an estimate for others."""
        return (self.squares / max(1, self.count)).sqrt()


def merge(parts: Iterable[Moments], *shape: int) -> Moments:
    """All parts together, in their order: the same parts in the same order give the same bits."""
    total = Moments.none(*shape)
    for part in parts:
        total = total + part
    return total

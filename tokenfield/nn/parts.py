"""The three parts of decoding, which aggregators, heads, decoders and whole systems have alike.

    located  = locate(coords)                what depends on the coordinates alone: once for all that share a grid
    prepared = prepare(tokens)               what depends on the tokens alone: once per instance
    values   = combine(located, prepared)    the remainder, which needs both

Every part has types of its own for the first two, and nobody but that part looks into them.
"""

from typing import Any, Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from tokenfield.coords import Coordinates

QueryState: TypeAlias = Any
"""What a part makes of coordinates (queries)."""
TokenState: TypeAlias = Any
"""What a part makes of tokens."""


@runtime_checkable
class Decoding(Protocol):
    """What has the three parts."""

    def locate(self, coords: Coordinates, /) -> QueryState:
        """What depends on the coordinates alone."""

    def prepare(self, tokens: Tensor, /) -> TokenState:
        """What depends on the tokens alone."""

    def combine(self, located: QueryState, prepared: TokenState, /) -> Tensor:
        """What needs both."""

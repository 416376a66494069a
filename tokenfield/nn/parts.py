"""The three parts of decoding, which aggregators, heads, decoders and whole systems have alike.

    located  = locate(coords)                what depends on the coordinates alone: once for all that share a grid
    prepared = prepare(tokens)               what depends on the tokens alone: once per instance
    values   = combine(located, prepared)    the remainder, which needs both

Every part has types of its own for the first two, and nobody but that part looks into them.
"""

from typing import Any, TypeAlias

Located: TypeAlias = Any
"""What a part makes of coordinates."""
Prepared: TypeAlias = Any
"""What a part makes of tokens."""

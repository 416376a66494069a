"""The two verbs every system answers: `encode` and `decode`.

`decode` is nothing but the composition of the three parts of decoding (`tokenfield.nn.parts`), whole or in chunks.
"""

from copy import copy
from typing import ClassVar, SupportsIndex

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.coords import Coordinates, count, in_pieces
from tokenfield.errors import UserError, explain_calls
from tokenfield.models.folder import Model as Model
from tokenfield.models.folder import RecipeFields as RecipeFields
from tokenfield.models.inputs import with_check
from tokenfield.nn.parts import Decoding, QueryState, TokenState

VERBS = ("__init__", "decode", "at", "width_at", "coarse")
"""Beside `encode`, which looks at what it is given, what users call of a model with arguments of their own."""


class FieldModel(Model):
    """A generalizable implicit neural representation: one shared function, one set of tokens per instance.

    Attributes:
        token: what one of its tokens is, in a few words, for people.
        input_size: (H, W) that `encode` takes; None if it takes every H and W that are multiples of `cell`.
        cell: side in pixels of a patch or cell.
        halo, reach: for models of any size, how many cells around a token, around a coordinate, its value depends on.
        channels: C, values per coordinate.
        prefixes: widths, rising, to which tokens may be cut and still decode; () where only whole tokens do.
        width: the prefix that `encode` gives, see `at`; None: whole tokens.
        largest_span: the largest box, in pixels a side, that one query of a `Grid` with `span` averages over; 1: none.
        smallest_span: the smallest box, in pixels a side, that a query of a `Grid` with `span` tells from a pixel; 1:
            a field that is asked at points between pixels is asked for no smaller pixels.
        chunk: coordinates to decode at once where no gradient is recorded: their activations fit a core's cache.
        in_unit: which channels of what `encode` takes are in [0, 1], as `tokenfield.models.inputs` checks; None: none.
    """

    token: ClassVar[str] = "a latent vector"
    input_size: tuple[int, int] | None = None
    cell: int = 1
    halo: int = 0
    reach: int = 0
    channels: int = 3
    prefixes: tuple[int, ...] = ()
    width: int | None = None
    largest_span: float = 1.0
    smallest_span: float = 1.0
    chunk: int = 4096
    in_unit: slice | None = slice(None)
    has_encoded: bool = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "encode" in vars(cls):
            setattr(cls, "encode", with_check(cls.encode))  # noqa: B010, a method of any system
        explain_calls(cls, *VERBS)

    @property
    def coordinate_dim(self) -> int:
        """X, numbers per coordinate that `decode` takes."""
        return 2

    def encode(self, images: Tensor) -> Tensor:
        """Pictures (B, C, H, W) in [0, 1] -> tokens (B, ..., D), one forward pass."""
        raise NotImplementedError(f"{type(self).__name__}.encode")

    def example(self, batch: int = 2) -> tuple[Tensor, dict[int, str]]:
        """Something that `encode` takes, of B instances, and names of those of its axes that may have any length."""
        free = {0: "batch"} if self.input_size else {0: "batch", 2: "height", 3: "width"}
        return torch.rand(batch, self.channels, *(self.input_size or (5 * self.cell, 7 * self.cell))), free

    def at(self, width: int) -> "FieldModel":
        """The same model, weights and all, encoding for one of its prefixes, or a UserError: tokens (B, ..., width)."""
        if width not in self.prefixes:
            rates = ", ".join(map(str, self.prefixes)) or "none: its tokens are not nested"
            raise UserError(f"a prefix of {width!s:.80} values; prefixes of this model: {rates}")
        other = copy(self)
        other.width = width
        return other

    def width_at(self, rate: float) -> int:
        """The longest prefix, or a UserError, that stores no more than `rate` values per pixel value: 1/8, 1/16, ..."""
        values = self.channels * self.cell**2  # per cell
        fitting = [width for width in self.prefixes if width <= rate * values * (1 + 1e-9)]
        if not fitting:
            rates = ", ".join(f"{width / values:.4g}" for width in self.prefixes)
            raise UserError(f"rate {rate:g}; rates of this model: {rates or 'only its own, its tokens are not nested'}")
        return fitting[-1]

    def box(self, span: float) -> float:
        """The box nearest to `span` that a query may ask for, in pixels a side."""
        return min(max(span, self.smallest_span), self.largest_span)

    def coarse(self, nodes: int) -> "FieldModel":
        """The same model, weights and all, attending on nodes x nodes points (`tokenfield.nn.coarse`).

        Raises UserError for a system without that approximation.
        """
        raise UserError(f"nodes are for LAINR; {self.name} answers every coordinate exactly")

    def fused(self) -> "FieldModel":
        """The same model, weights and all, decoding in bfloat16 by one compiled kernel (`tokenfield.nn.fused`).

        Raises UserError for a system without one, and where the processor has no AMX.
        """
        raise UserError(f"fused decoding is for LAINR; {self.name} has no kernel of its own")

    def stored(self, tokens: Tensor) -> int:
        """How many numbers tokens (..., D), one instance's or several's, hold that say something."""
        return tokens.numel()

    @property
    def decoding(self) -> Decoding:
        """The part that decodes, of a system that has one; others override `locate`, `prepare` and `combine`."""
        raise NotImplementedError(f"{type(self).__name__}: locate, prepare and combine")

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> QueryState:
        """What depends on the coordinates alone, and for tokens that have places on the shape of their lattice."""
        return self.decoding.locate(coords)

    def prepare(self, tokens: Tensor) -> TokenState:
        """What depends on the tokens alone."""
        return self.decoding.prepare(tokens)

    def combine(self, located: QueryState, prepared: TokenState) -> Tensor:
        """What needs both -> values (B, Q, C)."""
        return self.decoding.combine(located, prepared)

    def decode(self, tokens: Float[Tensor, "b *s d"], coords: Coordinates,
               chunk: SupportsIndex | None = None) -> Tensor:
        """Values (B, Q, C) of the field at the coordinates, neither clamped nor rounded; a grid is row-major.

        Args:
            tokens: what `encode` returned, B instances.
            coords: points (Q, X) shared by all instances, (B, Q, X) of their own, or a `Grid` of Q points; [-1, 1] over
                the model's input, float32 or wider.
            chunk: most coordinates per instance to work on at once; the result is the same, the memory is bounded by
                it. Default: all of them while gradients are recorded, else `self.chunk` shared out over the batch.
        """
        if chunk is None:
            chunk = max(1, count(coords) if torch.is_grad_enabled() else self.chunk // max(1, len(tokens)))
        prepared, lattice = self.prepare(tokens), tuple(tokens.shape[1:-1])
        return in_pieces(lambda part: self.combine(self.locate(part, lattice), prepared), coords, chunk)

    def forward(self, images: Tensor, coords: Coordinates) -> Tensor:
        """Values (B, Q, C) at the coordinates of the fields of the pictures: `decode` of `encode`."""
        return self.decode(self.encode(images), coords)

    def attention(self, tokens: Tensor, coords: Tensor) -> Tensor | None:
        """How much every coordinate (Q, X) attends to every token of one instance, a batch of one.

        (H, Q, R), rows of sum 1, a lattice row-major; None for a system in which coordinates attend to no tokens.
        """
        return None


explain_calls(FieldModel, *VERBS)

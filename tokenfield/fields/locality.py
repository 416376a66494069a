"""Which part of a picture a token governs: replace it by zero, see what changes (Fig. 5 and 12, NeurIPS 2023).

Zero is what the papers put in a token's place. For the anchored model, whose tokens have zero mean and unit variance
on the training pictures, it is also the mean token.

A map shows |prediction without the token - prediction|, rescaled to a maximum of 1. The number for it is an area: that
of the smallest set of pixels that holds 90 % of the difference, as a share of the whole picture. It is 1 / (number of
pixels) for a token that governs one pixel and 0.9 for one that governs all of them alike. Small is local.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.nn.places import golden_steps

MASS = 0.9
"""Share of the difference that the smallest area has to hold."""

Token = tuple[int, ...]
"""A token by its indices into all axes of `Field.tokens` but the last: (row, column) of a lattice, (row, column, k) of
the k-th token of a tile."""


@runtime_checkable
class Rendered(Protocol):
    """What is asked of a `Field` here."""

    @property
    def tokens(self) -> Tensor: ...

    def with_tokens(self, tokens: Tensor) -> "Rendered": ...

    def render(self, height: int, width: int) -> Tensor: ...


@dataclass(frozen=True)
class Influence:
    """What one token governs."""

    token: Token
    map: Float[Tensor, "h w"] = dataclasses.field(repr=False)
    """In [0, 1], maximum 1, or all zeros where the token changes nothing."""
    largest: float
    """What the map was divided by: the largest mean over channels of the absolute difference."""
    area: float
    """Share of the picture that holds 90 % of the difference; 0 where there is none."""


def influences(field: Rendered, tokens: Sequence[Token], height: int, width: int,
               progress: Callable[[int, int], None] = lambda count, total: None) -> list[Influence]:
    """The influence of each of several tokens, on a rendering of (height, width); maps lie on the CPU."""
    whole, results = field.render(height, width), []
    for count, token in enumerate(tokens):
        progress(count, len(tokens))
        change = difference(field, token, whole).cpu()
        largest = change.max()
        rescaled = change / largest if largest > 0 else torch.zeros_like(change)
        results.append(Influence(token, rescaled, largest.item(), area_holding(change)))
    return results


def difference(field: Rendered, token: Token, whole: Float[Tensor, "c h w"]) -> Float[Tensor, "h w"]:
    """Mean over channels of |prediction - prediction without a token|; `whole` is `field.render(h, w)`."""
    return (without(field, token).render(*whole.shape[1:]) - whole).abs().mean(0)


def without(field: Rendered, token: Token) -> Rendered:
    """The field with one token replaced by zero."""
    assert len(token) == field.tokens.ndim - 1, f"token {token} of tokens {tuple(field.tokens.shape)}"
    tokens = field.tokens.clone()
    tokens[token] = 0
    return field.with_tokens(tokens)


def area_holding(change: Float[Tensor, "h w"], share: float = MASS) -> float:
    """The area of the smallest set of pixels that holds a share of a sum of values >= 0, as a part of the whole area.

    That is k / (H W) for the smallest k whose k largest values sum to at least `share` of all; 0 if all are zero.
    """
    ranked = change.flatten().double().sort(descending=True).values
    total = ranked.cumsum(0)
    if total[-1] == 0:
        return 0.0
    enough = share * total[-1] * (1 - 1e-9)  # ten equal values: nine of them are 90 %, whatever rounding says
    return (int((total < enough).sum()) + 1) / len(ranked)


def spread_tokens(field: Rendered, count: int) -> list[Token]:
    """`count` tokens all over the picture, or all there are; the same ones for every picture of the same size.

    They follow `golden_steps`; a token that comes up again is passed over.
    """
    sizes = field.tokens.shape[:-1]
    steps = golden_steps(len(sizes))
    places: dict[Token, None] = {}
    number = 0
    while len(places) < min(count, sizes.numel()):
        places[tuple(int((0.5 + number * step) % 1 * n) for step, n in zip(steps, sizes, strict=True))] = None
        number += 1
    return list(places)


def place(field: Rendered, token: Token) -> tuple[float, float, float, float]:
    """The box (top, left, bottom, right) in [-1, 1] that a token's row and column take among the field's."""
    rows, columns = field.tokens.shape[:2]
    row, column = token[:2]
    return 2 * row / rows - 1, 2 * column / columns - 1, 2 * (row + 1) / rows - 1, 2 * (column + 1) / columns - 1

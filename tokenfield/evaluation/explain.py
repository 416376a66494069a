"""What tokens are for, measured: which part of a picture each token governs, and where each pixel looks.

One `Explained` per model and picture holds a removal map and an area for every token (`tokenfield.fields.locality`,
Fig. 5 and 12 of the NeurIPS paper) and, for systems that have them, the attention weights of a coarse lattice of
pixels over the tokens. What a token is, and whether coordinates attend to it, the system declares itself
(`FieldModel.token`, `FieldModel.attention`). The pages and figures that show them are `explain_page` and `figure` here.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from PIL.Image import Image
from torch import Tensor

from tokenfield.coords import Grid
from tokenfield.evaluation.figures import Panel, from_pil, heat, sheet, shrunk, to_pil
from tokenfield.fields.field import Field
from tokenfield.fields.locality import MASS, Influence, Token, influences, spread_tokens
from tokenfield.io.record import Record
from tokenfield.metrics import psnr
from tokenfield.models.base import FieldModel

ANY_SIZE = 128
"""Pixels per side that models of any size see: a token's place on a larger picture would be too small to look at."""


@dataclass(frozen=True)
class Attention:
    """Where pixels look: weights of the tokens that are shown, and what the others take."""

    weights: Float[Tensor, "h q r"]
    elsewhere: Float[Tensor, "h q"]
    """The share that falls on all other tokens; with `weights`, rows of sum 1."""
    enough: Int[Tensor, "1+h q"]
    """How many tokens, shown or not, hold 90 % of a pixel's attention: of the mean over heads, then of each head."""


def attention_on(weights: Float[Tensor, "h q r"], shown: Sequence[int]) -> Attention:
    """What the weights of `FieldModel.attention` say of the tokens that are shown, by their numbers."""
    some = weights[..., list(shown)]
    ranked = torch.cat([weights.mean(0, keepdim=True), weights]).double().sort(descending=True).values.cumsum(-1)
    short = ranked < MASS * (1 - 1e-9) * ranked[..., -1:]  # ten equal weights: nine of them are 90 %
    return Attention(some, (weights.sum(-1) - some.sum(-1)).clamp(min=0), short.sum(-1) + 1)


@dataclass(frozen=True)
class Explained:
    """One picture through one model."""

    name: str
    """Of the picture."""
    system: str
    token: str
    """What one of the system's tokens is."""
    image: Float[Tensor, "c h w"]
    """What was encoded: the middle square, resized to what the model takes."""
    psnr: float
    """dB of the reconstruction, papers' protocol."""
    values: int
    """Numbers its tokens hold."""
    bytes: int
    """Of the tokens as they are; coded they are fewer."""
    influences: tuple[Influence, ...]
    """One per token that was removed."""
    tokens: int
    """How many there are."""
    grid: tuple[int, int] | None
    """(rows, columns) of the tokens where they have places, None where they are a set."""
    attention: Attention | None
    """Of `queries` x `queries` pixels, weights for the removed tokens; None without attention."""
    queries: int

    @property
    def areas(self) -> list[float]:
        """Shares of the picture that hold 90 % of what each token changes, of tokens that change anything."""
        return [influence.area for influence in self.influences if influence.largest > 0]

    @property
    def without_attention(self) -> str:
        """What a page says of a system in which coordinates attend to no tokens."""
        return (f"This system has no attention from coordinates to tokens; each of its tokens is {self.token}. Where a "
                "pixel looks is not defined for it; what a token's absence changes is.")


def explain(model: FieldModel, name: str, picture: Float[Tensor, "3 h w"], *, size: int | None = None,
            most_tokens: int = 256, map_size: int = 64, queries: int = 24,
            progress: Callable[[int, int], None] = lambda count, total: None) -> Explained:
    """Remove every token of a picture in turn, and ask a lattice of pixels where they look.

    Args:
        picture: of any size; its middle square is resized to what the model takes, so that it is one piece.
        size: side for models of any size; default `ANY_SIZE`.
        most_tokens: of more tokens, as many as this, spread evenly, are removed.
        map_size: side of the removal maps, on which areas are measured; at most the picture's own.
        queries: pixels per side whose attention is noted.
    """
    side = model.input_size[0] if model.input_size is not None else size or ANY_SIZE
    image = shrunk(picture, side)
    if image.shape[1] < side:  # a small picture: what the model takes decides
        image = from_pil(to_pil(image).resize((side, side)))
    field = Field.of(model, image)
    shape, map_side = field.tokens.shape[:-1], min(map_size, side)
    subset: list[Token] = [tuple(int(i) for i in index) for index in torch.ones(shape).nonzero()]
    if len(subset) > most_tokens:
        subset = sorted(spread_tokens(field, most_tokens))
    places = shape if model.input_size is None else shape[2:]  # without the axes that count tiles, here 1 x 1
    return Explained(name=name, system=model.name, token=model.token, image=image,
                     psnr=psnr(field.render(side, side)[None].cpu(), image[None]).item(),
                     values=field.values_stored, bytes=field.bytes_stored,
                     influences=tuple(influences(field, subset, map_side, map_side, progress)), tokens=shape.numel(),
                     grid=(places[0], places[1]) if len(places) == 2 else None,
                     attention=_attention(field, subset, queries), queries=queries)


@torch.no_grad()
def _attention(field: Field, subset: Sequence[Token], queries: int) -> Attention | None:
    """With weights for the chosen tokens; of a system for one size, in its own coordinates, which are the picture's."""
    tokens = field.tokens if field.model.input_size is None else field.tokens[0, 0]  # one tile
    weights = field.model.attention(tokens[None], Grid.cells(queries, queries).coords().to(tokens))
    if weights is None:
        return None
    numbers = torch.arange(field.tokens[..., 0].numel()).view(field.tokens.shape[:-1])
    return attention_on(weights.float().cpu(), [int(numbers[token]) for token in subset])


def label(one: Explained, number: int) -> str:
    """What to call a removed token: `row, column` where tokens have places, else its number."""
    token = one.influences[number].token
    return ", ".join(map(str, token[-2:] if one.grid else token[-1:]))


def locality(explained: Sequence[Explained]) -> Record:
    """The number of a model: areas of all removed tokens of all pictures.

    `shares` is the mean area times the number of tokens: 1 if the tokens shared the picture evenly between them.
    """
    areas = [area for one in explained for area in one.areas]
    idle = sum(influence.largest == 0 for one in explained for influence in one.influences)
    mean = statistics.fmean(areas) if areas else 0.0
    return {
        "area_mean": round(mean, 5),
        "area_median": round(statistics.median(areas), 5) if areas else 0.0,
        "shares": round(mean * explained[0].tokens, 3),
        "tokens": explained[0].tokens,
        "map_size": explained[0].influences[0].map.shape[0],
        "removed": len(areas) + idle,
        "without_effect": idle,
        "psnr": round(statistics.fmean(one.psnr for one in explained), 3),
        "values_stored": explained[0].values,
        "bytes": explained[0].bytes,
    }


def strongest(explained: Sequence[Explained], count: int) -> list[int]:
    """Places, in the list of removed tokens, of those that change the pictures most; in the list's order.

    The same tokens for all pictures: a token's largest change, summed over them.
    """
    totals = torch.tensor([[influence.largest for influence in one.influences] for one in explained]).sum(0)
    return sorted(totals.argsort(descending=True)[:count].tolist())


def figure(rows: Sequence[tuple[str, Sequence[Explained]]], count: int = 6, side: int = 128) -> Image:
    """The same tokens over several pictures, models one below the other (Fig. 5 and 12)."""

    def fit(image: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 side side"]:
        """Pixels as squares where that fits, else Pillow's default reduction."""
        return from_pil(to_pil(image).resize((side, side), 0 if side % image.shape[1] == 0 else None))

    panels = []
    for name, explained in rows:
        subset = strongest(explained, count)
        for one in explained:
            line = [Panel(fit(one.image), name if len(name) <= 16 else name[:15] + "…")]
            for k in subset:
                influence = one.influences[k]
                line.append(Panel(fit(heat(influence.map)), f"token {label(one, k)}", f"{100 * influence.area:.1f} %"))
            panels.append(line)
    return sheet(panels)

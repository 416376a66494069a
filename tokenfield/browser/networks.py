"""What the page computes, as networks. Everything that says where a coordinate is, is left to the page.

| who decodes | networks |
|---|---|
| tokens that are functions | `functions`: tokens of a part of a lattice -> functions; `cells`: those -> pixels |
| any other lattice | `window`: tokens around a tile, rows and columns in them -> values |
| tiles | `grid`: tokens of a tile, rows and columns -> values; `attention` |
| views of an object | `rays`: tokens, origins and directions -> colours; `attention` of light fields |
| a field on the sphere | `points`: tokens, coordinates -> values; `attention` |

`functions` costs far more than `cells`, and its result serves every zoom: the page keeps it.
"""

from functools import reduce
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Grid
from tokenfield.earth.models import EarthModel
from tokenfield.interop.export import for_graphs
from tokenfield.interop.networks import Network
from tokenfield.models.anchored import AnchorField
from tokenfield.models.base import FieldModel
from tokenfield.models.lapped import Lapped
from tokenfield.nn.anchors import harmonics, window
from tokenfield.nn.lapped import sines
from tokenfield.views.models.base import LightFieldModel, RadianceModel, ViewsModel
from tokenfield.views.radiance_field import PUBLISHED, Integral
from tokenfield.views.rays import LINES, Rays, plucker

RAYS = 1024
"""Rays that the page asks for at once: a radiance field evaluates as many times 128 points."""
OUTSIDE = -1e30
"""A logit that leaves no weight, and that every number format of a graphics card holds."""


class Functions(nn.Module):
    """Tokens (M, N, D) of a part of a lattice -> functions (M + 2, k, N + 2, c, k) of theirs and of a border.

    A function's coefficients along y come before its column, so that a row of tokens is one matrix product. Anchored
    tokens have one function more than channels, the content score, and a border of zeros.
    """

    def __init__(self, model: AnchorField | Lapped):
        super().__init__()
        self.model = model

    def forward(self, tokens: Float[Tensor, "m n d"]) -> Float[Tensor, "m+2 k n+2 c k"]:
        prepared = self.model.prepare(tokens[None])
        coefficients: Tensor = (prepared if isinstance(prepared, Tensor) else prepared.coefficients)[0]
        return coefficients.permute(0, 3, 1, 2, 4).contiguous()  # from (M + 2, N + 2, c, k, k)


def near_values(functions: Float[Tensor, "g k h c k"], basis_y: Float[Tensor, "2 m k"],
                basis_x: Float[Tensor, "2 n k"]) -> list[Tensor]:
    """Values (h - 1, g - 1, m, c, n) of functions of the four anchors around every gap, at the m x n points of each.

    Between two neighbouring anchors lies a gap. Every gap has the same points, so all of a tile is a few matrix
    products.
    """
    g, k, h, c, _ = functions.shape
    m, n = basis_y.shape[1], basis_x.shape[1]
    values = []
    for i in (0, 1):
        lines = basis_y[i] @ functions[i : g - 1 + i].reshape(g - 1, k, h * c * k)  # (g - 1, m, h c l)
        lines = lines.reshape((g - 1) * m, h, c, k).permute(1, 0, 2, 3).reshape(h, (g - 1) * m * c, k)
        values += [(lines[j : h - 1 + j] @ basis_x[j].T).reshape(h - 1, g - 1, m, c, n) for j in (0, 1)]
    return values


def as_picture(values: Float[Tensor, "h g m c n"]) -> Float[Tensor, "c gm hn"]:
    """Values of the points of every gap as rows and columns."""
    h, g, m, c, n = values.shape
    return values.permute(3, 1, 2, 0, 4).reshape(c, g * m, h * n)


class Cells(nn.Module):
    """Functions of g x h anchored tokens -> values (C, (g - 1) m, (h - 1) n), the four neighbours' weights (4, ...).

    `y` and `x` are the points of a gap, in [0, 1) of the way from one anchor to the next: `RelativeHead.on_grid` for
    evenly spread points. It has no weights of its own.
    """

    angle: Tensor
    sine: Tensor

    def __init__(self, num_harmonics: int, cell: int):
        super().__init__()
        angle = torch.pi * torch.arange(num_harmonics, dtype=torch.float64) / (4 * cell)
        self.register_buffer("angle", angle.float())
        self.register_buffer("sine", angle.sin().float().clamp(min=1e-9))
        self.num_harmonics = num_harmonics

    def basis(self, place: Float[Tensor, " m"], span: Float[Tensor, ""]) -> tuple[Tensor, Tensor]:
        """Harmonics (2, m, k) for the lower and the upper neighbour, and its distance terms (2, m)."""
        relative = torch.stack([place, place - 1])
        ratio = (span * self.angle).sin() / (span * self.sine)  # `anchors.fade`
        faded = torch.where(self.angle == 0, torch.ones_like(ratio), ratio)
        return harmonics(relative, self.num_harmonics) * faded, window(relative)

    def forward(self, functions: Float[Tensor, "g k h c k"], y: Float[Tensor, " m"], x: Float[Tensor, " n"],
                span: Float[Tensor, "2"], outside_y: Float[Tensor, " g"], outside_x: Float[Tensor, " h"],
                sharpness: Float[Tensor, "1"]) -> tuple[Tensor, Tensor]:
        """Values and weights.

        Args:
            span: side of the box that a point stands for, per axis, in pixels; 1: the point.
            outside_y, outside_x: 1 for rows and columns of tokens that are off the lattice, else 0.
            sharpness: factor of the distance terms.
        """
        g, h = functions.shape[0], functions.shape[2]
        (basis_y, near_y), (basis_x, near_x) = self.basis(y, span[0]), self.basis(x, span[1])
        near = near_values(functions, basis_y, basis_x)
        logits = []
        for i in (0, 1):
            for j in (0, 1):
                distance = near_y[i][:, None] + near_x[j]  # (m, n)
                off = outside_y[i : g - 1 + i][None, :, None, None] + outside_x[j : h - 1 + j][:, None, None, None]
                logits.append(near[2 * i + j][:, :, :, -1] + sharpness * distance + OUTSIDE * off)
        weights = torch.stack(logits).softmax(0)  # (4, h - 1, g - 1, m, n)
        parts = [w.unsqueeze(3) * v[:, :, :, :-1] for w, v in zip(weights.unbind(0), near, strict=True)]
        return as_picture(reduce(torch.add, parts) + 0.5), as_picture(weights.movedim(0, 3))


class LappedCells(nn.Module):
    """The same for overlapping cells, whose functions are added up.

    No coordinate attends to a token there. In place of weights stands each neighbour's share of the squares of all
    functions at a point: of the variance that its tokens would cause if all had the same.
    """

    angle: Tensor

    def __init__(self, model: Lapped):
        super().__init__()
        self.model = model
        self.register_buffer("angle", torch.pi * torch.arange(1, 2 * model.cell + 1) / (4 * model.cell))

    def basis(self, place: Float[Tensor, " m"], span: Float[Tensor, ""]) -> Float[Tensor, "2 m k"]:
        """Functions for the lower and the upper neighbour: `LappedFunctions` with a span that is an input."""
        fade = (span * self.angle).sin() / (span * self.angle.sin())
        waves = sines(torch.stack([place, place - 1]), 2 * self.model.cell) * fade
        return waves @ (self.model.functions.to_sines.float() @ self.model.synthesis)

    def forward(self, functions: Float[Tensor, "g k h c k"], y: Float[Tensor, " m"], x: Float[Tensor, " n"],
                span: Float[Tensor, "2"]) -> tuple[Tensor, Tensor]:
        """Values and shares."""
        g, h = functions.shape[0], functions.shape[2]
        basis_y, basis_x = self.basis(y, span[0]), self.basis(x, span[1])
        values = reduce(torch.add, near_values(functions, basis_y, basis_x)) + 0.5
        near = basis_y.square().sum(-1)[:, None, :, None] * basis_x.square().sum(-1)[None, :, None, :]
        shares = (near / near.sum((0, 1), keepdim=True)).flatten(0, 1)  # (4, m, n)
        return as_picture(values), shares.repeat(1, g - 1, h - 1)


class WindowValues(nn.Module):
    """Tokens (M, N, D) of a part of a lattice, rows and columns in [-1, 1] over it -> values (C, rows, columns)."""

    def __init__(self, model: FieldModel):
        super().__init__()
        self.model = model

    def forward(self, tokens: Float[Tensor, "m n d"], y: Float[Tensor, " h"], x: Float[Tensor, " w"],
                span: Float[Tensor, "2"]) -> Float[Tensor, "c h w"]:
        grid = Grid((y, x), cast("tuple[float, float]", (span[0], span[1])))  # a graph's numbers are tensors
        located = self.model.locate(grid, tuple(tokens.shape[:-1]))
        values = self.model.combine(located, self.model.prepare(tokens[None]))[0]
        return values.T.reshape(-1, y.shape[0], x.shape[0])


class GridValues(nn.Module):
    """Tokens of one tile, and the rows and columns of a grid -> values (C, rows, columns)."""

    def __init__(self, model: FieldModel):
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, y: Float[Tensor, " h"], x: Float[Tensor, " w"]) -> Float[Tensor, "c h w"]:
        located = self.model.locate(Grid((y, x)), tuple(tokens.shape[:-1]))
        values = self.model.combine(located, self.model.prepare(tokens[None]))[0]
        return values.T.reshape(-1, y.shape[0], x.shape[0])


class PointValues(nn.Module):
    """Tokens of one instance, and coordinates (Q, X) -> values (Q, C)."""

    def __init__(self, model: FieldModel):
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, coords: Float[Tensor, "q x"]) -> Float[Tensor, "q c"]:
        located = self.model.locate(coords, tuple(tokens.shape[:-1]))
        return self.model.combine(located, self.model.prepare(tokens[None]))[0]


class RayColours(nn.Module):
    """Tokens of an object, and rays -> colours (Q, 3)."""

    def __init__(self, model: ViewsModel, integral: Integral):
        super().__init__()
        self.model, self.integral = model, integral

    def forward(self, tokens: Tensor, origins: Float[Tensor, "q 3"], directions: Float[Tensor, "q 3"],
                axis: Float[Tensor, "3"]) -> Float[Tensor, "q 3"]:
        rays = Rays(origins[None], directions[None], axis[None])
        return self.model.colours(tokens[None], rays, self.integral)[0]


class Attention(nn.Module):
    """Tokens of one instance, and coordinates (Q, X) -> how much each takes from each token, (Q, R); heads' mean."""

    def __init__(self, model: FieldModel):
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, coords: Float[Tensor, "q x"]) -> Float[Tensor, "q r"]:
        weights = self.model.attention(tokens[None], coords)  # (H, Q, R)
        assert weights is not None, "a system that attends to tokens"
        return weights.mean(0)


class RayAttention(Attention):
    """The same of a light field, by Plucker coordinates, which the page knows; the model may have others."""

    def __init__(self, model: LightFieldModel):
        super().__init__(model)
        self.line = LINES[model.line]

    def forward(self, tokens: Tensor, coords: Float[Tensor, "q 6"]) -> Float[Tensor, "q r"]:
        direction, moment = coords.split(3, -1)
        return super().forward(tokens, self.line(torch.linalg.cross(direction, moment), direction))


def networks_of(model: FieldModel, integral: Integral = PUBLISHED) -> dict[str, Network]:
    """The networks that the page runs for a model."""
    if model.input_size is None:
        return lattice_networks(for_graphs(model))
    tokens = model.encode(model.example(1)[0])[0].detach()
    coords, free = torch.rand(37, model.coordinate_dim) * 2 - 1, {"coords": {0: "points"}}
    if isinstance(model, ViewsModel):
        origins, directions = torch.rand(RAYS, 3), nn.functional.normalize(torch.rand(RAYS, 3), dim=-1)
        inputs = {"tokens": tokens, "origins": origins, "directions": directions, "axis": torch.tensor([0.0, 0.6, 0.8])}
        networks = {"rays": Network(RayColours(model, integral), inputs, ("values",))}
    elif isinstance(model, EarthModel):
        networks = {"points": Network(PointValues(model), {"tokens": tokens, "coords": coords}, ("values",), free)}
    else:
        inputs = {"tokens": tokens, "y": torch.rand(11), "x": torch.rand(13)}
        axes = {"y": {0: "rows"}, "x": {0: "columns"}}
        networks = {"grid": Network(GridValues(model), inputs, ("values",), axes)}
    with torch.no_grad():
        attends = not isinstance(model, RadianceModel) and model.attention(tokens[None], coords) is not None
    if not attends:  # a ray of a radiance field has many points, each with an attention of its own
        return networks
    module = Attention(model)
    if isinstance(model, LightFieldModel):
        module, coords = RayAttention(model), plucker(origins, directions)
    networks["attention"] = Network(module, {"tokens": tokens, "coords": coords}, ("weights",), free)
    return networks


def lattice_networks(model: FieldModel) -> dict[str, Network]:
    """Those of tokens on a lattice."""
    with torch.no_grad():
        tokens = model.encode(torch.rand(1, model.channels, 5 * model.cell, 7 * model.cell))[0]
    inputs = {"tokens": tokens}
    points = {"y": torch.rand(3), "x": torch.rand(4), "span": torch.ones(2)}
    size = {"tokens": {0: "rows", 1: "columns"}}
    free = {"y": {0: "m"}, "x": {0: "n"}}
    if not isinstance(model, AnchorField | Lapped):
        return {"window": Network(WindowValues(model), inputs | points, ("values",), size | free)}
    with torch.no_grad():
        functions = Functions(model)(tokens)  # (7, k, 9, c, k)
    parts, free = {"functions": functions} | points, {"functions": {0: "g", 2: "h"}} | free
    cells: nn.Module
    if isinstance(model, Lapped):
        cells = LappedCells(model)
    else:
        cells = Cells(model.head.shape[-1], model.cell)
        parts |= {"outside_y": torch.zeros(7), "outside_x": torch.zeros(9), "sharpness": torch.ones(1)}
        free |= {"outside_y": {0: "g"}, "outside_x": {0: "h"}}
    return {"functions": Network(Functions(model), inputs, ("functions",), size),
            "cells": Network(cells, parts, ("values", "weights"), free)}


def sharpness_of(model: AnchorField, tokens: Float[Tensor, "m n d"]) -> float:
    """The factor of the distance terms for tokens of this width."""
    with torch.no_grad():
        own = model.prepare(tokens[None, :1, :1]).sharpness
        return float(model.aggregation.log_sharpness.exp() * (1.0 if own is None else own[0]))

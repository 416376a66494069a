"""The floor: principal components of 8x8 cells of photographs, the best linear code of its kind.

A learned code that stores n numbers per cell has to beat what n principal components of the same cell give, or it has
learned nothing that the covariance of photographs does not know. The transform is Hotelling's (1933),
fitted like a model: on training photographs alone, then frozen and applied to pictures it never saw. Stored values are
counted exactly as for tokens: numbers per instance, whatever their precision.

`Basis.load()` is the one beside the shipped weights; `python -m experiments.release.pca_basis FOLDER OUT` fits one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from tokenfield.errors import UserError
from tokenfield.metrics import psnr

PACKAGED = Path(__file__).parent.parent / "models" / "weights" / "pca-8x8" / "basis.safetensors"
"""The basis that ships, so that the floor can be printed offline."""


@dataclass(frozen=True)
class Basis:
    """An orthonormal basis of cell space, most variance first: F = C * cell * cell values in [0, 1], as in pictures."""

    mean: Float[Tensor, " f"]
    components: Float[Tensor, "f f"]
    """float32, one component per row."""
    cell: int = 8
    """Side of a cell in pixels."""
    cells: int = 0
    """How many cells it was fitted on, from how many pictures, and the seed of their positions."""
    pictures: int = 0
    seed: int = 0

    @property
    def facts(self) -> dict[str, int]:
        """What the basis was fitted on."""
        return {"cell": self.cell, "cells": self.cells, "pictures": self.pictures, "seed": self.seed}

    @classmethod
    def load(cls, path: Path | None = None) -> "Basis":
        """Read a basis, the packaged one by default. Raises UserError if the file is missing, or is no such basis."""
        from safetensors import SafetensorError, safe_open

        path = path or PACKAGED
        remedy = f"fit one with: python -m experiments.release.pca_basis FOLDER {path}"
        if not path.is_file():
            raise UserError(f"no PCA basis at {path}; {remedy}")
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != "tokenfield.pca":
                    raise UserError(f"{path} is a safetensors file but no PCA basis; {remedy}")
                mean, components = file.get_tensor("mean").float(), file.get_tensor("components")
        except (SafetensorError, OSError) as error:
            detail = str(error).splitlines()[0]
            raise UserError(f"{path} is no PCA basis, or is damaged ({detail}); {remedy}") from error
        facts = {name: int(metadata[name]) for name in ("cell", "cells", "pictures", "seed")}
        return cls(mean, orthonormal(components), **facts)


def orthonormal(components: Float[Tensor, "f f"]) -> Float[Tensor, "f f"]:
    """The nearest thing to rounded components that is a basis again: Gram-Schmidt in order, in float64.

    In order, so that the first n rows span what they spanned for every n. Without it the rounding to float16 would cap
    the reconstruction from all components near 60 dB.
    """
    factors = torch.linalg.qr(components.double().T)
    q: Tensor = factors.Q
    r: Tensor = factors.R
    return (q * r.diagonal().sign()).T.float().contiguous()


def to_cells(picture: Float[Tensor, "c h w"], cell: int) -> Float[Tensor, "n f"]:
    """Cut a picture into N = ceil(H / cell) * ceil(W / cell) cells, row by row; F = C * cell * cell, channel first.

    A side that is no multiple of `cell` is continued by its edge.
    """
    height, width = picture.shape[-2:]
    padded = functional.pad(picture[None], (0, -width % cell, 0, -height % cell), mode="replicate")
    return functional.unfold(padded, cell, stride=cell)[0].T


def from_cells(cells: Float[Tensor, "n f"], height: int, width: int, cell: int) -> Float[Tensor, "c height width"]:
    """The picture of which `to_cells` made these cells."""
    padded = (height + -height % cell, width + -width % cell)
    return functional.fold(cells.T[None], padded, cell, stride=cell)[0, :, :height, :width]


def reconstruct(basis: Basis, picture: Float[Tensor, "c h w"], count: int) -> Float[Tensor, "c h w"]:
    """The picture from the first `count` coefficients of each of its cells; neither clamped nor rounded.

    Raises UserError for a picture of another number of channels than the basis.
    """
    channels = len(basis.mean) // basis.cell**2
    if picture.shape[0] != channels:
        raise UserError(f"the PCA basis is for {channels} channels, the picture has {picture.shape[0]}")
    cells, mean = to_cells(picture, basis.cell), basis.mean.to(picture)           # (N, F), (F,)
    components = basis.components[:count].to(picture)                              # (count, F)
    coefficients = (cells - mean) @ components.T                                  # (N, count): what would be stored
    height, width = picture.shape[-2:]
    return from_cells(mean + coefficients @ components, height, width, basis.cell)


def values_per_cell(shape: Sequence[int], cell: int, values_stored: float | int) -> int:
    """The most coefficients per cell that a budget of `values_stored` numbers pays for a picture of shape (C, H, W)."""
    channels, height, width = shape
    cells = -(-height // cell) * -(-width // cell)
    return min(int(values_stored / cells + 1e-6), channels * cell * cell)


def floor_of(basis: Basis, picture: Float[Tensor, "c h w"], values_stored: float | int) -> float:
    """PSNR (dB, papers' protocol) of one picture for which `values_stored` numbers may be stored."""
    count = values_per_cell(picture.shape, basis.cell, values_stored)
    return psnr(reconstruct(basis, picture, count)[None], picture[None]).item()

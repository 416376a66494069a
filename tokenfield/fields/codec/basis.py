"""Channels of tokens turned into bands that are worth quantising alike.

Rounding adds noise to every band, and what it does to the picture is measured by G, the mean over tokens of J^T J for
the Jacobian J of the decoder. Channels of covariance C become bands b = U^T G^(1/2) (z - mean), U being the
eigenvectors of G^(1/2) C G^(1/2): noise of equal size in any band moves the picture equally far, and bands are
uncorrelated (the Karhunen-Loeve transform in the metric of the decoder). Those come first that a cell's neighbours
foretell.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FLOOR = 1e-5
"""Directions that move the picture less than this share of the first one are treated as if they moved it so much."""
FORETOLD = 0.7
"""A band is predicted from its neighbours if that leaves less than this share of its variance."""


@dataclass(frozen=True, eq=False)
class Basis:
    """The bands of D channels."""

    mean: NDArray[np.float32]
    """(D,)"""
    analysis: NDArray[np.float32]
    """Rows are what bands read of channels: (D, D)."""
    synthesis: NDArray[np.float32]
    """Its inverse."""

    def bands(self, tokens: NDArray[np.float32]) -> Floats:
        """Tokens (..., D) -> bands (..., D)."""
        away: Floats = tokens.astype(np.float64) - self.mean
        return away @ self.analysis.T.astype(np.float64)

    def tokens(self, bands: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bands (..., D) -> tokens (..., D); in float64, for machines add in different orders."""
        return (bands.astype(np.float64) @ self.synthesis.T.astype(np.float64) + self.mean).astype(np.float32)


def fit_basis(tokens: NDArray[np.float32], metric: Floats) -> tuple[Basis, int]:
    """The bands of tokens (N, rows, columns, D) of training pictures, given G (D, D), and how many are predicted."""
    flat = tokens.reshape(-1, tokens.shape[-1]).astype(np.float64)
    mean = flat.mean(0)
    size, axes = np.linalg.eigh(metric)
    size = np.sqrt(np.maximum(size, FLOOR * size[-1]))
    root, inverse = (axes * size) @ axes.T, (axes / size) @ axes.T
    turned = np.linalg.eigh(root @ np.cov(flat - mean, rowvar=False) @ root)[1][:, ::-1]
    bands = (tokens - mean) @ (root @ turned)
    around = (bands[:, :-2, 1:-1] + bands[:, 2:, 1:-1] + bands[:, 1:-1, :-2] + bands[:, 1:-1, 2:]) / 4
    inner = bands[:, 1:-1, 1:-1]
    foretold = (inner - around).var((0, 1, 2)) < FORETOLD * inner.var((0, 1, 2))
    order = np.argsort(~foretold, kind="stable")
    analysis, synthesis = (root @ turned)[:, order].T, (inverse @ turned)[:, order]
    stored = (np.ascontiguousarray(array, np.float32) for array in (mean, analysis, synthesis))
    return Basis(*stored), int(foretold.sum())

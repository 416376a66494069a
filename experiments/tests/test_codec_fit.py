"""Tables of the codec, fitted: contexts find scales, labels their like, and bands are as far as they move a picture."""

import numpy as np
import pytest
import torch

from experiments.codec import fit as fitting
from experiments.codec.fit import fit_basis
from experiments.codec.fit_labels import fit_labels
from tokenfield.fields.codec.contexts import UNIT, Order, Walk
from tokenfield.fields.codec.entropy import Known, encode_stripe
from tokenfield.models.lapped import LappedConfig

STARTS, LAYERS = [0, 2, 5, 11], [0, 1, 3]


def coded(tables, level, symbols):
    """Streams of symbols (D, rows, columns)."""
    walk = Walk(tables, level, symbols.shape[1:])
    return encode_stripe(tables, level, walk, Known(symbols.reshape(len(symbols), -1).take(walk.order, 1)))


def test_fitted_tables_code_shorter(monkeypatch):
    """Bands whose sizes follow a hidden local scale: contexts find it, and the tables learn their distribution."""
    monkeypatch.setattr(fitting, "STEPS", (2048,))
    draw = np.random.default_rng(5)
    local = np.exp(1.2 * np.repeat(np.repeat(draw.normal(size=(6, 8, 8)), 2, 1), 2, 2))[..., None]
    tokens = (draw.laplace(size=(6, 16, 16, 11)) * local * 0.03).astype(np.float32)
    scale = np.ones(11, np.float32)
    fitted = fitting.fit(tokens[:5], scale, STARTS, LAYERS, 0, rounds=1, progress=lambda text: None)
    plain = fitting.blank(scale, STARTS, LAYERS, 0)
    plain.constants[:] = UNIT // 2

    def size(tables):
        symbols = np.round(np.moveaxis(tokens[5], -1, 0) * 255 / 8).astype(np.int64)
        return sum(map(len, coded(tables, 0, symbols)))

    assert size(fitted) < 0.9 * size(plain)


def test_scale_of_an_orthonormal_code_is_one():
    model = LappedConfig(cell=4, channels=3, prefixes=(3, 48)).build()  # a DCT before it is fitted
    scale = fitting.scale_of(fitting.metric_of(model, torch.rand(2, 3, 12, 20), probes=40))
    assert scale == pytest.approx(np.ones(48), abs=0.25)


def test_labels_cost_less_beside_their_like():
    """Labels in patches: tables of pairs find that out, and every frequency is a whole number above 0."""
    draw = np.random.default_rng(6)
    labels = np.repeat(np.repeat(draw.integers(0, 7, (10, 4, 4)), 4, 1), 4, 2)
    fitted = fit_labels(labels, np.ones((*labels.shape, 3), np.float32))
    grid, bits = Order((16, 16)), 0.0
    for number, (cells, offsets) in enumerate(grid.lattices()):
        near = [(axis, labels[9].ravel()[at], inside) for axis, at, inside in grid.around(cells, offsets)]
        found = fitted.frequencies(number, len(cells), near)
        assert found.min() >= 1 and found.max() <= 1 << 20
        own = np.take_along_axis(found, labels[9].ravel()[cells][:, None], 1)[:, 0]
        bits += np.log2(found.sum(1) / own).sum()
    assert bits < 0.6 * 256 * np.log2(7)


def test_bands_are_the_tokens_turned():
    """Noise of one size in any band is noise of one size in the picture, and bands do not go together."""
    draw = np.random.default_rng(7)
    root = draw.normal(size=(5, 5))
    tokens = (draw.normal(size=(4, 9, 11, 5)) @ draw.normal(size=(5, 5)) + 3).astype(np.float32)
    basis, _ = fit_basis(tokens, root.T @ root)
    bands = basis.bands(tokens)
    assert np.abs(basis.tokens(bands.astype(np.float32)) - tokens).max() < 1e-3
    assert root @ basis.synthesis @ (root @ basis.synthesis).T == pytest.approx(np.eye(5), abs=1e-3)
    covariance = np.cov(bands.reshape(-1, 5), rowvar=False)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-3 * covariance.max()

"""Quantised tokens and their entropy coder: symbols come back, whatever they are, and cost what the tables say."""

import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenfield.errors import UserError
from tokenfield.fields.codec import fit as fitting
from tokenfield.fields.codec.basis import fit_basis
from tokenfield.fields.codec.coding import decode_stripe, decode_tokens, encode_tokens, step_of
from tokenfield.fields.codec.container import opened
from tokenfield.fields.codec.contexts import UNIT, Walk
from tokenfield.fields.codec.entropy import BUCKETS, LARGEST, Known, bucket_of, encode_stripe, span_of
from tokenfield.fields.codec.fit_labels import fit_labels
from tokenfield.fields.codec.order import Order, neighbours
from tokenfield.fields.codec.quantiser import Quantiser
from tokenfield.fields.codec.tables import tables_of
from tokenfield.models import pretrained

GOLDEN = {
    "golden.field": "bb395cd680fdf96a9926f2663214d39d1e3360a2687209953788595d1a17ae1e",           # photos-codec
    "golden-anchored.field": "772aca8b7ea0d0feea73d42eb71ef11f0f58a0f6fbde0a009b2145f372d4267e",  # photos-s
    "golden-switched.field": "a41ff568de31423f24b2b897e68c44956e9aebd14d647ce919aa3a61637b555f",  # photos-ladder
}
"""Files made on one machine, and the SHA-256 of their symbols."""
STARTS, LAYERS = [0, 2, 5, 11], [0, 1, 3]


@pytest.fixture(scope="module")
def tables():
    """For eleven bands, two of them predicted, with weights that mean something."""
    tables = fitting.blank(np.linspace(0.5, 2, 11).astype(np.float32), STARTS, LAYERS, 2)
    draw = np.random.default_rng(0)
    tables.parents[5:, :2] = [[2, 3], [0, 4], [1, 2], [3, 0], [4, 1], [2, 0]]
    tables.weights[:] = draw.integers(0, 900, tables.weights.shape)
    tables.constants[:] = draw.integers(UNIT // 100, UNIT // 5, tables.constants.shape)
    tables.spreads[:] = draw.integers(UNIT // 10, UNIT, tables.spreads.shape)
    tables.shift[:] = draw.integers(-30, 30, tables.shift.shape)
    return tables


def coded(tables, level, symbols):
    """Streams of symbols (D, rows, columns), and the walk over them."""
    walk = Walk(tables, level, symbols.shape[1:])
    return encode_stripe(tables, level, walk, Known(symbols.reshape(len(symbols), -1).take(walk.order, 1)))


def test_buckets_cover_every_magnitude_once():
    magnitude = np.arange(LARGEST + 1)
    bucket = bucket_of(magnitude)
    assert bucket[0] == 0 and bucket[-1] == BUCKETS - 1 and set(np.diff(bucket)) == {0, 1}
    low, bits = span_of(bucket)
    assert ((low <= magnitude) & (magnitude < low + (1 << bits))).all()


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 19), columns=st.integers(1, 23), size=st.floats(0, 5), level=st.integers(0, 5),
       seed=st.integers(0, 99))
def test_symbols_come_back(tables, rows, columns, size, level, seed):
    draw = np.random.default_rng(seed)
    symbols = np.round(draw.laplace(scale=10**size / 10, size=(11, rows, columns))).astype(np.int64)
    symbols = symbols.clip(-LARGEST // 2, LARGEST // 2)
    streams = coded(tables, level, symbols)
    again, values = decode_stripe(tables, level, streams, (rows, columns))
    assert (again == symbols).all()
    assert (np.sign(values) == np.sign(symbols)).all() and np.abs(values - symbols).max() < 0.5


def test_zeros_cost_no_stream(tables):
    symbols = np.zeros((11, 7, 5), np.int64)
    assert coded(tables, 0, symbols) == [b"", b""]
    symbols[9, 3, 2] = -1
    assert [bool(stream) for stream in coded(tables, 0, symbols)] == [False, True]


def test_streams_are_as_long_as_the_quantiser_says(tables):
    values = np.random.default_rng(1).laplace(scale=3, size=(11, 31 * 37))
    quantiser, walk = Quantiser(tables, 2, values), Walk(tables, 2, (31, 37))
    length = 8 * sum(map(len, encode_stripe(tables, 2, walk, quantiser)))
    assert quantiser.bits == pytest.approx(length, rel=0.01)
    assert np.abs(values - walk.symbols).max() < 2.5  # a price may move a symbol, never far


def test_leading_streams_are_leading_bands(tables):
    symbols = np.random.default_rng(2).integers(-3, 4, (11, 6, 9))
    streams = coded(tables, 1, symbols)
    coarse, _ = decode_stripe(tables, 1, streams[:1], (6, 9))
    assert (coarse[:2] == symbols[:2]).all() and not coarse[2:].any()


def test_stripes_are_independent(tables):
    tokens = np.random.default_rng(3).normal(size=(13, 7, 11)).astype(np.float32) / 10
    streams = encode_tokens(tables, tokens, step_of(50), stripe=5)
    assert len(streams) == 3
    whole = [decode_tokens(tables, part, (rows, 7), step_of(50)) for part, rows in zip(streams, (5, 5, 3), strict=True)]
    other = encode_tokens(tables, tokens[5:10], step_of(50), stripe=5)
    assert other[0] == streams[1]
    step = step_of(50) / 256 / 255 / tables.scale
    assert (np.abs(np.concatenate(whole) - tokens) < 1.6 * step).mean() > 0.95


def test_damage_is_an_error_or_other_symbols(tables):
    """Inside the checksums: the coder itself takes any bytes without a crash."""
    draw = np.random.default_rng(4)
    for length in (1, 2, 3, 5, 64, 500):
        data = draw.integers(0, 256, length).astype(np.uint8).tobytes()
        try:
            decode_stripe(tables, 0, [data, data], (5, 7))
        except UserError as error:
            assert "damaged" in str(error)


def test_neighbours_of_an_impulse():
    plane = np.zeros((1, 1, 5, 7), np.int64)
    plane[0, 0, 2, 3] = 9
    vertical = neighbours(plane, 2)
    assert vertical[0, 0, 1, 3] == vertical[0, 0, 3, 3] == 9 and vertical.sum() == 18
    assert neighbours(plane, 3)[0, 0, 2, 2] == 9


def test_every_cell_of_a_predicted_band_is_visited_once():
    for grid in ((1, 1), (2, 3), (17, 33), (32, 5)):
        cells = np.concatenate([cells for cells, _ in Order(grid).lattices()])
        assert sorted(cells) == list(range(grid[0] * grid[1]))


def test_qualities_are_steps():
    steps = [step_of(q) for q in range(101)]
    assert all(a > b for a, b in pairwise(steps)) and steps[0] == 128 * 256 and steps[100] == 256


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
    from tokenfield.models.lapped import LappedConfig

    model = LappedConfig(cell=4, channels=3, prefixes=(3, 48)).build()  # a DCT before it is fitted
    scale = fitting.scale_of(fitting.metric_of(model, torch.rand(2, 3, 12, 20), probes=40))
    assert scale == pytest.approx(np.ones(48), abs=0.25)


@pytest.mark.parametrize("golden", GOLDEN)
def test_golden_files_decode_bit_by_bit(golden):
    """All machines find the same whole numbers, and write the same bytes of them."""
    digest = hashlib.sha256()
    with opened(Path(__file__).parent / golden) as file:
        tables, name = tables_of(pretrained.load(file.header.model.origin))
        file.check_whole()
        assert file.header.tables == name
        for stripe in range(file.header.stripes):
            top, bottom = file.header.rows(stripe)
            level, streams = tables.level(file.header.step), file.streams(stripe)
            symbols, _ = decode_stripe(tables, level, streams, (bottom - top, file.header.shape[1]))
            digest.update(symbols.astype("<i4").tobytes())
            assert coded(tables, level, symbols) == streams
    assert digest.hexdigest() == GOLDEN[golden]


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

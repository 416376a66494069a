"""Quantised tokens and their entropy coder: symbols come back, whatever they are, and cost what the tables say."""

import hashlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenfield.errors import UserError
from tokenfield.fields.codec.coding import decode_stripe, decode_tokens, encode_tokens, step_of
from tokenfield.fields.codec.container import opened
from tokenfield.fields.codec.contexts import LATTICES, UNIT, Order, Walk, neighbours
from tokenfield.fields.codec.entropy import BUCKETS, LARGEST, Known, bucket_of, encode_stripe, span_of
from tokenfield.fields.codec.quantiser import Quantiser
from tokenfield.fields.codec.tables import Tables, tables_of
from tokenfield.models import pretrained

GOLDEN = {
    "golden.field": "bb395cd680fdf96a9926f2663214d39d1e3360a2687209953788595d1a17ae1e",           # photos-codec
    "golden-anchored.field": "772aca8b7ea0d0feea73d42eb71ef11f0f58a0f6fbde0a009b2145f372d4267e",  # photos-s
    "golden-switched.field": "a41ff568de31423f24b2b897e68c44956e9aebd14d647ce919aa3a61637b555f",  # photos-ladder
}
"""Files made on one machine, and the SHA-256 of their symbols."""
STARTS, LAYERS = [0, 2, 5, 11], [0, 1, 3]


def frequencies(means, levels=6):
    """Of the buckets of geometric magnitudes, one class for every mean."""
    low, bits = span_of(np.arange(BUCKETS))
    ratio = (means / (1 + means))[:, None]
    share = ratio**low - ratio ** (low + (1 << bits))
    counts = np.maximum(np.round(share * (1 << 24)), 1).astype(np.int32)
    return np.broadcast_to(counts, (levels, *counts.shape)).copy()


@pytest.fixture(scope="module")
def tables():
    """For eleven bands, two of them predicted, with weights that mean something."""
    draw, levels, classes = np.random.default_rng(0), 6, 48
    edges = 0.0004 * 1.32 ** np.arange(classes - 1)
    tables = Tables(
        starts=np.array(STARTS, np.int32), layers=np.array(LAYERS, np.int32), predicted=np.array([2], np.int32),
        parents=np.full((11, 6), 11, np.int32), constants=np.zeros((levels, 2, 11), np.int64),
        weights=np.zeros((levels, 2, 11, 16), np.int32), spreads=np.zeros((levels, LATTICES, 2, 2), np.int64),
        thresholds=np.round(edges * UNIT).astype(np.int64), frequencies=frequencies(np.append(edges, 2 * edges[-1])),
        shift=np.zeros((levels, classes, 3), np.int16), steps=2 ** np.arange(9, 15).astype(np.int32),
        scale=np.linspace(0.5, 2, 11).astype(np.float32))
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

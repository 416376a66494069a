"""LAINR's decoder as one compiled kernel: Eq. 4 to 9 for a block of coordinates without leaving a core's cache.

Products of bfloat16 numbers on AMX tiles cost so little that `TokenDecoder` spends most of its time between them, on
sums, ReLUs and softmax that read and write memory. `fused.cpp` does these where a product's sums lie. Matrices are
folded as everywhere (`tokenfield.nn.affine.fold`), rounded to bfloat16 once, and packed as tiles want them; sums,
features, softmax and values are float32. What comes out is within 60 dB of the exact decoder, whose parts this wraps.

Coordinates are rows and columns of a grid, Eq. 3 being a sum over its axes; scattered points are a grid of one column.
"""

import ctypes
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from math import ceil, log
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Coordinates, Grid
from tokenfield.errors import UserError
from tokenfield.io.native import library
from tokenfield.nn.affine import Affine, fold
from tokenfield.nn.fourier import FrequencyFeature
from tokenfield.nn.token_decoder import MultiBandModulation, SelectiveTokenAggregation, TokenDecoder

FLAGS = ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512bf16", "-mamx-tile", "-mamx-bf16")
BLOCK = 64
"""Coordinates of a block in `fused.cpp`; threads share out whole ones."""
CHUNK = 65536
"""Coordinates per instance at once: what leaves the kernel is small."""
ROW, DEPTH = 16, 32
"""A tile of a matrix: 16 columns by 32 rows of bfloat16, rows in pairs."""

Table = tuple[Float[Tensor, "h d"], Float[Tensor, "w d"]]
"""What rows and columns of a grid add to the argument of a feature's ReLU."""
Place = list[Table]
"""The tables of the queries and of every band."""


class _Sizes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int32) for name in ("dim", "heads", "tokens", "bands", "channels")]


class _Matrix(ctypes.Structure):
    _fields_ = [("tiles", ctypes.c_void_p), ("bias", ctypes.c_void_p)]


class _Weights(ctypes.Structure):
    _fields_ = [("query", _Matrix), *((name, ctypes.POINTER(_Matrix)) for name in ("modulate", "compose", "out"))]


class _Feature(ctypes.Structure):
    _fields_ = [("rows", ctypes.c_void_p), ("columns", ctypes.c_void_p)]


class _Tables(ctypes.Structure):
    _fields_ = [("width", ctypes.c_int64), ("features", ctypes.POINTER(_Feature))]


class _Tokens(ctypes.Structure):
    _fields_ = [("keys", ctypes.c_void_p), ("values", ctypes.c_void_p)]


@cache
def kernel() -> ctypes.CDLL:
    """The compiled equations. Raises UserError where the processor has no AMX, or nothing can be compiled."""
    if not torch.cpu.get_capabilities().get("amx_bf16", False):
        raise UserError("fused decoding needs a processor that multiplies bfloat16 in tiles (AMX), and this one does "
                        "not; decode without it")
    found = library(Path(__file__).with_name("fused.cpp"), *FLAGS)
    if found.ready():
        raise UserError("fused decoding needs AMX tiles, which the operating system does not give to this process")
    found.decode.argtypes = [*(ctypes.POINTER(kind) for kind in (_Sizes, _Weights, _Tables, _Tokens)),
                             ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
    found.decode.restype = None
    return found


def pack(matrix: Float[Tensor, "*b i o"], outputs: int | None = None) -> Float[Tensor, "*b n k 16 16 2"]:
    """(inputs, outputs) in bfloat16 tiles of 32 x 16, columns of tiles first, zeros around: what AMX multiplies by."""
    inputs, columns = matrix.shape[-2:]
    wide, deep = outputs or up(columns, ROW), up(inputs, DEPTH)
    padded = F.pad(matrix, (0, wide - columns, 0, deep - inputs))
    tiles = padded.to(torch.bfloat16).unflatten(-1, (-1, ROW)).unflatten(-3, (-1, DEPTH // 2, 2))
    packed: Tensor = tiles.permute(*range(matrix.ndim - 2), -2, -5, -4, -1, -3)  # of (..., k, 16, 2, n, 16)
    return packed.contiguous()


def up(n: int, to: int) -> int:
    """The next multiple of `to`."""
    return ceil(n / to) * to


class _Packed:
    """Matrices of the decoder as the kernel reads them; holds the tensors that the pointers point into."""

    def __init__(self, decoder: TokenDecoder):
        aggregator, head = _parts(decoder)
        layer = aggregator.attention
        self.kept: list[Tensor] = []
        with torch.no_grad():
            (query,) = self.matrices([fold(None, layer.q)])
            modulate = self.matrices(head.fold(layer.out))  # W_m A_o
            compose = self.matrices(fold(None, cast(nn.Linear, one)) for one in head.compose)
            out = self.matrices(fold(None, cast(nn.Linear, one)) for one in head.out)
        self.weights = _Weights(query, modulate, compose, out)
        self.sizes = _Sizes(layer.out.in_features, layer.num_heads, 0, head.num_bands, head.out[0].out_features)

    def matrices(self, affines: Iterable[Affine | None]) -> "ctypes.Array[_Matrix]":
        made = []
        for weight, bias in filter(None, affines):
            tiles, bias = pack(weight.mT), F.pad(bias.float(), (0, up(len(bias), ROW) - len(bias))).contiguous()
            self.kept += [tiles, bias]
            made.append(_Matrix(tiles.data_ptr(), bias.data_ptr()))
        return (_Matrix * len(made))(*made)


class FusedDecoder:
    """A `TokenDecoder` of LAINR by the kernel of `fused.cpp`; the same parts, the same weights, no gradient.

    Raises UserError for a decoder of other parts or of widths that tiles do not divide, and where there is no AMX.
    """

    def __init__(self, decoder: TokenDecoder):
        kernel()
        self.decoder = decoder
        aggregator, head = _parts(decoder)
        dim, heads = aggregator.output_map.in_features, aggregator.attention.num_heads
        if (channels := cast(nn.Linear, head.out[0]).out_features) > ROW:
            raise UserError(f"fused decoding of {channels} values per coordinate; it gives at most {ROW}")
        if dim % DEPTH or dim // heads % ROW:
            raise UserError(f"fused decoding of {heads} heads in a width of {dim}; it takes widths that are multiples "
                            f"of {DEPTH}, and {ROW} or a multiple of it per head")

    def locate(self, coords: Coordinates) -> list[Place]:
        """Tables of every feature: one list of them for all instances, or one for each."""
        _check_no_gradient(*(coords.axes if isinstance(coords, Grid) else (coords,)))
        aggregator, head = _parts(self.decoder)
        features = [aggregator.query, *(cast(FrequencyFeature, one) for one in head.frequency)]
        apart = [coords] if isinstance(coords, Grid) or coords.ndim == 2 else list(coords)
        with torch.autocast("cpu", enabled=False):
            return [[table(feature, points) for feature in features] for points in apart]

    def prepare(self, tokens: Float[Tensor, "b r e"]) -> tuple[_Packed, Tensor, Tensor]:
        """All matrices, and keys and values of every instance and head."""
        if tokens.device.type != "cpu":
            raise UserError(f"fused decoding is for processors and the tokens are on {tokens.device}; move them to cpu")
        _check_no_gradient(tokens)
        layer = _parts(self.decoder)[0].attention
        with torch.autocast("cpu", enabled=False):
            packed = _Packed(self.decoder)
            key, value = (x.detach().float() for x in layer.keys_values(tokens.to(layer.k.weight.dtype)))
        packed.sizes.tokens = tokens.shape[1]
        room = up(tokens.shape[1], DEPTH)
        value = F.pad(value, (0, 0, 0, room - value.shape[2]))
        return packed, pack(key.mT * (key.shape[-1] ** -0.5 / log(2)), room), pack(value)

    def combine(self, located: list[Place], prepared: tuple[_Packed, Tensor, Tensor]) -> Float[Tensor, "b q c"]:
        """Values (B, Q, C), float32."""
        packed, keys, values = prepared
        places = located * len(keys) if len(located) == 1 else located
        made = [self.decode(packed, place, *pair) for place, *pair in zip(places, keys, values, strict=True)]
        return torch.stack(made) + self.decoder.output_bias

    def decode(self, packed: _Packed, place: Place, keys: Tensor, values: Tensor) -> Float[Tensor, "q c"]:
        """One instance's values; every thread of torch's takes a share of the blocks."""
        height, width = (len(part) for part in place[0])
        features = (_Feature * len(place))(*(_Feature(rows.data_ptr(), columns.data_ptr()) for rows, columns in place))
        tables, tokens = _Tables(width, features), _Tokens(keys.data_ptr(), values.data_ptr())
        out = torch.empty(height * width, packed.sizes.channels)

        def run(share: tuple[int, int]) -> None:
            first, last = share
            kernel().decode(packed.sizes, packed.weights, tables, tokens, first, last, out[first:].data_ptr())

        threads = torch.get_num_threads()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, shares(len(out), threads)))
        return out


def shares(points: int, threads: int) -> Iterator[tuple[int, int]]:
    """First and last of about as many points for every thread, in whole blocks."""
    size = max(1, ceil(ceil(points / BLOCK) / threads)) * BLOCK
    return ((first, min(first + size, points)) for first in range(0, points, size))


def table(feature: FrequencyFeature, coords: Coordinates) -> Table:
    """What rows and columns add to W gamma(v) + b; a point is a row, of a column that adds nothing."""
    if isinstance(coords, Grid) and len(coords.axes) == 2:
        rows, columns = (part.float().contiguous() for part in feature.over_axes(coords))
        return rows, columns
    points = coords.coords() if isinstance(coords, Grid) else coords
    rows = feature.phase(points).float().contiguous()
    return rows, torch.zeros_like(rows[:1])


def _check_no_gradient(*tensors: Tensor) -> None:
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        raise UserError("fused decoding has no gradient; decode by the model itself, or under torch.no_grad()")


def _parts(decoder: TokenDecoder) -> tuple[SelectiveTokenAggregation, MultiBandModulation]:
    aggregator, head = decoder.aggregator, decoder.head
    if type(aggregator) is not SelectiveTokenAggregation or type(head) is not MultiBandModulation:  # not heirs
        raise UserError("fused decoding is for LAINR's own aggregation and bands; decode without it")
    if head.modulate is None or any(cast(FrequencyFeature, one).linear is None for one in head.frequency):
        raise UserError("fused decoding needs the linear maps of Eq. 6 and 7; decode without it")
    return aggregator, head

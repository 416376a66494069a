"""The local start of LAINR: weights such that every token serves a place before the first step (docs/local_start.md).

LAINR's learnable tokens begin without a place, and its queries and keys as random maps. For thousands of steps
attention is flat and every token serves the whole picture; then tokens find places, and the curve rises. DETR's learned
queries had the same disease, and a reference point per query cured it (Conditional DETR, arXiv 2108.06152; Anchor DETR,
arXiv 2109.07107). Here no term has to be added. Eq. 2-5 hold all that is needed, if their weights begin well:

1. **A query is a set of Fourier features.** Eq. 3 has a ReLU, but relu(x) - relu(-x) = x: rows of W_q hold +gamma_j and
   -gamma_j, and the attention's query map subtracts them.
2. **A key is the same features of the token's anchor p, weighted.** With w_j >= 0,

       query(v) . key(p) = sum over axes i, frequencies j of w_ij cos(pi omega_j (v_i - p_i)),

   a function of v - p alone. Non-negative least squares makes it about -|v - p|^2 / (2 t^2) near 0 and flat beyond, t
   half the distance of two anchors, so that the softmax of Eq. 5 is a bump on the token's share of the picture.
3. **A token carries its place.** Its learnable vector holds a code of the anchor, one number per row and one per column
   of anchors, in orthonormal directions that LayerNorm leaves alone. The encoder's output map hands the code on to the
   first numbers of z_k, where the key map reads it.
4. **The encoder looks where the token is.** Positions of patches carry the same code. The first block's queries and
   keys read it; its values and output map are an orthogonal matrix and its transpose, but for the code's directions: a
   token receives the patches of its place as they are, and keeps the code that is its own.

Only initial values differ: no parameter, equation or multiplication is added, and everything learns from the first step
on. Nothing is drawn either: where a random direction is needed, it is one of the random weights', orthonormalised, so
the seed that made the model decides here too.
"""

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import nnls
from torch import Tensor, nn
from torch.nn.functional import one_hot

from tokenfield.coords import Grid, centers
from tokenfield.errors import UserError
from tokenfield.nn.encoder import LatentEncoder
from tokenfield.nn.fourier import frequencies
from tokenfield.nn.token_decoder import SelectiveTokenAggregation
from tokenfield.nn.transformer import Block

ELONGATED = 1.6
"""Anchors stand up to so many times closer along one axis than along the other, if that makes all rows alike."""
WIDTH = 0.35
"""t over the distance of two anchors: half-way between two, a token has e^-1 of its largest weight."""
FLOOR = -8.0
"""Of the bump's logarithm, per axis: e^-8 is little enough, and a deeper floor needs higher frequencies."""
AMPLITUDE = 4.0
"""Norm of the code in a learnable token and in a position; an embedded patch has about the same."""
GAP = 7.0
"""How far a token's own patches are above the others before the first block's softmax: e^7 is a thousand to one."""
QUIET = 0.1
"""Factor on the random weights of the rest of the decoder's queries and keys, which are not to blur the bump."""


@dataclass(frozen=True)
class Anchors:
    """R places in [-1, 1]^2: rows of anchors, each of which is given the same area of the picture.

    The code of a place has a number for every row and, for every number of columns that a row can have, one for each
    of these columns. Rows of one length make it one-hot row, one-hot column; where R is no product the rows have two
    lengths, and are so high that an anchor of either kind has 1 / R of the area.

    Attributes:
        counts: anchors in each row.
    """

    counts: tuple[int, ...]

    @property
    def rows(self) -> Float[Tensor, " y"]:
        """Where the rows are."""
        edges = torch.tensor([0, *self.counts]).cumsum(0)
        return (edges[:-1] + edges[1:]) / sum(self.counts) - 1

    @property
    def columns(self) -> dict[int, Float[Tensor, " x"]]:
        """Where the columns are in a row of so many anchors."""
        return {count: centers(count) for count in sorted(set(self.counts))}

    @property
    def spacing(self) -> tuple[float, float]:
        """The mean distance of two rows, and of two anchors of a row."""
        return 2 / len(self.counts), 2 * len(self.counts) / sum(self.counts)

    @property
    def places(self) -> Float[Tensor, "r 2"]:
        """(y, x) of every anchor, row by row."""
        rows = zip(self.rows, self.counts, strict=True)
        return torch.cat([torch.stack([y.expand(count), centers(count)], -1) for y, count in rows])

    @property
    def codes(self) -> Float[Tensor, "r c"]:
        """The code of every anchor: 1 for its row, 1 for its column, 0 elsewhere."""
        first, total = {}, len(self.counts)
        for count in self.columns:
            first[count], total = total, total + count
        codes = torch.zeros(sum(self.counts), total)
        k = 0
        for row, count in enumerate(self.counts):
            for column in range(count):
                codes[k, row] = codes[k, first[count] + column] = 1
                k += 1
        return codes

    def code(self, places: Float[Tensor, "n 2"]) -> Float[Tensor, "n c"]:
        """The code of any places, linear in between two rows and two columns: an anchor's own for its place."""
        y, x = places.unbind(-1)
        return torch.cat([_hats(y, self.rows), *(_hats(x, columns) for columns in self.columns.values())], -1)

    def along(self, axis: int) -> Float[Tensor, " n"]:
        """The coordinates that the code's numbers for an axis stand for."""
        return torch.cat(list(self.columns.values())) if axis else self.rows


def _hats(x: Float[Tensor, " n"], nodes: Float[Tensor, " m"]) -> Float[Tensor, "n m"]:
    """Linear interpolation: 1 at a node, 0 at all others; beyond the outermost node as at it."""
    if len(nodes) == 1:
        return torch.ones(len(x), 1)
    right = torch.searchsorted(nodes, x.contiguous()).clamp(1, len(nodes) - 1)
    share = ((x - nodes[right - 1]) / (nodes[right] - nodes[right - 1])).clamp(0, 1)[:, None]
    return (1 - share) * one_hot(right - 1, len(nodes)) + share * one_hot(right, len(nodes))


def place_anchors(count: int, patches: tuple[int, int], aspect: float) -> Anchors:
    """Anchors for `count` tokens.

    The patches' own lattice, if there are as many; else rows of equal length, if a nearly square lattice has them;
    else rows whose lengths differ by one.

    Args:
        count: R.
        patches: rows and columns of the patches.
        aspect: height over width of the picture.
    """
    if count == math.prod(patches):
        return Anchors((patches[1],) * patches[0])

    def elongation(rows: int) -> float:
        return abs(math.log(rows * rows / (count * aspect)))

    near = [rows for rows in range(1, count + 1) if elongation(rows) <= math.log(ELONGATED)]
    rows = min(near or range(1, count + 1), key=lambda rows: (bool(near) and count % rows > 0, elongation(rows)))
    return Anchors(tuple((i + 1) * count // rows - i * count // rows for i in range(rows)))


def bump_weights(spacing: float, omega: Float[Tensor, " n"], most: int) -> tuple[list[int], Float[Tensor, " k"]]:
    """w_j >= 0 such that sum_j w_j cos(pi omega_j D) is about max(-D^2 / (2 t^2), floor) + a constant.

    Args:
        spacing: distance of two anchors.
        omega: frequencies of the queries (Eq. 2).
        most: how many of them may be used: those that weigh most when all are.
    Returns:
        Which frequencies, rising, and their weights. The constant is of no interest: softmax does not see it.
    """
    distance = np.linspace(-2, 2, 801)
    target = np.maximum(-(distance**2) / (2 * (WIDTH * spacing) ** 2), FLOOR)
    importance = np.where(np.abs(distance) < 1.5 * spacing, 6.0, 1.0)
    cosines = np.cos(np.pi * distance[:, None] * omega.double().numpy())
    constants = np.stack([np.ones_like(distance), -np.ones_like(distance)], 1)  # one of either sign

    def solve(which: list[int]) -> np.ndarray:
        parts = np.concatenate([cosines[:, which], constants], 1)
        weights: np.ndarray = nnls(parts * importance[:, None], target * importance, maxiter=10_000)[0]
        return weights[: len(which)]

    ranked = np.argsort(-solve(list(range(len(omega)))), kind="stable")
    which = sorted(ranked[:most].tolist())
    return which, torch.from_numpy(solve(which)).float()


@torch.no_grad()
def local_start(
    encoder: LatentEncoder, aggregator: SelectiveTokenAggregation, patches: Float[Tensor, "b n p"], places: Grid
) -> None:
    """Change the weights of a fresh encoder and aggregator such that every token serves a place.

    Args:
        encoder, aggregator: with their random weights.
        patches: of a few real signals: what an encoded one does to the code is measured, not guessed.
        places: centres of the patches on the picture, which is [-1, 1]^2.
    Raises:
        UserError: tokens or encoder are too narrow to tell so many places apart, or heads to tell them from a query.
    """
    cells = [float(axis[1] - axis[0]) if len(axis) > 1 else 2.0 for axis in places.axes]
    shape = (places.shape[0], places.shape[1])
    anchors = place_anchors(len(encoder.latents), shape, cells[1] / cells[0])  # square patches: H / W of the picture
    numbers, widest = anchors.codes.shape[1], min(encoder.out.out_features, len(encoder.norm.weight) - 1)
    if numbers > widest:
        raise UserError(
            f"start local: {len(encoder.latents)} places have codes of {numbers} numbers, tokens and encoder have room "
            f"for {widest}; widen latent_dim or encoder_dim, or take start small"
        )
    start_attention(aggregator, anchors)
    start_encoder(encoder, anchors, patches, places)


def start_attention(aggregator: SelectiveTokenAggregation, anchors: Anchors) -> None:
    """Queries are Fourier features, keys weighted Fourier features of the place whose code a token holds."""
    feature, attention = aggregator.query, aggregator.attention
    linear = cast(nn.Linear, feature.linear)  # W_q, which every query has
    n, heads = feature.num_frequencies, attention.num_heads
    width = attention.q.out_features // heads  # c, of a head
    most = min(width // 4, attention.q.in_features // 8, n)
    if not most:
        raise UserError(f"start local: heads {width} wide cannot tell places apart; use fewer heads or a larger dim")
    omega = frequencies(feature.sigma, n)
    columns, keys = [], []  # of gamma in a query, and of the map from codes to keys
    codes = anchors.codes.shape[1]
    for axis, numbers in enumerate((slice(0, len(anchors.counts)), slice(len(anchors.counts), codes))):
        which, weights = bump_weights(anchors.spacing[axis], omega, most)
        for j, weight in zip(which, weights, strict=True):
            phase = torch.pi * omega[j] * anchors.along(axis)
            for part, wave in enumerate((phase.cos(), phase.sin())):
                columns.append((part * feature.in_dim + axis) * n + j)  # where gamma has it (Eq. 2)
                key = torch.zeros(codes)
                key[numbers] = weight * wave * math.sqrt(width)  # attention divides by the root again
                keys.append(key)
    count = len(columns)

    attention.q.weight.mul_(QUIET)
    attention.q.bias.zero_()
    attention.k.weight.mul_(QUIET)
    attention.k.bias.zero_()
    rows = torch.arange(count)
    linear.weight[: 2 * count] = 0
    linear.bias[: 2 * count] = 0
    linear.weight[rows, columns] = 1  # Eq. 3: relu(+gamma_j) and relu(-gamma_j)
    linear.weight[count + rows, columns] = -1
    for head in range(heads):
        query = attention.q.weight[head * width : head * width + count]
        query.zero_()
        query[rows, rows], query[rows, count + rows] = 1, -1  # Eq. 4: q_v = relu(gamma_j) - relu(-gamma_j) = gamma_j
        key = attention.k.weight[head * width : head * width + count]
        key.zero_()
        key[:, :codes] = torch.stack(keys)  # Eq. 5: q_v . k = sum_j w_j cos(pi omega_j (v - p))


def start_encoder(encoder: LatentEncoder, anchors: Anchors, patches: Float[Tensor, "b n p"], places: Grid) -> None:
    """Tokens and positions carry codes of their places; tokens look there, and hand their code on."""
    own, theirs = anchors.codes.to(patches), anchors.code(places.coords().cpu()).to(patches)  # (R, C), (N, C)
    codes, out = own.shape[1], encoder.out
    directions = out.weight[:codes].T  # random ones, of rows that are written anew below
    directions = torch.linalg.qr(directions - directions.mean(0))[0]  # (D, C), orthogonal to (1, ..., 1) as well
    size = AMPLITUDE / math.sqrt(2)  # a code has two ones
    encoder.latents.add_(size * own @ directions.T)
    encoder.position.add_(size * theirs @ directions.T)
    data = encoder.embed(patches) + encoder.position
    tokens = torch.cat([data, encoder.latents.expand(len(data), -1, -1)], 1)  # (B, N + R, D)
    if len(encoder.transformer.blocks):
        start_block(cast(Block, encoder.transformer.blocks[0]), directions, tokens, own @ theirs.T)

    outputs = encoder.norm(encoder.transformer(tokens, keep=len(own)))  # (B, R, D)
    left = ((outputs @ directions) * own).sum((0, 1)) / (len(outputs) * own.sum(0))  # of a code's ones, in every number
    out.weight.sub_(out.weight @ directions @ directions.T)  # what is not the code reads none of it
    out.weight[:codes] = directions.T / left.mean()
    out.bias[:codes] = 0


def start_block(
    block: Block, directions: Float[Tensor, "d c"], tokens: Float[Tensor, "b all d"], likeness: Float[Tensor, "r n"]
) -> None:
    """The encoder's first block: the last R tokens attend to the patches of their places and copy them.

    Args:
        block: its weights are changed.
        directions: of the code's numbers in a token.
        tokens: what it is given, N patches and R learnable tokens.
        likeness: of the codes of tokens and patches.
    """
    attention, normed, (count, num_patches) = block.attention, block.norm1(tokens), likeness.shape
    dim, codes = directions.shape
    width = dim // attention.num_heads
    rank = min(width, codes)
    for head in range(attention.num_heads):
        rows = slice(head * width, head * width + rank)
        some = torch.linalg.qr(attention.k.weight[rows, :codes].T)[0]  # (C, rank): a narrow head has a part of the code
        attention.q.weight[rows] = some.T @ directions.T
        attention.k.weight[rows] = some.T @ directions.T
    queries, (keys, _) = attention.queries(normed[:, -count:]), attention.keys_values(normed[:, :num_patches])
    scores = (queries @ keys.mT).mean((0, 1)) / math.sqrt(width)  # (R, N), over pictures and heads
    nearest = likeness >= likeness.amax(1, keepdim=True) - 1e-4
    if not nearest.all():
        factor = math.sqrt(GAP / float(scores[nearest].mean() - scores[~nearest].mean()))
        for head in range(attention.num_heads):
            rows = slice(head * width, head * width + rank)
            attention.q.weight[rows] *= factor
            attention.k.weight[rows] *= factor
    copy = torch.linalg.qr(attention.v.weight)[0]
    attention.v.weight.copy_(copy)
    attention.out.weight.copy_(copy.T - directions @ directions.T @ copy.T)  # out(v(x)) = x without its code
    attention.v.bias.zero_()
    attention.out.bias.zero_()

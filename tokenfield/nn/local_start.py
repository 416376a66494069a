"""The local start: weights such that every token serves a place before the first step (docs/local_start.md).

LAINR's learnable tokens begin without a place, and its queries and keys as random maps. For thousands of steps
attention is flat and every token serves the whole signal; then tokens find places, and the curve rises. DETR's learned
queries had the same disease, and a reference point per query cured it (Conditional DETR, arXiv 2108.06152; Anchor DETR,
arXiv 2109.07107). Here no term has to be added. Eq. 2-5 hold all that is needed, if their weights begin well:

1. **A query is a set of Fourier features.** Eq. 3 has a ReLU, but relu(x) - relu(-x) = x: rows of W_q hold +gamma_j and
   -gamma_j, and the attention's query map subtracts them. ANR's queries are linear in gamma as they are.
2. **A key is the same features of the token's anchor p, weighted**, so that query(v) . key(p) is a bump over v - p
   (`tokenfield.nn.places`) and the softmax of Eq. 5 gives every token its share of the signal.
3. **A token carries its place.** Its learnable vector holds the code of its anchor, in orthonormal directions that
   LayerNorm leaves alone. The encoder's output map hands the code on to the first numbers of z_k, where the key map
   reads it. (ANR adds a learned vector to every token behind its output map: there the code is part of that.)
4. **The encoder looks where the token is.** Positions of patches carry the same code. The first attention of tokens to
   patches reads it, so that its scores are the bump too; its values and output map are an orthogonal matrix and its
   transpose, but for the code's directions: a token receives the patches of its place as they are, and keeps the code
   that is its own.

Only initial values differ: no parameter, equation or multiplication is added, and everything learns from the first step
on. Nothing is drawn either: where a random direction is needed, it is one of the random weights', orthonormalised, so
the seed that made the model decides here too.
"""

import math
from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.errors import UserError
from tokenfield.nn.attention import MultiHeadAttention
from tokenfield.nn.encoder import LatentEncoder, PatchEncoder
from tokenfield.nn.fourier import FrequencyFeature, frequencies
from tokenfield.nn.hypernetwork import DecoderBlock, HyperNetwork
from tokenfield.nn.localized_attention import LocalizedAggregation, PositionalQuery
from tokenfield.nn.places import Anchors, PlaceCode, spread
from tokenfield.nn.token_decoder import Aggregator, SelectiveTokenAggregation
from tokenfield.nn.transformer import Block

AMPLITUDE = 4.0
"""Norm of the code in a learnable token and in a position; an embedded patch has about the same."""
QUIET = 0.1
"""Factor on the random weights of the rest of the decoder's queries and keys, which are not to blur the bump."""
SMALL = 0.02
"""Deviation of what a hyper-network draws from N(0, 1), so that the code can be read beside it."""
CLEAR = 1.0
"""The least by which a token's bump at its own anchor has to be above that at all others'."""


@torch.no_grad()
def local_start(
    encoder: PatchEncoder,
    aggregator: Aggregator,
    patches: Float[Tensor, "b n p"],
    anchors: Callable[[int], Anchors],
    places: Float[Tensor, "n x"],
) -> None:
    """Change the weights of a fresh encoder and aggregator such that every token serves a place.

    Args:
        encoder, aggregator: with their random weights.
        patches: of a few real signals: what an encoded one does to the code is measured, not guessed.
        anchors: gives as many places as there are tokens.
        places: centres of the patches, in the same space.
    Raises:
        UserError: tokens or encoder are too narrow to tell so many places apart, or heads to tell them from a query;
            or parts that cannot begin this way.
    """
    if not isinstance(encoder, LatentEncoder | HyperNetwork):
        raise UserError(f"start local is for encoders with learnable tokens, not for {type(encoder).__name__}")
    room = min(encoder.out.out_features, len(encoder.norm.weight) - 1)
    lattice = anchors(len(encoder.latents))
    code = start_attention(aggregator, lattice, room)
    start_encoder(encoder, code, patches, lattice.places, places.cpu())


def query_maps(aggregator: Aggregator) -> tuple[nn.Linear | None, nn.Linear, float, int]:
    """W_q of Eq. 3 where there is a ReLU, the map behind it, and the bandwidth and number of frequencies of gamma."""
    if isinstance(aggregator, SelectiveTokenAggregation):
        feature, query = aggregator.query, aggregator.attention.q
    elif isinstance(aggregator, LocalizedAggregation) and isinstance(aggregator.query, PositionalQuery):
        return None, aggregator.query.linear, aggregator.query.sigma, aggregator.query.num_frequencies
    elif isinstance(aggregator, LocalizedAggregation) and isinstance(aggregator.query, nn.Sequential):
        feature, query = cast(tuple[FrequencyFeature, nn.Linear], aggregator.query)
    else:
        raise UserError(f"start local is for attention to tokens, not {type(aggregator).__name__}; give start small")
    return cast(nn.Linear, feature.linear), query, feature.sigma, feature.num_frequencies


def start_attention(aggregator: Aggregator, anchors: Anchors, room: int) -> PlaceCode:
    """Queries are Fourier features, keys weighted Fourier features of the place whose code a token holds.

    Args:
        aggregator: its weights are changed.
        anchors: R places.
        room: the most numbers that a code can have.
    Returns:
        The code that keys read from the first numbers of a token.
    """
    relu, query, sigma, n = query_maps(aggregator)
    attention = cast(MultiHeadAttention, aggregator.attention)
    heads, in_dim = attention.num_heads, anchors.places.shape[1]
    width = query.out_features // heads  # c, of a head
    most = min(n, width // (2 * in_dim), query.in_features // (4 * in_dim) if relu else n)
    if not most:
        raise UserError(f"start local: heads {width} wide cannot tell places apart; use fewer heads or a larger dim")
    code = PlaceCode.of(anchors, frequencies(sigma, n), most, room)
    check_clear(code, anchors)

    columns = code.columns(in_dim, n)
    rows = torch.arange(len(columns))
    for linear in (query, attention.k):
        linear.weight.mul_(QUIET)
        if linear.bias is not None:
            linear.bias.zero_()
    if relu:
        relu.weight[: 2 * len(rows)] = 0
        relu.bias[: 2 * len(rows)] = 0
        relu.weight[rows, columns] = 1  # Eq. 3: relu(+gamma_j) and relu(-gamma_j)
        relu.weight[len(rows) + rows, columns] = -1
    offsets = spread(heads, in_dim) * torch.tensor(anchors.spacing)
    for head in range(heads):
        part = slice(head * width, head * width + len(rows))
        query.weight[part] = 0
        if relu:
            query.weight[part][rows, rows] = 1  # Eq. 4: q_v = relu(gamma_j) - relu(-gamma_j) = gamma_j
            query.weight[part][rows, len(rows) + rows] = -1
        else:
            query.weight[part][rows, columns] = 1
        attention.k.weight[part] = 0
        keys = code.keys(offsets[head])
        attention.k.weight[part, : code.basis.shape[1]] = keys * math.sqrt(width)  # attention divides by the root
    return code


def check_clear(code: PlaceCode, anchors: Anchors) -> None:
    """Raises UserError where the code has too few numbers to tell the anchors apart."""
    codes = code(anchors.places)
    bump = code.length**2 * codes @ codes.T
    others = bump - torch.diag(torch.full((len(bump),), math.inf))
    if len(bump) > 1 and not ((bump.diagonal() - others.amax(1)) > CLEAR).all():
        raise UserError(
            f"start local: {len(bump)} places cannot be told apart by {codes.shape[1]} numbers of a token and "
            f"{len(code.which)} waves of a query; widen latent_dim, encoder_dim or heads, raise the queries' "
            f"bandwidth, or take start small"
        )


def start_encoder(
    encoder: LatentEncoder | HyperNetwork,
    code: PlaceCode,
    patches: Float[Tensor, "b n p"],
    anchors: Float[Tensor, "r x"],
    places: Float[Tensor, "n x"],
) -> None:
    """Tokens and positions carry codes of their places; tokens look there, and hand their code on."""
    own, theirs, out = code(anchors).to(patches), code(places).to(patches), encoder.out  # (R, C), (N, C)
    count = own.shape[1]
    directions, there = code_directions(encoder, count)
    if isinstance(encoder, HyperNetwork):
        for drawn in (encoder.latents, encoder.shift, cast(nn.Parameter, encoder.position)):
            drawn.mul_(SMALL)
    encoder.latents.add_(AMPLITUDE * own @ directions.T)
    cast(nn.Parameter, encoder.position).add_(AMPLITUDE * theirs @ there.T)
    bump = code.length**2 * own @ theirs.T  # (R, N)
    if isinstance(encoder, HyperNetwork):
        encoded = encoder.encoded(patches)
        if len(encoder.decoder):
            block = cast(DecoderBlock, encoder.decoder[0])
            tokens = block.among_tokens(encoder.latents.to(encoded.dtype)[None])
            look_there(block.cross_attention, directions, there, block.norm_cross(tokens), encoded, bump)
        encoder.shift[:, :count] = own
        out.weight[:count] = 0
        out.bias[:count] = 0
        return
    tokens = encoder.tokens(patches)  # (B, N + R, D)
    if len(encoder.transformer.blocks):
        first = cast(Block, encoder.transformer.blocks[0])
        normed = first.norm1(tokens)
        look_there(first.attention, directions, there, normed[:, len(places) :], normed[:, : len(places)], bump)
    outputs = encoder.norm(encoder.transformer(tokens, keep=len(own)))  # (B, R, D)
    left = ((outputs @ directions) * own).sum() / (len(outputs) * own.square().sum())  # of the code, behind LayerNorm
    out.weight.sub_(out.weight @ directions @ directions.T)  # what is not the code reads none of it
    out.weight[:count] = directions.T / left
    out.bias[:count] = 0


def code_directions(encoder: LatentEncoder | HyperNetwork, count: int) -> tuple[Tensor, Tensor]:
    """Orthonormal directions (D, C) of the codes of tokens and of patches, orthogonal to (1, ..., 1) as well.

    Random ones, of weights that are written anew or that many others are like. Where the width allows it the two are
    orthogonal: a token then looks at patches alone, and not at itself.
    """
    random = torch.cat([encoder.out.weight.T, encoder.embed.weight], 1)
    random = torch.linalg.qr(random - random.mean(0))[0]
    own = random[:, :count]
    return own, random[:, count : 2 * count] if random.shape[1] >= 2 * count and len(own) > 2 * count else own


def look_there(
    attention: MultiHeadAttention,
    directions: Float[Tensor, "d c"],
    there: Float[Tensor, "d c"],
    queries: Float[Tensor, "#b r d"],
    patches: Float[Tensor, "b n d"],
    bump: Float[Tensor, "r n"],
) -> None:
    """Attention of tokens to patches whose scores are the bump, and which hands the patches' contents on as they are.

    Args:
        attention: its weights are changed.
        directions, there: of the code's numbers in queries and in patches.
        queries, patches: what it is given: their codes' amplitude behind LayerNorm is measured.
        bump: the scores to have, but for a constant of every token's.
    """
    codes = directions.shape[1]
    width = attention.k.out_features // attention.num_heads
    rank = min(width, codes)
    parts = [slice(head * width, head * width + rank) for head in range(attention.num_heads)]
    for part in parts:
        some = torch.linalg.qr(attention.k.weight[part, :codes].T)[0]  # (C, rank): a narrow head has a part of the code
        attention.q.weight[part] = some.T @ directions.T
        attention.k.weight[part] = some.T @ there.T
    keys, _ = attention.keys_values(patches)
    scores = (attention.queries(queries) @ keys.mT).mean((0, 1)) / math.sqrt(width)  # (R, N), over pictures and heads
    varying, wanted = (rows - rows.mean(1, keepdim=True) for rows in (scores, bump))
    if wanted.any():
        factor = (wanted.square().sum() / (varying * wanted).sum()).sqrt()
        for part in parts:
            attention.q.weight[part] *= factor
            attention.k.weight[part] *= factor
    out_of, _, into = torch.linalg.svd(attention.v.weight, full_matrices=False)
    copy = out_of @ into  # the nearest map with orthonormal rows or columns
    attention.v.weight.copy_(copy)
    attention.out.weight.copy_(copy.T - there @ there.T @ copy.T)  # out(v(x)) = x without its code
    for bias in (attention.v.bias, attention.out.bias):
        if bias is not None:
            bias.zero_()

"""The local start: weights such that every token serves a place before the first step (docs/local_start.md).

LAINR's learnable tokens begin without a place, and its queries and keys as random maps. For thousands of steps
attention is flat and every token serves the whole signal; then tokens find places, and the curve rises. DETR's learned
queries were as slow, and a reference point per query changed that (Conditional DETR, arXiv 2108.06152; Anchor DETR,
arXiv 2109.07107). Here no term has to be added. Eq. 2-5 hold all that is needed, if their weights begin well:

1. a query is a set of Fourier features: of rows of W_q with +gamma_j and -gamma_j, relu(x) - relu(-x) = x;
2. a key is the same features of the token's anchor, weighted, so that scores are a bump (`tokenfield.nn.places`);
3. a token carries the code of its place through the encoder, in directions that LayerNorm leaves alone;
4. the first attention of tokens to patches has the bump for scores, and hands patches on as they are.

Only initial values differ: no parameter, equation or multiplication is added, and everything learns from the first step
on. Nothing is drawn either: where a random direction is needed, it is one of the random weights', orthonormalised, so
the seed that made the model decides here too.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.errors import UserError
from tokenfield.nn.attention import Block, MultiHeadAttention
from tokenfield.nn.encoder import LatentEncoder, PatchEncoder
from tokenfield.nn.fourier import FrequencyFeature, frequencies
from tokenfield.nn.hypernetwork import DecoderBlock, HyperNetwork
from tokenfield.nn.localized_attention import LocalizedAggregation, PositionalQuery
from tokenfield.nn.places import WIDTH, Anchors, PlaceCode, spread
from tokenfield.nn.token_decoder import Aggregator, SelectiveTokenAggregation

AMPLITUDE = 4.0
"""Norm of the code in a learnable token and in a position; an embedded patch has about the same."""
QUIET = 0.1
"""Factor on the random weights of the rest of the decoder's queries and keys, which are not to blur the bump."""
SMALL = 0.02
"""Deviation of what a hyper-network draws from N(0, 1), so that the code can be read beside it."""
CLEAR = 1.0
"""The least by which a token's bump at its own anchor has to be above that at all others'."""


@torch.no_grad()
def local_start(encoder: PatchEncoder, aggregator: Aggregator, patches: Float[Tensor, "b n p"],
                anchors: Callable[[int], Anchors], where: Float[Tensor, "n x"] | Float[Tensor, "x p"], *,
                read: bool = False) -> None:
    """Change the weights of a fresh encoder and aggregator such that every token serves a place.

    Args:
        encoder, aggregator: with their random weights.
        patches: of a few real signals: what an encoded one does to the code is measured, not guessed.
        anchors: gives as many places as there are tokens.
        where: centres of the patches, in the same space; if they are in the patches, the map that reads them.
        read: whether `where` is such a map: patches of views hold their rays.
    Raises:
        UserError: tokens or encoder are too narrow to tell so many places apart, or heads to tell them from a query;
            or parts that cannot begin this way.
    """
    if not isinstance(encoder, LatentEncoder | HyperNetwork):
        raise UserError(f"start local is for encoders with learnable tokens, not for {type(encoder).__name__}")
    room = min(encoder.out.out_features, len(encoder.norm.weight) - 1)
    lattice = anchors(len(encoder.latents))
    code = start_attention(aggregator, lattice, room)
    sight = by_reading(lattice, patches, where) if read else by_position(code, lattice, where)
    training = encoder.training
    encoder.eval()  # without dropout, which draws
    start_encoder(encoder, code(lattice.places).to(patches), patches, sight)
    encoder.train(training)


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

    `room` is the most numbers that a code can have. Returns the code that keys read from a token's first numbers.
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


@dataclass(frozen=True)
class Sight:
    """How tokens find the patches of their places: what a token looks for, and what a patch shows of it.

    `scores` are those before the softmax, but for a constant of every token's; `reading` is the map that finds in a
    patch what it shows, None where learned positions do.
    """

    sought: Float[Tensor, "r e"]
    response: Float[Tensor, "#b n e"]
    scores: Float[Tensor, "#b r n"]
    reading: Float[Tensor, "e p"] | None = None


def by_position(code: PlaceCode, anchors: Anchors, places: Float[Tensor, "n x"]) -> Sight:
    """By codes of learned positions, whose products are the bump."""
    own, theirs = code(anchors.places), code(places.cpu().float())[None]
    return Sight(own, theirs, code.length**2 * own @ theirs.mT)


def by_reading(anchors: Anchors, patches: Float[Tensor, "b n p"], reading: Float[Tensor, "x p"]) -> Sight:
    """By places that patches hold themselves: products of places that are about equally long, over t^2."""
    theirs = patches.cpu() @ reading.T.cpu()
    return Sight(anchors.places, theirs, anchors.places @ theirs.mT / (WIDTH * min(anchors.spacing)) ** 2, reading)


def start_encoder(encoder: LatentEncoder | HyperNetwork, own: Float[Tensor, "r c"], patches: Float[Tensor, "b n p"],
                  sight: Sight) -> None:
    """Tokens carry codes of their places, look there, and hand their code on."""
    out, count = encoder.out, own.shape[1]
    directions, looking, there = code_directions(encoder, count, sight)
    if isinstance(encoder, HyperNetwork):
        for parameter in (encoder.latents, encoder.shift, encoder.position):
            if parameter is not None:
                parameter.mul_(SMALL)
    encoder.latents.add_(AMPLITUDE * own @ directions.T)
    if sight.reading is None:
        cast(nn.Parameter, encoder.position).add_(AMPLITUDE * sight.response[0].to(patches) @ there.T)
    else:
        encoder.latents.add_(AMPLITUDE * sight.sought.to(patches) @ looking.T)
        encoder.embed.weight.add_(AMPLITUDE * there @ sight.reading.to(patches))
    scores = sight.scores.to(patches)
    if isinstance(encoder, HyperNetwork):
        encoded = encoder.encoded(patches)
        if len(encoder.decoder):
            block = cast(DecoderBlock, encoder.decoder[0])
            tokens = block.norm_cross(block.among_tokens(encoder.latents.to(encoded.dtype)[None]))
            look_there(block.cross_attention, looking, there, tokens, encoded, scores)
        encoder.shift[:, :count] = own
        out.weight[:count] = 0
        out.bias[:count] = 0
        return
    tokens = encoder.tokens(patches)  # (B, N + R, D)
    if len(encoder.transformer.blocks):
        first, n = cast(Block, encoder.transformer.blocks[0]), patches.shape[1]
        normed = first.norm1(tokens)
        look_there(first.attention, looking, there, normed[:, n:], normed[:, :n], scores)
    outputs = encoder.norm(encoder.transformer(tokens, keep=len(own)))  # (B, R, D)
    scale = ((outputs @ directions) * own).sum() / (len(outputs) * own.square().sum())  # of the code, behind LayerNorm
    out.weight.sub_(out.weight @ directions @ directions.T)  # what is not the code reads none of it
    out.weight[:count] = directions.T / scale
    out.bias[:count] = 0


def code_directions(encoder: LatentEncoder | HyperNetwork, count: int,
                    sight: Sight) -> tuple[Float[Tensor, "d c"], Float[Tensor, "d e"], Float[Tensor, "d e"]]:
    """Orthonormal directions: of a token's code, of what it looks for, which may be the code, and of what patches show.

    Random ones, of weights that are written anew or that many others are like, orthogonal to (1, ..., 1) as well.
    Where the width allows it all are orthogonal: a token then looks at patches alone, and not at itself.
    """
    width = sight.sought.shape[1]
    random = torch.cat([encoder.out.weight.T, encoder.embed.weight], 1)
    random = torch.linalg.qr(random - random.mean(0))[0]
    own = random[:, :count]
    first = count if sight.reading is None else count + width  # where the patches' directions begin
    looking = own if sight.reading is None else random[:, count:first]
    fits = min(random.shape[1], len(own) - 1) >= first + width
    return own, looking, random[:, first : first + width] if fits else looking


def look_there(
    attention: MultiHeadAttention,
    looking: Float[Tensor, "d e"],
    there: Float[Tensor, "d e"],
    queries: Float[Tensor, "#b r d"],
    patches: Float[Tensor, "b n d"],
    scores: Float[Tensor, "#b r n"],
) -> None:
    """Attention of tokens to patches with such scores, which hands the patches' contents on as they are.

    `looking` and `there` are directions of what tokens look for and of what patches show. How long these are in what
    attention is given, `queries` and `patches`, is measured.
    """
    codes = looking.shape[1]
    width = attention.k.out_features // attention.num_heads
    rank = min(width, codes)
    parts = [slice(head * width, head * width + rank) for head in range(attention.num_heads)]
    for part in parts:
        some = torch.linalg.qr(attention.k.weight[part, :codes].T)[0]  # (C, rank): a narrow head has a part of the code
        attention.q.weight[part] = some.T @ looking.T
        attention.k.weight[part] = some.T @ there.T
    keys, _ = attention.keys_values(patches)
    logits = (attention.queries(queries) @ keys.mT).mean(1) / math.sqrt(width)  # (B, R, N), over heads
    varying, aimed = (rows - rows.mean(-1, keepdim=True) for rows in (logits, scores.expand(logits.shape)))
    if aimed.any():
        factor = (aimed.square().sum() / (varying * aimed).sum()).sqrt()
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

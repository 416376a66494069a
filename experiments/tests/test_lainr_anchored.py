"""Between LAINR and anchored tokens: equal to LAINR with nothing changed, and every change does what its name says."""

from dataclasses import replace
from itertools import product

import pytest
import torch

from experiments.factorial.model import AnchoredLainr, AnchoredLainrConfig, places_of
from experiments.factorial.multiplicative import MultiplicativeModulation
from experiments.factorial.positional_attention import ContentTerm, DistanceTerm, PositionalAggregation
from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.models.lainr import Lainr, LainrConfig
from tokenfield.nn.token_decoder import MultiBandModulation, SelectiveTokenAggregation

SIZES = LainrConfig(size=(10, 15), patch=5, padding=0, num_latents=6, latent_dim=7, encoder_dim=12, encoder_depth=1,
                    encoder_heads=2, dim=10, feature_dim=12, sigmas=(8.0, 3.0), sigma_q=2.0, heads=2)
ALL = {"anchors": True, "distance": True, "relative": True, "multiplicative": True, "skip": True}


def build(**changes) -> AnchoredLainr:
    torch.manual_seed(5)
    return AnchoredLainr(AnchoredLainrConfig(replace(SIZES, **changes.pop("sizes", {})), **changes)).eval()


def test_without_a_change_it_is_lainr_bit_for_bit():
    torch.manual_seed(5)
    lainr, same = Lainr(SIZES).eval(), build()
    assert lainr.state_dict().keys() == same.state_dict().keys()
    image, grid = torch.rand(2, 3, 10, 15), Grid.cells(7, 11)
    assert torch.equal(lainr.decode(lainr.encode(image), grid), same.decode(same.encode(image), grid))


def test_the_content_term_alone_is_selective_token_aggregation():
    sizes = {"dim": 10, "latent_dim": 7, "num_heads": 2}
    query = {"in_dim": 2, "feature_dim": 12, "sigma_q": 2.0}
    paper = SelectiveTokenAggregation(**sizes, **query)
    term = ContentTerm(**sizes, **query)
    aggregation = PositionalAggregation([term], torch.zeros(6, 2), **sizes)
    term.query, term.q, term.k = paper.query, paper.attention.q, paper.attention.k
    aggregation.v, aggregation.out = paper.attention.v, paper.attention.out
    grid, tokens = Grid.cells(3, 5), torch.randn(2, 6, 7)
    values = [each.combine(each.locate(grid), each.prepare(tokens)) for each in (paper, aggregation)]
    torch.testing.assert_close(*values)


@pytest.mark.parametrize("changes", [dict(zip(ALL, on, strict=True)) for on in product((False, True), repeat=5)])
def test_every_combination_encodes_and_decodes(changes):
    """Grid and points agree, chunks agree with the whole, and every weight has a gradient."""
    model = build(**changes)
    image, grid = torch.rand(2, 3, 10, 15), Grid.cells(4, 3)
    tokens = model.encode(image)
    assert tokens.shape == (2, 6, 7)
    values = model.decode(tokens, grid)
    assert values.shape == (2, 12, 3)
    torch.testing.assert_close(values, model.decode(tokens, grid.coords(), chunk=5))
    values.square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("changes", [{"distance": True}, {"distance": True, "content": False}, {"relative": True}, ALL])
def test_tokens_may_be_permuted_with_their_places(changes):
    model, order, tokens = build(**changes), torch.randperm(6), torch.randn(2, 6, 7)
    grid = Grid.cells(5, 4)
    before = model.decode(tokens, grid)
    assert not torch.allclose(before, model.decode(tokens[:, order], grid))  # they have places
    for module in model.modules():
        if "places" in dict(module.named_buffers(recurse=False)):
            module.places = module.places[order]
    torch.testing.assert_close(before, model.decode(tokens[:, order], grid))


def test_places_are_the_centres_of_the_cells():
    places, cell = places_of(AnchoredLainrConfig(SIZES))
    torch.testing.assert_close(places, Grid.cells(2, 3).coords())
    torch.testing.assert_close(cell, torch.tensor([1.0, 2 / 3]))
    padded = replace(SIZES, size=(8, 13), padding=1)  # 2 x 3 cells of 5 pixels on 10 x 15
    places, cell = places_of(AnchoredLainrConfig(padded))
    pixels = (places + 1) / 2 * torch.tensor([8.0, 13.0])  # from the picture's edge
    torch.testing.assert_close(pixels[0], torch.tensor([1.5, 1.5]))
    torch.testing.assert_close(pixels[-1] - pixels[0], torch.tensor([5.0, 10.0]))


def test_the_distance_term_is_a_gaussian_in_cells():
    """At the centre of a cell its own term is 0; a cell away it is -1 / (2 s^2)."""
    places, cell = places_of(AnchoredLainrConfig(SIZES))
    term = DistanceTerm(places, cell, num_heads=1)
    scores = term.locate(places)  # (1, R, R)
    assert scores.diagonal(dim1=1, dim2=2).abs().max() == 0
    assert scores[0, 0, 1].item() == pytest.approx(-1 / (2 * 0.25**2), rel=1e-5)


def test_by_distance_alone_and_narrowly_the_head_reads_within_the_cell():
    """A field of equal tokens then repeats from cell to cell: the head does not know where it is."""
    model = build(relative=True, distance=True, content=False)
    (term,) = model.decoder.aggregator.terms
    term.log_width.data.fill_(-4.0)
    values = model.decode(torch.randn(1, 1, 7).expand(1, 6, 7).contiguous(), Grid.cells(10, 15))
    picture = values.unflatten(1, (10, 15))
    torch.testing.assert_close(picture[:, :5, :5], picture[:, 5:, 10:])


def test_multiplication_in_place_of_addition():
    torch.manual_seed(0)
    sizes = {"in_dim": 2, "dim": 4, "feature_dim": 8, "sigmas": (3.0,), "out_dim": 2}
    added, scaled = MultiBandModulation(**sizes), MultiplicativeModulation(**sizes)
    scaled.load_state_dict(added.state_dict())
    points, m = torch.rand(5, 2) * 2 - 1, torch.randn(3, 5, 4)
    located = scaled.locate(points)
    expected = scaled.out[0](located[0] * scaled.modulate[0](m))
    torch.testing.assert_close(scaled.combine(located, scaled.fold(None), m), expected)
    other = added.out[0]((located[0] + added.modulate[0](m)).relu())
    torch.testing.assert_close(added.combine(located, added.fold(None), m), other)


def test_a_skip_reaches_its_own_token_alone_and_no_block_is_needed():
    model = build(anchors=True, skip=True, sizes={"encoder_depth": 0})
    image = torch.rand(1, 3, 10, 15)
    other = image.clone()
    other[:, :, 5:, :5] += 0.1  # cell 3 of 2 x 3
    moved = (model.encode(image) - model.encode(other)).abs().amax(-1)[0]
    assert moved[3] > 0 and moved[[0, 1, 2, 4, 5]].max() == 0


def test_what_means_nothing_is_refused():
    with pytest.raises(UserError, match="num_latents 5 and 6 cells; here they must agree"):
        build(sizes={"num_latents": 5})
    with pytest.raises(UserError, match="nothing tells tokens apart"):
        build(content=False)
    with pytest.raises(UserError, match="leave out coarse decoding"):
        build(distance=True).coarse(8)
    build(multiplicative=True).coarse(8)

"""Light fields from views: a set of any size, a function of rays, and the ablations' compositions."""

from dataclasses import replace

import pytest
import torch

from tokenfield.errors import UserError
from tokenfield.models import pretrained
from tokenfield.models.lainr import LainrConfig
from tokenfield.nn.pattern_composer import NormalizedStack, PatternComposer
from tokenfield.nn.token_decoder import MultiBandModulation, PlainMLP
from tokenfield.registry import RECIPES
from tokenfield.views.models.lainr_views import ComposedLainrViewsConfig, LainrViewsConfig
from tokenfield.views.rays import orbit, plucker, with_lines

B, V, SIDE, R, D = 2, 3, 10, 7, 11

TOY = LainrConfig(
    size=(SIDE, SIDE),
    patch=5,
    padding=0,
    num_latents=R,
    latent_dim=D,
    encoder_dim=12,
    encoder_depth=2,
    encoder_heads=3,
    dim=D,
    feature_dim=24,
    sigma_q=2.0,
    sigmas=(8.0, 4.0),
    heads=1,
)
CONFIGS = {
    "whole": LainrViewsConfig(TOY, 3),
    "w/o multiFM": LainrViewsConfig(replace(TOY, plain_depth=2), 3),
    "w/o STA": ComposedLainrViewsConfig(TOY, 3),
    "w/o both": ComposedLainrViewsConfig(replace(TOY, plain_depth=2), 3),
}


def make(name="whole"):
    torch.manual_seed(0)
    return CONFIGS[name].build().double()


def views():
    poses = torch.stack([orbit(V, elevation=0.3), orbit(V, elevation=1.0)]).double()
    images = torch.rand(B, V, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)).double()
    return with_lines(images, poses, torch.tensor([0.7, 0.8], dtype=torch.float64))


def some_rays(count=13):
    generator = torch.Generator().manual_seed(2)
    origins, directions = (torch.randn(B, count, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    return origins, directions


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_support_views_are_a_set_of_any_size(name):
    model, inputs = make(name), views()
    torch.testing.assert_close(model.encode(inputs[:, [2, 0, 1]]), model.encode(inputs), rtol=0, atol=1e-12)
    assert model.encode(inputs[:, :1]).shape == model.encode(inputs[:, :2]).shape == (B, R, D)
    assert (model.encode(inputs[:, :2]) - model.encode(inputs)).abs().max() > 1e-6  # and every one of them counts


@pytest.mark.parametrize("count", [0, 4])
def test_no_view_and_too_many_views_are_refused(count):
    with pytest.raises(UserError, match=f"{count} support views, and this lainr-views(-composed)? takes 1 to 3"):
        make().encode(torch.zeros(B, count, 9, SIDE, SIDE, dtype=torch.float64))


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_a_colour_belongs_to_the_ray_and_not_to_its_origin(name):
    model = make(name)
    tokens, (origins, directions) = model.encode(views()), some_rays()
    moved = origins + torch.linspace(-3, 5, 13, dtype=torch.float64)[:, None] * directions
    here, there = (model.decode(tokens, plucker(o, directions)) for o in (origins, moved))
    torch.testing.assert_close(there, here, rtol=0, atol=1e-9)


@torch.no_grad()
def test_tokens_are_a_set_and_rays_are_independent():
    model, rows = make(), plucker(*some_rays())
    tokens, order = model.encode(views()), torch.randperm(R)
    whole = model.decode(tokens, rows)
    torch.testing.assert_close(model.decode(tokens[:, order], rows), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(model.decode(tokens, rows, 5), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(model.decode(tokens, rows.flip(1)), whole.flip(1), rtol=0, atol=1e-12)


def test_the_paper_s_sizes():
    with torch.device("meta"):
        model = LainrViewsConfig().build()
    query = model.decoder.aggregator.query
    assert (query.in_dim, query.num_frequencies, query.linear.in_features) == (6, 21, 252)
    assert (query.sigma, [band.sigma for band in model.decoder.head.frequency]) == (2, [8, 4])
    assert model.encoder.embed.in_features == 9 * 8 * 8
    assert model.encode(torch.zeros(1, 5, 9, 128, 128, device="meta")).shape == (1, 256, 256)


def test_ablations_are_other_compositions():
    parts = {name: (type(make(name).decoder.aggregator), type(make(name).decoder.head)) for name in CONFIGS}
    assert parts["w/o multiFM"][1] is PlainMLP
    assert parts["w/o STA"] == (PatternComposer, MultiBandModulation)
    assert parts["w/o both"] == (PatternComposer, NormalizedStack)
    with pytest.raises(UserError, match="must agree"):
        ComposedLainrViewsConfig(replace(TOY, latent_dim=D + 1)).build()


@pytest.mark.parametrize("name", CONFIGS)
def test_models_come_back_from_their_folders(name, tmp_path):
    model = make(name).float()
    loaded = pretrained.load(pretrained.save(model, tmp_path / "model"))
    assert type(loaded) is type(model) and pretrained.model_hash(loaded) == pretrained.model_hash(model)


def test_a_linear_layer_of_table_7_is_one_map_per_band():
    """As for pictures: two maps less at L = 2, and none of the query's (Eq. 4)."""
    sizes = replace(TOY, dim=12, feature_dim=12)
    whole, ablated = (
        LainrViewsConfig(replace(sizes, linear_frequency=linear)).build().num_parameters for linear in (True, False)
    )
    assert whole - ablated == 2 * (12 * 12 + 12)


@pytest.mark.parametrize("name", ["whole", "w/o both"])
@torch.no_grad()
def test_learned_positions_are_one_for_every_patch_of_every_view(name):
    """As in the released code: `encoder_dim` numbers for each patch, an order of the views, and one number of them."""
    config = replace(CONFIGS[name], positions="learned")
    torch.manual_seed(0)
    model, some = config.build().double(), views()
    patches = V * (SIDE // 5) ** 2
    assert model.encoder.position.shape == (patches, 12)
    assert model.num_parameters - make(name).num_parameters == (patches - 1) * 12
    assert (model.encode(some[:, [2, 0, 1]]) - model.encode(some)).abs().max() > 1e-6
    with pytest.raises(UserError, match=r"2 support views, and this lainr-views(-composed)? takes 3"):
        model.encode(some[:, :2])
    model.encoder.position.copy_(model.encoder.position[:1].clone())  # the same everywhere is none
    torch.testing.assert_close(model.encode(some[:, [2, 0, 1]]), model.encode(some), rtol=0, atol=1e-12)


def test_the_published_runs_follow_the_released_code():
    """docs/settings.md, "Views": 256 positions per view, dropout, start and half precision; ANR's have its own."""
    own = [name for name in RECIPES if RECIPES.places[name].module == "tokenfield.views.recipes"]
    for name in (name for name in own if not name.endswith(("-64", "views-lamps")) and "-anr-" not in name):
        recipe = RECIPES[name]()
        model, sizes = recipe.model, getattr(recipe.model, "lainr", recipe.model)
        assert (sizes.start, sizes.dropout, recipe.precision) == ("published", 0.1, "bf16"), name
        with torch.device("meta"):
            positions = model.build().encoder.position
        assert positions.shape == (recipe.data.support * 256, 768), name
    assert RECIPES["views-anr-cars"]().precision == "fp32"

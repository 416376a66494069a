"""A field on the sphere that a user holds: places, units, masks, files; continuous round the Earth and at the poles."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from earth_files import dataset, write

from tokenfield import Field
from tokenfield.earth.data import GriddedConfig
from tokenfield.earth.globe import axis_numbers, axis_values, compare, encode_field, pack, score, unpack
from tokenfield.earth.models import GriddedAnchoredConfig, GriddedAnrConfig, GriddedLainrConfig, Variable
from tokenfield.earth.sphere import LatLon
from tokenfield.errors import UserError
from tokenfield.fields.domains import domain_from_dict
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.anr import AnrConfig
from tokenfield.models.lainr import LainrConfig

SIZE = (6, 10)
CONFIG = GriddedConfig(size=SIZE, points=13)
LAINR = GriddedLainrConfig(
    lainr=LainrConfig(size=SIZE, patch=2, padding=0, num_latents=7, latent_dim=5, encoder_dim=16, encoder_depth=1,
                      encoder_heads=2, dim=16, feature_dim=18, sigmas=(8.0, 4.0), sigma_q=2.0)
)
ANR = GriddedAnrConfig(
    anr=AnrConfig(size=SIZE, patch=2, padding=0, num_latents=7, dim=16, encoder_dim=16, encoder_depth=1,
                  decoder_depth=1, encoder_heads=2, encoder_head_dim=8, encoder_hidden=16, heads=2, head_dim=8,
                  sigma=8.0, depth=2)
)
ANCHORED = GriddedAnchoredConfig(
    anchored=AnchoredConfig(cell=2, latent_dim=3, encoder_dim=16, decoder_dim=16, head_dim=8, harmonics=4,
                            start="random"),
    size=SIZE, coordinates="plane",
)
SYSTEMS = {"lainr": LAINR, "anr": ANR, "anchored": ANCHORED}


def build(config):
    torch.manual_seed(0)
    return config.build().eval()


def prepared(path, **changes):
    return next(CONFIG.open(write(path / "a.nc", **changes), "train").fields())


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_field_saves_and_loads_with_places_units_and_mask(name, tmp_path):
    model, field = build(SYSTEMS[name]), prepared(tmp_path, hole=True)
    encoded = encode_field(model, field)
    encoded.save(tmp_path / "a.field")
    again = Field.load(tmp_path / "a.field", model)
    assert again.domain == encoded.domain and again.domain.units == ("degC",) and again.domain.variables == ("SST",)
    assert torch.equal(again.domain.native(again), encoded.domain.native(encoded))
    assert "SST in degC on 7 latitudes x 12 longitudes" in repr(again)


@pytest.mark.parametrize("name", SYSTEMS)
def test_values_are_continuous_round_the_earth(name, tmp_path):
    encoded = encode_field(build(SYSTEMS[name]), prepared(tmp_path))
    latitude = torch.linspace(-80, 80, 9, dtype=torch.float64)[:, None]
    west, east, turned = (encoded.domain.at(encoded, torch.cat([latitude, torch.full_like(latitude, x)], 1))
                          for x in (1e-7, 360 - 1e-7, -1e-7))
    torch.testing.assert_close(west, east, atol=1e-3, rtol=0)
    torch.testing.assert_close(east, turned)
    assert encoded.domain.at(encoded, torch.cat([latitude, 0 * latitude], 1)).std() > 1e-4  # the field is not flat


@pytest.mark.parametrize("config", [LAINR, ANR])
def test_on_the_sphere_a_pole_is_one_point(config, tmp_path):
    own = encode_field(build(config), prepared(tmp_path))
    for pole in (90.0, -90.0):
        values = own.domain.at(own, torch.tensor([[pole, x] for x in (0.0, 77.0, 180.0, 301.0)], dtype=torch.float64))
        torch.testing.assert_close(values, values[:1].expand_as(values), atol=1e-4, rtol=0)


def test_on_the_plane_there_is_a_seam(tmp_path):
    encoded = encode_field(build(replace(LAINR, coordinates="plane")), prepared(tmp_path))
    west, east = encoded.domain.at(encoded, torch.tensor([[10.0, 1e-7], [10.0, 360 - 1e-7]], dtype=torch.float64))
    assert (west - east).abs().item() > 1e-3


def test_anchored_tokens_turn_with_the_earth(tmp_path):
    """The same field, begun elsewhere by whole cells of the model, is the same function of longitude."""
    model = build(ANCHORED)
    inputs = torch.randn(1, 2, *SIZE)
    turned = inputs.roll(4, -1)  # two tokens further east
    torch.testing.assert_close(model.encode(turned), model.encode(inputs).roll(2, 2))
    where = torch.tensor([[33.0, 11.0], [-70.0, 350.0]])
    there = where + torch.tensor([0.0, 4 * 36.0])
    torch.testing.assert_close(model.decode(model.encode(turned), model.place(there)),
                               model.decode(model.encode(inputs), model.place(where)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_stands_in_a_missing_cell_is_of_no_consequence(name, tmp_path):
    model = build(SYSTEMS[name])
    data = dataset(hole=True)
    tokens = []
    for fill in (np.nan, 9.96921e36, np.inf):
        data.SST[0, 2, 3:5] = fill
        data.to_netcdf(tmp_path / f"{fill}.nc", engine="scipy")
        field = next(CONFIG.open(tmp_path / f"{fill}.nc", "train").fields())
        tokens.append(encode_field(model, field).tokens)
    assert torch.equal(tokens[0], tokens[1]) and torch.equal(tokens[0], tokens[2])
    assert not torch.equal(tokens[0], encode_field(model, prepared(tmp_path)).tokens)  # but that it is missing is


def test_the_encoder_reads_shares_and_the_mean_where_nothing_is(tmp_path):
    model, field = build(LAINR), prepared(tmp_path, hole=True)
    inputs, offset, scale = model.inputs(*(part[None] for part in (field.inputs, field.covered, field.mean,
                                                                   field.deviation)))
    standard, share = inputs[0]
    assert ((share >= 0) & (share <= 1)).all() and (share < 1).any()
    assert (standard[share == 0] == 0).all()
    assert offset.item() == field.mean.item() and scale.item() == pytest.approx(1 / field.deviation.item())


def test_a_variable_s_own_offset_and_scale_are_used():
    model = build(replace(LAINR, variables=(Variable("t2m", "K", 260.0, 0.01),), masked=False))
    inputs, *_ = model.inputs(torch.full((1, 1, *SIZE), 300.0), torch.ones(1, 1, *SIZE),
                                         torch.tensor([[280.0]]), torch.tensor([[20.0]]))
    assert inputs.shape[1] == 1 and model.own_standards == 0
    torch.testing.assert_close(inputs, torch.full_like(inputs, 0.4))  # 0.01 (300 - 260)


def test_a_field_without_variation_is_not_divided_by_nothing():
    model = build(LAINR)
    values = torch.full((1, 1, *SIZE), 7.0)
    *_, scale = model.inputs(values, torch.ones_like(values), torch.tensor([[7.0]]), torch.tensor([[0.0]]))
    assert scale.item() == 1


def test_scores_are_weighted_by_area_and_leave_out_what_is_missing(tmp_path):
    snapshot = prepared(tmp_path, hole=True).snapshot
    values = snapshot.values + 2.0
    values[snapshot.valid == 0] = 1e6
    exact = compare(values, snapshot)
    assert exact.rmse == (pytest.approx(2, rel=1e-5),)
    assert exact.psnr == (pytest.approx(20 * np.log10(exact.span[0] / 2), rel=1e-4),)
    polar = snapshot.values.clone()
    polar[:, 0] += 1.0  # the northernmost row alone
    share = (snapshot.grid.areas[0].sum() / (snapshot.grid.areas * snapshot.valid[0]).sum()).sqrt().item()
    assert compare(polar, snapshot).rmse == (pytest.approx(share, rel=1e-3),)


def test_a_field_s_score_is_that_of_its_values_at_its_own_cells(tmp_path):
    field = prepared(tmp_path)
    encoded = encode_field(build(LAINR), field)
    assert score(encoded, field.snapshot) == compare(encoded.domain.native(encoded), field.snapshot)


def test_rendering_is_asking_at_the_centres(tmp_path):
    encoded = encode_field(build(LAINR), prepared(tmp_path))
    values = encoded.domain.at(encoded, LatLon.globe(14, 24).places())
    torch.testing.assert_close(encoded.render(14, 24), values.T.unflatten(1, (14, 24)), atol=1e-3, rtol=1e-4)


def test_places_know_whether_their_cell_had_a_value(tmp_path):
    domain = encode_field(build(LAINR), prepared(tmp_path, hole=True)).domain
    rows, columns = domain.grid.latitudes, domain.grid.longitudes
    where = torch.tensor([[rows[2], columns[3]], [rows[2], columns[3] - 360], [rows[0], columns[0]]])
    assert domain.had_value(where).tolist() == [[False], [False], [True]]
    region = prepared(tmp_path, latitudes=np.array([40.0, 30.0]), longitudes=np.array([355.0, 365.0]))
    places = torch.tensor([[30.0, 4.0], [26.0, -9.0], [24.0, 0.0], [40.0, 11.0]])
    assert encode_field(build(LAINR), region).domain.had_value(places).tolist() == [[True], [True], [False], [False]]


def test_masks_and_axes_survive_their_packing():
    mask = torch.rand(2, 7, 11) < 0.3
    assert torch.equal(~mask, unpack(pack(mask), (2, 7, 11)))
    assert pack(mask & False) == "" and unpack("", (1, 2, 3)).all()
    for axis in (torch.linspace(89, -89, 90), torch.tensor([10.0, 5.0, 1.0]), torch.tensor([9.0, 5, 4, 3, 1])):
        torch.testing.assert_close(axis_values(axis_numbers(axis.double()), len(axis)), axis.double())
    for text in ("not a mask", pack(mask)):
        with pytest.raises(UserError, match="mask"):
            unpack(text, (1, 99, 99))


@pytest.mark.parametrize(
    "changes",
    [{"units": []}, {"scale": [0.0]}, {"size": [7, 13]}, {"latitudes": [1.0, 0.0]}, {"variables": []}],
)
def test_a_damaged_domain_is_refused(changes, tmp_path):
    import json

    plain = json.loads(json.dumps(encode_field(build(LAINR), prepared(tmp_path)).domain.to_dict()))
    assert domain_from_dict(plain).size == (7, 12)
    with pytest.raises(UserError):
        domain_from_dict(plain | changes)


@pytest.mark.parametrize(
    ("variable", "words"),
    [(Variable("SALT"), "holds SST, the model takes SALT"), (Variable("SST", "K"), "is in degC, the model takes K")],
)
def test_another_variable_or_unit_is_refused(variable, words, tmp_path):
    with pytest.raises(UserError, match=words):
        encode_field(build(replace(LAINR, variables=(variable,))), prepared(tmp_path))

"""The commands for fields of the Earth: what they print, what they write, one clear line for what makes no sense."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from earth_files import dataset, truth, write
from PIL import Image

from tokenfield import Field
from tokenfield.earth import recipes as recipes
from tokenfield.earth.models import GriddedLainrConfig, Variable
from tokenfield.models import pretrained
from tokenfield.models.lainr import LainrConfig
from tokenfield.training.folder import store_recipe

LAINR = LainrConfig(size=(6, 10), patch=2, padding=0, num_latents=3, latent_dim=4, encoder_dim=16, encoder_depth=1,
                    encoder_heads=2, dim=16, feature_dim=18, sigmas=(4.0,), sigma_q=2.0)


@pytest.fixture
def earth(tmp_path):
    """A model's folder, a folder of data, and the fields of one file."""
    torch.manual_seed(0)
    pretrained.save(GriddedLainrConfig(lainr=LAINR).build(), tmp_path / "model")
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "sea.nc", steps=12, hole=True)
    return tmp_path


def encoded(earth, run, *options):
    return run("climate", "encode", earth / "data" / "sea.nc", "--model", earth / "model", "-o", earth / "fields",
               *options)


def test_encode_writes_a_field_per_step(earth, run):
    outcome = encoded(earth, run, "--json", earth / "out.json", "--half")
    assert outcome.code == 0 and len(outcome.out.splitlines()) == 12
    assert "14 values for 82 cells, RMSE" in outcome.out and "degC" in outcome.out  # 3 x 4, an offset and a scale
    items = json.loads((earth / "out.json").read_text())["items"]
    field = Field.load(earth / "fields" / "sea.nc_SST_2000-01-04.field", pretrained.load(earth / "model"))
    assert items[3]["name"] == field.domain.name == "sea.nc SST 2000-01-04"


def test_query_answers_in_the_field_s_unit_and_marks_guesses(earth, run):
    encoded(earth, run)
    path = earth / "fields" / "sea.nc_SST_2000-01-01.field"
    rows = dataset()
    hole = f"{rows.lat.values[2]:g}", f"{rows.lon.values[3]:g}"
    (earth / "places.txt").write_text("10, 20\n\n-30 350\n")
    outcome = run("climate", "query", path, "--at", *hole, 90, 5, "--places", earth / "places.txt", "--json",
                  earth / "q.json", "--model", earth / "model")
    lines = outcome.out.splitlines()
    assert outcome.code == 0 and "SST, degC" in lines[0] and len(lines) == 6
    assert "*" in lines[1] and "*" not in lines[2] and "guess" in lines[-1]
    plain = json.loads((earth / "q.json").read_text())
    assert plain["units"] == ["degC"] and [p["had_value"] for p in plain["places"]] == [[False], [True], [True], [True]]
    field = Field.load(path, pretrained.load(earth / "model"))
    expected = field.domain.at(field, torch.tensor([[-30.0, 350.0]], dtype=torch.float64)).item()
    assert plain["places"][3]["values"][0] == pytest.approx(expected)


def test_map_draws_truth_field_and_difference(earth, run):
    encoded(earth, run)
    path = earth / "fields" / "sea.nc_SST_2000-01-06.field"
    alone = run("climate", "map", path, "--projection", "mollweide", "--height", 30)
    assert alone.code == 0
    beside = run("climate", "map", path, "--data", earth / "data", "-o", earth / "m.png", "--height", 30,
                 "--projection", "orthographic")
    assert beside.code == 0 and "sea.nc SST 2000-01-06" in beside.out
    small, large = Image.open(path.with_suffix(".png")).size, Image.open(earth / "m.png").size
    assert large[0] > 1.4 * small[0]  # three discs beside one ellipse


def test_evaluate_tells_variables_and_units(earth, run):
    write(earth / "data" / "air.nc", variables=("AIRT",), units="K")
    outcome = run("climate", "evaluate", earth / "model", "--data", earth / "data", "--json", earth / "e.json",
                  "--figure", earth / "e.png")  # no run, which held out nothing: all fields
    assert outcome.code == 0 and "sea.nc SST" in outcome.out and "air.nc AIRT" in outcome.out
    plain = json.loads((earth / "e.json").read_text())
    assert [(row["series"], row["unit"], row["fields"]) for row in plain["series"]] == [
        ("air.nc AIRT", "K", 1), ("sea.nc SST", "degC", 12)]
    assert plain["settings"]["split"] == "all" and plain["values_stored"] == 14
    assert str(earth) not in json.dumps({**plain, "model": None})
    assert Image.open(earth / "e.png").size[0] > 500


def test_files_that_a_recipe_does_not_name_were_never_trained_on_and_are_measured_whole(earth, run):
    outcome = run("climate", "evaluate", "earth-climate", "--data", earth / "data", "--json", earth / "e.json")
    assert outcome.code == 0 and "sea.nc SST" in outcome.out
    plain = json.loads((earth / "e.json").read_text())
    assert plain["settings"]["split"] == "all" and plain["series"][0]["fields"] == 12


def test_a_run_is_evaluated_on_what_its_recipe_held_out(earth, run):
    recipe = recipes.lainr_climatology()
    recipe = replace(recipe, data=replace(recipe.data, files=("coads.cdf",)))
    write(earth / "data" / "coads.cdf", steps=12)
    store_recipe(earth / "model", recipe)
    store_recipe(earth / "model", replace(recipe, data=replace(recipe.data, size=(6, 10))))
    outcome = run("climate", "evaluate", earth / "model", "--data", earth / "data", "--json", earth / "e.json")
    assert outcome.code == 0
    names = [score["field"] for score in json.loads((earth / "e.json").read_text())["scores"]]
    assert names == [f"coads.cdf SST 2000-01-{step + 1:02d}" for step in (2, 6, 10)]


def test_other_units_are_converted_to_the_model_s(earth, run):
    variable = Variable("SST", "K", 273.15, 0.05)
    pretrained.save(GriddedLainrConfig(lainr=LAINR, variables=(variable,)).build(), earth / "kelvin")
    outcome = run("climate", "encode", earth / "data" / "sea.nc", "--model", earth / "kelvin", "-o", earth / "k",
                  "--json", earth / "k.json")
    assert outcome.code == 0 and " K," in outcome.out
    item = json.loads((earth / "k.json").read_text())["items"][0]
    assert item["units"] == ["K"] and item["values_stored"] == 12  # no offset and scale of its own


def test_kelvin_arrays_without_axes(earth, run):
    np.save(earth / "data" / "t.npy", truth(np.linspace(90, -90, 7), np.arange(12) * 30.0) + 273.15)
    outcome = run("climate", "encode", earth / "data" / "t.npy", "--model", earth / "model", "-o", earth / "n")
    assert outcome.code == 0 and "t.npy value -> " in outcome.out


NONSENSE = {
    "nowhere on Earth": (("query", "F", "--at", 91, 0), "latitude 91, longitude 0"),
    "no place": (("query", "F"), "no place; give --at"),
    "no such file": (("query", "nothing.field", "--at", 1, 2), "no file nothing.field"),
    "a picture's model": (("evaluate", "photos-s", "--data", "D", "--split", "all"), "knows no latitudes"),
    "no run": (("evaluate", "M", "--data", "D", "--split", "test"), "nothing says what it held out"),
    "no data": (("evaluate", "M", "--data", "nothing", "--split", "all"), "no such file or folder"),
    "no variable": (("evaluate", "M", "--data", "D", "--split", "all", "--variables", "ICE"), "the variables are SST"),
    "units for nothing": (("evaluate", "M", "--data", "D", "--split", "all", "--units", "K"), "give one each"),
    "units of something else": (("encode", "D", "--model", "M", "-o", "O", "--variables", "SST", "--units", "m/s"),
                                "no conversion"),
    "count": (("evaluate", "M", "--data", "D", "--split", "all", "--count", 0), "at least 1"),
    "not of the Earth": (("map", "P"), "not of the Earth"),
    "other data": (("map", "F", "--data", "A"), "variables are AIRT"),
    "places that are none": (("query", "F", "--places", "T"), "line 2: 'here'"),
}


def test_what_makes_no_sense_is_one_line(earth, run, photo):
    encoded(earth, run)
    run("encode", photo, "-o", earth / "photo.field")
    write(earth / "air.nc", variables=("AIRT",))
    (earth / "places.txt").write_text("1 2\nhere\n")
    short = {"F": earth / "fields" / "sea.nc_SST_2000-01-01.field", "M": earth / "model", "D": earth / "data",
             "O": earth / "o", "P": earth / "photo.field", "A": earth / "air.nc", "T": earth / "places.txt"}
    for name, (words, message) in NONSENSE.items():
        outcome = run("climate", *(short.get(word, word) for word in words))
        assert outcome.code == 1, name
        assert len(outcome.lines) == 1 and message in outcome.err, (name, outcome.err)


def test_info_does_not_print_the_mask_of_the_sea(earth, run, monkeypatch):
    encoded(earth, run)
    monkeypatch.setattr("tokenfield.cli.info.LONGEST", 8)
    outcome = run("info", earth / "fields" / "sea.nc_SST_2000-01-01.field")
    assert outcome.code == 0 and " characters, in --json" in outcome.out

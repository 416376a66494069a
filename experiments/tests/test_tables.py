"""Rows are published runs; a miniature of one differs from the base in what the row changes, and in nothing else."""

from dataclasses import replace

import pytest

from experiments import miniature
from experiments.tables.rows import Row
from experiments.tables.tables import TABLES, find_table
from tokenfield.comparison.systems import stored_values
from tokenfield.errors import UserError
from tokenfield.models.lainr import LainrConfig
from tokenfield.registry import RECIPES
from tokenfield.training.recipe import decisive, model_name

ROWS = [(name, row) for name, table in TABLES.items() for row in table.rows if type(row) is Row]
BASE = miniature.base(miniature.SMALL)


@pytest.mark.parametrize(("name", "row"), ROWS, ids=[f"{name}-{row.label}" for name, row in ROWS])
def test_miniatures_share_everything_but_the_model(name, row):
    recipe = row.at("miniature", 7)
    assert recipe.seed == 7
    own = ("model", "seed", "name", "data", "objective", "optim")
    assert replace(recipe, **{key: getattr(BASE, key) for key in own}) == BASE
    assert recipe.optim == miniature.OPTIMISERS.get(model_name(recipe.model), BASE.optim)
    assert recipe.optim.schedule == BASE.optim.schedule and recipe.optim.warmup == BASE.optim.warmup
    assert replace(recipe.objective, jitter="axis", fraction=0.25) == BASE.objective
    assert recipe.objective.fraction * recipe.data.size**2 == 1024  # as many pixels a step, whatever their number
    assert (recipe.objective.jitter == "none") == hasattr(recipe.model, "inner_steps")
    assert recipe.data.size in (64, 128, 256) and replace(recipe.data, size=64) == BASE.data


def test_tokens_that_are_attended_to_begin_locally():
    starts = {row.label: getattr(row.at("miniature", 0).model, "start", "") for row in TABLES["1"].rows}
    assert starts["LAINR"] == starts["ANR"] == "local"
    model = next(row for row in TABLES["1"].rows if row.label == "LAINR").at("miniature", 0).model
    assert replace(miniature.as_published(model), start="local") == model


def test_all_rows_store_the_same_but_those_that_cannot():
    stored = {row.label: stored_values(row.at("miniature", 0), 64) for row in TABLES["1"].rows}
    others = {"Learned Init": 65_920, "Learned Init, equal values": 8190, "Functa": 512, "TransINR": 8576,
              "LIIF, a feature per pixel": 64 * 64 * 32}
    assert {label: others.get(label, 8192) for label in stored} == stored


def ablated(table: str) -> list[set[str]]:
    """Per LAINR row of a table, the fields in which its miniature differs from the first row's."""
    first, *rest = (decisive(row.at("miniature", 0)) for row in TABLES[table].rows)
    lainr = [row for row in rest if row["model.name"] == "lainr"]
    return [{key for key in first if row.get(key) != first[key]} for row in lainr]


def test_an_ablation_changes_one_factor():
    assert ablated("3") == [{"model.plain_depth"}]
    assert ablated("4") == [{"model.sigmas"}, {"model.sigmas"}, {"model.sigma_q"}]
    both = {"model.linear_frequency", "model.linear_modulation"}
    assert ablated("7") == [{"model.linear_frequency"}, {"model.linear_modulation"}, both]
    assert ablated("figure-1") == [{"model.start"}]


def test_ratios_survive_the_shrinking():
    """Bandwidths keep their ratio to the picture's side; a larger picture has larger patches, and as many of them."""
    published, small = LainrConfig(), BASE.model
    for one, other in zip((*small.sigmas, small.sigma_q), (*published.sigmas, published.sigma_q), strict=True):
        assert one / 64 == pytest.approx(other / 178)
    for size in (256, 512, 1024):
        model = miniature.shrink(RECIPES[f"lainr-ffhq-{size}"]().model, miniature.SMALL)
        assert model.size[0] == size // 4 and model.size[0] // model.patch == 8
    large = miniature.shrink(RECIPES["lainr-ffhq-1024"]().model, miniature.SMALL)
    assert large.sigmas == (64.0, 16.0)  # 256 and 64 in 1024 pixels


def test_heads_are_what_their_table_varies():
    assert [row.at("miniature", 0).model.heads for row in TABLES["heads"].rows] == [1, 2, 4, 8]
    others = [row for name, row in ROWS if name != "heads" and hasattr(row.at("miniature", 0).model, "heads")]
    assert {row.at("miniature", 0).model.heads for row in others} == {1}


def test_the_study_of_sizes_has_a_row_per_number_of_values():
    sizes = {row.label: row.at("miniature", 0).model for row in TABLES["sizes"].rows}
    assert [sizes[f"ANR, R = {r}"].num_latents for r in ("64", "128", "256 (D5)")] == [16, 32, 64]
    assert [sizes[f"TransINR, mod{g}"].groups for g in (32, 64, 128)] == [8, 16, 32]
    assert [sizes[f"ANR, D{d}"].depth for d in (1, 2, 3, 4, 6)] == [1, 2, 3, 4, 6]
    assert sizes["ANR, hidden 128"].dim == 64


def test_published_numbers_are_those_of_the_recipes():
    """A docstring that names a number for the table names the same one."""
    for name, row in ROWS:
        if row.published is not None and name not in ("figure-1",):
            assert f"{row.published:.2f}" in RECIPES[row.recipe].__doc__, (name, row.label)


def test_scales():
    others = {row.label: row for row in TABLES["1"].rows if row.extra}
    spatial = others["Spatial Functa"].at("photos", 0)  # a cell of its grid is as large as at 64 pixels
    assert spatial.model.size == (178, 178) and spatial.model.grid == (22, 22) and spatial.data.size == 178
    for label in ("switched", "anchored, random start"):  # crops of whole cells, measured on those of all others
        held_out = others[label].held_out("photos")
        assert others[label].at("photos", 0).data.size == 192 and held_out.data.size == 178
    assert spatial.model.build().input_size == (178, 178) and others["Functa"].held_out("photos") is None
    with pytest.raises(UserError, match="has no published data set"):
        others["switched"].at("published", 0)
    lainr = next(row for row in TABLES["1"].rows if row.label == "LAINR")
    assert lainr.at("published", 0) == RECIPES["lainr-imagenette-178"]()
    photographs = lainr.at("photos", 1)
    assert photographs.data.layout == "folder" and photographs.data.size == 178 and photographs.seed == 1
    assert photographs.model == lainr.at("published", 0).model


def test_names():
    assert find_table("2/6")[0] == "2" and find_table("figure-12")[0] == "figure-5"
    assert find_table("fig7")[0] == "figure-7"
    with pytest.raises(UserError, match="there are: 1, 1-celeba"):
        find_table("9")

"""Recipes: what they refuse, and that JSON gives back what it was given."""

import json

import pytest
from toys import RECIPE, toy

from tokenfield.errors import UserError
from tokenfield.registry import MODELS
from tokenfield.training import OptimConfig
from tokenfield.training.recipe import (
    Recipe,
    default_recipe,
    differences,
    from_json,
    model_name,
    read,
    recipe_hash,
    to_json,
)


def test_json_gives_back_an_equal_recipe():
    again = from_json(json.loads(json.dumps(to_json(RECIPE))))
    assert again == RECIPE
    assert hash(again) == hash(RECIPE)  # tuples are tuples again


def test_the_model_is_named_in_json():
    assert to_json(RECIPE)["model"]["name"] == "lainr" == model_name(RECIPE.model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda j: j | {"stepz": 3}, "steps"),
        (lambda j: j | {"steps": "many"}, "steps"),
        (lambda j: j | {"model": {"name": "foreign"}}, "foreign"),
        (lambda j: j | {"model": 3}, "no recipe"),
        (lambda j: [], "no recipe"),
        (lambda j: {k: v for k, v in j.items() if k != "data"}, "data"),
    ],
)
def test_foreign_json_is_refused(change, message):
    with pytest.raises(UserError, match=message):
        from_json(change(to_json(RECIPE)))


def test_reading_names_the_file(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.json"):
        read(tmp_path / "nowhere.json")
    (tmp_path / "torn.json").write_text('{"name": ')
    with pytest.raises(UserError, match=r"torn\.json is damaged or no JSON"):
        read(tmp_path / "torn.json")


@pytest.mark.parametrize(
    "changes",
    [{"steps": 0}, {"batch_size": 0}, {"batch_size": 5, "accumulate": 2}, {"ema_decay": 1.0}, {"log_every": 0}],
)
def test_meaningless_recipes_are_refused(changes):
    with pytest.raises(UserError, match="recipe toy"):
        toy(**changes)


def test_differences_name_the_fields_that_decide_weights():
    assert differences(RECIPE, toy(log_every=7, keep_checkpoints=9)) == []
    changed = differences(RECIPE, toy(optim=OptimConfig(name="muon", rate=0.5, schedule="cosine", warmup=3), seed=4))
    assert changed == ["optim.rate: 0.001 became 0.5", "seed: 3 became 4"]


def test_a_run_may_be_lengthened_only_if_its_rate_does_not_fall_towards_the_end():
    assert differences(RECIPE, toy(steps=30)) == ["steps: 20 became 30"]
    constant = toy(optim=OptimConfig())
    assert differences(constant, toy(optim=OptimConfig(), steps=30)) == []


def test_the_hash_is_that_of_the_fields_that_decide_weights():
    assert recipe_hash(RECIPE) == recipe_hash(toy(log_every=7)) != recipe_hash(toy(seed=4))


def test_every_field_is_documented():
    import ast
    import inspect

    body = ast.parse(inspect.getsource(Recipe)).body[0].body
    fields = [i for i, node in enumerate(body) if isinstance(node, ast.AnnAssign)]
    for i in fields:
        assert isinstance(body[i + 1], ast.Expr), f"{body[i].target.id} has no docstring"


def test_every_system_that_encodes_pictures_has_a_default_recipe():
    for name, system in MODELS.items():
        if system.command == "encode" and system.default_recipe is not None:
            recipe = default_recipe(name)
            model = recipe.model.build()
            assert recipe.name == model.name == name and from_json(to_json(recipe)) == recipe
            assert (model.input_size or (recipe.data.size,) * 2) == (recipe.data.size,) * 2
            assert model.num_parameters < 4e6  # small: two cores train it


@pytest.mark.parametrize(
    ("name", "message"),
    [("lanir", "did you mean"), ("coordinate-mlp", "tokenfield fit"), ("ipc-radiance", "takes views, not pictures")],
)
def test_what_cannot_be_trained_on_a_folder_has_no_default_recipe(name, message):
    with pytest.raises(UserError, match=message):
        default_recipe(name)

"""Published runs say what they follow and where they depart, in their docstrings and on their models' cards."""

from dataclasses import replace

import pytest

from tokenfield.registry import RECIPES
from tokenfield.training.card import Published, card
from tokenfield.training.recipe import run

OWN = ("photos", "cutouts", "climatology", "views-lamps", "speech", "film", "-64")
"""Runs of this project's own."""
NAMES = [name for name in RECIPES if RECIPES.places[name].module.startswith("tokenfield.")]


@pytest.mark.parametrize("name", NAMES)
def test_every_published_run_says_what_it_follows_and_where_it_departs(name):
    own = any(part in name for part in OWN) and name != "functa-celeba-64"
    text = RECIPES[name].__doc__
    assert (text.count("\nFollows:\n") == text.count("\nDeparts:\n") == 1) != own
    assert RECIPES.places[name].summary() == text.split("\n")[0]  # lists read the source


def test_a_card_holds_the_docstring_and_what_was_changed():
    recipe = RECIPES["lainr-celeba-178"]()
    assert "Changed" not in card(recipe) and "bfloat16 for float16" in card(recipe)
    assert "50.74 dB" in card(recipe) and card(recipe).startswith("# lainr-celeba-178\n")
    changed = card(replace(recipe, steps=3))
    assert f"- `steps: {recipe.steps} became 3`;" in changed
    assert card(replace(recipe, name="my-own")).startswith("# my-own\n\nTrained by tokenfield")


def test_a_run_says_it_once():
    runs = {"one": run("One.", RECIPES["lainr-celeba-178"]), "one_own": run("Own.", RECIPES["lainr-celeba-178"])}
    for follows in ("first", "second"):
        Published((follows,), ("x: y",)).document(runs, "own")
    assert runs["one"].__doc__ == "One.\n\nFollows:\n- first;\n\nDeparts:\n- x: y;"
    assert runs["one_own"].__doc__ == "Own."

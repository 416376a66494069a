"""`tokenfield train RECIPE`: its options are the fields of the recipe, made by `tyro` from the dataclass itself."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain, groupby, zip_longest
from pathlib import Path
from typing import Annotated, cast

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Folder, Json, Usage
from tokenfield.cli.types import Recipe, Session
from tokenfield.errors import UserError
from tokenfield.io.atomic import typed
from tokenfield.registry import DENOISERS, MODELS, RECIPES

INTRODUCTION = """\
usage: tokenfield train RECIPE --data FOLDER [--out FOLDER] [--resume] [--from MODEL] [--OPTION VALUE ...]

Train a model by a recipe. Every number of a recipe can be overridden; tokenfield train RECIPE --help lists them.
Ctrl-C saves; the same command with --resume continues, bit for bit on a CPU, and with more --steps goes on after the
end. --from MODEL starts from trained weights, to fine-tune a packaged model, say, on pictures of your own. In place of
a recipe's name stands a recipe.json that an earlier run wrote, or the name of a system, which is then trained small,
with defaults of its own:
tokenfield train lainr --data FOLDER --model.dim 128.
"""


@dataclass(frozen=True)
class Run:
    """Which run it is."""

    data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """What to train on, in the layout that --data.layout names."""
    out: Folder = None
    """Folder of the run; default: runs/RECIPE."""
    resume: bool = False
    """Continue the run in that folder from its newest whole checkpoint."""


def train(recipe: Recipe, out: Path, options: Run, session: Session, json: Path | None) -> int:
    """Train a model by a recipe, or a system by its name: tokenfield train RECIPE --data FOLDER.

    `tokenfield train --help` lists the recipes, `tokenfield train RECIPE --help` every option of one.
    """
    from tokenfield.data.pictures import SkippedFiles
    from tokenfield.training import journal
    from tokenfield.training.recipe import model_name, system_class
    from tokenfield.training.trainer import train

    skipped = SkippedFiles()
    train(recipe, options.data, out, resume=options.resume, session=session, skipped=skipped)
    if os.environ.get("RANK", "0") != "0":  # one of several processes under torchrun; the first one speaks
        return console.OK
    lines = journal.read(out / journal.METRICS)
    measure = recipe.objective.measure
    scores = [line for line in lines if measure.read(line)]
    trained = [line for line in lines if "loss" in line]
    if trained:
        console.say(f"{trained[-1]['step']} of {recipe.steps} steps in {trained[-1]['seconds']:.0f} s of training")
    if score := measure.last(lines):
        console.say(f"{measure.text.format(score[0])} on {score[1]} held-out {measure.things}")
    console.say(f"model, recipe, metrics and learning curve are in {out}")
    system = system_class(model_name(recipe.model))
    places = {"out": typed(out), "data": typed(options.data)}
    console.say(f"next: tokenfield {system.after_training.format(**places)}")
    summary = {"training": trained[-1] if trained else None, "evaluation": scores[-1] if scores else None}
    console.write_json(json, "train", {"recipe": recipe.name, "out": str(out), **summary, "skipped": skipped.as_json()})
    return console.SKIPPED if skipped else console.OK


def parser(argv: list[str]) -> Callable[[], object]:
    """What to run for `tokenfield train ARGV...`. Raises `Usage` without a recipe, UserError for an unknown one.

    The recipe decides which options there are, so it comes first. A resumed run takes its recipe from its own folder:
    overrides need not be repeated, and one that would change the run is refused.
    """
    if argv[:1] in (["-h"], ["--help"]):
        return print_recipes
    if not argv or argv[0].startswith("-"):
        raise Usage("give a recipe first: tokenfield train RECIPE --data FOLDER; tokenfield train --help lists them")
    name, options = argv[0], argv[1:]
    recipe = find_recipe(name, resume="--resume" in options)
    if (model := option(options, "--from")) is not None:
        from tokenfield.training.recipe import on_top_of

        recipe = on_top_of(recipe, model)
    run = parse_options(recipe, name, options)
    if run.keywords["options"].resume:
        from tokenfield.training.folder import stored_recipe

        run = parse_options(stored_recipe(run.keywords["out"]), name, options)
    return run


def option(argv: list[str], name: str) -> str | None:
    """What an option is given in a command line, as `--name value` or `--name=value`; None where it is not."""
    for word, after in zip_longest(argv, argv[1:]):
        if word == name or word.startswith(f"{name}="):
            return after if word == name else word.removeprefix(f"{name}=")
    return None


def print_recipes() -> None:
    """The help of `train` without a recipe: recipes by their groups, then systems. Imports none of them."""
    console.show(INTRODUCTION)
    width = max(map(len, [*RECIPES, *MODELS]))
    groups = groupby(RECIPES.places.items(), lambda entry: entry[1].group)
    for group, places in chain(groups, [("Systems", MODELS.places.items())]):
        console.say(f"{group}:")
        for name, place in places:
            console.say(f"  {name:<{width}}  {place.summary()}")


def find_recipe(name: str, *, resume: bool = False) -> Recipe:
    """A recipe by its name, by the JSON file of one, or the usual one of a system.

    To resume a run, its recipe.json may be damaged or gone: its checkpoints hold the recipe too. Raises UserError for
    none of these; the line names the nearest three that there are.
    """
    if name in RECIPES:
        return cast(Recipe, RECIPES[name]())
    if resume and Path(name).name == "recipe.json":
        from tokenfield.training.folder import stored_recipe

        return stored_recipe(Path(name).parent)
    if name.endswith(".json") or name in MODELS or name in DENOISERS:
        from tokenfield.training.recipe import default_recipe, read

        return read(Path(name)) if name.endswith(".json") else default_recipe(name)
    first, second, third = get_close_matches(name, [*RECIPES, *MODELS], 3, cutoff=0)
    raise UserError(f"no recipe or system is called {name!r}; did you mean {first}, {second} or {third}? "
                    "(tokenfield train --help lists them all)")


def parse_options(recipe: Recipe, name: str, argv: list[str]) -> functools.partial[int]:
    """`train` with the options of a recipe: its fields at the top level, then those of every run."""
    from tokenfield.training.recipe import class_of
    from tokenfield.training.session import Session

    def options(
        *,
        recipe: Annotated[class_of(recipe), tyro.conf.arg(name="")] = recipe,  # type: ignore[valid-type]
        run: Annotated[Run, tyro.conf.arg(name="")],
        session: Annotated[Session, tyro.conf.arg(name="")] = Session(),  # noqa: B008, frozen
        json: Json = None,
    ) -> functools.partial[int]:
        out = run.out if run.out is not None else Path("runs") / Path(name).stem
        return functools.partial(train, recipe, out=out, options=run, session=session, json=json)

    options.__doc__ = (RECIPES if name in RECIPES else MODELS).get(name, train).__doc__
    return tyro.cli(options, prog=f"tokenfield train {name}", args=argv, config=(tyro.conf.AvoidSubcommands,))

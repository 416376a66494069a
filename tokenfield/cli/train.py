"""`tokenfield train RECIPE`: its options are the fields of the recipe, made by `tyro` from the dataclass itself."""

import functools
import os
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Folder, Json, Usage
from tokenfield.errors import UserError


def train(recipe: tyro.conf.Positional[str]) -> int:
    """Train a model by a recipe: tokenfield train RECIPE --data FOLDER.

    `tokenfield train --help` lists the recipes, `tokenfield train RECIPE --help` every option of one.

    Args:
        recipe: which one.
    """
    raise AssertionError(f"train {recipe} is parsed by train_parser, which knows the recipe's options")


def train_parser(argv: list[str]) -> Callable[[], Any]:
    """What to run for `tokenfield train ARGV...`.

    The recipe decides which options there are, so it comes first. A resumed run takes its recipe from its own folder:
    overrides need not be repeated, and one that would change the run is refused.

    Raises:
        Usage: no recipe.
        UserError: an unknown one.
    """
    if argv[:1] in (["-h"], ["--help"]):
        print_recipes()
        raise SystemExit(console.OK)
    if not argv or argv[0].startswith("-"):
        raise Usage("give a recipe first: tokenfield train RECIPE --data FOLDER; tokenfield train --help lists them")
    name, options = argv[0], argv[1:]
    run = parse_options(find_recipe(name), name, options)
    stored = run.keywords["out"] / "recipe.json"
    if run.keywords["resume"] and stored.exists():
        from tokenfield.training.recipe import read

        run = parse_options(read(stored), name, options)
    return run


def print_recipes() -> None:
    """The help of `train` without a recipe."""
    from tokenfield.registry import RECIPES

    console.say("usage: tokenfield train RECIPE --data FOLDER [--out FOLDER] [--resume] [--OPTION VALUE ...]\n")
    console.say("Train a model by a recipe. Every number of a recipe can be overridden; tokenfield train RECIPE --help")
    console.say("lists them. Ctrl-C saves; the same command with --resume continues, bit for bit on a CPU. A recipe")
    console.say("can also be a recipe.json that an earlier run wrote.\n")
    rows = [(name, first_line(function)) for name, function in RECIPES.items()]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        console.say(f"  {name:<{width}}  {text}")


def first_line(function: Callable[..., Any]) -> str:
    """The first line of a docstring."""
    return (function.__doc__ or "").strip().split("\n")[0]


def find_recipe(name: str) -> Any:
    """A recipe by its name, or by the JSON file of one. Raises UserError naming the nearest that there are."""
    from tokenfield.registry import RECIPES

    if name in RECIPES:
        return RECIPES[name]()
    if name.endswith(".json"):
        from tokenfield.training.recipe import read

        return read(Path(name))
    near = get_close_matches(name, RECIPES, 3)
    hint = f"did you mean {' or '.join(near)}?" if near else "the recipes are:"
    raise UserError(f"no recipe is called {name!r}; {hint} {'' if near else ', '.join(RECIPES)} "
                    "(tokenfield train --help lists them)")


def parse_options(recipe: Any, name: str, argv: list[str]) -> functools.partial:
    """`run` with the options of a recipe: its fields at the top level, then those of every run."""

    def options(
        *,
        recipe: Annotated[type(recipe), tyro.conf.arg(name="")] = recipe,  # type: ignore[valid-type]
        data: Annotated[Path, tyro.conf.arg(metavar="FOLDER")],
        out: Folder = None,
        resume: bool = False,
        max_seconds: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None,
        device: str = "auto",
        fsdp: bool = False,
        workers: int = 2,
        tensorboard: bool = False,
        quiet: bool = False,
        json: Json = None,
    ) -> functools.partial:
        """Train a model by this recipe.

        Args:
            recipe: every field is an option of its own.
            data: pictures to train on, in the layout that --data.layout names.
            out: folder of the run; default: runs/RECIPE.
            resume: continue the run in that folder from its newest whole checkpoint.
            max_seconds: stop after so many seconds, evaluate and save as at the end.
            device: auto (an accelerator where there is one) or cpu.
            fsdp: under torchrun, share the weights of a denoiser out between the processes.
            workers: threads that prepare pictures.
            tensorboard: also write TensorBoard's event files.
            quiet: show no progress.
            json: also write the results there, for machines.
        """
        return functools.partial(
            run,
            recipe,
            data=data,
            out=out if out is not None else Path("runs") / Path(name).stem,
            resume=resume,
            max_seconds=max_seconds,
            device=device,
            fsdp=fsdp,
            workers=workers,
            tensorboard=tensorboard,
            quiet=quiet,
            json=json,
        )

    return tyro.cli(options, prog=f"tokenfield train {name}", args=argv, config=(tyro.conf.AvoidSubcommands,))


NEXT = {
    "pictures": "evaluate {out}",
    "gridded": "climate evaluate {out} --data {data}",
    "latents": "generate --model {out} -o {out}/samples",
    "views": "views {out} --data {data}",
}
"""What to type after a run, by the kind of its data."""


def run(recipe: Any, *, data: Path, out: Path, json: Path | None, **options: Any) -> int:
    """Train, and say where everything is."""
    from tokenfield.registry import DATA
    from tokenfield.training import journal
    from tokenfield.training.trainer import train

    train(recipe, data, out, **options)
    if os.environ.get("RANK", "0") != "0":  # one of several processes under torchrun; the first one speaks
        return console.OK
    lines = journal.read(out / journal.METRICS)
    measure = recipe.objective.measure
    scores = [line for line in lines if measure.read(line)]
    trained = [line for line in lines if "loss" in line]
    if trained:
        console.say(f"{trained[-1]['step']} of {recipe.steps} steps in {trained[-1]['seconds']:.0f} s of training")
    if told := measure.last(lines):
        console.say(f"{measure.text.format(told[0])} on {told[1]} held-out {measure.things}")
    console.say(f"model, recipe, metrics and learning curve are in {out}")
    console.say(f"next: tokenfield {NEXT[DATA.name_of(type(recipe.data))].format(out=out, data=data)}")
    summary = {"training": trained[-1] if trained else None, "evaluation": scores[-1] if scores else None}
    console.write_json(json, {"command": "train", "recipe": recipe.name, "out": str(out), **summary})
    return console.OK

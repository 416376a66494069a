"""A recipe: everything that decides what a training run computes, as one frozen dataclass.

A run is a function that returns a recipe (`tokenfield.recipes`); variants are `dataclasses.replace`; the command line
is generated from the fields and their docstrings. The resolved recipe is written as JSON beside the weights and in
every checkpoint, and reading it back gives an equal one.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Generic, Literal, cast, get_type_hints

import torch
import tyro
from typing_extensions import TypeVar

from tokenfield.configs import from_dict
from tokenfield.data import DataConfig
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown
from tokenfield.io.limits import read_json
from tokenfield.io.record import Record
from tokenfield.models import pretrained
from tokenfield.models.base import FieldModel, Model
from tokenfield.models.skeleton import trainable
from tokenfield.registry import DATA, DENOISERS, MODELS, OBJECTIVES, Class, Registry
from tokenfield.training.compiling import Backend
from tokenfield.training.objective import ReconstructionConfig
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.protocols import AnyObjective, Data, ModelConfig, Part

RESUMABLE = ("log_every", "evaluate_every", "evaluate_pictures", "checkpoint_every", "keep_checkpoints",
             "recompute")
"""Fields that may differ between a run and its continuation: none of them changes a weight."""

M = TypeVar("M", bound=ModelConfig, default=ModelConfig)
D = TypeVar("D", bound=Data, default=Data)
L = TypeVar("L", bound=AnyObjective, default=AnyObjective)
"""Classes of a recipe's model, data and objective (the loss): `Recipe[LainrConfig]`, or `Recipe` for any."""


@dataclass(frozen=True)
class Recipe(Generic[M, D, L]):
    """One training run. Sizes are per optimiser step, whatever the number of processes."""

    name: str
    """What the run is called."""
    model: M
    """Configuration of the model; its class decides which system it is."""
    data: D
    """What is trained on: pictures (`DataConfig`: which, at which size, cut out how), or another class of `DATA`."""
    optim: OptimConfig = field(default_factory=OptimConfig)
    """Optimiser and learning rate."""
    objective: L = field(default_factory=ReconstructionConfig)  # type: ignore[assignment]
    """What a step minimises: errors at coordinates of pictures (`ReconstructionConfig`), or another of `OBJECTIVES`."""
    steps: int = 1000
    """Optimiser steps."""
    batch_size: int = 16
    """Pictures per optimiser step, over all processes and all accumulated parts together."""
    accumulate: int = 1
    """Parts into which every process splits its pictures of a step: less memory, the same gradient."""
    clip_norm: float = 0.0
    """Largest norm of the gradient; larger ones are scaled down to it. 0 does not clip."""
    ema_decay: float = 0.0
    """Decay of the moving average of the weights, which is then what is evaluated and saved; 0 keeps none."""
    ema_every: int = 1
    """Steps between two updates of that average."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: autocast, with weights, phases and the loss in float32."""
    compile: Backend = "none"
    """Backend of torch.compile for what a step minimises. inductor fuses what lies between the products, after minutes
    of compilation; on a CPU it needs a C++ compiler. aot_eager compiles nothing and shows whether inductor could."""
    recompute: bool = False
    """Keep the input of every transformer block alone and compute the block again in the backward pass: the same
    gradient, in the memory of one block."""
    seed: int = 0
    """Decides the initial weights and every draw."""
    log_every: int = 10
    """Steps between two lines of metrics.jsonl."""
    evaluate_every: int = 1000
    """Steps between two evaluations on held-out pictures; the last one is at the end. 0: none."""
    evaluate_pictures: int = 64
    """Most held-out pictures per evaluation."""
    checkpoint_every: int = 1000
    """Steps between two checkpoints; one is always written at the end."""
    keep_checkpoints: int = 2
    """Newest checkpoints to keep; two, so that a damaged newest one is not the end."""
    start: Annotated[str, tyro.conf.arg(name="from", metavar="MODEL")] = ""
    """Start from the weights of a packaged model, a folder or hf:owner/name, whose configuration the run then has."""

    def __post_init__(self) -> None:
        """Reject what no run could mean, before anything is loaded."""
        counts = ("steps", "batch_size", "accumulate", "ema_every", "log_every", "checkpoint_every", "keep_checkpoints")
        for key in counts:
            if getattr(self, key) < 1:
                raise UserError(f"recipe {self.name}: {key} is {getattr(self, key)}; it must be at least 1")
        if self.batch_size % self.accumulate:
            raise UserError(f"recipe {self.name}: batch_size {self.batch_size} cannot be split into {self.accumulate} "
                            "equal parts; change batch_size or accumulate")
        for key in ("seed", "evaluate_every", "evaluate_pictures", "clip_norm"):
            if not 0 <= getattr(self, key) < math.inf:
                raise UserError(f"recipe {self.name}: {key} is {getattr(self, key)}; it must be at least 0")
        if not 0 <= self.ema_decay < 1:
            raise UserError(f"recipe {self.name}: ema_decay {self.ema_decay} is not in [0, 1); 0 keeps no average")


def run(about: str, make: Callable[..., Recipe], *arguments: object, **changes: object) -> Callable[[], Recipe]:
    """The run `make(*arguments, **changes)` as a function with a docstring, for tables of runs that differ by little.

    The registry finds `name = run("What it is.", ...)` in a module's source as it finds functions.
    """

    def recipe() -> Recipe:
        return make(*arguments, **changes)

    recipe.__doc__ = about
    return recipe


def class_of(recipe: Recipe[M, D, L]) -> object:
    """`Recipe` with the classes of this one's parts in the place of protocols: what has which fields."""
    return Recipe[type(recipe.model), type(recipe.data), type(recipe.objective)]  # type: ignore[misc]


def fresh_model(recipe: Recipe[M, D, L]) -> Model:
    """The model with the initial weights of the recipe's seed, drawn on the CPU without touching global randomness."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = trainable(recipe.model.build)
    return model if not recipe.start else started(model, recipe.start)


def started(model: Model, name: str) -> Model:
    """A model with the weights of another one. Raises UserError for one of another configuration."""
    other = pretrained.load_any(name)
    own, its = (pretrained.describe(one) for one in (model, other))
    if changed := [f"{key} {its.get(key)} became {value}" for key, value in own.items() if its.get(key) != value]:
        raise UserError(f"--from {name}: its configuration is another one ({'; '.join(changed)[:200]}); its weights "
                        "fit no other")
    model.load_state_dict(other.state_dict())
    return model


def on_top_of(recipe: Recipe[M, D, L], name: str) -> Recipe:
    """The recipe for fine-tuning a trained model: with its configuration, and pictures of the size that it takes.

    Raises UserError where the recipe is one of another system.
    """
    model = pretrained.load_any(name)
    own = model_name(recipe.model)
    if model.name != own:
        raise UserError(f"--from {name}: it is a model of {model.name}, the recipe trains {own}; name the system in "
                        f"place of the recipe: tokenfield train {model.name} --from {name}")
    data = recipe.data
    if isinstance(model, FieldModel) and isinstance(data, DataConfig) and model.input_size:
        data = replace(data, size=max(model.input_size))
    return replace(cast(Recipe, recipe), model=model.config, data=data, start=name)


def model_name(config: object) -> str:
    """The name of the system that a configuration builds: of what its `build` is annotated to return."""
    system = get_type_hints(type(config).build).get("return") if isinstance(config, ModelConfig) else None
    if system is None:
        raise UserError(f"{type(config).__name__} has no build() -> System; annotate what it returns")
    return DENOISERS.find_name(system) or MODELS.name_of(system)


def system_class(name: str) -> type[Model]:
    """A system, or else a denoiser, by its name."""
    return cast(type[Model], (DENOISERS if name not in MODELS and name in DENOISERS else MODELS)[name])


def config_class(name: str) -> type[ModelConfig]:
    """The configuration dataclass of a system: the annotation of its constructor's `config`."""
    system = system_class(name)
    config = get_type_hints(system.__init__).get("config")
    if config is None:
        raise UserError(f"{system.__name__}.__init__ does not say what its config is; annotate it: config: SomeConfig")
    return cast(type[ModelConfig], config)


DEFAULT = "pictures"
"""The kind of data and of objective that JSON does not name."""


def of_kind(plain: object, registry: Registry[Class], where: str) -> Part:
    """A configuration from its dictionary, whose "kind" says of which class it is; without one, of pictures."""
    if not isinstance(plain, dict):
        raise UserError(f"{where}: {plain!r} is not a mapping of fields")
    fields = dict(plain)
    return cast(Part, from_dict(registry[fields.pop("kind", DEFAULT)], fields, where))


def to_json(recipe: Recipe[M, D, L]) -> Record:
    """Plain dictionaries and lists; the model's configuration is preceded by its system's name.

    So are data and objective by their kind, unless they are of pictures.
    """
    plain: Record = json.loads(json.dumps(asdict(recipe)))  # tuples become lists, as after reading a file
    plain["model"] = {"name": model_name(recipe.model)} | plain["model"]
    kinds = {"data": DATA.name_of(type(recipe.data)), "objective": OBJECTIVES.name_of(type(recipe.objective))}
    for key, kind in kinds.items():
        plain[key] = plain[key] if kind == DEFAULT else {"kind": kind} | plain[key]
    return plain


def from_json(plain: object) -> Recipe:
    """The recipe that `to_json` wrote. Raises UserError for a field it does not know."""
    if not isinstance(plain, dict) or not isinstance(plain.get("model"), dict):
        raise UserError("this is no recipe: a recipe is a JSON object with name, model, data, steps, ...")
    model = dict(plain["model"])
    parts: dict[str, Part] = {"model": from_dict(config_class(model.pop("name", None)), model, "model")}
    for key, kinds in (("data", DATA), ("objective", OBJECTIVES)):
        if key in plain:
            parts[key] = of_kind(plain[key], kinds, key)
    return from_dict(Recipe, plain | parts)


def read(path: Path) -> Recipe:
    """The recipe in a JSON file."""
    if not path.exists():
        raise UserError(f"{shown(path)} does not exist; a training run writes its recipe there")
    plain = read_json(path)
    try:
        return from_json(plain)
    except UserError as error:
        raise UserError(f"{shown(path)}: {error}") from error
    except Exception as error:  # whatever a constructor does with numbers that nobody chose
        raise UserError(f"{shown(path)}: is no recipe ({type(error).__name__}: {' '.join(str(error).split())[:120]})"
                        ) from error


def decisive(recipe: Recipe[M, D, L]) -> Record:
    """The fields that decide the weights after any given step, flat: `{"optim.rate": 0.001, ...}`.

    The length of a run is among them only if the learning rate falls towards its end; with a constant rate a longer
    run begins with the shorter one.
    """

    def flat(plain: object, prefix: str) -> Record:
        if not isinstance(plain, dict):
            return {prefix: plain}
        inner = (flat(value, f"{prefix}.{key}" if prefix else key) for key, value in plain.items())
        return {key: value for part in inner for key, value in part.items()}

    free = {*RESUMABLE, *(["steps"] if recipe.optim.schedule == "constant" else [])}
    added = {"start": "", "compile": "none"}  # later than the first runs: at these values a run is what it was
    free |= {key for key, usual in added.items() if getattr(recipe, key) == usual}
    return {key: value for key, value in flat(to_json(recipe), "").items() if key not in free}


def recipe_hash(recipe: Recipe[M, D, L]) -> str:
    """A digest of all fields that decide the weights."""
    return hashlib.sha256(json.dumps(decisive(recipe), sort_keys=True).encode()).hexdigest()


def differences(old: Recipe, new: Recipe) -> list[str]:
    """Fields that decide the weights and differ, as `optim.rate: 0.001 became 0.002`."""
    before, after = decisive(old), decisive(new)
    keys = dict.fromkeys([*before, *after])
    return [f"{key}: {before.get(key)} became {after.get(key)}" for key in keys if before.get(key) != after.get(key)]


def usual_recipe(name: str, model: ModelConfig) -> Recipe:
    """How a model of 64-pixel crops is trained on any folder of photographs, on two cores in up to an hour."""
    return Recipe(
        name=name,
        model=model,
        data=DataConfig(layout="folder", size=64, crop="pyramid"),
        optim=OptimConfig(name="muon", rate=1e-3, betas=(0.9, 0.99), muon_rate=5e-3, schedule="cosine", warmup=20),
        objective=ReconstructionConfig(jitter="normal-axis", fraction=0.25, subset="grid", average="decibels"),
        steps=4000,
        clip_norm=1.0,
        evaluate_every=500,
        checkpoint_every=250,
    )


def default_recipe(system: str) -> Recipe:
    """How a system is trained that is named in place of a recipe: small, on any folder of photographs, with Muon.

    Crops of 64 pixels, or of the size that the model takes; a quarter of their pixels per step; some minutes to an hour
    on two cores for the systems of this library. A system departs from it by `Model.default_recipe`. Raises UserError
    for one that is not trained on a folder of pictures.
    """
    model = system_class(system)
    changes = model.default_recipe
    if changes is None or (model.command != "encode" and "data" not in changes):
        why = "is fitted to each picture by itself (tokenfield fit)"
        if model.command != "encode":
            why = f"takes {model.takes}, not pictures"
        raise UserError(f"{system} {why} and has no default recipe; tokenfield train --help lists all recipes")
    recipe = from_json(_merged(to_json(usual_recipe(system, config_class(system)())), changes))
    if "data" in changes:
        return recipe
    instance = fresh_model(recipe)
    size = instance.input_size if isinstance(instance, FieldModel) else None
    return replace(recipe, data=DataConfig(layout="folder", size=max(size) if size else 64, crop="pyramid"))


def _merged(plain: Record, changes: Mapping[str, object]) -> Record:
    """Nested dictionaries with some entries changed; one that names its kind is another thing, and replaces all."""
    result = {**plain, **changes}
    for key, change in changes.items():
        if isinstance(change, Mapping) and "kind" not in change and key in plain:
            result[key] = _merged(plain[key], change)
    return result

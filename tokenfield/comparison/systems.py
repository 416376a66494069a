"""Systems made alike: the same pictures at the same size, and as many stored values where a system can."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.comparison import running
from tokenfield.comparison.held_out import FINAL_SIDE, HeldOut, sampled_grid, sampled_psnr
from tokenfield.comparison.running import Deadline
from tokenfield.comparison.setting import Setting
from tokenfield.data import DataConfig
from tokenfield.errors import UserError
from tokenfield.evaluation.environment import machine, versions
from tokenfield.fields.field import Field
from tokenfield.io.clock import seconds
from tokenfield.io.record import Record
from tokenfield.models import pretrained
from tokenfield.models.base import FieldModel
from tokenfield.models.pretrained import check_field_model
from tokenfield.training import journal
from tokenfield.training.objective import ReconstructionConfig
from tokenfield.training.recipe import Recipe


def describe_run(recipe: Recipe, setting: Setting, folder: Path, held_out: HeldOut) -> Record:
    """Everything about a trained run but how long it took, at some pixels of held-out pictures."""
    model = pretrained.load(folder).eval().to(setting.place)
    pictures = held_out.read(setting.data, setting.pictures)
    scores, first = sampled_psnr(model, pictures, FINAL_SIDE), pictures[0][1]
    return describe(model, scores, first, folder) | timing(model, first)


def describe(model: FieldModel, scores: Mapping[str, float], first: Float[Tensor, "c h w"], folder: Path) -> Record:
    """PSNR by the names of pictures, of which one is `first`; what the model stores of it; how training went."""
    device = next(model.parameters()).device
    with torch.no_grad():
        field = Field.of(model, first.to(device))
    return {
        "psnr": statistics.fmean(scores.values()),
        "pictures": {name: round(score, 3) for name, score in scores.items()},
        "size": list(first.shape[1:]),
        "values_stored": field.values_stored,
        "values_per_pixel_value": field.values_stored / first.numel(),
        "bytes": field.bytes_stored,
        "parameters": model.num_parameters,
        "curve": curve(folder),
        "machine": machine(device),
        "versions": versions(),
    }


@torch.no_grad()
def timing(model: FieldModel, picture: Float[Tensor, "c h w"]) -> dict[str, float]:
    """Seconds to encode a picture alone, and to decode one of its pixels where many are decoded."""
    device = next(model.parameters()).device
    picture, grid = picture.to(device), sampled_grid(picture, FINAL_SIDE).to(device)
    for _ in range(2):  # the first time warms the machine up
        start = seconds(device)
        field = Field.of(model, picture)
        encoded = seconds(device)
        field(grid)
        decoded = seconds(device)
    return {"encode_seconds": encoded - start, "decode_seconds_per_pixel": (decoded - encoded) / len(grid)}


def curve(folder: Path) -> list[Record]:
    """Held-out PSNR after steps and seconds of training."""
    points, elapsed = [], 0.0
    for line in journal.read(folder / journal.METRICS):
        elapsed = line.get("seconds", elapsed)
        if "evaluation_psnr" in line:
            points.append({"step": line["step"], "seconds": elapsed, "psnr": round(line["evaluation_psnr"], 4)})
    return points


KNOBS = ("num_latents", "groups", "latent_dim")
"""Fields of a model that stored values are proportional to, in the order in which they are tried."""
CLOSE, TRIES = 0.02, 12
"""Share by which stored values may differ and still count as equal; numbers of tokens, or widths, that are tried around
the right one, where that is not allowed."""

Config = TypeVar("Config")


@dataclass(frozen=True)
class SystemRow:
    """One system of a comparison."""

    label: str
    recipe: Recipe
    held_out: HeldOut

    def run(self, seed: int, setting: Setting, deadline: Deadline) -> Record | None:
        """Make its run, or read the result of one that is finished."""
        recipe = replace(self.recipe, seed=seed)
        measurement = partial(describe_run, held_out=self.held_out)
        return running.run(recipe, setting, measurement, held_out=self.held_out, deadline=deadline)


def rows(recipes: Sequence[tuple[str, Recipe]], *, size: int | None = None, values: int | None = None
         ) -> list[SystemRow]:
    """The systems of labelled recipes, made alike; pictures are cut out as the first one's are.

    The side of the pictures is by default what the first one encodes, stored values those of the first one at that
    size; 0 leaves each system its own. Raises UserError for other data than pictures, and for a size that no model of
    a system can have.
    """
    for label, recipe in recipes:
        if not isinstance(recipe.data, DataConfig):
            raise UserError(f"{label} is not trained on pictures; compare takes systems and recipes of pictures")
    first = recipes[0][1]
    data = first.data
    assert isinstance(data, DataConfig)
    size = size or size_of(first.model) or data.size // zoom_of(first)
    alike = []
    for label, recipe in recipes:
        recipe = resize(label, recipe, data, size)
        if values is None:
            values = stored_values(recipe, size)
        alike.append(SystemRow(label, match(recipe, size, values), HeldOut(replace(data, size=size))))
    return alike


def zoom_of(recipe: Recipe) -> int:
    """How many times larger training pictures are than what is encoded of them."""
    return recipe.objective.zoom if isinstance(recipe.objective, ReconstructionConfig) else 1


def size_of(model: object) -> int | None:
    """The side of the pictures that a configuration's model takes; None: any."""
    size = find_field(model, "size")
    return max(size) if isinstance(size, tuple) else None


def at_size(model: Config, size: int) -> Config:
    """A model's configuration for pictures of another size; a lattice of latents grows with the picture."""
    side = size_of(model)
    if side is None or side == size:
        return model
    grid = find_field(model, "grid")
    if isinstance(grid, tuple):
        model = change(model, "grid", tuple(round(n * size / side) for n in grid))
    return change(model, "size", (size, size))


def resize(label: str, recipe: Recipe, data: DataConfig, size: int) -> Recipe:
    """The recipe on these pictures at this size. Raises UserError for a model that cannot be made for it."""
    try:
        recipe = replace(recipe, model=at_size(recipe.model, size), data=replace(data, size=size * zoom_of(recipe)))
        stored_values(recipe, size)
    except (UserError, ValueError) as error:
        raise UserError(f"{label} at {size} x {size} pixels: {error}; give another --size") from error
    return recipe


def match(recipe: Recipe, size: int, values: int) -> Recipe:
    """The recipe whose model stores so many values, or as nearly as many as its numbers of tokens and widths allow."""
    own = nearest = stored_values(recipe, size)
    best = recipe
    if not values:
        return recipe
    for knob in KNOBS:
        number = find_field(recipe.model, knob)
        if abs(nearest - values) <= CLOSE * values or not isinstance(number, int):
            continue
        aim = max(1, round(number * values / own))
        for other in sorted(range(1, 2 * aim + 1), key=lambda n: abs(n - aim))[:TRIES]:
            try:
                changed = replace(recipe, model=change(recipe.model, knob, other))
                count = stored_values(changed, size)
            except (UserError, ValueError):  # not a number that this model can have
                continue
            if abs(count - values) < abs(nearest - values):
                best, nearest = changed, count
            if abs(count - values) <= CLOSE * values:
                break
    return best


def stored_values(recipe: Recipe, size: int) -> int:
    """Values that the recipe's model stores of one picture."""
    with torch.random.fork_rng(devices=[]):
        model = check_field_model(recipe.model.build().eval(), recipe.name)
    with torch.no_grad():
        return Field.of(model, torch.zeros(model.channels, size, size)).values_stored


def find_field(config: object, name: str) -> object:
    """A field of a configuration, or of one inside it; None without such a field."""
    if not is_dataclass(config):
        return None
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    inner = (find_field(value, name) for value in values.values())
    return values[name] if name in values else next((value for value in inner if value is not None), None)


def change(config: Config, name: str, value: object) -> Config:
    """The configuration with another value of the field that `find_field` finds."""
    if name in (field.name for field in fields(config)):  # type: ignore[arg-type]
        return replace(config, **{name: value})  # type: ignore[type-var]
    inner = next(field.name for field in fields(config)  # type: ignore[arg-type]
                 if find_field(getattr(config, field.name), name) is not None)
    return replace(config, **{inner: change(getattr(config, inner), name, value)})  # type: ignore[type-var]

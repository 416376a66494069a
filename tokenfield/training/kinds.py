"""The kinds of data and of objectives that a recipe can name.

The training loop knows neither pictures nor rays. It knows that `recipe.data` opens a source and that
`recipe.coordinates` builds a loss, checks that data and model fit, and evaluates:

    data.open(root, split) -> Source                    split "train" or "test"; samples are tensors or dicts of them
    objective.build(model, bf16=...) -> nn.Module       (batch, generator) -> loss, errors per instance (B,)
    objective.check(model, source, held_out, seed)      UserError where they do not fit, before training starts
    objective.evaluate(model, source, count, accelerator, halted) -> (number, how many instances)
    objective.measure                                   what that number is (journal.Measure); left out, a PSNR

`generator` is a function of (seed, step) and the same for every process and every accumulated part; what must differ
between instances is drawn by the source, whose samples are functions of (seed, step, slot).
"""

from typing import Any

from tokenfield.configs import from_dict
from tokenfield.data import DataConfig
from tokenfield.data.gridded import GriddedConfig
from tokenfield.data.views import ViewsConfig
from tokenfield.errors import UserError
from tokenfield.generation.latents import LatentsConfig
from tokenfield.training.denoising import DenoisingConfig
from tokenfield.training.gridded import AreaConfig
from tokenfield.training.journal import PSNR, Measure
from tokenfield.training.rays import LightFieldRays, RadianceRays
from tokenfield.training.sampling import CoordinateConfig

DEFAULT = "pictures"
"""The kind that JSON does not name."""

DATA: dict[str, type] = {
    DEFAULT: DataConfig,
    "gridded": GriddedConfig,
    "latents": LatentsConfig,
    "views": ViewsConfig,
}
"""Classes of `recipe.data` by the kind that JSON carries."""

OBJECTIVES: dict[str, type] = {
    DEFAULT: CoordinateConfig,
    "area": AreaConfig,
    "denoising": DenoisingConfig,
    "light-field": LightFieldRays,
    "radiance": RadianceRays,
}
"""Classes of `recipe.coordinates` by the kind that JSON carries."""


def measure_of(objective: Any) -> Measure:
    """What a run with this objective is judged by."""
    return getattr(objective, "measure", PSNR)


def kind_of(config: Any, kinds: dict[str, type]) -> str:
    """The name of a configuration's class. Raises UserError for a class that is not among them."""
    for name, kind in kinds.items():
        if type(config) is kind:
            return name
    raise UserError(f"{type(config).__name__} is none of {', '.join(kind.__name__ for kind in kinds.values())}")


def of_kind(plain: Any, kinds: dict[str, type], where: str) -> Any:
    """A configuration from its dictionary, whose "kind" says of which class it is; without one, of pictures."""
    if not isinstance(plain, dict):
        raise UserError(f"{where}: {plain!r} is not a mapping of fields")
    fields = dict(plain)
    kind = fields.pop("kind", DEFAULT)
    if kind not in kinds:
        raise UserError(f"{where}.kind {kind!r} is not known; there are: {', '.join(kinds)}")
    return from_dict(kinds[kind], fields, where)

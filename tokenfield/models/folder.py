"""Models in folders: `config.json` and `model.safetensors`, perhaps `README.md` (model card) and `eval.json`.

The layout is that of `PyTorchModelHubMixin`, so a folder can be pushed to a hub as it is. `config.json` holds the
fields of the model's configuration and, as `model`, the name of the system. Weights may be stored in half precision;
in memory they are float32.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, get_type_hints
from weakref import WeakKeyDictionary

import huggingface_hub
import torch
from huggingface_hub import PyTorchModelHubMixin
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from tokenfield.configs import from_dict, identity
from tokenfield.errors import UserError
from tokenfield.io.atomic import folder_aside, write_whole
from tokenfield.io.record import Record, json_text
from tokenfield.registry import DENOISERS, MODELS

HUB_PREFIX = "hf:"
"""Before `owner/name` of a repository on the hub."""
CONFIG, WEIGHTS, CARD, EVALUATION = "config.json", "model.safetensors", "README.md", "eval.json"

RecipeFields: TypeAlias = Mapping[str, object]
"""Fields of a recipe by name, nested as in recipe.json."""


class Model(nn.Module, PyTorchModelHubMixin, library_name="tokenfield"):
    """What can be trained, saved in a folder and loaded by name: field models, and denoisers of their tokens.

    Attributes:
        name: the system's name in configurations and files.
        config: the frozen dataclass that built this model.
        origin: the name or folder that it was loaded from; None for a model that was built and not loaded.
        command: the command that handles what this system takes; `encode` for pictures.
        takes: what that is called in messages.
        after_training: what to type after a run, after `tokenfield`; {out} is its folder, {data} that of its data.
        initial_pictures: how many training pictures `initialize` takes before the first step; 0: none.
        default_recipe: where `tokenfield train NAME` departs from `training.recipe.default_recipe`: fields of the
            recipe by name, nested as in recipe.json, such as {"model": {"size": (64, 64)}, "optim": {"name": "adam"}}.
            None: nothing of this system is trained, or not on a folder of pictures.
    """

    name: ClassVar[str]
    config: Any
    origin: str | None = None
    command: ClassVar[str] = "encode"
    takes: ClassVar[str] = "pictures"
    after_training: ClassVar[str] = "evaluate {out}"
    default_recipe: ClassVar[RecipeFields | None] = {}
    initial_pictures: int = 0

    def initialize(self, samples: Any) -> None:
        """Start from N = `initial_pictures` training samples; called once, before the first step.

        Pictures are (N, C, H, W); of maps and of views it is a dictionary, what their source gives, stacked.
        """
        raise NotImplementedError(f"{type(self).__name__}.initialize")

    def muon_excluded(self) -> set[str]:
        """Names of weight matrices that Muon leaves to Adam: maps that meet pixels or coordinates, usually."""
        return set()

    @property
    def sharded_parts(self) -> list[nn.Module]:
        """Parts whose weights FSDP gathers one at a time, in the order of use; []: too small to be shared out."""
        return []

    @property
    def num_parameters(self) -> int:
        """Trainable numbers, shared by all instances."""
        return sum(p.numel() for p in self.parameters())

    def _save_pretrained(self, save_directory: Path) -> None:
        """What `save_pretrained` and `push_to_hub` write: the folder of `tokenfield.save`."""
        save(self, save_directory)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, revision: str | None = None, **_: object) -> "Model":
        """What `from_pretrained` reads: a folder, or a repository on the hub, strictly."""
        local = Path(model_id)
        model = load_folder(local if local.is_dir() else download(model_id, revision))
        if not isinstance(model, cls):
            raise UserError(f"{model_id} holds a {model.name} model, not a {cls.name}; use tokenfield.load")
        at = f"@{revision}" if revision else ""
        model.origin = model_id if local.is_dir() else f"{HUB_PREFIX}{model_id}{at}"
        return model


@dataclass(frozen=True)
class ModelId:
    """Which model made the tokens."""

    name: str
    """Name of the system, `lainr` or `anchored`."""
    origin: str | None
    """What `tokenfield.load` was given when the model was loaded; None for a model that never was in a file."""
    hash: str
    """`tokenfield.models.pretrained.model_hash`, 64 hexadecimal digits."""

    def __str__(self) -> str:
        return f"{self.origin or self.name} ({self.hash[:12]})"


def load_folder(folder: Path) -> Model:
    """The model in a folder; see `load`."""
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            raise UserError(f"{folder} has no {file}; a model's folder holds {CONFIG} and {WEIGHTS}")
    try:
        description = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{folder / CONFIG} cannot be read ({error})") from error
    tensors, saved_with = _read_weights(folder / WEIGHTS)
    if saved_with is not None and saved_with != description:
        raise UserError(f"{folder / CONFIG} is not the configuration that {WEIGHTS} was saved with; save both again")
    with torch.random.fork_rng(devices=[]):  # the initial weights that are about to be replaced draw nothing
        model = _build(description, folder / CONFIG)
    _check_names_and_shapes(folder / WEIGHTS, tensors, model.state_dict())
    model.load_state_dict(tensors)
    return model.float().eval()


def save(
    model: Model,
    folder: str | os.PathLike[str],
    *,
    dtype: torch.dtype | None = None,
    card: str | None = None,
    evaluation: Record | None = None,
) -> Path:
    """Writes a model to a folder that `load` reads, and returns the folder.

    A new folder appears whole or not at all; in one that exists each file is replaced whole. `dtype` is that of the
    stored weights: torch.bfloat16 or torch.float16 halve the file, None keeps them as they are. `card` and `evaluation`
    are what README.md and eval.json hold. Raises UserError for weights that `dtype` cannot hold, and for a folder that
    cannot be written.
    """
    folder = Path(folder)
    description = describe(model)
    weights = {key: _stored(key, tensor, dtype) for key, tensor in model.state_dict().items()}
    metadata = {"config": json.dumps(description, sort_keys=True)}  # one entry: their order in a file is random
    # The weights carry the configuration along: `load` notices a crash between the two renames below.
    contents: dict[str, bytes | str] = {WEIGHTS: to_safetensors(weights, metadata)}
    contents[CONFIG] = json_text(description, indent=2)
    if card is not None:
        contents[CARD] = card
    if evaluation is not None:
        contents[EVALUATION] = json_text(evaluation, indent=2)
    try:
        with nullcontext(folder) if folder.is_dir() else folder_aside(folder) as aside:
            for name, data in contents.items():
                write_whole(aside / name, data)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}; nothing was changed") from error
    return folder


def describe(model: Model, fields_of: Callable[[Any], object] = asdict) -> Record:
    """What `config.json` holds: the fields of the configuration, as JSON gives them back, and `model`, its system."""
    config = from_dict(type(model.config), json.loads(json.dumps(asdict(model.config))))  # 16 for a float: 16.0
    fields = json.loads(json.dumps(fields_of(config)))
    assert "model" not in fields, f"{type(config).__name__} has a field 'model', which names the system in files"
    return {"model": model.name, **fields}


_HASHES: WeakKeyDictionary[nn.Module, tuple[object, str]] = WeakKeyDictionary()


def model_hash(model: Model) -> str:
    """SHA-256 over configuration and weights as float32: the identity of a model, however and wherever it is stored.

    A model and its saved and loaded copy have the same hash, 64 hexadecimal digits; stored in half precision it is
    another model. The last result is kept as long as no tensor was replaced or changed in place (autograd's version
    counters; they do not see a change through `.data`).
    """
    state = model.state_dict(keep_vars=True)
    stamp = [(key, t.data_ptr(), t.dtype, None if t.is_inference() else t._version) for key, t in state.items()]
    if model in _HASHES and _HASHES[model][0] == stamp:
        return _HASHES[model][1]
    digest = hashlib.sha256(json.dumps(describe(model, identity), sort_keys=True).encode())
    for key, tensor in sorted(state.items()):
        values = tensor.detach().to("cpu", torch.float32 if tensor.is_floating_point() else tensor.dtype).contiguous()
        digest.update(f"{key}{tuple(values.shape)}".encode())
        digest.update(values.numpy().data)
    _HASHES[model] = stamp, digest.hexdigest()
    return digest.hexdigest()


def _build(description: object, path: Path) -> Model:
    """A model with fresh weights from what `describe` said."""
    fields: Record = description if isinstance(description, dict) else {"model": description}
    name = fields.get("model")
    registry = MODELS if name in MODELS else DENOISERS
    if not isinstance(name, str) or name not in registry:
        raise UserError(f"{path}: model {name!r}; known systems are {', '.join([*MODELS, *DENOISERS])}")
    system = registry[name]
    config_type = get_type_hints(system.__init__)["config"]
    try:
        model: Model = from_dict(config_type, {k: v for k, v in fields.items() if k != "model"}).build()
        return model
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def _read_weights(path: Path) -> tuple[dict[str, Tensor], object]:
    """Tensors by name, and the description that they were saved with, None if they were saved by another library."""
    try:
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, not a dictionary
            return tensors, json.loads((file.metadata() or {}).get("config", "null"))
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        detail = str(error).splitlines()[0]
        raise UserError(f"{path} is no safetensors file, or is damaged or cut short ({detail})") from error


def _check_names_and_shapes(path: Path, stored: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    """Every weight of the model is there in its shape, and nothing else is."""
    shapes = [k for k in state if k in stored and stored[k].shape != state[k].shape]
    problems = {
        "lacks": [k for k in state if k not in stored],
        "holds unknown": [k for k in stored if k not in state],
        "has other shapes for": [f"{k} {tuple(stored[k].shape)}, not {tuple(state[k].shape)}" for k in shapes],
        "is not finite in": [k for k, tensor in stored.items() if not torch.isfinite(tensor).all()],
    }
    lines = [f"{what} {', '.join(which[:3])}" + (f" and {len(which) - 3} more" if which[3:] else "")
             for what, which in problems.items() if which]
    if lines:
        raise UserError(f"{path} does not fit its {CONFIG}: it {'; it '.join(lines)}")


def _stored(key: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    stored = tensor.detach().to("cpu", dtype if tensor.is_floating_point() else None).clone().contiguous()
    if not torch.isfinite(stored).all():
        raise UserError(f"weight {key} is not finite as {stored.dtype}; such a model is not saved")
    return stored


def download(repository: str, revision: str | None = None) -> Path:
    """A model's folder in the hub's local cache, downloaded if need be. Raises UserError where it cannot be had."""
    try:
        return Path(huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=[CONFIG, WEIGHTS]))
    except (HFValidationError, OSError) as error:
        detail = " ".join(str(error).split())
        raise UserError(f"cannot get {repository!r} from the Hugging Face hub ({detail})") from error

"""Models in folders: `config.json` and `model.safetensors`, perhaps `README.md` (model card) and `eval.json`.

The layout is that of `PyTorchModelHubMixin`, so a folder can be pushed to a hub as it is. `config.json` holds the
fields of the model's configuration and, as `model`, the name of the system. Weights may be stored in half precision;
in memory they are float32.
"""

import hashlib
import json
import os
import re
import reprlib
from collections.abc import Callable, Container, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias, TypeVar, get_type_hints
from weakref import WeakKeyDictionary

import huggingface_hub
import torch
from huggingface_hub import PyTorchModelHubMixin
from huggingface_hub.errors import HFValidationError
from safetensors.torch import save as to_safetensors
from torch import Tensor, nn

from tokenfield.configs import from_dict, identity
from tokenfield.errors import UserError, explained
from tokenfield.io.atomic import folder_aside, shown, write_whole
from tokenfield.io.limits import DamagedJson, parse_json, read_json, tensor_file
from tokenfield.io.lock import held
from tokenfield.io.record import Record, json_text
from tokenfield.models.skeleton import FLOATS, check_fits
from tokenfield.nn.defaults import usual_defaults
from tokenfield.registry import DENOISERS, MODELS

HUB_PREFIX = "hf:"
"""Before `owner/name` of a repository on the hub."""
PACKAGED = Path(__file__).parent / "weights"
CONFIG, WEIGHTS, CARD, EVALUATION = "config.json", "model.safetensors", "README.md", "eval.json"
SAVING = ".saving"
"""Locked by who saves into a folder that exists."""
TABLES = "codec.safetensors"
"""With which the model's tokens are coded (`tokenfield.fields.codec`), where it has any."""
APART = {":float16": torch.float16, ":bfloat16": torch.bfloat16}
"""Ends of the names of tensors whose low and high bytes lie apart, uint8 of shape (2, ...): the high ones, signs and
exponents, repeat, so that an archive takes a tenth less. Packaged weights lie so (`experiments/release/apart.py`)."""

M = TypeVar("M", bound="Model")

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
    after_training: ClassVar[str] = "evaluate {out} --data {data} --protocol recipe"
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
    @explained
    def from_pretrained(  # type: ignore[override]  # of the mixin's many options none but these means anything here
        cls: type[M], name: str | os.PathLike[str], *, revision: str | None = None, **_: object
    ) -> M:
        """A model of this system: a packaged one by its name, a folder, or `owner/name` on the Hugging Face hub.

        Only the last asks the network, once. Raises UserError for an unknown name, another system, damaged files.
        """
        text = os.fspath(name)
        local = packaged(text) or Path(text)
        on_hub = not os.path.isdir(local)
        if on_hub and not re.fullmatch(r"\w[\w.\-]*/\w[\w.\-]*", text):
            known = ", ".join(list_models()) or "none is"
            raise UserError(f"no model {text!r}: neither packaged ({known}), nor a folder, nor owner/name of a "
                            "repository on the Hugging Face hub")
        model = load_folder(download(text, revision) if on_hub else local)
        if not isinstance(model, cls):
            raise UserError(f"{text} holds a {model.name} model, not a {cls.name}; use tokenfield.load")
        at = f"@{revision}" if revision else ""
        model.origin = f"{HUB_PREFIX}{text}{at}" if on_hub else text
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


def list_models() -> list[str]:
    """The field models this package ships, by the names that `load` takes."""
    return _shipped(MODELS)


def list_denoisers() -> list[str]:
    """The denoisers this package ships, by the names that `tokenfield generate` takes."""
    return _shipped(DENOISERS)


def _shipped(systems: Container[str]) -> list[str]:
    """Names of the packaged folders that hold one of some systems."""
    configs = {path.parent.name: read_json(path) for path in PACKAGED.glob(f"*/{CONFIG}")}
    return sorted(name for name, config in configs.items() if isinstance(config, dict) and config["model"] in systems)


def packaged(name: str) -> Path | None:
    """The folder of a field model or a denoiser that this package ships; None for another name."""
    return PACKAGED / name if Path(name).name == name and os.path.isfile(PACKAGED / name / CONFIG) else None


def unwrapped(model: Any) -> Any:
    """What is `inside` wrappers: they have other names for the same weights, so a file written from one fits no model.

    Raises UserError for what is no model of this library.
    """
    if not isinstance(model := inside(model), Model):
        raise UserError(f"a {type(model).__name__} is no model of this library; tokenfield.load makes one")
    return model


def inside(model: Any) -> Any:
    """What `torch.compile`, DataParallel or DistributedDataParallel wrapped, any number deep: it has the attributes."""
    while isinstance(model, nn.Module):
        parallel = isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel)
        inner = model._modules.get("module" if parallel else "_orig_mod")
        if inner is None:
            break
        model = inner
    return model


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers by the names that a fresh model has for them, whichever of its parts were compiled."""
    return {key.replace("_orig_mod.", ""): tensor for key, tensor in model.state_dict(keep_vars=True).items()}


def load_folder(folder: Path) -> Model:
    """The model in a folder; see `load`.

    What `config.json` says is compared with the weights before anything of its sizes exists (`skeleton.py`). Packaged
    ones are taken at their word, since a `meta` device costs some seconds of imports (torch 2.13).
    """
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            raise UserError(f"{shown(folder)} has no {file}; a model's folder holds {CONFIG} and {WEIGHTS}")
    path, description = folder / CONFIG, read_json(folder / CONFIG)
    tensors, saved_with = _read_weights(folder / WEIGHTS)
    if saved_with is not None and saved_with != description:
        raise UserError(f"{shown(path)} is not the configuration that {WEIGHTS} was saved with; save both again")
    # The weights that are about to be replaced draw nothing, and may be trained on, wherever they are loaded.
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]), usual_defaults():
        try:
            config = _configuration(description)
            if folder.parent != PACKAGED:
                check_fits(config.build, tensors)
            model: Model = config.build()
        except Exception as error:  # whatever a constructor does with numbers that nobody chose
            reason = " ".join(str(error).split())[:200]
            if not isinstance(error, UserError):
                reason = f"no model can be built from it ({type(error).__name__}: {reason})"
            raise UserError(f"{shown(path)}: {reason}") from error
        model.load_state_dict(tensors)
        return model.float().eval()


@explained
def save(model: nn.Module, folder: str | os.PathLike[str], *, dtype: torch.dtype | None = None, card: str | None = None,
         evaluation: Record | None = None) -> Path:
    """Writes a model, wrapped or not, to a folder that `load` reads, and returns the folder.

    A new folder appears whole or not at all; in one that exists each file is replaced whole, and two that save there at
    once take turns. `dtype` is that of the stored weights: torch.bfloat16 or torch.float16 halve the file, None keeps
    them as they are. `card` and `evaluation` are what README.md and eval.json hold. Raises UserError for weights that
    `dtype` cannot hold, and for a folder that cannot be written.
    """
    folder, own = Path(folder), unwrapped(model)
    if dtype not in (None, *FLOATS):
        raise UserError(f"weights stored as {dtype!s:.80}; give one of {', '.join(map(str, FLOATS))}, or None")
    description = describe(own)
    weights = {key: _stored(key, tensor, dtype) for key, tensor in state_of(own).items()}
    metadata = {"config": json.dumps(description, sort_keys=True)}  # one entry: their order in a file is random
    # The weights carry the configuration along: `load` notices a crash between the two renames below.
    contents: dict[str, bytes | str] = {WEIGHTS: to_safetensors(weights, metadata)}
    contents[CONFIG] = json_text(description, indent=2)
    if card is not None:
        contents[CARD] = card
    if evaluation is not None:
        contents[EVALUATION] = json_text(evaluation, indent=2)
    there = os.path.isdir(folder)
    with held(folder / SAVING, wait=True) if there else folder_aside(folder) as aside:
        for name, data in contents.items():
            write_whole((aside or folder) / name, data)
    return folder


def describe(model: Model, fields_of: Callable[[Any], object] = asdict) -> Record:
    """What `config.json` holds: the fields of the configuration, as JSON gives them back, and `model`, its system."""
    config = from_dict(type(model.config), json.loads(json.dumps(asdict(model.config))))  # 16 for a float: 16.0
    fields = json.loads(json.dumps(fields_of(config)))
    assert "model" not in fields, f"{type(config).__name__} has a field 'model', which names the system in files"
    return {"model": model.name, **fields}


_HASHES: WeakKeyDictionary[nn.Module, tuple[object, str]] = WeakKeyDictionary()


def model_hash(model: nn.Module) -> str:
    """SHA-256 over configuration and weights as float32: the identity of a model, however and wherever it is stored.

    A model and its saved and loaded copy have the same hash, 64 hexadecimal digits; stored in half precision it is
    another model. The last result is kept as long as no tensor was replaced or changed in place (autograd's version
    counters; they do not see a change through `.data`).
    """
    own = unwrapped(model)
    state = state_of(own)
    stamp = [(key, t.data_ptr(), t.dtype, None if t.is_inference() else t._version) for key, t in state.items()]
    if own in _HASHES and _HASHES[own][0] == stamp:
        return _HASHES[own][1]
    digest = hashlib.sha256(json.dumps(describe(own, identity), sort_keys=True).encode())
    for key, tensor in sorted(state.items()):
        values = tensor.detach().to("cpu", torch.float32 if tensor.is_floating_point() else tensor.dtype).contiguous()
        digest.update(f"{key}{tuple(values.shape)}".encode())
        digest.update(values.numpy().data)
    _HASHES[own] = stamp, digest.hexdigest()
    return digest.hexdigest()


def _configuration(description: object) -> Any:
    """The configuration that `describe` described. Raises UserError for another thing."""
    fields: Record = description if isinstance(description, dict) else {"model": description}
    name = fields.get("model")
    registry = MODELS if name in MODELS else DENOISERS
    if not isinstance(name, str) or name not in registry:
        raise UserError(f"model {reprlib.repr(name)}; known systems are {', '.join([*MODELS, *DENOISERS])}")
    config_type = get_type_hints(registry[name].__init__)["config"]
    return from_dict(config_type, {k: v for k, v in fields.items() if k != "model"})


def _read_weights(path: Path) -> tuple[dict[str, Tensor], object]:
    """Tensors by name, and the description that they were saved with, None if they were saved by another library."""
    with tensor_file(path) as file:
        tensors = dict(_joined(key, file.get_tensor(key)) for key in file.keys())  # noqa: SIM118, not a dictionary
        text = (file.metadata() or {}).get("config", "null")
    try:
        return tensors, parse_json(text)
    except DamagedJson as error:
        raise UserError(f"{shown(path)}: its metadata is damaged ({error})") from error


def _joined(key: str, tensor: Tensor) -> tuple[str, Tensor]:
    """A tensor by its name in the model, its bytes together again where they lie `APART`."""
    name, colon, kind = key.rpartition(":")
    if (dtype := APART.get(colon + kind)) is None or tensor.dtype != torch.uint8 or tensor.shape[:1] != (2,):
        return key, tensor
    return name, torch.stack((tensor[0], tensor[1]), -1).view(dtype)[..., 0]


def _stored(key: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    stored = tensor.detach().to("cpu", dtype if tensor.is_floating_point() else None).clone().contiguous()
    if not torch.isfinite(stored).all():
        raise UserError(f"weight {key} is not finite as {stored.dtype}; such a model is not saved")
    return stored


def download(repository: str, revision: str | None = None) -> Path:
    """A model's folder in the hub's local cache, downloaded if need be. Raises UserError where it cannot be had."""
    try:
        files = [CONFIG, WEIGHTS, TABLES]
        return Path(huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=files))
    except (HFValidationError, OSError) as error:
        detail = " ".join(str(error).split())
        raise UserError(f"cannot get {repository!r} from the Hugging Face hub ({detail})") from error

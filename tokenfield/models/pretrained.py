"""Trained models by name: those that this package ships, folders, and, by the prefix `hf:` alone, the hub.

Neither a name nor a mistyped folder ever reaches for the network.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tokenfield.errors import UserError
from tokenfield.io.atomic import shown
from tokenfield.io.cache import remembered_model
from tokenfield.models.base import FieldModel, Model
from tokenfield.models.folder import (
    CONFIG,
    EVALUATION,
    HUB_PREFIX,
    WEIGHTS,
    ModelId,
    describe,
    download,
    list_denoisers,
    list_models,
    load_folder,
    model_hash,
    packaged,
    save,
)

__all__ = ["CONFIG", "EVALUATION", "HUB_PREFIX", "WEIGHTS", "describe", "find_model", "list_denoisers", "list_models",
           "load", "model_hash", "packaged", "save"]

def load(name: str | os.PathLike[str]) -> FieldModel:
    """A trained field model, as `load_any` has it. Raises UserError also for another, such as a denoiser."""
    return check_field_model(load_any(name), os.fspath(name))


def check_field_model(model: Model, name: str) -> FieldModel:
    """The model itself. Raises UserError for one that neither encodes nor decodes; the line names its command."""
    if not isinstance(model, Model):
        raise UserError(f"{name} is a {type(model).__name__}; give a field model, such as tokenfield.load makes")
    if not isinstance(model, FieldModel):
        raise UserError(f"{name} holds a {model.name} model, which takes {model.takes} and encodes no pictures; give a "
                        f"field model, or use it with tokenfield {model.command}")
    return model


def load_any(name: str | os.PathLike[str]) -> Model:
    """A trained model of any kind, in evaluation mode, float32, on the CPU.

    `name` is one of `list_models()`, a folder that `save` wrote, or `hf:owner/name` (`hf:owner/name@revision`) on the
    Hugging Face hub. Only the last uses the network, once: the hub's cache answers afterwards. Raises UserError for an
    unknown name, a missing or damaged file, and weights of other names or shapes than the configuration's.
    """
    model = load_folder(folder_of(name))
    model.origin = os.fspath(name)
    return model


def folder_of(name: str | os.PathLike[str]) -> Path:
    """The folder of a model that `load_any` takes by this name. Raises UserError where there is none."""
    if not isinstance(name, str | os.PathLike):
        raise UserError(f"a model by a {type(name).__name__}; give its name, or the path of its folder")
    text = os.fspath(name)
    if (shipped := packaged(text)) is not None:
        return shipped
    if text.startswith(HUB_PREFIX):
        repository, _, revision = text.removeprefix(HUB_PREFIX).partition("@")
        return download(repository, revision or None)
    if not os.path.isdir(text):
        known = ", ".join([*list_models(), *list_denoisers()]) or "none is"
        raise UserError(f"no model {text!r}: neither packaged ({known}) nor a folder; for the Hugging Face hub write "
                        f"{HUB_PREFIX}owner/name")
    return Path(text)


def find_model(path: str | os.PathLike[str], model: ModelId, *, load: Callable[[str], FieldModel] = load,
               hint: str = "give it: Field.load(path, model)") -> FieldModel:
    """The model that a `.field` file names: packaged, a folder below the file's own, or what lies beside it.

    Neither the network nor any other folder is opened on a file's word.

    `Field.load` compares hashes, so a foreign model beside the file cannot be taken for the file's own. `load` makes a
    model of a name or a folder; `hint` says what to do if there is none.
    """
    beside = Path(path).parent  # a picture's own model, as `tokenfield optimize` saves it, moves with its field
    problem = ", which is not at hand;"
    if (place := at_hand(path, model)) is not None:
        try:
            return load(place)
        except UserError as error:
            problem = f": {error}; or"
    if all((beside / name).is_file() for name in (CONFIG, WEIGHTS)):
        return load(str(beside))
    raise UserError(f"{shown(path)} was made by {model}{problem} {hint}")


def at_hand(path: str | os.PathLike[str], model: ModelId) -> str | None:
    """Where the model that a `.field` file names may be opened: a packaged one, or a folder in the file's own folder.

    Of a model elsewhere on this machine the file's word is not taken, for files come from strangers; but this machine
    remembers by their hashes the models that it made fields with. None for one that is nowhere.
    """
    origin, own = model.origin, Path(path).resolve().parent
    if origin is not None and origin in list_models():
        return origin
    folder = remembered_model(model.hash)
    if folder is not None and (folder / CONFIG).is_file():
        return str(folder)
    if origin is None:
        return None
    if origin.startswith(HUB_PREFIX) or not origin.isprintable():
        return None
    for folder in (own / origin, Path(origin)):  # as the file says it from its own place, or from the present one
        with suppress(OSError, ValueError):
            if folder.resolve().is_relative_to(own) and folder.is_dir():
                return str(folder)
    return None

"""Trained models by name: those that this package ships, folders, and, by the prefix `hf:` alone, the hub.

Neither a name nor a mistyped folder ever reaches for the network.
"""

import os
from collections.abc import Callable
from pathlib import Path

from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel, Model
from tokenfield.models.folder import (
    CONFIG,
    EVALUATION,
    HUB_PREFIX,
    WEIGHTS,
    ModelId,
    describe,
    download,
    load_folder,
    model_hash,
    save,
)

__all__ = ["CONFIG", "EVALUATION", "HUB_PREFIX", "WEIGHTS", "describe", "find_model", "load", "model_hash", "save"]

PACKAGED = Path(__file__).parent / "weights"


def names() -> list[str]:
    """The models this package ships, by the names that `load` takes."""
    return sorted(config.parent.name for config in PACKAGED.glob(f"*/{CONFIG}"))


def load(name: str | os.PathLike[str]) -> FieldModel:
    """A trained field model, as `load_any` has it. Raises UserError also for another, such as a denoiser."""
    return check_field_model(load_any(name), os.fspath(name))


def check_field_model(model: Model, name: str) -> FieldModel:
    """The model itself. Raises UserError for one that neither encodes nor decodes; the line names its command."""
    if not isinstance(model, FieldModel):
        raise UserError(f"{name} holds a {model.name} model, which takes {model.takes} and encodes no pictures; give a "
                        f"field model, or use it with tokenfield {model.command}")
    return model


def load_any(name: str | os.PathLike[str]) -> Model:
    """A trained model of any kind, in evaluation mode, float32, on the CPU.

    `name` is one of `names()`, a folder that `save` wrote, or `hf:owner/name` (`hf:owner/name@revision`) on the Hugging
    Face hub. Only the last uses the network, once: the hub's cache answers afterwards. Raises UserError for an unknown
    name, a missing or damaged file, and weights of other names or shapes than the configuration's.
    """
    text = os.fspath(name)
    if text in names():
        folder = PACKAGED / text
    elif text.startswith(HUB_PREFIX):
        repository, _, revision = text.removeprefix(HUB_PREFIX).partition("@")
        folder = download(repository, revision or None)
    else:
        folder = Path(text)
        if not folder.is_dir():
            raise UserError(
                f"no model {text!r}: neither packaged ({', '.join(names()) or 'none is'}) nor a folder; "
                f"for the Hugging Face hub write {HUB_PREFIX}owner/name"
            )
    model = load_folder(folder)
    model.origin = text
    return model


def find_model(
    path: str | os.PathLike[str],
    model: ModelId,
    *,
    load: Callable[[str], FieldModel] = load,
    hint: str = "give it: Field.load(path, model)",
) -> FieldModel:
    """The model that a `.field` file names: packaged, a folder, or else what lies beside the file. No network.

    `Field.load` compares hashes, so a foreign model beside the file cannot be taken for the file's own. `load` makes a
    model of a name or a folder; `hint` says what to do if there is none.
    """
    beside = Path(path).parent  # a picture's own model, as `tokenfield optimize` saves it, moves with its field
    problem = ", which is not at hand;"
    if model.origin is not None and not model.origin.startswith(HUB_PREFIX):
        try:
            return load(model.origin)
        except UserError as error:
            problem = f": {error}; or"
    if all((beside / name).exists() for name in (CONFIG, WEIGHTS)):
        return load(str(beside))
    raise UserError(f"{path} was made by {model}{problem} {hint}")

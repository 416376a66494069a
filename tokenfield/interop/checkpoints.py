"""A model of this library from a checkpoint of any known project. Files are opened so that nothing in them can run."""

import os
import pickle
import re
import warnings
from pathlib import Path

import torch
import yaml

from tokenfield.errors import UserError
from tokenfield.interop import anr, autoencoder_kl, ginr_ipc, trans_inr
from tokenfield.interop.project import Choices, Weights
from tokenfield.io.record import Record
from tokenfield.models.base import FieldModel

PROJECTS = (ginr_ipc.PROJECT, trans_inr.PROJECT, anr.PROJECT)
"""Whose trainers save one file. A folder is one of diffusers' AutoencoderKL."""


def import_checkpoint(checkpoint: str | os.PathLike[str], config: str | os.PathLike[str] | None = None, *,
                      weights: Weights = "model", size: tuple[int, int] | None = None) -> FieldModel:
    """A model of another project, in evaluation mode, float32, on the CPU: the same function, to rounding.

    Arguments are those of `tokenfield import`. What had to be assumed, and which weights were taken where there are
    two, is said as a warning. Without `config` it is the file of the checkpoint's name with the ending .yaml, or
    config.yaml beside it, if there is one; checkpoints of trans-inr carry theirs.

    Raises:
        UserError: a file that is no checkpoint of these projects; a configuration that is missing, holds unknown
            entries or asks for what no model here does; tensors that do not fit; a choice that is none.
    """
    checkpoint, choices = Path(checkpoint), Choices(weights, size)
    if checkpoint.is_dir():
        return autoencoder_kl.read_folder(checkpoint, {} if config is None else read_yaml(Path(config)), choices)
    content = read_checkpoint(checkpoint)
    project = next((project for project in PROJECTS if project.recognises(content)), None)
    if project is None:
        keys, names = ", ".join(map(str, list(content)[:8])), ", ".join(project.name for project in PROJECTS)
        raise UserError(f"{checkpoint} (with {keys}) is no checkpoint of {names}")
    if config is None:
        beside = (checkpoint.with_suffix(".yaml"), checkpoint.with_name("config.yaml"))
        config = next((path for path in beside if path.is_file()), None)
    try:
        model = project.read(content, None if config is None else read_yaml(Path(config)), choices)
        choices.check_size(model.input_size)
        return model.float().eval()
    except UserError as error:
        raise UserError(f"{checkpoint}, of {project.name}: {error}") from error


def read_checkpoint(path: Path) -> Record:
    """The dictionary in a PyTorch file: tensors, numbers and text. Raises UserError for anything else."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a checkpoint that torch.save wrote")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyTorch, about pickles that it then refuses
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # PyTorch explains at length, in colour, how to run such a file after all
        match = re.search(r"GLOBAL (\S+)", str(error))
        raise UserError(
            f"{path} is no checkpoint of tensors and plain data: it holds pickled objects"
            f"{f' ({match[1]})' if match else ''}, which could run code and are not opened; save it again without them"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError) as error:
        detail = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} is no checkpoint of tensors and plain data, or is damaged ({detail})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}; a checkpoint is a dictionary")
    return content


def read_yaml(path: Path) -> Record:
    """The mapping in a YAML file of plain data. Raises UserError for anything else."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} is no readable YAML file ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no mapping; give the configuration that the checkpoint was trained with")
    return content

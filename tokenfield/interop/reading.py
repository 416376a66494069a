"""Foreign files, opened so that nothing in them can run."""

import pickle
import re
import warnings
from pathlib import Path

import torch
import yaml

from tokenfield.errors import UserError
from tokenfield.io.record import Record


def read_checkpoint(path: Path) -> Record:
    """The dictionary in a PyTorch file: tensors, numbers and text.

    Raises:
        UserError: no such file, another kind of file, or one that holds more than tensors and plain data.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a checkpoint that torch.save wrote")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyTorch, about pickles that it then refuses
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # PyTorch explains at length, in colour, how to run such a file after all
        found = re.search(r"GLOBAL (\S+)", str(error))
        raise UserError(
            f"{path} is no checkpoint of tensors and plain data: it holds pickled objects"
            f"{f' ({found[1]})' if found else ''}, which could run code and are not opened; save it again without them"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError) as error:
        detail = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} is no checkpoint of tensors and plain data, or is damaged ({detail})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}; a checkpoint is a dictionary")
    return content


def read_yaml(path: Path) -> Record:
    """The mapping in a YAML file of plain data."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} is no readable YAML file ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no mapping; give the configuration that the checkpoint was trained with")
    return content

"""A model of this library from a checkpoint of any known project."""

import os
from pathlib import Path

from tokenfield.errors import UserError
from tokenfield.interop import anr, autoencoder_kl, ginr_ipc, trans_inr
from tokenfield.interop.choices import Choices, Weights
from tokenfield.interop.reading import read_checkpoint, read_yaml
from tokenfield.models.base import FieldModel

PROJECTS = (ginr_ipc.PROJECT, trans_inr.PROJECT, anr.PROJECT)
"""Whose trainers save one file. A folder is one of diffusers' AutoencoderKL."""


def import_checkpoint(
    checkpoint: str | os.PathLike,
    config: str | os.PathLike | None = None,
    *,
    weights: Weights = "model",
    size: tuple[int, int] | None = None,
) -> FieldModel:
    """A model of another project, in evaluation mode, float32, on the CPU.

    What it had to assume, and which weights it took where there are two, it says as a warning.

    Args:
        checkpoint: a file that the project's own code saved, or a folder of diffusers' AutoencoderKL.
        config: the project's YAML. None: the file of the checkpoint's name with the ending .yaml, or config.yaml
            beside it, if there is one; checkpoints of trans-inr carry theirs. For an AutoencoderKL it may hold
            `size`, [height, width].
        weights: model for the weights that were trained, as the projects' own evaluations do; ema for their moving
            average, where a checkpoint holds one.
        size: height and width of the pictures, for a model that fits any: of Learned Init and AutoencoderKL.
    Returns:
        The same function: outputs agree to rounding.
    Raises:
        UserError: a file that cannot be read or is no checkpoint of these projects; a configuration that is missing,
            holds unknown entries or asks for what no model here does; tensors that are unknown, missing or of another
            shape; a choice that the checkpoint does not leave.
    """
    checkpoint, choices = Path(checkpoint), Choices(weights, size)
    if checkpoint.is_dir():
        return autoencoder_kl.read_folder(checkpoint, None if config is None else read_yaml(Path(config)), choices)
    content = read_checkpoint(checkpoint)
    project = next((project for project in PROJECTS if project.recognises(content)), None)
    if project is None:
        given, known = ", ".join(map(str, list(content)[:8])), ", ".join(project.name for project in PROJECTS)
        raise UserError(f"{checkpoint} (with {given}) is no checkpoint of {known}")
    if config is None:
        beside = (checkpoint.with_suffix(".yaml"), checkpoint.with_name("config.yaml"))
        config = next((path for path in beside if path.is_file()), None)
    try:
        model = project.read(content, None if config is None else read_yaml(Path(config)), choices)
        choices.check_size(model.input_size)
        return model.float().eval()
    except UserError as error:
        raise UserError(f"{checkpoint}, of {project.name}: {error}") from error

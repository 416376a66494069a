"""`tokenfield import`: checkpoints of other projects become models of this one."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json


def import_checkpoint(
    checkpoint: tyro.conf.Positional[Path],
    *,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    config: Path | None = None,
    weights: Literal["model", "ema"] = "model",
    size: Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="HEIGHT WIDTH")] = None,
    json: Json = None,
) -> int:
    """Turn a checkpoint of ginr-ipc, trans-inr, ANR or AutoencoderKL into a folder that every other command takes.

    The file is opened without running anything in it. Every tensor finds its place; what is unknown, missing or of
    another shape is named.

    Args:
        checkpoint: a file that the project's own code saved, or a folder of diffusers' AutoencoderKL.
        output: folder to write; it must not exist yet.
        config: the project's YAML; by default a .yaml beside the checkpoint. For an AutoencoderKL it may say size:
            [height, width] of the pictures it will encode, by default [256, 256].
        weights: model for the weights as they were trained, which the projects' own evaluations report first; ema for
            their moving average, where a checkpoint of ginr-ipc or ANR holds one.
        size: of the pictures, in pixels, for a model that fits any and whose files name none: of Learned Init, by
            default 178 178, and AutoencoderKL.
        json: also write what was made there, for machines.
    """
    from tokenfield.errors import UserError
    from tokenfield.interop import checkpoints
    from tokenfield.models import pretrained

    if output.exists():
        raise UserError(f"{output} exists already; name a new folder with -o")
    model = checkpoints.import_checkpoint(checkpoint, config, weights=weights, size=size)
    pretrained.save(model, output)
    facts = {"checkpoint": str(checkpoint), "output": str(output), **pretrained.describe(model)}
    console.say(f"{checkpoint} -> {output}: {model.name}, {model.num_parameters:,} parameters")
    console.write_json(json, "import", facts)
    return console.OK

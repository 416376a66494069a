"""`tokenfield import` of checkpoints of other projects, and `tokenfield export` for programs without torch."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json
from tokenfield.cli.options import DEFAULT, WHICH


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


def export(
    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL", help=WHICH)] = DEFAULT,
    *,
    to: Literal["onnx", "torch"] = "onnx",
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = None,
    precision: Literal["fp32", "fp16"] = "fp32",
    json: Json = None,
) -> int:
    """Write a model's encoder and decoder as graphs that other programs run: ONNX, or torch.export's own format.

    The encoder takes any number of pictures, the decoder any number of coordinates; export.json beside them says what
    every input is. An encoder that takes gradient steps fits in no graph and is left out. ONNX is written with the
    packages of the extra onnx: pip install 'tokenfield[onnx]'.

    Args:
        to: onnx for .onnx files; torch for .pt2 files, which torch.export.load reads.
        output: a new folder; by default MODEL-onnx or MODEL-torch, here.
        precision: fp16 stores weights as float16, which halves the files; arithmetic stays float32. ONNX only.
    """
    from tokenfield.cli.options import load_model
    from tokenfield.errors import UserError
    from tokenfield.interop.export import export as write

    if precision == "fp16" and to != "onnx":
        raise UserError("--precision fp16 is for --to onnx; leave it out")
    folder = output or Path(f"{Path(model).name}-{to}")
    about = write(load_model(model, "cpu"), folder, to, half=precision == "fp16")
    for part in ("encoder", "decoder"):
        if about[part] is None:
            console.warn(f"{model} encodes by a computation that no graph holds; only the decoder was written")
            continue
        path = folder / about[part]["file"]
        shapes = ", ".join(f"{name} ({' x '.join(map(str, shape))})" for name, shape in about[part]["inputs"].items())
        console.say(f"{path}: {shapes} -> {', '.join(about[part]['outputs'])}, "
                    f"{console.size_of(path.stat().st_size)}")
    console.write_json(json, "export", {"output": str(folder), **about})
    return console.OK

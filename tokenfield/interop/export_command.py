"""`tokenfield export`: a model's encoder and decoder for programs without torch."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json
from tokenfield.cli.options import DEFAULT, WHICH


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

"""`tokenfield latents`: a data set becomes latent tokens, once, for the training of a denoiser."""

from pathlib import Path
from typing import Annotated

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json, Out
from tokenfield.cli.options import Device, ModelName, load_model
from tokenfield.errors import UserError
from tokenfield.generation.commands import Dataset, check_numbers


def latents(
    model: tyro.conf.Positional[ModelName],
    data: tyro.conf.Positional[Path],
    *,
    output: Out = None,
    dataset: tyro.conf.OmitArgPrefixes[Dataset] = Dataset(),  # noqa: B008, frozen
    held_out: bool = True,
    size: Annotated[int | None, tyro.conf.arg(metavar="PIXELS")] = None,
    flips: bool = True,
    shard: int = 1024,
    batch: int = 32,
    half: bool = False,
    workers: int = 2,
    device: Device = "auto",
    json: Json = None,
) -> int:
    """Encode a data set once into latent tokens with labels and statistics, for a denoiser to be trained on.

    The folder holds shards that are mapped into memory, so it may be larger than memory. The same command continues
    where a killed one stopped; under torchrun several processes share the shards, with the same result. Labels are the
    data set's classes, or in layout folder the names of the sub-folders that the pictures lie in.

    Args:
        data: folder of the data set.
        output: folder for the latents.
        dataset: how it lies on disk.
        held_out: also encode the pictures that are held out; --no-held-out leaves the denoiser's training without.
        size: side of the pictures, for models that take any; a multiple of their cells.
        flips: encode every training picture a second time, mirrored.
        shard: entries per shard.
        batch: pictures that are encoded at once.
        half: store 16-bit numbers: half the folder.
        workers: threads that read pictures.
    """
    if output is None:
        raise UserError("say with -o FOLDER where the latents go")
    check_numbers({"shard": shard, "batch": batch})
    import torch
    from accelerate import PartialState

    from tokenfield.data import DataConfig
    from tokenfield.data.skipped import SkippedFiles
    from tokenfield.generation.encoding import Encoding, encode_data
    from tokenfield.models import pretrained

    state = PartialState(cpu=device == "cpu" or not torch.accelerator.is_available())
    loaded = load_model(model, str(state.device) if device == "auto" else device)
    known = model in pretrained.names() or model.startswith(pretrained.HUB_PREFIX)
    lasting_name = model if known else str(Path(model).resolve())  # a folder, found from anywhere
    pictures = DataConfig(layout=dataset.layout, holdout=dataset.holdout)
    encoding = Encoding(pictures, flips, shard, batch, held_out, half)
    with console.progress("encoding shards") as bar:
        described = encode_data(
            loaded, lasting_name, data, output, encoding, size=size, workers=workers,
            rank=state.process_index, world=state.num_processes, meet=state.wait_for_everyone, progress=bar.piece,
        )  # fmt: skip
    if not state.is_main_process:
        return console.OK
    total, skipped = 0, SkippedFiles()
    for split, facts in described["splits"].items():
        total += facts["pictures"]
        for item in facts["skipped"]:
            skipped.add(item["file"], item["reason"])
        console.say(f"{output}: {split}: {facts['entries']} entries of {described['tokens']} x "
                    f"{described['latent_dim']} in {facts['shards']} shards, {len(described['classes'])} classes")
    console.write_json(json, {"command": "latents", "output": str(output), **described})
    return console.finish(skipped, total)

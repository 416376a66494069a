"""`tokenfield latents`: a data set becomes latent tokens, once, for the training of a denoiser."""

from pathlib import Path

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json, Out
from tokenfield.cli.info import after_latents
from tokenfield.cli.options import Device, ModelName, check_at_least, load_model
from tokenfield.errors import UserError
from tokenfield.generation.options import Encoding
from tokenfield.io.lock import take


def latents(
    model: tyro.conf.Positional[ModelName],
    data: tyro.conf.Positional[Path],
    *,
    output: Out = None,
    encoding: tyro.conf.OmitArgPrefixes[Encoding] = Encoding(),  # noqa: B008, frozen
    device: Device = "auto",
    json: Json = None,
) -> int:
    """Encode a data set once into latent tokens with labels and statistics, for a denoiser to be trained on.

    The folder holds shards that are mapped into memory, so it may be larger than memory. The same command continues
    where a killed one stopped; under torchrun several processes share the shards, with the same result. Labels are the
    data set's classes, or in layout folder the names of the sub-folders that the pictures lie in.

    Args:
        data: folder of the data set.
        output: folder for the latents; with --bytes the file.
        encoding: which of its pictures, at which size, and how they are stored.
    """
    if output is None:
        raise UserError("say with -o FOLDER where the latents go")
    if encoding.bytes:
        return coded(model, data, output, encoding.quality, device, json)
    check_at_least(1, shard=encoding.shard, batch=encoding.batch, size=encoding.size)
    import torch
    from accelerate import PartialState

    from tokenfield.data.pictures import SkippedFiles
    from tokenfield.generation.encoding import Processes, encode_data
    from tokenfield.models import pretrained

    state = PartialState(cpu=device == "cpu" or not torch.accelerator.is_available())
    if state.is_main_process:
        take(output)
    field_model = load_model(model, str(state.device) if device == "auto" else device)
    by_name = model in pretrained.list_models() or model.startswith(pretrained.HUB_PREFIX)
    lasting_name = model if by_name else str(Path(model).resolve())  # a folder, found from anywhere
    with console.progress("encoding shards") as bar:
        description = encode_data(field_model, lasting_name, data, output, encoding, progress=bar.piece,
                                processes=Processes(state.process_index, state.num_processes, state.wait_for_everyone))
    if not state.is_main_process:
        return console.OK
    total, skipped = 0, SkippedFiles()
    for split, facts in description["splits"].items():
        total += facts["pictures"]
        for item in facts["skipped"]:
            skipped.add(item["file"], item["reason"])
        console.say(f"{output}: {split}: {facts['entries']} entries of {description['tokens']} x "
                    f"{description['latent_dim']}, {len(description['classes'])} classes")
    console.say(f"next: {after_latents(output, description)}")
    console.write_json(json, "latents", {"output": str(output), **description})
    return console.finish(skipped, total)


def coded(model: str, data: Path, output: Path, quality: float, device: str, json: Json) -> int:
    """Every picture below a folder, coded, in one file; sub-folders keep their names in the entries'."""
    from collections.abc import Iterator

    from tokenfield.data.pictures import SkippedFiles, find_pictures, read_pictures
    from tokenfield.fields.archive import write_archive
    from tokenfield.fields.field import Field

    if output.is_dir():
        raise UserError(f"{output} is a folder; with --bytes name a file, such as {output / 'latents.fields'}")
    field_model, skipped = load_model(model, device), SkippedFiles()
    files = find_pictures(data, skipped)
    names: list[str] = []

    def entries(bar: console.Bar) -> Iterator[tuple[str, bytes]]:
        for path, picture in read_pictures(files, skipped):
            bar.file(len(names), path.name)
            names.append(path.relative_to(data).as_posix() if data.is_dir() else path.name)
            yield names[-1], Field.of(field_model, picture).coded(quality)

    with console.progress("coding", len(files)) as bar:
        size = write_archive(output, entries(bar))
    console.say(f"{output}: {len(names)} pictures in {console.size_of(size)}")
    console.write_json(json, "latents", {"output": str(output), "names": names, "bytes": size,
                              "skipped": skipped.as_json()})
    return console.finish(skipped, len(files))

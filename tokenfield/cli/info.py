"""`tokenfield info`: what a file or folder is, in a few lines."""

from pathlib import Path

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json
from tokenfield.errors import UserError
from tokenfield.io.atomic import typed
from tokenfield.io.record import Record

LATENTS = "latents.json"
"""What describes a folder that `tokenfield latents` wrote."""
LONGEST = 200
"""Characters of a value that is still printed: a mask of the sea is thousands."""


def info(path: tyro.conf.Positional[str], *, json: Json = None) -> int:
    """Say what something is: a .field file, a model, a training run, latents, a picture, or a folder of files.

    Args:
        path: a file, a folder, or the name of a packaged model.
    """
    facts = describe(path)
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        if not isinstance(value, dict | list):
            console.say(f"{name.replace('_', ' '):<{width}}  {value}")
    for name, value in facts.items():
        if isinstance(value, dict):
            console.say(f"{name}:")
            for key, entry in value.items():
                text = str(entry)
                console.say(f"  {key}: {text if len(text) <= LONGEST else f'{len(text)} characters, in --json'}")
    console.write_json(json, "info", {"path": path, **facts})
    return console.OK


def describe(path: str) -> Record:
    """The facts about a path. Raises UserError for what is none of these."""
    from tokenfield.data.shards import shard_of
    from tokenfield.models import pretrained

    place = Path(path)
    if (shipped := pretrained.packaged(path)) is not None:
        return about_model(shipped)
    if place.is_dir():
        if (place / "recipe.json").exists():
            return about_run(place)
        if (place / pretrained.CONFIG).exists():
            return about_model(place)
        return about_latents(place) if (place / LATENTS).exists() else about_folder(place)
    if not place.exists() and not shard_of(place):
        packaged = ", ".join(pretrained.list_models()) or "none"
        raise UserError(f"{path}: no such file or folder, and no packaged model (there are: {packaged})")
    if is_archive(place):
        return about_archive(place)
    return about_field(place) if place.suffix.lower() in (".field", ".safetensors") else about_picture(place)


def about_field(path: Path) -> Record:
    """A .field file, without reading its tokens or loading its model."""
    from math import prod

    from tokenfield.fields.domain import Pieces
    from tokenfield.fields.domains import domain_from_dict
    from tokenfield.fields.field_file import read_field
    from tokenfield.models import pretrained

    file = read_field(path, tokens=False)
    try:
        domain = domain_from_dict(file.domain)
        if isinstance(domain, Pieces):
            domain.check_shape(file.shape, "pieces")
        samples = prod(domain.size)
    except UserError as error:
        raise UserError(f"{path} is damaged: {error}") from error
    origin = file.model.origin
    place = pretrained.at_hand(path, file.model)
    folders = [folder for folder in (place and pretrained.folder_of(place), path.parent)
               if folder and (folder / pretrained.CONFIG).exists()]
    stored, size = prod(file.shape), path.stat().st_size
    pixels = isinstance(domain, Pieces) and len(domain.size) == 2
    channels = channels_of(folders[0]) if folders and pixels else None
    return {
        "kind": "field",
        "picture": f"{' x '.join(map(str, reversed(domain.size)))} {'pixels' if len(domain.size) == 2 else 'samples'}",
        "tokens": prod(file.shape[:-1]),
        "values_stored": stored,
        **({"values_per_pixel_value": round(stored / (samples * channels), 4)} if channels else {}),
        **domain.facts(stored),
        "token_shape": " x ".join(map(str, file.shape)),
        "format": file.version,
        "stored_as": {"F32": "float32", "F16": "float16"}.get(file.dtype) or coding(path),
        "bytes": size,
        "bits_per_pixel": round(8 * size / samples, 4),
        "model": f"{file.model.name} from {origin}" if origin else file.model.name,
        "model_hash": file.model.hash,
        "model_at_hand": "yes" if folders else "no; decode with --model",
        "written_by": f"tokenfield {file.library}",
        "domain": file.domain,
    }


def channels_of(folder: Path) -> int | None:
    """Channels of the model in a folder, if its configuration says."""
    from tokenfield.io.limits import read_json
    from tokenfield.models import pretrained

    config = read_json(folder / pretrained.CONFIG)
    channels = config.get("channels", 3) if isinstance(config, dict) else None
    return channels if isinstance(channels, int) else None


def coding(path: Path) -> str:
    """How the tokens of a coded file are stored."""
    from tokenfield.fields.codec.container import opened

    with opened(path) as file:
        header = file.header
        whole = "" if path.stat().st_size == file.size else f"; cut short, {file.size} bytes when it was whole"
    return (f"coded in steps of {header.step / 256:.3g} levels of 255, {console.counted(header.layers, 'layer')}, "
            f"{console.counted(header.stripes, 'stripe')}{whole}")


def about_model(folder: Path) -> Record:
    """A model in a folder: its system, its size, what was measured."""
    from tokenfield.io.limits import read_json
    from tokenfield.models import pretrained
    from tokenfield.models.base import FieldModel

    model = pretrained.load_any(folder)
    takes = {model.takes: f"see tokenfield {model.command}"}
    if isinstance(model, FieldModel) and model.command == "encode":
        size = "any size" if model.input_size is None else "any size, in tiles of {1} x {0}".format(*model.input_size)
        takes = {"pictures": f"{size}, {model.channels} channels, cells of {model.cell} pixels"}
    facts: Record = {
        "kind": "model",
        "system": model.name,
        "parameters": model.num_parameters,
        "bytes": (folder / pretrained.WEIGHTS).stat().st_size,
        **takes,
        "hash": pretrained.model_hash(model),
        "configuration": {key: value for key, value in pretrained.describe(model).items() if key != "model"},
    }
    report = folder / pretrained.EVALUATION
    if report.exists() and isinstance(evaluation := read_json(report), dict):  # single numbers and words, no lists
        facts["evaluation"] = {key: one for key, one in evaluation.items() if isinstance(one, int | float | str)}
    return facts


def about_run(folder: Path) -> Record:
    """A training run: how far it is, how well it does, and how to go on."""
    from tokenfield.io.limits import read_json
    from tokenfield.models import pretrained
    from tokenfield.training import checkpoint, journal
    from tokenfield.training.recipe import model_name, read

    recipe = read(folder / "recipe.json")
    lines = journal.read(folder / journal.METRICS)
    trained = [line for line in lines if "loss" in line]
    measure = recipe.objective.measure
    checkpoints = checkpoint.folders(folder)
    steps = [line["step"] for line in lines] + [int(path.name.removeprefix(checkpoint.PREFIX)) for path in checkpoints]
    facts: Record = {
        "kind": "training run",
        "recipe": recipe.name,
        "system": model_name(recipe.model),
        "step": f"{max(steps, default=0)} of {recipe.steps}",
        "checkpoints": ", ".join(path.name for path in checkpoints) or "none",
        "weights": "exported" if (folder / pretrained.WEIGHTS).exists() else "not exported yet",
    }
    if (folder / pretrained.CONFIG).exists():
        config = read_json(folder / pretrained.CONFIG)
        if names := config.get("class_names") if isinstance(config, dict) else None:
            facts["classes"] = ", ".join(map(str, names))
    if trained:
        facts["seconds"] = trained[-1]["seconds"]
        facts[f"training_{measure.name}"] = round(trained[-1][measure.name], 2 if measure == journal.PSNR else 4)
    if score := measure.last(lines):
        facts[f"held_out_{measure.name}"] = round(score[0], 2 if measure == journal.PSNR else 4)
    return facts


def about_latents(folder: Path) -> Record:
    """A folder of latents: of which model, how many, of which classes, and how to go on."""
    from tokenfield.io.limits import read_json

    description = read_json(folder / LATENTS)
    try:
        assert isinstance(description, dict)
        lattice = description["lattice"]
        places = "{} x {} cells".format(*lattice) if lattice else "a set"
        return {
            "kind": "latents of a data set",
            "model": description["model"],
            "model_hash": description["model_hash"],
            "picture": "{1} x {0} pixels".format(*description["picture_size"]),
            "tokens": f"{description['tokens']} of {description['latent_dim']} numbers, {places}",
            "stored_as": "float16" if description["half"] else "float32",
            "bytes": sum(path.stat().st_size for path in folder.rglob("*.safetensors")),
            "classes": ", ".join(description["classes"]) or "none",
            "splits": {split: f"{facts['entries']} entries of {console.counted(facts['pictures'], 'picture')}"
                       for split, facts in description["splits"].items()},
            "next": after_latents(folder, description),
        }
    except (AssertionError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(f"{folder / LATENTS} is damaged ({error!r}); run tokenfield latents again") from error


def after_latents(folder: Path, description: Record) -> str:
    """The command that trains a denoiser on a folder of latents, by the sizes that it has."""
    if side := min(description["lattice"], default=0):
        words = ["ldm-photos-64-anchored" if side >= 8 else "ldm-cutouts-32-anchored"]
    else:
        words = ["ldm-cutouts-32", "--model.tokens", str(description["tokens"])]
    words += ["--model.latent-dim", str(description["latent_dim"]), "--model.classes", str(len(description["classes"]))]
    return f"tokenfield train {' '.join(words)} --data {typed(folder)}"


def is_archive(path: Path) -> bool:
    """Whether a file is one of many coded fields (`tokenfield latents --bytes`)."""
    from tokenfield.fields.archive import MAGIC

    if not path.is_file():  # a path into a shard
        return False
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - len(MAGIC)))
        return file.read() == MAGIC


def about_archive(path: Path) -> Record:
    """Many coded fields in one file."""
    from tokenfield.fields.archive import FieldArchive

    archive, size = FieldArchive(path), path.stat().st_size
    facts: Record = {"kind": "archive of fields", "fields": len(archive), "bytes": size}
    if not len(archive):
        return facts
    model = archive.model
    assert model is not None, "an entry names its model"
    return facts | {"bytes_per_field": round(size / len(archive)), "model": f"{model.name} from {model.origin}",
                    "first": archive.names[0], "last": archive.names[-1]}


def about_picture(path: Path) -> Record:
    """A picture as `encode` would read it."""
    from tokenfield.data.pictures import read_picture
    from tokenfield.data.shards import size_of

    picture = read_picture(path)
    return {
        "kind": "picture",
        "picture": f"{picture.shape[2]} x {picture.shape[1]} pixels",
        "values": picture.numel(),
        "bytes": size_of(path),
        "mean": round(picture.mean().item(), 4),
        "range": f"{picture.min().item():.4f} to {picture.max().item():.4f}",
    }


def about_folder(folder: Path) -> Record:
    """How many files of which kind a folder holds. Raises UserError for one that holds none we know."""
    from tokenfield.data.pictures import SUFFIXES

    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    counts = {"pictures": sum(path.suffix.lower() in SUFFIXES for path in files),
              "fields": sum(path.suffix.lower() == ".field" for path in files)}
    if not any(counts.values()):
        raise UserError(f"{folder} holds no pictures, .field files, latents, model or training run; give a folder that "
                        "does")
    return {"kind": "folder", **counts, "other_files": len(files) - sum(counts.values())}

"""Encode a data set once, shard by shard: what `tokenfield latents` does.

A shard is a fixed run of entries, (picture, mirrored or not), in the order of the listing, encoded in fixed batches by
whichever process it falls to, written whole, with the moments of its own latents, which are merged in the order of the
shards. So all is the same bits however many processes took part and however often they were killed.
"""

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Float64, Num
from safetensors.torch import save as to_bytes
from torch import Tensor

from tokenfield.data.decoding import PictureError
from tokenfield.data.draws import Draws
from tokenfield.data.pictures import SkippedFiles
from tokenfield.data.sources import Split
from tokenfield.errors import UserError
from tokenfield.generation.latents import DESCRIPTION, FORMAT, STATISTICS, open_shard, read_note, shard_path
from tokenfield.generation.options import Encoding
from tokenfield.io.atomic import write_whole
from tokenfield.io.cache import remember_model
from tokenfield.io.record import Record
from tokenfield.models.base import FieldModel
from tokenfield.models.pretrained import model_hash


@dataclass(frozen=True)
class Moments:
    """Count of instances, their mean, and the sum of (x - mean)^2 over them, entry by entry in float64.

    Two parts are merged exactly (Chan, Golub and LeVeque, *Updating Formulae and a Pairwise Algorithm for Computing
    Sample Variances*, 1979; with parts of one, Welford's algorithm). Sums of squares, the obvious alternative, lose all
    digits where a mean is large beside its deviation. The same parts in the same order give the same bits.
    """

    count: int
    mean: Float64[Tensor, "*s"]
    squares: Float64[Tensor, "*s"]

    @classmethod
    def none(cls, *shape: int) -> "Moments":
        """Of no instances: what a sum of moments starts with."""
        return cls(0, torch.zeros(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64))

    @classmethod
    def of(cls, values: Num[Tensor, "n *s"]) -> "Moments":
        """Of the instances along the first axis."""
        values = values.double()
        mean = values.sum(0) / max(1, len(values))
        return cls(len(values), mean, (values - mean).square_().sum(0))

    def __add__(self, other: "Moments") -> "Moments":
        """Of both sets of instances together."""
        count, difference = self.count + other.count, other.mean - self.mean
        mean = self.mean + difference * (other.count / max(1, count))
        squares = self.squares + other.squares + difference**2 * (self.count * other.count / max(1, count))
        return Moments(count, mean, squares)

    @property
    def deviation(self) -> Float64[Tensor, "*s"]:
        """sqrt(squares / count): that of the instances themselves, not an estimate for others."""
        return (self.squares / max(1, self.count)).sqrt()


class Plan:
    """The shards of a split, each a list of entries (picture, mirrored). Raises UserError where it has no pictures.

    `classes` are those given, of the training split, or else its own; the label of every picture counts in them, and is
    `len(classes)` for none.
    """

    def __init__(self, data: Path, encoding: Encoding, side: int, split: Split, classes: tuple[str, ...] | None = None,
                 *, channels: int = 3):
        self.encoding, self.side, self.split = encoding, side, split
        self.source = encoding.squares(side, channels).open(data, split)
        count, folders = len(self.source), [_class_folder(name) for name in self.source.names]
        labels: list[int | None] = [None] * count
        self.classes = classes or ()
        if self.source.labels is not None:  # a layout that has classes
            labels, self.classes = list(self.source.labels), self.source.classes
        elif all(folders) and (classes or (classes is None and len(set(folders)) > 1)):  # any folder of class folders
            self.classes = tuple(sorted(set(folders))) if classes is None else classes
            labels = [self.classes.index(name) if name in self.classes else None for name in folders]
        self.labels = [len(self.classes) if label is None else label for label in labels]
        flips = (False, True) if encoding.flips and split == "train" else (False,)
        entries = [(i, mirrored) for i in range(count) for mirrored in flips]
        self.shards = [entries[start : start + encoding.shard] for start in range(0, len(entries), encoding.shard)]

    def read(self, entry: tuple[int, bool]) -> Float[Tensor, "c h w"] | PictureError:
        """The picture of an entry, or why there is none."""
        index, mirrored = entry
        try:
            picture = self.source.cut(index, Draws(0))  # the centre: nothing is drawn
        except PictureError as error:
            return error
        return picture.flip(-1) if mirrored else picture

    def identity(self, number: int, model_sha: str) -> str:
        """A digest of all that decides the contents of a shard but the bytes of the pictures."""
        names = [(self.source.names[i], self.labels[i], mirrored) for i, mirrored in self.shards[number]]
        encoding = self.encoding
        deciding = [FORMAT, model_sha, self.side, encoding.batch, encoding.half, self.classes, names]
        return hashlib.sha256(json.dumps(deciding).encode("utf-8", "surrogateescape")).hexdigest()


def _class_folder(name: str) -> str:
    """`dog` of `dog/1.png` and of `train/dog/1.png`; empty without a folder."""
    parts = name.split("/")[:-1]
    if parts and parts[0] in ("train", "test", "val", "valid", "validation"):
        parts = parts[1:]
    return parts[0] if parts else ""


@torch.no_grad()
def write_shard(path: Path, sha: str, plan: Plan, number: int, model: FieldModel, shape: tuple[int, int],
                pool: ThreadPoolExecutor) -> None:
    """Encode a shard, latents (N, *shape), into one file, whole or absent; damaged pictures are left out and named."""
    encoding, device = plan.encoding, next(model.parameters()).device
    latents = [torch.zeros(0, *shape, dtype=torch.float16 if encoding.half else torch.float32)]
    moments, skipped, entries = Moments.none(*shape), SkippedFiles(), []
    for start in range(0, len(plan.shards[number]), encoding.batch):
        part, pictures = plan.shards[number][start : start + encoding.batch], []
        for entry, result in zip(part, pool.map(plan.read, part), strict=True):
            if isinstance(result, PictureError):
                skipped.catch(result)
            else:
                pictures.append(result)
                entries.append(entry)
        if not pictures:
            continue
        tokens = model.encode(torch.stack(pictures).to(device)).flatten(1, -2).cpu().to(latents[0].dtype)
        if not torch.isfinite(tokens).all():
            raise UserError("a token is not finite; half precision holds numbers up to 65504: leave out --half"
                            if encoding.half else "a token is not finite; the model is damaged")
        latents.append(tokens)
        moments += Moments.of(tokens)
    tensors = {
        "latents": torch.cat(latents),
        "labels": torch.tensor([plan.labels[index] for index, _ in entries], dtype=torch.int64),
        "mirrored": torch.tensor([mirrored for _, mirrored in entries], dtype=torch.bool),
        "count": torch.tensor(moments.count),
        "mean": moments.mean,
        "squares": moments.squares,
    }
    note = {"identity": sha, "names": [plan.source.names[i] for i, _ in entries], "skipped": skipped.as_json()}
    write_whole(path, to_bytes(tensors, {"shard": json.dumps(note)}))  # one entry: their order in a file is random


def is_there(path: Path, shard_identity: str) -> bool:
    """Whether a shard was written already. Raises UserError if another one was."""
    if not path.exists():
        return False
    with open_shard(path) as file:
        there = read_note(file).get("identity")
    if there != shard_identity:
        raise UserError(f"{path} holds latents of other pictures, another model or other options; give a new folder, "
                        "or remove this one")
    return True


def shapes(model: FieldModel, size: int | None) -> tuple[tuple[int, ...], int, tuple[int, int]]:
    """Shape of the tokens' lattice, () for a set; side of the pictures: the model's, or `size` if it takes any; (R, D).

    Raises UserError for a model of anything but square pictures, or whose tokens are no vectors, or another size.
    """
    if model.input_size is not None:
        side, width = model.input_size
        if side != width:
            raise UserError(f"the model encodes pictures of {side}x{width}; latents are made of square pictures")
        if size not in (None, side):
            raise UserError(f"--size {size}: the model encodes pictures of {side} pixels; leave --size out")
        lattice: tuple[int, ...] = ()
    elif size is None or size < model.cell or size % model.cell:
        given = "no --size" if size is None else f"--size {size}"
        raise UserError(f"{given}: the model takes pictures of any size; give a multiple of its {model.cell}-"
                        f"pixel cells, such as {16 * model.cell}: all latents of a folder have one size")
    else:
        side, lattice = size, (size // model.cell, size // model.cell)
    try:
        with torch.no_grad():
            tokens = model.encode(torch.zeros(1, model.channels, side, side, device=next(model.parameters()).device))
    except UserError:  # the model says it better
        raise
    except (RuntimeError, ValueError, IndexError) as error:
        raise UserError(f"the {model.name} model does not encode single pictures; give one that does") from error
    if tokens.ndim < 3:
        raise UserError(f"the tokens of a {model.name} model are no set of vectors; give a model whose tokens are")
    return lattice, side, (tokens[0, ..., 0].numel(), tokens.shape[-1])


@dataclass(frozen=True)
class Processes:
    """This process among those that share the work: shards `rank`, `rank + world`, ... of each split are its own."""

    rank: int = 0
    world: int = 1
    meet: Callable[[], None] = lambda: None
    """Returns when all processes have called it."""


def encode_data(model: FieldModel, name: str, data: Path, out: Path, encoding: Encoding, *,
                processes: Processes = Processes(),
                progress: Callable[[int, int], None] = lambda count, total: None) -> Record:
    """Encode both splits of a data set.

    The model is found by its name when latents are decoded. Shards that are there already are not made again.
    `progress` counts the shards of this process.

    Returns:
        What `latents.json` says (on every process).
    Raises:
        UserError: data and model do not fit, or the folder holds something else.
    """
    (lattice, side, shape), model_sha = shapes(model, encoding.size), model_hash(model)
    plans = [Plan(data, encoding, side, "train", channels=model.channels)]
    if encoding.held_out:
        plans.append(Plan(data, encoding, side, "test", plans[0].classes, channels=model.channels))
    mine = [(p, number) for p in plans for number in range(len(p.shards)) if number % processes.world == processes.rank]
    with ThreadPoolExecutor(max(1, encoding.workers), thread_name_prefix="latents") as readers:
        for count, (p, number) in enumerate(mine):
            progress(count, len(mine))
            path, sha = shard_path(out, p.split, number), p.identity(number, model_sha)
            if not is_there(path, sha):
                write_shard(path, sha, p, number, model, shape, readers)
    processes.meet()  # every shard is there now
    summaries = {p.split: summary(p, out, model_sha, Moments.none(*shape)) for p in plans}
    description = {
        "format": FORMAT,
        "model": name,
        "model_hash": model_sha,
        "classes": list(plans[0].classes),
        "tokens": shape[0],
        "latent_dim": shape[1],
        "lattice": list(lattice),
        "picture_size": [side, side],
        "flips": encoding.flips,
        "half": encoding.half,
        "splits": {split: facts for split, (_, facts) in summaries.items()},
    }
    if processes.rank == 0:
        statistics, _ = summaries["train"]
        write_whole(out / STATISTICS, to_bytes({"mean": statistics.mean, "deviation": statistics.deviation}))
        write_whole(out / DESCRIPTION, json.dumps(description, indent=1) + "\n")
        if Path(name).is_dir():
            remember_model(model_sha, Path(name).resolve())  # for `load_field_model`
    processes.meet()
    return description


def summary(plan: Plan, out: Path, model_sha: str, moments: Moments) -> tuple[Moments, Record]:
    """`moments` with those of all shards of a split, how much there is of it, and which pictures could not be read.

    Raises UserError where another command wrote into the folder meanwhile.
    """
    skipped: list[Record] = []
    for number in range(len(plan.shards)):
        is_there(path := shard_path(out, plan.split, number), plan.identity(number, model_sha))
        with open_shard(path) as file:
            moments += Moments(int(file.get_tensor("count")), file.get_tensor("mean"), file.get_tensor("squares"))
            skipped += read_note(file)["skipped"]
    if not moments.count:
        raise UserError(f"none of the {len(plan.source)} {plan.split} pictures can be read; check the folder")
    return moments, {"shards": len(plan.shards), "entries": moments.count, "pictures": len(plan.source),
                     "skipped": skipped}

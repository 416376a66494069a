"""A data set as latent tokens on disk: encoded once, trained on many times.

    FOLDER/
        latents.json                    what was encoded and how; written last, so a folder with it is complete
        statistics.safetensors          mean, deviation: (R, D) float64, of the training split
        train/shard-00000.safetensors   latents (N, R, D), labels (N,), and their own moments
        test/shard-00000.safetensors    the held-out split, standardised by the training split's statistics

Shards are mapped into memory and read page by page, so a data set may be larger than memory. Tokens that have places
(a lattice of rows x columns) are stored flat, row-major, R = rows x columns; `lattice` gives the shape back.
"""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokenfield.data.draws import Draws
from tokenfield.data.pictures import SkippedFiles
from tokenfield.data.sources import Split
from tokenfield.errors import DAMAGE, UserError
from tokenfield.generation.denoiser import Origin, Standardized
from tokenfield.io.atomic import shown
from tokenfield.io.limits import DamagedJson, TensorFile, parse_json, read_json, read_tensors, tensor_file
from tokenfield.io.record import Record

DESCRIPTION, STATISTICS = "latents.json", "statistics.safetensors"
FORMAT = 1
"""Version of the layout above."""
SHARD = 1 << 28
"""Bytes of the longest note of a shard: the names of its pictures."""
FINE = 2**24
"""Draws in [0, 1) are multiples of 1 / FINE, which float32 holds exactly: none is rounded up to 1."""


def shard_path(folder: Path, split: str, number: int) -> Path:
    """Where shard `number` of a split lies."""
    return folder / split / f"shard-{number:05d}.safetensors"


@dataclass(frozen=True)
class LatentsConfig:
    """Training data of a denoiser: a folder that `tokenfield latents` wrote."""

    mirrored: bool = True
    """Whether entries of mirrored pictures take part in training."""
    lattice: bool = False
    """Whether tokens keep their places: (rows, columns, D), standardised by channel over all cells. Otherwise they are
    a set, (R, D), and every token has statistics of its own."""
    part: int = 0
    """Train on random squares of so many cells a side, cut from lattices at least as large; 0: on whole lattices."""

    def __post_init__(self):
        if self.part < 0 or (self.part and not self.lattice):
            raise UserError(f"data.part {self.part} and data.lattice {self.lattice}: parts are cut from lattices; give "
                            "data.lattice True, and at least 1, or 0 for whole lattices")

    def open(self, root: str | Path, split: Split) -> "LatentFolder":
        """The latents of one split. Raises UserError as they do, and for a damaged folder."""
        try:
            return LatentFolder(root, split, self)
        except UserError:
            raise
        except DAMAGE as error:
            raise UserError(f"{shown(root)} holds latents that are damaged ({error!r:.80}); run tokenfield latents "
                            "again") from error


class LatentFolder(Standardized):
    """The latents of one split: `folder[i]` is (R, D), as the field model made it; what a denoiser is trained on.

    Attributes:
        mean, deviation: float32, of the training split: (R, D), or (D,) of every channel where tokens keep their
            places. No deviation is 0 (what never changes has 1).
        labels: (N,) class of every entry, an index into `classes`; `len(classes)` where an entry has none.
        names: the picture behind every entry, its path below the data set's folder.
        mirrored: (N,) whether the picture was flipped left to right.
        shape: (R, D).
        lattice, picture_size, model, model_hash: what `DenoiserSizes` says of them.

    Raises:
        UserError: a folder that is none, or is not complete; tokens without places, or lattices smaller than parts.
    """

    def __init__(self, path: str | Path, split: Split = "train", config: LatentsConfig = LatentsConfig()):
        self.path, self.config, self.skipped = Path(path), config, SkippedFiles()
        description = describe(self.path, split)
        self.classes, self.lattice = tuple(description["classes"]), tuple(description["lattice"])
        self.shape = description["tokens"], description["latent_dim"]
        self.picture_size = tuple(description["picture_size"])
        self.model, self.model_hash = description["model"], description["model_hash"]
        if config.lattice and not self.lattice:
            raise UserError(f"{path} has latents of a set: tokens of {self.model} have no places; train a denoiser of "
                            "sets (ldm-cutouts-32), or encode with an anchored model")
        if config.part > min(self.lattice, default=config.part):
            rows, columns = self.lattice
            raise UserError(f"{path} has lattices of {rows} x {columns} cells, and data.part is {config.part}; give at "
                            f"most {min(rows, columns)}, or encode larger pictures (--size)")
        statistics = read_tensors(self.path / STATISTICS)
        mean, deviation = statistics["mean"], statistics["deviation"]
        if config.lattice:  # every token counts equally, so the moments of all are the means of their moments
            deviation = (deviation**2 + (mean - mean.mean(0)) ** 2).mean(0).sqrt()
            mean = mean.mean(0)
        self.mean, self.deviation = mean.float(), torch.where(deviation > 0, deviation, 1.0).float()
        self._shards: list[Tensor] = []
        labels, mirrored, names = [], [], []
        for number in range(description["splits"][split]["shards"]):
            with open_shard(shard_path(self.path, split, number)) as file:
                self._shards.append(file.get_tensor("latents"))  # a view of the mapped file, not read yet
                labels.append(file.get_tensor("labels").clone())
                mirrored.append(file.get_tensor("mirrored").clone())
                names += read_note(file)["names"]
        if any(part.shape[1:] != self.shape for part in (*self._shards, statistics["mean"][None])):
            raise UserError(f"{shown(path)} holds latents of other shapes than {self.shape}, which {DESCRIPTION} says")
        self._starts = list(accumulate(map(len, self._shards), initial=0))
        self._entries = (config.mirrored | ~torch.cat(mirrored)).nonzero().flatten()  # places in all shards together
        self.labels: Int[Tensor, " n"] = torch.cat(labels)[self._entries]
        self.mirrored: Tensor = torch.cat(mirrored)[self._entries]
        self.names = [names[place] for place in self._entries.tolist()]

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Float[Tensor, "r d"]:
        """Tokens of one entry, float32, flat."""
        if not 0 <= index < len(self):
            raise IndexError(f"entry {index} of {len(self)}")
        place = int(self._entries[index])
        shard = bisect_right(self._starts, place) - 1
        return self._shards[shard][place - self._starts[shard]].float()

    def tokens(self, index: int) -> Float[Tensor, "*r d"]:
        """One entry, standardised, in the shape of its lattice if tokens keep their places."""
        tokens = self.standardize(self[index])
        return tokens.unflatten(0, self.lattice) if self.config.lattice else tokens

    def origin(self) -> Origin:
        """Fields of a denoiser's configuration. Samples have the shape of what it is trained on."""
        lattice, picture_size, part = self.lattice, self.picture_size, self.config.part
        if part:
            side = part * (picture_size[0] // lattice[0])
            lattice, picture_size = (part, part), (side, side)
        return {"class_names": self.classes, "lattice": lattice, "picture_size": picture_size,
                "field_model": self.model, "field_hash": self.model_hash}

    def sample(self, seed: int, step: int, slot: int) -> dict[str, Tensor]:
        """What is trained on at `step` in place `slot`: a pure function of its arguments and of the folder.

        `clean` and `noise` are of one shape, standardised latents and a draw from the normal distribution; `time` and
        `drop` draws in [0, 1), which the objective turns into a time and into whether the `label` is dropped.
        """
        draws = Draws(seed, step, slot)
        return self.entry(draws.below(len(self)), draws.below(FINE) / FINE, draws)

    def entry(self, index: int, time: float, draws: Draws) -> dict[str, Tensor]:
        """One entry, or a square of `part` x `part` cells anywhere in it, at a time in [0, 1)."""
        generator = torch.Generator().manual_seed(draws.below(2**63))
        drop, clean, part = draws.below(FINE) / FINE, self.tokens(index), self.config.part
        if part:
            top, left = (draws.below(count - part + 1) for count in clean.shape[:2])
            clean = clean[top : top + part, left : left + part]
        return {"clean": clean, "noise": torch.randn(clean.shape, generator=generator), "time": torch.tensor(time),
                "drop": torch.tensor(drop), "label": self.labels[index].clone()}

    def held_out(self, count: int) -> Iterator[dict[str, Tensor]]:
        """The first `count` entries, always with the same noise, their times evenly spread over [0, 1)."""
        count = min(count, len(self))
        for place in range(count):
            yield self.entry(place, (place + 0.5) / count, Draws(0, place))


def describe(path: Path, split: Split) -> Record:
    """What `latents.json` says. Raises UserError for a folder that is none, is not complete, or has no such split."""
    if not (path / DESCRIPTION).is_file():
        raise UserError(f"{path} has no {DESCRIPTION}: no folder of latents, or one that is not complete; "
                        f"tokenfield latents MODEL DATA -o {path} makes or completes it")
    description = read_json(path / DESCRIPTION)
    if not isinstance(description, dict):
        raise UserError(f"{path / DESCRIPTION} describes no latents; encode the pictures again")
    if description.get("format") != FORMAT:
        raise UserError(f"{path} has latents of format {description.get('format')}, this program reads {FORMAT}; "
                        "encode the pictures again")
    if split not in description["splits"]:
        raise UserError(f"{path} has no {split} latents, only {', '.join(description['splits'])}; give a data set "
                        "with held-out pictures to tokenfield latents, or train with --evaluate-every 0")
    return description


def open_shard(path: Path) -> AbstractContextManager[TensorFile]:
    """A shard, to be mapped. Raises UserError for one that is missing, damaged or cut short."""
    return tensor_file(path, "latents", "; remove it and run tokenfield latents again")


def read_note(shard: TensorFile) -> Record:
    """What an open shard says beside its tensors: `identity`, `names`, `skipped`. Raises UserError for another file."""
    try:
        note = parse_json((shard.metadata() or {}).get("shard", "{}"), SHARD)
    except DamagedJson as error:
        raise UserError(f"the note of a shard of latents is damaged ({error})") from error
    return note if isinstance(note, dict) else {}

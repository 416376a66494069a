"""A data set as latent tokens on disk: encoded once, trained on many times.

    FOLDER/
        latents.json                    what was encoded and how; written last, so a folder with it is complete
        statistics.safetensors          mean, deviation: (R, D) float64, of the training split
        train/shard-00000.safetensors   latents (N, R, D), labels (N,), and their own moments
        test/shard-00000.safetensors    the held-out split, standardised by the training split's statistics

Shards are mapped into memory and read page by page, so a data set may be larger than memory. Tokens that have places
(a lattice of rows x columns) are stored flat, row-major, R = rows x columns; `lattice` gives the shape back.
"""

import json
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from tokenfield.data.draws import Draws
from tokenfield.data.skipped import SkippedFiles
from tokenfield.data.sources import Split
from tokenfield.errors import UserError
from tokenfield.generation.denoiser import Origin
from tokenfield.io.record import Record

DESCRIPTION, STATISTICS = "latents.json", "statistics.safetensors"
FORMAT = 1
"""Version of the layout above."""
FINE = 2**24
"""Draws in [0, 1) are multiples of 1 / FINE, which float32 holds exactly: none is rounded up to 1."""


def shard_path(folder: Path, split: str, number: int) -> Path:
    """Where shard `number` of a split lies."""
    return folder / split / f"shard-{number:05d}.safetensors"


class LatentFolder:
    """The latents of one split, as an indexable collection.

        folder = LatentFolder.open("latents")
        tokens, label = folder[0], folder.labels[0]       # (R, D), as the field model made them
        x = folder.standardize(tokens)

    Attributes:
        mean, deviation: (R, D) float32, of the training split; no deviation is 0 (an entry that never changes has 1).
        channel_mean, channel_deviation: (D,) the same of every channel, over all tokens.
        labels: (N,) class of every entry, an index into `classes`; `len(classes)` where an entry has none.
        names: the picture behind every entry, its path below the data set's folder.
        mirrored: (N,) whether the picture was flipped left to right.
        lattice: shape of the tokens' lattice, () for a set.
        picture_size: (H, W) of the encoded pictures.
        model, model_hash: the field model, as the user named it, and its identity.
    """

    def __init__(self, path: Path, split: Split, described: Record):
        self.path = path
        self.classes = tuple(described["classes"])
        self.lattice, self.picture_size = tuple(described["lattice"]), tuple(described["picture_size"])
        self.model, self.model_hash = described["model"], described["model_hash"]
        statistics = load_file(path / STATISTICS)
        mean, deviation = statistics["mean"], statistics["deviation"]
        self.mean, self.deviation = mean.float(), _above_zero(deviation)
        # Every token has been seen equally often, so the moments of all together are the means of their moments.
        self.channel_mean = mean.mean(0).float()
        self.channel_deviation = _above_zero((deviation**2 + (mean - mean.mean(0)) ** 2).mean(0).sqrt())
        self._shards: list[Tensor] = []
        labels, self.names, mirrored = [], [], []
        for number in range(described["splits"][split]["shards"]):
            with open_shard(shard_path(path, split, number)) as file:
                self._shards.append(file.get_tensor("latents"))  # a view of the mapped file, not read yet
                labels.append(file.get_tensor("labels").clone())
                mirrored.append(file.get_tensor("mirrored").clone())
                self.names += read_note(file)["names"]
        self.labels: Int[Tensor, " n"] = torch.cat(labels)
        self.mirrored: Tensor = torch.cat(mirrored)
        self._ends = list(accumulate(len(shard) for shard in self._shards))

    @classmethod
    def open(cls, path: str | Path, split: Split = "train") -> "LatentFolder":
        """The latents of a split. Raises UserError for a folder that is none, or is not complete."""
        path = Path(path)
        if not (path / DESCRIPTION).is_file():
            raise UserError(f"{path} has no {DESCRIPTION}: no folder of latents, or one that is not complete; "
                            f"tokenfield latents MODEL DATA -o {path} makes or completes it")
        try:
            described = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path / DESCRIPTION} cannot be read ({error}); encode the pictures again") from error
        if described.get("format") != FORMAT:
            raise UserError(f"{path} has latents of format {described.get('format')}, this program reads {FORMAT}; "
                            "encode the pictures again")
        if split not in described["splits"]:
            raise UserError(f"{path} has no {split} latents, only {', '.join(described['splits'])}; give a data set "
                            "with held-out pictures to tokenfield latents, or train with --evaluate-every 0")
        return cls(path, split, described)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Float[Tensor, "r d"]:
        """Tokens of one entry, float32, flat."""
        if not 0 <= index < len(self):
            raise IndexError(f"entry {index} of {len(self)}")
        shard = bisect_right(self._ends, index)
        start = self._ends[shard - 1] if shard else 0
        return self._shards[shard][index - start].float()

    def standardize(self, tokens: Float[Tensor, "*b r d"]) -> Float[Tensor, "*b r d"]:
        """Mean 0 and deviation 1 over the training split, for every channel of every token (A.3)."""
        return (tokens - self.mean) / self.deviation

    def restore(self, tokens: Float[Tensor, "*b r d"]) -> Float[Tensor, "*b r d"]:
        """The inverse of `standardize`."""
        return tokens * self.deviation + self.mean

    def origin(self) -> Origin:
        """Fields of a denoiser's configuration."""
        return {"class_names": self.classes, "lattice": self.lattice, "picture_size": self.picture_size,
                "field_model": self.model, "field_hash": self.model_hash}


def _above_zero(deviation: Tensor) -> Tensor:
    """float32, with 1 where nothing ever changes."""
    return torch.where(deviation > 0, deviation, 1.0).float()


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

    def open(self, root: str | Path, split: Split) -> "LatentSource":
        """The latents of one split."""
        return LatentSource(LatentFolder.open(root, split), self, mirrored=self.mirrored and split == "train")


class LatentSource:
    """Standardised latents with the noise, the time and the label that a training step mixes them with.

    Raises:
        UserError: tokens without places, or lattices smaller than their parts.

    Attributes:
        mean, deviation: what they are standardised with.
        on_lattice: whether they are (rows, columns, D) and not (R, D).
    """

    def __init__(self, folder: LatentFolder, config: LatentsConfig, *, mirrored: bool):
        self.folder, self.skipped, self.on_lattice, self.part = folder, SkippedFiles(), config.lattice, config.part
        self.mean, self.deviation = folder.mean, folder.deviation
        self.indices = [i for i in range(len(folder)) if mirrored or not folder.mirrored[i]]
        if config.lattice:
            self.mean, self.deviation = folder.channel_mean, folder.channel_deviation
            if not folder.lattice:
                raise UserError(f"{folder.path} has latents of a set: tokens of {folder.model} have no places; train a "
                                "denoiser of sets (ldm-cutouts-32), or encode with an anchored model")
            rows, columns = folder.lattice
            if self.part > min(rows, columns):
                raise UserError(f"{folder.path} has lattices of {rows} x {columns} cells, and data.part is {self.part};"
                                f" give at most {min(rows, columns)}, or encode larger pictures (--size)")

    def __len__(self) -> int:
        return len(self.indices)

    def sample(self, seed: int, step: int, slot: int) -> dict[str, Tensor]:
        """What is trained on at `step` in place `slot`: a pure function of its arguments and of the folder.

        Returns:
            clean, noise: of one shape, standardised latents and a draw from the normal distribution; time, drop: draws
            in [0, 1), which the objective turns into a time and into whether the label is dropped; label.
        """
        draws = Draws(seed, step, slot)
        return self.entry(self.indices[draws.below(len(self))], draws.below(FINE) / FINE, draws)

    def entry(self, index: int, time: float, draws: Draws) -> dict[str, Tensor]:
        """One entry of the folder, or a square of `part` x `part` cells anywhere in it, at a time in [0, 1)."""
        generator = torch.Generator().manual_seed(draws.below(2**63))
        drop = draws.below(FINE) / FINE
        clean = self.tokens(index)
        if self.part:
            top, left = (draws.below(count - self.part + 1) for count in clean.shape[:2])
            clean = clean[top : top + self.part, left : left + self.part]
        return {
            "clean": clean,
            "noise": torch.randn(clean.shape, generator=generator),
            "time": torch.tensor(time),
            "drop": torch.tensor(drop),
            "label": self.folder.labels[index].clone(),
        }

    def tokens(self, index: int) -> Float[Tensor, "*r d"]:
        """One entry of the folder, standardised: of a lattice by channel, of a set by token and channel."""
        tokens = (self.folder[index] - self.mean) / self.deviation
        return tokens.unflatten(0, self.folder.lattice) if self.on_lattice else tokens

    def origin(self) -> Origin:
        """Fields of a denoiser's configuration. Samples have the shape of what was trained on."""
        whole = self.folder.origin()
        if not self.part:
            return whole
        side = self.part * (self.folder.picture_size[0] // self.folder.lattice[0])
        return {**whole, "lattice": (self.part, self.part), "picture_size": (side, side)}

    def pictures(self) -> Iterator[tuple[str, Tensor]]:
        """Names and standardised latents of all entries, in order: every source can be walked through."""
        for index in self.indices:
            yield self.folder.names[index], self.tokens(index)

    def held_out(self, rank: int, count: int, world: int) -> Iterator[dict[str, Tensor]]:
        """The first `count` entries, always with the same noise, their times evenly spread over [0, 1).

        Only every `world`-th of them, beginning with number `rank`.
        """
        count = min(count, len(self))
        for place in range(rank, count, world):
            yield self.entry(self.indices[place], (place + 0.5) / count, Draws(0, place))


def open_shard(path: Path) -> safe_open:
    """A shard, ready to map. Raises UserError for one that is missing, damaged or cut short."""
    try:
        return safe_open(path, "pt")
    except (SafetensorError, OSError) as error:
        detail = str(error).splitlines()[0]
        raise UserError(f"{path} cannot be read ({detail}); remove it and run tokenfield latents again") from error


def read_note(shard: safe_open) -> Record:
    """What an open shard says beside its tensors: `identity`, `names`, `skipped`; {} of another file."""
    return json.loads((shard.metadata() or {}).get("shard", "{}"))

"""`tokenfield film`: films as tokens, and fields as films of any rate and size, or one frame of any time."""

import dataclasses
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json, Out
from tokenfield.cli.decode import Size, open_field
from tokenfield.cli.options import Device, load_model
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown
from tokenfield.io.outputs import plan_file
from tokenfield.io.record import Record
from tokenfield.signals.commands import EncodeSignals, EvaluateSignals, recipe_data

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from tokenfield.fields.field import Field
    from tokenfield.film.clips import Film
    from tokenfield.film.data import FilmSource
    from tokenfield.film.models import FilmModel

BAND = 1 << 24
"""Values of the frames that are rendered at once."""


@dataclass(kw_only=True)
class Encode(EncodeSignals["FilmModel"]):
    """Turn films into tokens: a film becomes a .field file, a folder of films a folder of .field files."""

    command = "film"

    input: tyro.conf.Positional[Path]
    """A film, a folder with its frames as pictures, or a folder of films, whose structure is kept."""
    rate: Annotated[float | None, tyro.conf.arg(metavar="FPS")] = None
    """Frames per second of what does not say, folders of frames; default: 25. Films keep their own."""

    def find(self) -> list[Path]:
        from tokenfield.film.clips import RATES
        from tokenfield.film.files import find_films

        if self.rate is not None and not RATES[0] <= self.rate <= RATES[1]:
            raise UserError(f"--rate {self.rate:g}: give {RATES[0]:g} to {RATES[1]:g} frames a second")
        return find_films(self.input)

    def load(self) -> "FilmModel":
        return load_film_model(self.model, self.device)

    def encoded(self, model: "FilmModel", path: Path, bar: console.Bar) -> "tuple[Field, Tensor]":
        from tokenfield.film.clips import encode_film
        from tokenfield.film.files import read_film
        from tokenfield.signals.windows import as_float

        film, rate = read_film(path, model.channels)
        samples = as_float(film)
        return encode_film(model, samples, self.rate if self.rate and path.is_dir() else rate, bar.piece), samples

    def facts(self, field: "Field", samples: "Tensor") -> Record:
        from tokenfield.film.clips import film_of
        from tokenfield.metrics import decibels
        from tokenfield.signals.objective import error_of

        domain = film_of(field)
        frames, height, width = domain.size
        return {"frames": frames, "height": height, "width": width, "rate": domain.rate,
                "values_per_pixel_value": field.values_stored / samples.numel(),
                "psnr": decibels(error_of(field, samples))}

    def line(self, item: Record) -> str:
        return (f"{shown(item['file'])}: {item['frames']} frames of {item['width']} x {item['height']} -> "
                f"{shown(item['field'])} ({console.counted(item['tokens'], 'token')}, {item['values_stored']} values, "
                f"{item['values_per_pixel_value']:.3f} per value of a pixel); PSNR {item['psnr']:.2f} dB")


@dataclass(kw_only=True)
class Decode:
    """Turn tokens into a film of any rate and size, or into the picture of one moment."""

    input: tyro.conf.Positional[Path]
    """A .field file that `film encode` wrote."""
    output: Out = None
    """The film, ending in .webp, .gif or, where ffmpeg is, .mp4; a moment in .png. Default: beside the field, .webp."""
    rate: Annotated[float | None, tyro.conf.arg(metavar="FPS")] = None
    """Frames per second of the same seconds, more of them or fewer; default: those that were encoded."""
    slow: float = 1.0
    """Show it so many times slower: with --rate 4 times the film's and --slow 4, slow motion that jumps no more."""
    size: tyro.conf.OmitArgPrefixes[Size] = dataclasses.field(default_factory=Size)
    at: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None
    """One picture, of this moment, between frames too."""
    model: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None
    """Where its model is, if not where the file says."""
    device: Device = "auto"
    json: Json = None

    def run(self) -> int:
        """Decode and write."""
        from tokenfield.film.clips import film_of
        from tokenfield.film.files import WRITTEN, write_film

        self.size.check()
        override = None if self.model is None else load_film_model(self.model, self.device)
        field = open_field(self.input, override, {}, self.device)
        domain = film_of(field)
        rate = domain.rate if self.rate is None else self.rate
        self._check(domain, rate)
        target = plan_file(self.input, self.output, [".webp", *WRITTEN] if self.at is None else [".png", ".webp"])
        frames = self._moment(field, domain) if self.at is not None else self._film(field, domain, rate)
        write_film(target, frames, rate / self.slow)
        width, height = frames[0].size
        counted = console.counted(len(frames), "frame")
        console.say(f"{shown(self.input)} -> {shown(target)}: {counted} of {width} x {height}")
        console.write_json(self.json, "film decode", {
            "field": str(self.input), "file": str(target), "frames": len(frames), "height": height, "width": width,
            "rate": rate / self.slow})
        return console.OK

    def _check(self, domain: "Film", rate: float) -> None:
        """Raises UserError for options that mean nothing for this film."""
        from tokenfield.film.clips import RATES

        for option, value in {"--rate": rate, "--slow": rate / self.slow if self.slow > 0 else -1.0}.items():
            if not RATES[0] <= value <= RATES[1]:
                raise UserError(f"{option}: {value:g} frames a second; give {RATES[0]:g} to {RATES[1]:g}, and --slow "
                                "above 0")
        if self.at is not None and not 0 <= self.at <= domain.seconds:
            raise UserError(f"--at {self.at:g}: this film takes {domain.seconds:g} s; give 0 to that")

    def _moment(self, field: "Field", domain: "Film") -> "list[Image]":
        """The picture of a moment."""
        import torch

        from tokenfield.coords import Grid, centers
        from tokenfield.data.pictures import to_pil

        time = torch.tensor([2 * float(self.at or 0) / domain.seconds - 1], dtype=torch.float64)
        top, left, bottom, right = self.size.box(domain.size[1:])
        height, width = self.size.pixels(domain.size[1:])
        sides = centers(height, top, bottom, dtype=torch.float64), centers(width, left, right, dtype=torch.float64)
        with torch.no_grad():
            (frame,) = field.domain.on_grid(field.model, field.tokens, Grid((time, *sides))).unbind(1)
        return [to_pil(frame)]

    def _film(self, field: "Field", domain: "Film", rate: float) -> "list[Image]":
        """All frames, some at a time."""
        from tokenfield.data.pictures import to_pil
        from tokenfield.fields.rendering import check_memory

        count, (height, width) = max(1, round(domain.seconds * rate)), self.size.pixels(domain.size[1:])
        top, left, bottom, right = self.size.box(domain.size[1:])
        check_memory(field, (count, height, width))
        at_once = max(1, BAND // (height * width * field.model.channels))
        frames: list[Image] = []
        with console.progress("decoding", 1) as bar:
            for start in range(0, count, at_once):
                end = min(count, start + at_once)
                box = (2 * start / count - 1, top, left, 2 * end / count - 1, bottom, right)
                frames += map(to_pil, field.crop(box, (end - start, height, width)).unbind(1))
                bar.piece(end, count)
        return frames


@dataclass(kw_only=True)
class Evaluate(EvaluateSignals["FilmModel"]):
    """Measure a model on films: the PSNR of each, over all its frames."""

    command, things = "film", "films"
    columns = {"frames": ("frames", ".0f"), "values_per_pixel_value": ("values per value of a pixel", ".3f"),  # noqa: RUF012
               "psnr": ("PSNR dB", ".2f")}

    data: Path
    """A folder of films, or of folders of frames."""

    def load(self) -> "FilmModel":
        return load_film_model(self.model, self.device)

    def source(self, model: "FilmModel") -> "FilmSource":
        from tokenfield.film.data import FilmConfig, FilmSource
        from tokenfield.film.files import find_films

        stored, own = recipe_data(self.model), model.config
        config = replace(stored if isinstance(stored, FilmConfig) else FilmConfig(), frames=own.frames, size=own.size,
                         channels=own.channels)
        return config.open(self.data, "test") if self.split == "test" else FilmSource(config, find_films(self.data))

    def measured(self, model: "FilmModel", samples: "Tensor") -> Record | str:
        from tokenfield.film.clips import encode_film
        from tokenfield.film.files import RATE
        from tokenfield.metrics import decibels
        from tokenfield.signals.objective import error_of

        field = encode_film(model, samples, RATE)
        return {"frames": samples.shape[1], "values_per_pixel_value": field.values_stored / samples.numel(),
                "psnr": decibels(error_of(field, samples))}


def load_film_model(name: str, device: str) -> "FilmModel":
    """A model of films. Raises UserError for another kind."""
    from tokenfield.film.models import film_model

    return film_model(load_model(name, device))


Action = Encode | Decode | Evaluate


def film(action: Annotated[Action, tyro.conf.arg(name=""), tyro.conf.OmitSubcommandPrefixes]) -> int:
    """Films: encode them, decode them at any rate and size, slower, or at one moment, evaluate.

    Reads folders of frames, animated GIF and WebP, and where ffmpeg is installed MP4 and what else that reads. Train a
    model with tokenfield train lainr-film --data FOLDER (or ipc-film, trans-inr-film). Each action has --help, and
    --json PATH for machines.

    Args:
        action: what to do.
    """
    return action.run()

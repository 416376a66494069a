"""`tokenfield sound`: recordings as tokens, and fields as recordings at any rate."""

import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Int, Json, Out, Table
from tokenfield.cli.encode import plan
from tokenfield.cli.options import WHICH, Device, check_at_least, load_model
from tokenfield.errors import UserError
from tokenfield.io.atomic import BadName, shown
from tokenfield.io.outputs import plan_file
from tokenfield.io.record import Record

if TYPE_CHECKING:
    from tokenfield.sound.data import SoundSource
    from tokenfield.sound.models import SoundModel

ModelName = Annotated[str, tyro.conf.arg(metavar="MODEL", help=WHICH)]


@dataclass(kw_only=True)
class Encode:
    """Turn recordings into tokens: a recording becomes a .field file, a folder of them a folder of .field files."""

    input: tyro.conf.Positional[Path]
    """A recording, or a folder; sub-folders are searched and their structure is kept."""
    model: ModelName
    output: Out = None
    """The .field file, or the folder for them. Default for a recording: beside it, ending in .field."""
    half: bool = False
    """Store tokens as 16-bit numbers: half the file."""
    overwrite: bool = False
    """Replace what lies in the output folder already."""
    device: Device = "auto"
    json: Json = None

    def run(self) -> int:
        """Encode, save, measure what was saved."""
        from tokenfield.data.pictures import PictureError, SkippedFiles
        from tokenfield.sound.files import find_recordings

        files = find_recordings(self.input)
        targets = plan(self.input, files, self.output, [".field"], overwrite=self.overwrite)
        model, skipped = load_sound_model(self.model, self.device), SkippedFiles()
        items: list[Record] = []
        with console.progress("encoding", len(files)) as bar:
            for i, (path, target) in enumerate(zip(files, targets, strict=True)):
                bar.file(i, path.name)
                try:
                    items.append(self._encode(model, path, target, bar))
                except (PictureError, BadName) as error:
                    if not self.input.is_dir():
                        raise
                    skipped.add(path, error.reason if isinstance(error, PictureError) else str(error))
                    continue
                console.say(line(items[-1]))
        console.write_json(self.json, "sound encode", {"items": items, "skipped": skipped.as_json()})
        return console.finish(skipped, len(items) + len(skipped))

    def _encode(self, model: "SoundModel", path: Path, target: Path, bar: console.Bar) -> Record:
        """Encode one recording, write its file, and return what is printed about it."""
        import torch

        from tokenfield.fields.field import Field
        from tokenfield.sound.files import read_recording
        from tokenfield.sound.objective import score
        from tokenfield.sound.recording import encode_recording

        samples = read_recording(path, model.config.rate)
        encode_recording(model, samples, bar.piece).save(target, dtype=torch.float16 if self.half else torch.float32)
        field = Field.load(target, model)
        return {"file": str(path), "field": str(target), "seconds": len(samples) / model.config.rate,
                "rate": model.config.rate, "tokens": field.tokens[..., 0].numel(), "values_stored": field.values_stored,
                "values_per_sample": field.values_stored / len(samples), "bytes_before": path.stat().st_size,
                "bytes": target.stat().st_size, **score(field, samples)}


def line(item: Record) -> str:
    """The line that a person reads."""
    snr = f"SNR {item['snr']:.2f} dB, " if "snr" in item else "silence, "
    return (f"{shown(item['file'])}: {item['seconds']:.2f} s at {item['rate']} Hz -> {shown(item['field'])} "
            f"({item['tokens']} tokens, {item['values_stored']} values, {item['values_per_sample']:.3f} per sample); "
            f"{snr}PSNR {item['psnr']:.2f} dB")


@dataclass(kw_only=True)
class Decode:
    """Turn tokens into a recording, a WAV file of 16 bits at any rate."""

    input: tyro.conf.Positional[Path]
    """A .field file that `sound encode` wrote."""
    output: Out = None
    """The WAV file. Default: beside the field, ending in .wav."""
    rate: Annotated[int | None, tyro.conf.arg(metavar="HZ")] = None
    """Samples per second; default: those that were encoded. A sample of a lower rate is the mean over its time."""
    model: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None
    """Where its model is, if not where the file says."""
    device: Device = "auto"
    json: Json = None

    def run(self) -> int:
        """Decode and write."""
        from tokenfield.cli.decode import open_field
        from tokenfield.sound.files import RATES, write_wav
        from tokenfield.sound.recording import recording_of

        if self.rate is not None and not RATES[0] <= self.rate <= RATES[1]:
            raise UserError(f"--rate {self.rate}: give {RATES[0]} to {RATES[1]} samples a second")
        override = None if self.model is None else load_sound_model(self.model, self.device)
        field = open_field(self.input, override, {}, self.device)
        domain = recording_of(field)
        rate, target = self.rate or domain.rate, plan_file(self.input, self.output, [".wav"])
        samples = field.render(max(1, round(domain.size[0] * rate / domain.rate)))[0].float().cpu()
        write_wav(target, samples, rate)
        console.say(f"{shown(self.input)} -> {shown(target)}: {domain.seconds:.2f} s at {rate} Hz")
        console.write_json(self.json, "sound decode", {"field": str(self.input), "file": str(target), "rate": rate,
                                                       "samples": len(samples)})
        return console.OK


@dataclass(kw_only=True)
class Evaluate:
    """Measure a model on recordings: SNR and PSNR of each, whole and at the model's rate."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL", help=WHICH)]
    data: Path
    """A folder of recordings."""
    split: Literal["test", "all"] = "test"
    """test: what training on this folder holds out; all: every recording."""
    count: Int = None
    """At most so many recordings, spread evenly."""
    device: Device = "auto"
    table: Table = None
    json: Json = None

    def run(self) -> int:
        """Measure, print a row per recording and the means."""
        from tokenfield.sound.objective import score
        from tokenfield.sound.recording import encode_recording

        check_at_least(1, count=self.count)
        model = load_sound_model(self.model, self.device)
        source = self._source(model)
        items: list[Record] = []
        with console.progress("evaluating", len(source)) as bar:
            for i, (path, samples) in enumerate(source.recordings()):
                bar.file(i, path.name)
                field = encode_recording(model, samples)
                quality = score(field, samples)
                if "snr" not in quality:
                    source.skipped.add(path, "is silent, so it has no SNR")
                    continue
                items.append({"file": str(path), "seconds": len(samples) / model.config.rate,
                              "values_per_sample": field.values_stored / len(samples), **quality})
        if not items:
            raise UserError(f"{self.data}: no recording to measure; {source.skipped.summary() or 'the split is empty'}")
        means = {key: statistics.fmean(item[key] for item in items)
                 for key in ("seconds", "values_per_sample", "snr", "psnr")}
        rows = [[Path(item["file"]).name, *cells(item)] for item in items]
        heading = ["recording", "seconds", "values per sample", "SNR dB", "PSNR dB"]
        console.show_table([heading, *rows, [f"mean of {len(items)}", *cells(means)]], self.table)
        console.write_json(self.json, "sound evaluate", {
            "recordings": len(items), **means, "split": self.split, "rate": model.config.rate, "scores": items,
            "skipped": source.skipped.as_json()})
        return console.finish(source.skipped, len(items) + len(source.skipped))

    def _source(self, model: "SoundModel") -> "SoundSource":
        """The recordings to measure on, split as the run's own recipe says."""
        from tokenfield.sound.data import SoundConfig, SoundSource
        from tokenfield.sound.files import find_recordings
        from tokenfield.training.recipe import read

        recipe = Path(self.model) / "recipe.json"
        stored = read(recipe).data if recipe.exists() else None
        config = replace(stored if isinstance(stored, SoundConfig) else SoundConfig(), rate=model.config.rate,
                         length=model.config.length)
        source = (config.open(self.data, "test") if self.split == "test"
                  else SoundSource(config, find_recordings(self.data)))
        total = len(source)
        source.paths = [source.paths[i * total // n] for n in [min(self.count or total, total)] for i in range(n)]
        return source


def cells(item: Record) -> list[str]:
    """Numbers of a row."""
    return [f"{item['seconds']:.2f}", f"{item['values_per_sample']:.3f}", f"{item['snr']:.2f}", f"{item['psnr']:.2f}"]


def load_sound_model(name: str, device: str) -> "SoundModel":
    """A model of recordings. Raises UserError for another kind."""
    from tokenfield.sound.models import sound_model

    return sound_model(load_model(name, device))


Action = Encode | Decode | Evaluate


def sound(action: Annotated[Action, tyro.conf.arg(name=""), tyro.conf.OmitSubcommandPrefixes]) -> int:
    """Recordings: encode them, decode them at any rate, evaluate.

    Reads WAV, and with the extra `sound` FLAC, Ogg, MP3 and AIFF; several channels are mixed down to one. Train a model
    with tokenfield train lainr-speech --data FOLDER (or ipc-speech, trans-inr-speech). Each action has --help, and
    --json PATH for machines.

    Args:
        action: what to do.
    """
    return action.run()

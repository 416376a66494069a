"""`tokenfield sound`: recordings as tokens, and fields as recordings at any rate."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json, Out
from tokenfield.cli.options import Device, load_model
from tokenfield.errors import UserError
from tokenfield.io.atomic import shown
from tokenfield.io.outputs import plan_file
from tokenfield.io.record import Record
from tokenfield.signals.commands import EncodeSignals, EvaluateSignals, recipe_data

if TYPE_CHECKING:
    from torch import Tensor

    from tokenfield.fields.field import Field
    from tokenfield.sound.data import SoundSource
    from tokenfield.sound.models import SoundModel


@dataclass(kw_only=True)
class Encode(EncodeSignals["SoundModel"]):
    """Turn recordings into tokens: a recording becomes a .field file, a folder of them a folder of .field files."""

    command = "sound"

    input: tyro.conf.Positional[Path]
    """A recording, or a folder; sub-folders are searched and their structure is kept."""

    def find(self) -> list[Path]:
        from tokenfield.sound.files import find_recordings

        return find_recordings(self.input)

    def load(self) -> "SoundModel":
        return load_sound_model(self.model, self.device)

    def encoded(self, model: "SoundModel", path: Path, bar: console.Bar) -> "tuple[Field, Tensor]":
        from tokenfield.sound.files import read_recording
        from tokenfield.sound.recording import encode_recording

        samples = read_recording(path, model.config.rate)
        return encode_recording(model, samples, bar.piece), samples[None]

    def facts(self, field: "Field", samples: "Tensor") -> Record:
        from tokenfield.sound.objective import score
        from tokenfield.sound.recording import recording_of

        domain = recording_of(field)
        return {"seconds": domain.seconds, "rate": domain.rate, **score(field, samples[0])}

    def line(self, item: Record) -> str:
        snr = f"SNR {item['snr']:.2f} dB, " if "snr" in item else "silence, "
        return (f"{shown(item['file'])}: {item['seconds']:.2f} s at {item['rate']} Hz -> {shown(item['field'])} "
                f"({console.counted(item['tokens'], 'token')}, {item['values_stored']} values, "
                f"{item['values_per_sample']:.3f} per sample); {snr}PSNR {item['psnr']:.2f} dB")


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
class Evaluate(EvaluateSignals["SoundModel"]):
    """Measure a model on recordings: SNR and PSNR of each, whole and at the model's rate."""

    command, things = "sound", "recordings"
    columns = {"seconds": ("seconds", ".2f"), "values_per_sample": ("values per sample", ".3f"),  # noqa: RUF012
               "snr": ("SNR dB", ".2f"), "psnr": ("PSNR dB", ".2f")}

    data: Path
    """A folder of recordings."""

    def load(self) -> "SoundModel":
        return load_sound_model(self.model, self.device)

    def source(self, model: "SoundModel") -> "SoundSource":
        from tokenfield.sound.data import SoundConfig, SoundSource
        from tokenfield.sound.files import find_recordings

        stored = recipe_data(self.model)
        config = replace(stored if isinstance(stored, SoundConfig) else SoundConfig(), rate=model.config.rate,
                         length=model.config.length)
        return (config.open(self.data, "test") if self.split == "test"
                else SoundSource(config, find_recordings(self.data)))

    def measured(self, model: "SoundModel", samples: "Tensor") -> Record | str:
        from tokenfield.sound.objective import score
        from tokenfield.sound.recording import encode_recording

        field = encode_recording(model, samples[0])
        quality = score(field, samples[0])
        if "snr" not in quality:
            return "is silent, so it has no SNR"
        count = samples.shape[1]
        return {"seconds": count / model.config.rate, "values_per_sample": field.values_stored / count, **quality}

    def said(self, model: "SoundModel") -> Record:
        return {"rate": model.config.rate}


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

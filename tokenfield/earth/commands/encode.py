"""`tokenfield climate encode`: files of the Earth become `.field` files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json
from tokenfield.cli.options import Device
from tokenfield.earth.commands.options import Names, load_earth_model, open_fields


@dataclass
class Encode:
    """Turn every time step and level of a file into a .field file, and print its errors."""

    input: tyro.conf.Positional[Path]
    """A netCDF or NPY file, a Zarr folder, or a folder of these."""
    model: Annotated[str, tyro.conf.arg(metavar="MODEL")]
    """A folder that holds one of the gridded models, or a training run."""
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")]
    """Where the .field files go, named after file, variable, time and level."""
    variables: Names = ()
    """Which variables; default: those of the model, or all."""
    units: Names = ()
    """Units to convert those variables to, one each; default: those of the model."""
    half: bool = False
    """Store tokens as 16-bit numbers: half the file."""
    device: Device = "auto"
    json: Json = None

    def run(self) -> int:
        """Encode, save, measure what was saved."""
        import torch

        from tokenfield.earth.globe import encode_field, score
        from tokenfield.fields.field import Field

        model = load_earth_model(self.model, self.device)
        source = open_fields(model, self.input, variables=self.variables, units=self.units, split="all")
        dtype, items = torch.float16 if self.half else torch.float32, []
        self.output.mkdir(parents=True, exist_ok=True)
        with console.progress("encoding", len(source)) as bar:
            for i, sample in enumerate(source.fields()):
                snapshot = sample.snapshot
                bar.file(i, snapshot.name)
                target = self.output / f"{file_name(snapshot.name)}.field"
                encode_field(model, sample).save(target, dtype=dtype)
                field = Field.load(target, model)
                scores, values = score(field, snapshot), field.values_stored + model.own_standards
                cells = int(snapshot.valid.sum())
                items.append({"field": str(target), "name": snapshot.name, "units": snapshot.units,
                              "rmse": scores.rmse, "psnr": scores.psnr, "values_stored": values, "cells": cells,
                              "bytes": target.stat().st_size})
                errors = ", ".join(f"RMSE {error:.3g} {unit}".rstrip()
                                   for error, unit in zip(scores.rmse, snapshot.units, strict=True))
                console.say(f"{snapshot.name} -> {target}: {values} values for {cells} cells, {errors}, "
                            f"{sum(scores.psnr) / len(scores.psnr):.2f} dB")
        console.write_json(self.json, {"command": "climate encode", "items": items,
                                       "skipped": source.skipped.as_json()})
        return console.finish(source.skipped, len(items) + len(source.skipped))


def file_name(name: str) -> str:
    """The name of a snapshot as that of a file."""
    return "".join(letter if letter.isalnum() or letter in ".=-" else "_" for letter in name)

"""`tokenfield climate encode`: files of the Earth become `.field` files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Json
from tokenfield.earth.commands.opening import Names, load_gridded, open_fields


@dataclass
class Encode:
    """Turn every time step and level of a file into a .field file, and print how well it is given back."""

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
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    json: Json = None
    """Also write the results there, for machines."""

    def run(self) -> int:
        """Encode, save, measure what was saved."""
        import torch

        from tokenfield.earth.globe import encode_field, score
        from tokenfield.fields.field import Field

        model = load_gridded(self.model, self.device)
        source = open_fields(model, self.input, variables=self.variables, units=self.units, split="all")
        dtype, items = torch.float16 if self.half else torch.float32, []
        self.output.mkdir(parents=True, exist_ok=True)
        with console.progress("encoding", len(source)) as bar:
            for i, prepared in enumerate(source.fields()):
                bar.file(i, prepared.snapshot.name)
                target = self.output / f"{file_name(prepared.snapshot.name)}.field"
                encode_field(model, prepared).save(target, dtype=dtype)
                made = Field.load(target, model)
                found, units = score(made, prepared.snapshot), prepared.snapshot.units
                items.append({"field": str(target), "name": prepared.snapshot.name, "units": units,
                              "rmse": found.rmse, "psnr": found.psnr,
                              "values_stored": made.values_stored + model.own_standards,
                              "cells": int(prepared.snapshot.seen.sum()), "bytes": target.stat().st_size})
                errors = ", ".join(f"RMSE {e:.3g} {u}".rstrip() for e, u in zip(found.rmse, units, strict=True))
                console.say(f"{prepared.snapshot.name} -> {target}: {items[-1]['values_stored']} values for "
                            f"{items[-1]['cells']} cells, {errors}, {sum(found.psnr) / len(found.psnr):.2f} dB")
        console.write_json(self.json, {"command": "climate encode", "items": items,
                                       "skipped": source.skipped.as_json()})
        return console.finish(source.skipped, len(items) + len(source.skipped))


def file_name(name: str) -> str:
    """The name of a snapshot as that of a file."""
    return "".join(letter if letter.isalnum() or letter in ".=-" else "_" for letter in name)

"""`encode` and `evaluate` of signals that are no pictures: what the commands of recordings and of films share."""

import statistics
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Generic, Literal, TypeVar

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Int, Json, Out, Table
from tokenfield.cli.options import WHICH, Device, check_at_least
from tokenfield.errors import UserError
from tokenfield.io.atomic import BadName
from tokenfield.io.outputs import plan_file, plan_folder
from tokenfield.io.record import Record

if TYPE_CHECKING:
    from torch import Tensor

    from tokenfield.fields.field import Field
    from tokenfield.signals.models import SignalModel
    from tokenfield.signals.windows import Windows

ModelName = Annotated[str, tyro.conf.arg(metavar="MODEL", help=WHICH)]
M = TypeVar("M", bound="SignalModel")


@dataclass(kw_only=True)
class EncodeSignals(ABC, Generic[M]):
    """Turn signals into tokens: one becomes a .field file, a folder of them a folder of .field files."""

    command: ClassVar[str]
    """What the command is called, after tokenfield."""

    input: tyro.conf.Positional[Path]
    """A signal, or a folder."""
    model: ModelName
    output: Out = None
    """The .field file, or the folder for them. Default for one: beside it, ending in .field."""
    half: bool = False
    """Store tokens as 16-bit numbers: half the file."""
    overwrite: bool = False
    """Replace what lies in the output folder already."""
    device: Device = "auto"
    json: Json = None

    @abstractmethod
    def find(self) -> list[Path]:
        """The signals."""

    @abstractmethod
    def load(self) -> M:
        """The model. Raises UserError for one of other signals."""

    @abstractmethod
    def encoded(self, model: M, path: Path, bar: console.Bar) -> "tuple[Field, Tensor]":
        """A signal's field, and its samples. Raises PictureError where it cannot be read."""

    @abstractmethod
    def facts(self, field: "Field", samples: "Tensor") -> Record:
        """What is said of a saved field beside its tokens: how large the signal is, and how well it comes back."""

    @abstractmethod
    def line(self, item: Record) -> str:
        """The line that a person reads."""

    def run(self) -> int:
        """Encode, save, measure what was saved."""
        from tokenfield.data.pictures import PictureError, SkippedFiles

        files = self.find()
        one = files == [self.input]  # a folder too, of a film's frames
        targets = ([plan_file(self.input, self.output, [".field"])] if one
                   else plan_folder(self.input, files, self.output, ".field", overwrite=self.overwrite))
        model, skipped = self.load(), SkippedFiles()
        items: list[Record] = []
        with console.progress("encoding", len(files)) as bar:
            for i, (path, target) in enumerate(zip(files, targets, strict=True)):
                bar.file(i, path.name)
                try:
                    items.append(self._encode(model, path, target, bar))
                except (PictureError, BadName) as error:
                    if one:
                        raise
                    skipped.add(path, error.reason if isinstance(error, PictureError) else str(error))
                    continue
                console.say(self.line(items[-1]))
        console.write_json(self.json, f"{self.command} encode", {"items": items, "skipped": skipped.as_json()})
        return console.finish(skipped, len(items) + len(skipped))

    def _encode(self, model: M, path: Path, target: Path, bar: console.Bar) -> Record:
        """Encode one signal, write its file, and return what is printed about it."""
        import torch

        from tokenfield.fields.field import Field

        field, samples = self.encoded(model, path, bar)
        field.save(target, dtype=torch.float16 if self.half else torch.float32)
        saved = Field.load(target, model)
        parts = [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]
        before = sum(file.stat().st_size for file in parts)
        return {"file": str(path), "field": str(target), "tokens": saved.tokens[..., 0].numel(),
                "values_stored": saved.values_stored, "values_per_sample": saved.values_stored / samples[0].numel(),
                "bytes_before": before, "bytes": target.stat().st_size, **self.facts(saved, samples)}


@dataclass(kw_only=True)
class EvaluateSignals(ABC, Generic[M]):
    """Measure a model on signals, each whole."""

    command: ClassVar[str]
    """What the command is called, after tokenfield."""
    things: ClassVar[str]
    """What signals are called."""
    columns: ClassVar[dict[str, tuple[str, str]]]
    """Of the table: a number's key in `facts` -> its heading, and how it is written."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL", help=WHICH)]
    data: Path
    """A folder of signals."""
    split: Literal["test", "all"] = "test"
    """test: what training on this folder holds out; all: every one."""
    count: Int = None
    """At most so many, spread evenly."""
    device: Device = "auto"
    table: Table = None
    json: Json = None

    @abstractmethod
    def load(self) -> M:
        """The model. Raises UserError for one of other signals."""

    @abstractmethod
    def source(self, model: M) -> "Windows":
        """The signals to measure on, split as the run's own recipe says."""

    @abstractmethod
    def measured(self, model: M, samples: "Tensor") -> Record | str:
        """Numbers of one signal, or why it has none."""

    def said(self, model: M) -> Record:
        """What the report says beside the numbers."""
        return {}

    def run(self) -> int:
        """Measure, print a row per signal and the means."""
        check_at_least(1, count=self.count)
        model = self.load()
        source = self.source(model)
        source.thin(self.count)
        items: list[Record] = []
        with console.progress("evaluating", len(source)) as bar:
            for i, (path, samples) in enumerate(source.signals()):
                bar.file(i, path.name)
                if isinstance(numbers := self.measured(model, samples), str):
                    source.skipped.add(path, numbers)
                else:
                    items.append({"file": str(path), **numbers})
        if not items:
            reason = source.skipped.summary() or "the split is empty"
            raise UserError(f"{self.data}: none of the {self.things} can be measured; {reason}")
        means: Record = {key: statistics.fmean(item[key] for item in items) for key in self.columns}
        rows = [[Path(item["file"]).name, *self._cells(item)] for item in items]
        heading = ["name", *(heading for heading, _ in self.columns.values())]
        console.show_table([heading, *rows, [f"mean of {len(items)}", *self._cells(means)]], self.table)
        console.write_json(self.json, f"{self.command} evaluate", {
            self.things: len(items), **means, "split": self.split, **self.said(model), "scores": items,
            "skipped": source.skipped.as_json()})
        return console.finish(source.skipped, len(items) + len(source.skipped))

    def _cells(self, item: Record) -> list[str]:
        return [format(item[key], form) for key, (_, form) in self.columns.items()]


def recipe_data(model: str) -> object:
    """The data of the run that a model's folder is, None where it is no run."""
    from tokenfield.training.recipe import read

    recipe = Path(model) / "recipe.json"
    return read(recipe).data if recipe.exists() else None

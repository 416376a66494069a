"""What a run shows people, on stderr, and leaves: metrics.jsonl, a learning curve, TensorBoard events on request.

One line of metrics.jsonl is one JSON object. Lines of training have `step`, `loss`, `psnr` (means over the steps since
the line before), `rate`, `images` (so far), `seconds` (of training, over all sessions) and `images_per_second`;
lines of evaluation have `step`, `evaluation_psnr` and `evaluation_pictures`. Where there is no picture to compare with,
as for a denoiser, it is `evaluation_loss` and `evaluation_latents`, no line has a `psnr`, and `images` counts latents
(`Measure`). A resumed run first drops the lines beyond the step it resumes from, so that however often it stopped the
file holds one curve.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tokenfield.errors import UserError, printable
from tokenfield.io.atomic import write_whole
from tokenfield.io.charts import AXIS, COLOURS, plot
from tokenfield.io.limits import DamagedJson, parse_json
from tokenfield.io.record import Record, json_text

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


METRICS, CURVE = "metrics.jsonl", "learning_curve.png"


@dataclass(frozen=True)
class Measure:
    """What a run is judged by: `name`, a number of training batches, and `evaluation_NAME`, of held-out `things`.

    `text` is how a person reads it, `axis` labels the learning curve, `speed` is what `images_per_second` counts.
    """

    name: str
    text: str
    axis: str
    things: str
    speed: str

    def line(self, value: float, count: int) -> Record:
        """What a line of evaluation says."""
        return {f"evaluation_{self.name}": value, f"evaluation_{self.things}": count}

    def read(self, line: Record) -> tuple[float, int] | None:
        """The number of a line of evaluation and how many it is of; None of another line."""
        name = f"evaluation_{self.name}"
        return (line[name], line[f"evaluation_{self.things}"]) if name in line else None

    def last(self, lines: list[Record]) -> tuple[float, int] | None:
        """Of the last line of evaluation, if there is one."""
        return next((number for line in reversed(lines) if (number := self.read(line))), None)


PSNR = Measure("psnr", "{:.2f} dB", "PSNR / dB", "pictures", "images")
"""Of pictures, views and grids."""
LOSS = Measure("loss", "loss {:.4f}", "mean squared error", "latents", "latents")
"""Of a denoiser: mean squared error of its prediction; standardised latents have variance 1."""


def read(path: Path) -> list[Record]:
    """The lines of a metrics file; those that a crash or a disk damaged are left out, for no curve is worth a run."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines = []
    for line in text.split("\n"):
        try:
            record = parse_json(line)
        except DamagedJson:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            lines.append(record)
    return lines


class Journal:
    """Appends to metrics.jsonl, whose lines beyond `step` are dropped first, and, if asked for, to event files.

    `callback` is called with the step and every line, of training and of evaluation.
    """

    def __init__(self, out: Path, step: int, *, tensorboard: bool = False,
                 callback: Callable[[int, Record], None] | None = None):
        self.callback = callback
        self.path = out / METRICS
        before = [line for line in read(self.path) if line["step"] <= step]
        write_whole(self.path, "".join(json_text(line, indent=None) for line in before))
        self.writer = _tensorboard(out / "tensorboard", step) if tensorboard else None

    def add(self, metrics: Record) -> None:
        """One line, on its way to the disk when this returns."""
        try:
            with self.path.open("a") as file:
                file.write(json_text(metrics, indent=None))
        except OSError as error:
            raise UserError(f"cannot write {self.path} ({error.strerror}); make room, then resume") from error
        if self.writer is not None:
            for name, value in metrics.items():
                self.writer.add_scalar(name, value, metrics["step"])
        if self.callback is not None:
            self.callback(metrics["step"], metrics)

    def close(self) -> None:
        """Finish the event files."""
        if self.writer is not None:
            self.writer.close()


def _tensorboard(folder: Path, step: int) -> "SummaryWriter":
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError("TensorBoard is not installed; type: pip install 'tokenfield[tensorboard]'") from error
    return SummaryWriter(folder, purge_step=step)


def draw_curve(out: Path, title: str, measure: Measure = PSNR) -> Path:
    """What a run is judged by over steps, in training and held out, from metrics.jsonl to learning_curve.png."""
    lines = read(out / METRICS)
    trained = [(line["step"], line[measure.name]) for line in lines if measure.name in line]
    held_out = [(line["step"], number[0]) for line in lines if (number := measure.read(line))]
    with plot(out / CURVE, title=title, xlabel="step", ylabel=measure.axis) as axes:
        for points, label, style, colour in ((trained, "training batches", "-", AXIS),
                                             (held_out, f"held-out {measure.things}", "o-", COLOURS[0])):
            if points:
                axes.plot(*zip(*points, strict=True), style, color=colour, label=label, linewidth=1.2, markersize=3)
    return out / CURVE


PLAIN_SECONDS = 10.0
"""Seconds between two plain lines: an hour of training fills a log with a few hundred."""


class Display:
    """Progress of one run of so many steps; `shown` is False on all processes but the first."""

    def __init__(self, steps: int, *, visible: bool, measure: Measure = PSNR):
        self.measure = measure
        self.console = Console(stderr=True, quiet=not visible, highlight=False, emoji=False)
        self.steps, self.printed, self.evaluation = steps, time.monotonic(), ""
        self.bar: Progress | None = None

    def start(self, step: int) -> None:
        """Begin to show progress, from `step` on."""
        if step:
            self.say(f"resumed after step {step} of {self.steps}")
        if self.console.is_terminal and not self.console.quiet:
            steps, text = TextColumn("step {task.completed:.0f}/{task.total:.0f}"), TextColumn("{task.fields[text]}")
            self.bar = Progress(steps, BarColumn(), text, TimeRemainingColumn(), console=self.console)
            self.task = self.bar.add_task("", total=self.steps, completed=step, text="")
            self.bar.start()

    def say(self, line: str) -> None:
        """One line that stays."""
        self.console.print(printable(line), markup=False, soft_wrap=True)

    def update(self, metrics: Record) -> None:
        """Show a line of training metrics; without a terminal, only every `PLAIN_SECONDS` and at the end."""
        step, speed = int(metrics["step"]), metrics["images_per_second"]
        number = self.measure.text.format(metrics[self.measure.name])
        text = f"{number}{self.evaluation} · {speed:.1f} {self.measure.speed}/s"
        if self.bar is not None:
            self.bar.update(self.task, completed=step, text=text)
        elif time.monotonic() - self.printed >= PLAIN_SECONDS or step == self.steps:
            self.printed = time.monotonic()
            remaining = (self.steps - step) * (metrics["images"] / step) / speed if speed else 0
            self.say(f"step {step}/{self.steps} · {text} · {timedelta(seconds=round(remaining))} left")

    def evaluated(self, step: int, value: float, count: int) -> None:
        """Show an evaluation, and keep its number beside that of training."""
        number = self.measure.text.format(value)
        self.evaluation = f" (held out {number.removesuffix(' dB').removeprefix('loss ')})"
        self.say(f"step {step}: {number} on {count} held-out {self.measure.things}")

    def close(self) -> None:
        """Take the bar down."""
        if self.bar is not None:
            self.bar.stop()

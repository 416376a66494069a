"""What a run leaves for people: metrics.jsonl, a learning curve, and TensorBoard events on request.

One line of metrics.jsonl is one JSON object. Lines of training have `step`, `loss`, `psnr` (means over the steps since
the line before), `rate`, `images` (so far), `seconds` (of training, over all sessions) and `images_per_second`;
lines of evaluation have `step`, `evaluation_psnr` and `evaluation_pictures`. Where there is no picture to compare with,
as for a denoiser, it is `evaluation_loss` and `evaluation_latents`, no line has a `psnr`, and `images` counts latents
(`Measure`). A resumed run first drops the lines beyond the step it resumes from, so that however often it stopped the
file holds one curve.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tokenfield.errors import UserError
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

    def __init__(
        self, out: Path, step: int, *, tensorboard: bool = False, callback: Callable[[int, Record], None] | None = None
    ):
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
        raise UserError("TensorBoard is not installed; type: pip install tensorboard") from error
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

"""PSNR against seconds of test-time optimisation: the curves and their figure (LAINR, Fig. 7)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tokenfield.fields.optimization import Point
from tokenfield.io.charts import COLOURS, plot
from tokenfield.io.record import Record

MEANING = {
    "latents": "latents, from the predicted ones",
    "decoder": "decoder, of a model of its own",
    "all": "latents and decoder",
    "scratch": "latents, from zero",
    "ffnet": "FFNet from scratch",
    "siren": "SIREN from scratch",
}
"""What the name of a curve says."""
STYLES = {"latents": (COLOURS[0], "-"), "decoder": (COLOURS[1], "-"), "all": (COLOURS[3], "-."),
          "scratch": (COLOURS[0], ":"), "ffnet": (COLOURS[2], "--"), "siren": (COLOURS[4], "--")}
"""Colour and line of each curve, the same in every figure."""


@dataclass(frozen=True)
class Curve:
    """A course of optimisation."""

    name: str
    """What moved and from where, a key of `MEANING`."""
    points: tuple[Point, ...]
    """As `Optimization.run` gave them."""
    best_psnr: float
    """dB, of the best field."""
    values: int
    """Numbers that are the picture's own: latents, and the decoder if that moved."""
    head_start: float = 0.0
    """Seconds before the first step, in which the latents were predicted."""

    @property
    def bytes(self) -> int:
        """Of these numbers as they are, in float32."""
        return 4 * self.values

    def to_json(self) -> Record:
        """Plain dictionaries."""
        return {
            "name": self.name,
            "meaning": MEANING[self.name],
            "start_psnr": round(self.points[0].psnr, 4),
            "best_psnr": round(self.best_psnr, 4),
            "steps": self.points[-1].step,
            "seconds": round(self.points[-1].seconds, 3),
            "head_start_seconds": round(self.head_start, 3),
            "values": self.values,
            "bytes": self.bytes,
            "points": [{k: round(v, 4) for k, v in asdict(point).items()} for point in self.points],
        }


def draw(curves: Sequence[Curve], path: Path, *, title: str) -> Path:
    """The figure, a PNG file."""
    with plot(path, title=title, xlabel="seconds, encoding included", ylabel="PSNR / dB", size=(10.0, 4.2)) as axes:
        for curve in curves:
            colour, line = STYLES[curve.name]
            x = [curve.head_start + point.seconds for point in curve.points]
            label = f"{MEANING[curve.name]}: {curve.best_psnr:.1f}"
            axes.plot(x, [point.psnr for point in curve.points], line, color=colour, linewidth=1.6, label=label)
            axes.plot(x[:1], [curve.points[0].psnr], "o", color=colour, markersize=4)
    return path

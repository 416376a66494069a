"""What a tour finds, and the same as plain numbers for machines."""

import statistics
from dataclasses import asdict, dataclass, field

from tokenfield.demo.fresh import Fresh
from tokenfield.demo.steps import Governed, HalfSize, Return, Zoom
from tokenfield.evaluation.environment import machine, versions
from tokenfield.io.record import Record

GAIN = 16
"""How many times as strong the difference is shown."""
MEANS = ("psnr", "psnr_8bit", "ssim", "pca_psnr", "values_per_pixel_value", "encode_seconds", "decode_seconds")
"""Numbers of a `Score` that a mean is reported of."""


@dataclass
class Findings:
    """What the tour found; `None` until it got there."""

    model: Record
    gain: int = GAIN
    returns: list[Return] = field(default_factory=list)
    protocol_psnr: float = 0.0
    zoom: Zoom | None = None
    half_size: HalfSize | None = None
    governed: list[Governed] = field(default_factory=list)
    fresh: Fresh | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    @property
    def area(self) -> float:
        """Mean over tokens and photographs of the share of the area that holds 90 % of a token's influence."""
        return statistics.fmean(area for one in self.governed for area in one.areas)

    @property
    def shares(self) -> float:
        """The same in units of a token's equal share of the area, which does not depend on the size of a picture."""
        return statistics.fmean(area * one.tokens for one in self.governed for area in one.areas)

    def mean(self, what: str) -> float:
        """Mean over the photographs of a number of `Score`."""
        return statistics.fmean(getattr(result.score, what) for result in self.returns)

    def median(self, what: str) -> float:
        """Median over the photographs: for seconds."""
        return float(statistics.median(getattr(result.score, what) for result in self.returns))

    def to_json(self) -> Record:
        """All numbers, once the tour has ended."""
        assert self.zoom is not None and self.half_size is not None, "the tour has ended"
        zoom, fresh = self.zoom, self.fresh
        return {
            "command": "demo",
            "model": self.model,
            "psnr": "per picture, float32, unclamped, unrounded, values in [0, 1]; then the mean",
            "pictures": [asdict(result.score) for result in self.returns],
            "mean": {what: round(self.mean(what), 4) for what in MEANS},
            "skimage256_psnr": round(self.protocol_psnr, 4),
            "zoom": {"picture": zoom.name, "factor": zoom.factor, "render_seconds": zoom.seconds,
                     "detail_factor": zoom.detail_factor, "detail_box": list(zoom.box)},
            "half_size": asdict(self.half_size),
            "locality": {
                "area_holding_90_percent": self.area,
                "equal_shares": self.shares,
                "pictures": [{"name": one.name, "areas": one.areas, "tokens": one.tokens, "shown": [
                    {"token": list(influence.token), "largest_difference": influence.largest, "area": influence.area}
                    for influence in one.influences]} for one in self.governed],
            },
            "training": None if fresh is None else {
                "recipe": fresh.recipe.name, "parameters": fresh.parameters, "trained_on": fresh.trained_on,
                "snapshots": [{"seconds": s.seconds, "step": s.step, "psnr": s.psnr} for s in fresh.snapshots],
                "curve": fresh.curve,
            },
            "seconds": self.seconds,
            "files": self.files,
            "machine": machine(),
            "versions": versions(),
        }

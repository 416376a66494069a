"""What a tour findings, and the same as plain numbers for machines."""

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

    gain: int = GAIN
    returns: list[Return] = field(default_factory=list)
    protocol_psnr: float = 0.0
    zoom: Zoom | None = None
    half_size: HalfSize | None = None
    governed: list[Governed] = field(default_factory=list)
    fresh: Fresh | None = None
    model: Record = field(default_factory=dict)
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


def report(findings: Findings) -> Record:
    """All numbers, JSON-able."""
    returns = [asdict(result.score) for result in findings.returns]
    assert findings.zoom is not None and findings.half_size is not None, "the tour has ended"
    fresh = findings.fresh
    return {
        "command": "demo",
        "model": findings.model,
        "psnr": "per picture, float32, unclamped, unrounded, values in [0, 1]; then the mean",
        "pictures": returns,
        "mean": {what: round(findings.mean(what), 4) for what in MEANS},
        "skimage256_psnr": round(findings.protocol_psnr, 4),
        "zoom": {"picture": findings.zoom.name, "factor": findings.zoom.factor, "render_seconds": findings.zoom.seconds,
                 "detail_factor": findings.zoom.detail_factor, "detail_box": list(findings.zoom.box)},
        "half_size": asdict(findings.half_size),
        "locality": {
            "area_holding_90_percent": findings.area,
            "equal_shares": findings.shares,
            "pictures": [{"name": one.name, "areas": one.areas, "tokens": one.tokens, "shown": [
                {"token": list(influence.token), "largest_difference": influence.largest, "area": influence.area}
                for influence in one.influences]} for one in findings.governed],
        },
        "training": None if fresh is None else {
            "recipe": fresh.recipe.name, "parameters": fresh.parameters, "trained_on": fresh.trained_on,
            "snapshots": [{"seconds": s.seconds, "step": s.step, "psnr": s.psnr} for s in fresh.snapshots],
            "curve": fresh.curve,
        },
        "seconds": findings.seconds,
        "files": findings.files,
        "machine": machine(),
        "versions": versions(),
    }

"""The findings as one HTML file (`tokenfield.evaluation.pages`): light and dark, wide and narrow.

Without JavaScript every picture is there; with it photograph and reconstruction lie over each other and can be
enlarged. The text stands in assets/index.html; what it is filled with is made here.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup, escape
from torch import Tensor

from tokenfield.demo.findings import Findings
from tokenfield.demo.fresh import Fresh
from tokenfield.demo.sheets import token_pictures
from tokenfield.evaluation import pages
from tokenfield.evaluation.environment import machine, versions
from tokenfield.evaluation.evaluate import Score
from tokenfield.evaluation.figures import COLOURS, heat, to_pil
from tokenfield.io.record import Record

TEMPLATE = Path(__file__).parent / "assets" / "index.html"
POINTS = 160
"""Most points of a curve on the page."""


def write_page(path: Path, findings: Findings) -> None:
    """Writes the page, whole or not at all."""
    pages.write_page(path, TEMPLATE, **values(findings))


def values(findings: Findings) -> Record:
    """What the template needs."""
    governed = [(one, *token_pictures(one)) for one in findings.governed]
    return {
        "findings": findings,
        "fresh": findings.fresh,
        "scores": [result.score for result in findings.returns],
        "governed": governed,
        "colours": COLOURS,
        "chart": None if findings.fresh is None else chart(findings.fresh),
        "about": about(findings),
        "cells": cells,
        "title": title,
        "embed": embed,
        "heat": heat,
    }


def cells(score: Score) -> list[str]:
    """A photograph's row of the table."""
    floor = [] if score.pca_psnr is None else [f"{score.pca_psnr:.2f}"]
    return [title(score.name), f"{score.width} x {score.height}", f"{score.tokens:,}", f"{score.values_stored:,}",
            f"{score.psnr:.2f}", *floor, f"{score.psnr_8bit:.2f}", f"{score.ssim:.4f}", f"{score.encode_seconds:.2f}",
            f"{score.decode_seconds:.2f}"]


def chart(fresh: Fresh, width: int = 640, height: int = 240) -> Record:
    """The learning curve in pixels of an SVG: polylines, marked points, and the levels of the grid."""
    batches = smoothed(fresh.curve)
    points = [*batches, *fresh.held_out]
    longest = max(seconds for seconds, _ in points) or 1.0
    low = 5 * int(min(psnr for _, psnr in points) // 5)
    high = 5 * (int(max(psnr for _, psnr in points) // 5) + 1)

    def place(seconds: float, psnr: float) -> tuple[str, str]:
        return f"{seconds / longest * width:.1f}", f"{height * (high - psnr) / (high - low):.1f}"

    def line(curve: Sequence[tuple[float, float]]) -> str:
        return " ".join(",".join(place(*point)) for point in curve)

    return {
        "width": width, "height": height, "seconds": longest,
        "grid": [(level, place(0.0, float(level))[1]) for level in range(low, high + 1, 5)],
        "batches": line(batches), "unseen": line(fresh.held_out),
        "dots": [(*place(*point), point) for point in fresh.held_out],
    }


def smoothed(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `POINTS` points, each the mean of as many neighbours as it takes."""
    size = -(-len(points) // POINTS) or 1
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(statistics.fmean(x for x, _ in group), statistics.fmean(y for _, y in group)) for group in groups]


def about(findings: Findings) -> dict[str, str]:
    """Where the numbers come from, and how to get them again."""
    model, where = findings.model, machine()
    side = max(max(result.score.height, result.score.width) for result in findings.returns)
    return {
        "model": f"{model['origin'] or model['name']}: {model['name']}, {model['parameters']:,} parameters",
        "its hash": model["hash"],
        "machine": f"{where['device']}, {where['name']}, {where['threads']} threads",
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "photographs": f"those inside the scikit-image package; of each the middle, at most {side} x {side} pixels",
        "files": ", ".join(findings.files),
        "again": "tokenfield demo",
    }


def embed(image: Tensor, alt: str, kind: str = "") -> Markup:
    """An `img` element that holds a picture (3, H, W)."""
    height, width = image.shape[1:]
    shown = Markup(' class="{}"').format(kind) if kind else ""
    return Markup('<img alt="{}" width="{}" height="{}"{} src="{}">').format(
        escape(alt), width, height, shown, pages.data_address(to_pil(image)))


def title(name: str) -> str:
    """`hubble_deep_field` for people."""
    return name.replace("_", " ")

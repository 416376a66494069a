"""The findings as PNG files, with labels, and as one HTML file (`tokenfield.evaluation.pages`), light and dark.

Without JavaScript every picture is there; with it photograph and reconstruction lie over each other and can be
enlarged. The text stands in assets/index.html; what it is filled with is made here.
"""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from tokenfield.demo.fresh import Fresh
from tokenfield.demo.steps import Findings, Return, TokenRegion, Zoom
from tokenfield.evaluation import pages
from tokenfield.evaluation.environment import machine, versions
from tokenfield.evaluation.figures import Panel, difference, framed, from_pil, heat, repeat, sheet, tinted, to_pil
from tokenfield.io.charts import COLOURS


def side_by_side(result: Return, gain: int) -> Image.Image:
    """Photograph | reconstruction | difference."""
    score = result.score
    return sheet([[
        Panel(result.photograph, "photograph", f"{score.width} x {score.height}"),
        Panel(result.reconstruction, "from tokens", f"{score.psnr:.2f} dB, {score.tokens} tokens"),
        Panel(difference(result.photograph, result.reconstruction, gain), "difference", f"x {gain}, grey is none"),
    ]])


def zoom(result: Zoom) -> dict[str, Image.Image]:
    """The files of the zoom by name."""
    top, left, bottom, right = (result.factor * edge for edge in result.box)
    whole = framed(result.whole, (top, left, bottom, right), COLOURS[2], 3)
    pixels = repeat(result.pixels, result.detail_factor)
    return {
        f"rendered-{result.factor}x.png": to_pil(result.whole),
        f"zoom-{result.factor}x.png": sheet([[
            Panel(result.whole_bicubic, "bicubic", f"{result.factor}x, from pixels"),
            Panel(whole, "field", f"{result.factor}x, from tokens; the frame is the detail"),
        ]]),
        f"zoom-{result.detail_factor}x.png": sheet([[
            Panel(pixels, "pixels", f"{result.pixels.shape[2]} x {result.pixels.shape[1]}, as they are"),
            Panel(result.detail_bicubic, "bicubic", f"{result.detail_factor}x, from pixels"),
            Panel(result.detail, "field", f"{result.detail_factor}x, from tokens"),
        ]]),
    }


def tokens(results: Sequence[TokenRegion]) -> Image.Image:
    """One row per photograph, the same tokens in each: their places, all regions in colour, a map for every token."""
    rows = []
    for one in results:
        places, regions = token_pictures(one)
        row = [Panel(places, one.name.replace("_", " ")), Panel(regions, "regions")]
        for influence in one.influences:
            token = ", ".join(map(str, influence.token))
            row.append(Panel(heat(influence.map), f"token {token}", f"{100 * influence.area:.2f} %"))
        rows.append(row)
    return sheet(rows)


def token_pictures(one: TokenRegion) -> tuple[Tensor, Tensor]:
    """The photograph with the tokens' places framed, and with what they govern lit, each token in a colour."""
    places = one.photograph
    for box, colour in zip(one.boxes, COLOURS, strict=False):
        places = framed(places, box, colour)
    return places, tinted(one.photograph, [influence.map for influence in one.influences])


def training(fresh: Fresh) -> Image.Image:
    """The unseen photograph as the fresh model gives it back, more and more."""
    panels = [Panel(fresh.photograph, "photograph", "never seen")]
    for shot in fresh.snapshots:
        panels.append(Panel(shot.reconstruction, f"{shot.seconds:.1f} s", f"step {shot.step}, {shot.psnr:.2f} dB"))
    half = (len(panels) + 1) // 2
    return sheet([panels[:half], panels[half:]])


TEMPLATE = Path(__file__).parent / "assets" / "index.html"


def write_page(path: Path, findings: Findings) -> None:
    """Writes the page, whole or not at all, into the folder in which the learning curve is already."""
    curve = None if findings.fresh is None else from_pil(Image.open(path.parent / "curve.png"))
    governed = [(one, *token_pictures(one)) for one in findings.governed]
    scores = [result.score for result in findings.returns]
    pages.write_page(path, TEMPLATE, findings=findings, fresh=findings.fresh, scores=scores, governed=governed,
                     curve=curve, about=about(findings), colours=COLOURS, heat=heat, address=address)


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


def address(image: Tensor) -> str:
    """A picture (3, H, W) as the address of an `img` element, which then holds it."""
    return pages.data_address(to_pil(image))

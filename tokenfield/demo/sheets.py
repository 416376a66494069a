"""The PNG files of the demonstration: pictures side by side, with labels."""

from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from tokenfield.demo.fresh import Fresh
from tokenfield.demo.steps import Return, TokenRegion, Zoom
from tokenfield.evaluation.figures import Panel, difference, framed, heat, repeat, sheet, tinted, to_pil
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

"""The findings as one HTML file (`tokenfield.evaluation.pages`): light and dark, wide and narrow.

Without JavaScript every picture is there; with it photograph and reconstruction lie over each other and can be
enlarged. The text stands in assets/index.html; what it is filled with is made here.
"""

from pathlib import Path

from PIL import Image
from torch import Tensor

from tokenfield.demo.sheets import token_pictures
from tokenfield.demo.steps import Findings
from tokenfield.evaluation import pages
from tokenfield.evaluation.environment import machine, versions
from tokenfield.evaluation.figures import from_pil, heat, to_pil
from tokenfield.io.charts import COLOURS

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

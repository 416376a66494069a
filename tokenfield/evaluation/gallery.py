"""Which pictures a model does worst and best on, to look at: numbers say how much is lost, pictures say what."""

import io
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.evaluation.figures import difference, to_pil
from tokenfield.io.atomic import write_whole

GAIN = 8.0
"""How many times as strong the difference is shown."""


def panel(photograph: Float[Tensor, "c h w"], reconstruction: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w3"]:
    """Photograph | reconstruction | their difference around mid-grey; 4 pixels in between."""
    gap = torch.ones(*photograph.shape[:2], 4)
    strong = difference(photograph, reconstruction, GAIN)
    return torch.cat([photograph, gap, reconstruction, gap, strong], -1).clamp(0, 1)


class Gallery:
    """The `keep` worst and the `keep` best pictures, as compressed PNG until `save`, so that memory is bounded."""

    def __init__(self, keep: int = 4):
        self.keep = keep
        self.worst: list[tuple[float, str, bytes]] = []
        self.best: list[tuple[float, str, bytes]] = []

    def offer(self, name: str, psnr: float, photograph: Tensor, reconstruction: Tensor) -> None:
        """Keeps the picture if it belongs among the worst or the best so far."""
        sides = ((self.worst, psnr), (self.best, -psnr))
        ranks = [(side, key) for side, key in sides if len(side) < self.keep or key < side[-1][0]]
        if not ranks:
            return
        png = io.BytesIO()
        to_pil(panel(photograph, reconstruction)).save(png, "PNG")
        for side, key in ranks:
            side.append((key, name, png.getvalue()))
            side.sort(key=lambda entry: entry[0])  # stable: of equals the first one stays
            del side[self.keep :]

    def save(self, folder: Path) -> list[Path]:
        """Writes `worst-1-NAME.png`, `best-1-NAME.png`, ..., the most extreme first, and returns their paths."""
        paths = []
        for side, entries in (("worst", self.worst), ("best", self.best)):
            for rank, (_, name, png) in enumerate(entries, 1):
                paths.append(folder / f"{side}-{rank}-{name.replace('/', '_')}.png")
                write_whole(paths[-1], png)
        return paths

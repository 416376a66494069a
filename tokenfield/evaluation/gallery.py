"""Which pictures a model does worst and best on, to look at: numbers say how much is lost, pictures say what."""

import io
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from tokenfield.io.atomic import written_aside


def panel(
    photograph: Float[Tensor, "c h w"], reconstruction: Float[Tensor, "c h w"], *, gain: float = 8.0
) -> Float[Tensor, "c h w3"]:
    """Photograph | reconstruction | their difference, `gain` times as strong, around mid-grey; 4 pixels in between."""
    difference = 0.5 + gain * (reconstruction - photograph)
    gap = torch.ones(*photograph.shape[:2], 4)
    return torch.cat([photograph, gap, reconstruction, gap, difference], -1).clamp(0, 1)


class Gallery:
    """The `keep` worst and the `keep` best pictures, kept as compressed PNG until `save`, so that memory is bounded.

    Args:
        keep: how many of each.
    """

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
        png = to_png(panel(photograph, reconstruction))
        for side, key in ranks:
            side.append((key, name, png))
            side.sort(key=lambda entry: entry[0])  # stable: of equals the first one stays
            del side[self.keep :]

    def save(self, folder: Path) -> list[Path]:
        """Writes `worst-1-NAME.png`, `best-1-NAME.png`, ..., the most extreme first, and returns their paths."""
        paths = []
        for side, entries in (("worst", self.worst), ("best", self.best)):
            for rank, (_, name, png) in enumerate(entries, 1):
                path = folder / f"{side}-{rank}-{name.replace('/', '_')}.png"
                with written_aside(path) as file:
                    file.write(png)
                paths.append(path)
        return paths


def to_png(image: Float[Tensor, "c h w"]) -> bytes:
    """The PNG file of a picture with values in [0, 1]."""
    pixels = (image * 255).round().byte()                                          # (C, H, W)
    array = pixels[0] if len(pixels) == 1 else pixels.movedim(0, -1)
    buffer = io.BytesIO()
    Image.fromarray(array.contiguous().numpy()).save(buffer, "PNG")
    return buffer.getvalue()

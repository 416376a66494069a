"""Lay the low and the high bytes of packaged 16-bit weights apart, so that the wheel, an archive, takes less.

    python -m experiments.release.apart tokenfield/models/weights/photos-ladder ...

Not a bit of any number changes, nor the model's hash: `tokenfield.models.folder` puts the bytes together again.
"""

from pathlib import Path

import torch
import tyro
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from tokenfield.io.atomic import write_whole
from tokenfield.models.folder import APART, WEIGHTS

ENDS = {dtype: end for end, dtype in APART.items()}


def apart(key: str, tensor: Tensor) -> tuple[str, Tensor]:
    """A tensor of 16-bit floats (...) as bytes (2, ...) and its name as such; another as it is."""
    if tensor.dtype not in ENDS:
        return key, tensor
    return key + ENDS[tensor.dtype], tensor.contiguous()[..., None].view(torch.uint8).movedim(-1, 0).contiguous()


def main(folders: tyro.conf.Positional[tuple[Path, ...]]) -> None:
    """Rewrite the weights of models' folders."""
    for folder in folders:
        with safe_open(folder / WEIGHTS, "pt") as file:
            tensors = dict(apart(key, file.get_tensor(key)) for key in file.keys())  # noqa: SIM118, not a dictionary
            write_whole(folder / WEIGHTS, save(tensors, file.metadata()))


if __name__ == "__main__":
    tyro.cli(main)

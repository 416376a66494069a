"""Fit principal components of cells of photographs: `python -m experiments.release.pca_basis FOLDER OUT`.

The packaged basis is one of 8 x 8 cells of the pool's training photographs (`tokenfield.evaluation.pca`); `tokenfield
evaluate --against OUT` takes any other.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
import tyro
from jaxtyping import Float
from safetensors.torch import save as to_bytes
from torch import Tensor

from tokenfield.data.demo_pictures import held_out_pictures
from tokenfield.data.pictures import find_pictures, read_picture
from tokenfield.errors import UserError
from tokenfield.evaluation.pca import Basis, floor_of
from tokenfield.io.atomic import write_whole


def random_cells(picture: Float[Tensor, "c h w"], count: int, cell: int, seed: int) -> Float[Tensor, "count f"]:
    """`count` cells at random positions (any pixel, with replacement), a function of the picture and the seed."""
    height, width = picture.shape[-2:]
    draw = torch.Generator().manual_seed(seed)
    top = torch.randint(height - cell + 1, (count,), generator=draw)
    left = torch.randint(width - cell + 1, (count,), generator=draw)
    side = torch.arange(cell)
    rows, columns = (top[:, None] + side)[:, :, None], (left[:, None] + side)[:, None, :]
    return picture[:, rows, columns].transpose(0, 1).flatten(1)                  # (count, C * cell * cell)


def fit(pictures: Iterable[Tensor], *, cell: int = 8, cells_per_picture: int = 8192, seed: int = 0) -> Basis:
    """Principal components of random cells of pictures (C, H, W) of the same C, in [0, 1].

    Every picture gives the same number of cells, whatever its size, so that one huge photograph does not speak for
    all; one smaller than a cell is left out. Moments are summed in float64, one picture in memory at a time. Picture i
    draws its positions from (seed, i), so that adding one leaves the others' draws alone.

    Raises:
        UserError: fewer cells than a basis has components.
    """
    total = used = 0
    first = second = torch.zeros(0, dtype=torch.float64)  # sums of cells, and of their outer products
    for index, picture in enumerate(pictures):
        if min(picture.shape[-2:]) < cell:
            continue
        values = random_cells(picture, cells_per_picture, cell, seed * 1_000_003 + index).double()  # (n, F)
        first = values.sum(0) + (first if used else 0)                            # (F,)
        second = values.T @ values + (second if used else 0)                      # (F, F)
        total, used = total + len(values), used + 1
    if not used or total < len(first):
        raise UserError(f"a basis needs more cells than it has components, got {total} from {used} pictures of "
                        f"at least {cell} pixels a side; give more pictures or more cells per picture")
    mean = first / total
    covariance = second / total - mean[:, None] * mean                            # (F, F)
    _, vectors = torch.linalg.eigh(covariance)                                    # ascending, vectors in columns
    components = vectors.flip(1).T.contiguous().float()
    return Basis(mean.float(), components, cell=cell, cells=total, pictures=used, seed=seed)


def save(basis: Basis, path: Path) -> None:
    """Write the basis as safetensors: float16 (192 x 192 numbers are 74 kB), the facts of the fit as metadata."""
    facts = {name: str(value) for name, value in basis.facts.items()}
    tensors = {"mean": basis.mean.half(), "components": basis.components.half().contiguous()}
    write_whole(path, to_bytes(tensors, metadata={"format": "tokenfield.pca", **facts}))


def floor(basis: Basis, pictures: Iterable[Tensor], values_per_pixel_value: float) -> Float[Tensor, " n"]:
    """`floor_of` each picture (C, H, W) at a rate of stored values per pixel value, in (0, 1]; shape (N,)."""
    return torch.tensor([floor_of(basis, picture, values_per_pixel_value * picture.numel()) for picture in pictures])


def main(folder: Path, out: Path, cells_per_picture: int = 8192, seed: int = 0) -> None:
    """Fit a basis on a folder of photographs and print what it gives on the held-out ones.

    Args:
        folder: training photographs; never those it is compared on.
        out: file to write.
        cells_per_picture: random 8x8 cells taken from each.
        seed: of their positions.
    """
    basis = fit((read_picture(path) for path in find_pictures(folder)), cells_per_picture=cells_per_picture, seed=seed)
    save(basis, out)
    print(f"{out}: {basis.cells} cells of {basis.pictures} pictures, seed {basis.seed}")
    basis, pictures = Basis.load(out), [picture for _, picture in held_out_pictures(256)]
    for divisor in (2, 4, 8, 16, 32):
        print(f"1/{divisor} value per pixel value: {floor(basis, pictures, 1 / divisor).mean():.2f} dB")


if __name__ == "__main__":
    tyro.cli(main, config=(tyro.conf.PositionalRequiredArgs,))

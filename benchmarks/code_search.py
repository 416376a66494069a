"""`python -m benchmarks.code_search --data POOL`: how much faster the short list finds the codes of `photos-ladder`.

Both searches run in turns on one thread, on 256-pixel crops of training pictures reduced to 512 pixels, and their
ratio is the median over turns: the speed of the machine, and what else it does, cancel. The loss is of mean PSNR over
the crops, at every rate.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor

import tokenfield
from experiments.release.codec import reduce
from tokenfield.data.pictures import find_pictures, read_picture
from tokenfield.models.pca_mixture import SHORTLIST, PcaMixture

SIDE, SHORT = 256, 512


def crops(pool: Path, count: int) -> Tensor:
    """Crops (N, 3, 256, 256), of pictures evenly spread over the pool's training half."""
    paths = find_pictures(pool / "train")
    out = []
    for path in paths[:: max(1, len(paths) // count)][:count]:
        picture = read_picture(path)
        factor = SHORT / min(picture.shape[1:])
        small = reduce(picture, [round(side * factor) for side in picture.shape[1:]])
        out.append(small[:, :SIDE, :SIDE])
    return torch.stack(out)


def psnr_of(errors: Tensor, pictures: int, values: int) -> Tensor:
    """Mean PSNR (E,) of errors (cells, E) of so many pictures, with so many values in a cell."""
    return -10 * (errors.view(pictures, -1, errors.shape[1]).mean(1) / values).log10().mean(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the pool, with train/")
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model, pictures = tokenfield.load("photos-ladder"), crops(arguments.data, arguments.pictures)
    assert isinstance(model, PcaMixture)
    cells = model.pixels(pictures).flatten(0, 2)
    model.subspaces.choose(cells[:64], shortlist=SHORTLIST)  # what is computed once
    ratios = []
    for _ in range(arguments.turns):
        begun = time.process_time()
        index, _, errors = model.subspaces.choose(cells)
        middle = time.process_time()
        short, _, found = model.subspaces.choose(cells, shortlist=SHORTLIST)
        ended = time.process_time()
        ratios.append((middle - begun) / (ended - middle))
        print(f"all {middle - begun:.2f} s, short list {ended - middle:.2f} s, ratio {ratios[-1]:.1f}", flush=True)
    loss = psnr_of(found, len(pictures), cells.shape[1]) - psnr_of(errors, len(pictures), cells.shape[1])
    lengths = ", ".join(f"{one:+.3f}" for one in loss.tolist())
    same = 100 * (index == short).float().mean()
    print(f"median ratio {statistics.median(ratios):.1f}; the same code in {same:.0f} % of {len(cells)} cells")
    print(f"dB at the rates from the lowest: {lengths}; mean {loss.mean():+.3f}")


if __name__ == "__main__":
    main()

"""Middle squares of some photographs of a folder, as small PNG files: a data set that a small model can learn by heart.

    python -m experiments.pools.middle_squares build/photos/train build/squares --count 8 --size 256

`results/superres` trains on these squares at a quarter of their size and asks for the rest: large photographs would
have to be decoded again for every batch. Shorter side resized bilinearly, then the middle, as in the compared code. A
draw by the seed decides which of the photographs that are large enough.
"""

import argparse
import sys
from pathlib import Path

import torch

from tokenfield.data.datasets import center_square, to_tensor
from tokenfield.data.decoding import PictureError, read_rgb8
from tokenfield.data.pictures import find_pictures, write_picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("photographs", type=Path, help="folder of large photographs")
    parser.add_argument("out", type=Path, help="folder for the squares; new or empty")
    parser.add_argument("--count", type=int, default=8, help="how many photographs")
    parser.add_argument("--size", type=int, default=256, help="side of the squares in pixels")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    args = parser.parse_args()
    if args.out.exists() and any(args.out.iterdir()):
        sys.exit(f"middle_squares: {args.out} is not empty; name a new folder")
    files = find_pictures(args.photographs)
    order = torch.randperm(len(files), generator=torch.Generator().manual_seed(args.seed)).tolist()
    squares = 0
    for path in (files[i] for i in order):
        if squares == args.count:
            break
        try:
            picture = read_rgb8(path)
        except PictureError as error:
            print(f"middle_squares: skipped: {error}", file=sys.stderr)
            continue
        if min(picture.shape[:2]) >= args.size:
            write_picture(args.out / f"{path.stem}.png", to_tensor(center_square(picture, args.size)))
            squares += 1
    print(f"{args.out}: {squares} squares of {args.size} pixels")


if __name__ == "__main__":
    main()

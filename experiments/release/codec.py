"""`python -m experiments.release.codec --data POOL --out FOLDER`: the packaged `photos-codec`, and codecs' tables.

The lapped model has no training beyond its start: colours and overlap are fitted to the pool's crops in a second. Then
the tables are. With `--model NAME` only the tables of another packaged model are fitted. Every fifth picture of the
pool's training half is left out: prices and steps are compared on those (`--check`), never on test pictures.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import tokenfield
from tokenfield.data.pictures import find_pictures, read_picture
from tokenfield.fields.codec.fit import fit, scale_of
from tokenfield.fields.codec.tables import save_tables
from tokenfield.models.lapped import LappedConfig

SIDE = 256
SHORT = (512, 768, 1080)
"""Short sides to which every second picture is reduced; the others are cut as they are."""


def crops(pool: Path, *, held_out: bool = False) -> Tensor:
    """A crop (3, 256, 256) of every training picture that is large enough, of every second one after reducing it."""
    draw, out = np.random.default_rng(0), []
    for i, path in enumerate(find_pictures(pool / "train")):
        picture = read_picture(path)
        short = int(draw.choice(SHORT)) if i % 2 else min(picture.shape[1:])
        places = draw.random(2)
        if min(picture.shape[1:]) < 512 or (i % 5 == 4) != held_out:
            continue
        factor = min(1.0, short / min(picture.shape[1:]))
        size = [round(side * factor) for side in picture.shape[1:]]
        scaled = reduce(picture, size) if factor < 1 else picture
        top, left = (int(p * (n - SIDE + 1)) for p, n in zip(places, size, strict=True))
        out.append(scaled[:, top:top + SIDE, left:left + SIDE])
    return torch.stack(out)


def reduce(picture: Tensor, size: list[int]) -> Tensor:
    """A picture (3, H, W) at a smaller (height, width), by Lanczos, as 8-bit files have it."""
    array = (picture * 255).round().byte().permute(1, 2, 0).numpy()
    smaller = Image.fromarray(array).resize((size[1], size[0]), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(smaller).copy()).permute(2, 0, 1).float() / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the pool, with train/")
    parser.add_argument("--out", type=Path, required=True, help="the model's folder")
    parser.add_argument("--model", help="fit tables for this model; without, make photos-codec")
    arguments = parser.parse_args()
    pictures = crops(arguments.data)
    print(f"{len(pictures)} crops")
    if arguments.model:
        model = tokenfield.load(arguments.model)
    else:
        model = LappedConfig().build().eval()
        model.initialize(pictures)
        tokenfield.save(model, arguments.out)
    with torch.no_grad():
        tokens = torch.cat([model.encode(part) for part in pictures.split(8)]).numpy()
    starts, layers, predicted = model.bands()
    tables = fit(tokens, scale_of(model, pictures[:: len(pictures) // 6]), starts, layers, predicted)
    save_tables(tables, arguments.out)


if __name__ == "__main__":
    main()

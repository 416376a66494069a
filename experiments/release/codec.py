"""`python -m experiments.release.codec --data POOL --out FOLDER`: the packaged `photos-codec`, and codecs' tables.

The lapped model has no training beyond its start: colours and overlap are fitted to the pool's crops in a second. Then
the tables are. With `--model NAME` only the tables of another model are fitted, from its tokens of the same crops; they
belong beside its weights. Every fifth picture of the pool's training half is left out, for settings to be compared on,
never on test pictures.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

import tokenfield
from experiments.codec.fit import fit, fit_basis, metric_of, save_tables, scale_of
from experiments.codec.fit_labels import fit_labels
from tokenfield.data.pictures import find_pictures, read_picture
from tokenfield.fields.codec.tables import Tables
from tokenfield.fields.coded_field import arranged, side_by_side
from tokenfield.fields.field import Field
from tokenfield.models.base import FieldModel
from tokenfield.models.folder import TABLES
from tokenfield.models.lapped import Lapped, LappedConfig
from tokenfield.models.pca_mixture import PcaMixture
from tokenfield.models.pretrained import folder_of

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


def tables_for(model: FieldModel, pictures: Tensor) -> Tables:
    """Tables for the tokens that a model makes of training pictures (N, 3, H, W)."""
    raw = [Field.of(model, picture).tokens for picture in pictures]
    tokens = np.stack([arranged(one) for one in raw])
    if isinstance(model, Lapped):
        starts, layers, predicted = model.bands()
        return fit(tokens, scale_of(metric(model, pictures)), starts, layers, predicted)
    if isinstance(model, PcaMixture):  
        labels = fit_labels(tokens[..., 0].round().astype(np.int64), tokens)
        scale = scale_of(metric(model, pictures))
        starts = [0, 1, 2, 4, 6, 9, 12, 18, 24, 36, 48, 72, 96]
        return fit(tokens, scale, starts, [0, *map(starts.index, model.prefixes)], 1, labels=labels)
    basis, predicted = fit_basis(tokens, metric(model, pictures), side_by_side(raw[0].shape))
    width = tokens.shape[-1]
    starts = sorted({0, predicted, *(predicted + round((width - predicted) * (k / 9) ** 2) for k in range(10))})
    layers = [0, 1, len(starts) // 2, 3 * len(starts) // 4, len(starts) - 1]
    print(f"{predicted} of {width} bands are predicted")
    return fit(tokens, np.ones(width, np.float32), starts, layers, predicted, basis=basis)


def with_tables(name: str, pool: Path, fitted: Path) -> FieldModel:
    """A packaged model, with tables: its own, or those in `fitted`, fitted to the pool now if there are none yet."""
    model, folder = tokenfield.load(name), fitted / name
    if (folder_of(name) / TABLES).is_file():
        return model
    if not (folder / TABLES).is_file():
        tables = tables_for(model, crops(pool))
        tokenfield.save(model, folder)
        save_tables(tables, folder)
    return tokenfield.load(folder)


def metric(model: FieldModel, pictures: Tensor) -> NDArray[np.float64]:
    """How channels move a picture: six whole crops, or a tile of sixteen."""
    if model.input_size is None:
        return metric_of(model, pictures[:: len(pictures) // 6])
    height, width = model.input_size
    return metric_of(model, pictures[:: max(1, len(pictures) // 16), :, :height, :width])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the pool, with train/")
    parser.add_argument("--out", type=Path, required=True, help="the model's folder")
    parser.add_argument("--model", help="fit tables for this model; without, make photos-codec")
    parser.add_argument("--every", type=int, default=1, help="take every n-th crop alone")
    arguments = parser.parse_args()
    pictures = crops(arguments.data)[:: arguments.every]
    print(f"{len(pictures)} crops")
    if arguments.model:
        model = tokenfield.load(arguments.model)
    else:
        model = LappedConfig().build().eval()
        model.initialize(pictures)
        tokenfield.save(model, arguments.out)
    save_tables(tables_for(model, pictures), arguments.out)


if __name__ == "__main__":
    main()

"""The held-out photographs: real pictures that every installation has, and that nothing shipped was trained on.

They lie inside the scikit-image wheel, so no network is needed, and they are read with Pillow straight from its data
folder: importing `skimage.data` would bring a downloader along. The eight below are the colour photographs among
them, of as many kinds (a portrait, a cat, a still life, a night launch, galaxies, stained tissue, an eye, a garage);
`motorcycle_right` is left out because it is `motorcycle_left` from a hand's breadth further right.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from tokenfield.data.pictures import read_picture
from tokenfield.errors import UserError

HELD_OUT = {Path(file).stem: file for file in (
    "astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "hubble_deep_field.jpg", "ihc.png", "retina.jpg",
    "motorcycle_left.png",
)}  # fmt: skip
"""Name of each held-out picture -> its file in the data folder of scikit-image."""


def data_folder() -> Path:
    """Where the installed scikit-image keeps its pictures."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise UserError("the held-out photographs come with scikit-image, which is missing; pip install scikit-image")
    return Path(spec.origin).parent / "data"


def center_crop(picture: Float[Tensor, "c h w"], size: int) -> Float[Tensor, "c k l"]:
    """The middle `size` x `size` pixels, never resampled; a side that is shorter than `size` stays as it is.

    When an odd number of pixels is left over, the extra one goes to the bottom and to the right.
    """
    height, width = picture.shape[-2:]
    top, left = max(0, height - size) // 2, max(0, width - size) // 2
    return picture[:, top : top + size, left : left + size]


def held_out(name: str, *, size: int | None = None) -> Float[Tensor, "c h w"]:
    """One held-out photograph, a key of `HELD_OUT`: float32 (3, H, W) in [0, 1], or its centre crop of `size` pixels.

    Raises UserError for another name, or when this scikit-image comes without the file.
    """
    if name not in HELD_OUT:
        raise UserError(f"no held-out photograph is called {name!r}; there are: {', '.join(HELD_OUT)}")
    path = data_folder() / HELD_OUT[name]
    if not path.exists():
        raise UserError(f"the installed scikit-image has no {path.name}; type: pip install scikit-image==0.26.0")
    picture = read_picture(path)  # (3, H, W)
    return picture if size is None else center_crop(picture, size)


def held_out_pictures(size: int | None = None) -> Iterator[tuple[str, Float[Tensor, "c h w"]]]:
    """All held-out photographs as (name, picture), always in the order of `HELD_OUT`; `size` as in `held_out`."""
    for name in HELD_OUT:
        yield name, held_out(name, size=size)

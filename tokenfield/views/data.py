"""Posed views of objects: the data of light fields and radiance fields (A.2).

A training sample is a few support views of an object and one more view of it, the target, with their poses. All are
drawn from the same views without replacement, as in the compared code, so a target is never encoded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from tokenfield.configs import Sizes
from tokenfield.data.cache import OPEN_FILES, cache_folder
from tokenfield.data.decoding import PictureError
from tokenfield.data.draws import Draws
from tokenfield.data.skipped import SkippedFiles, usable
from tokenfield.data.sources import Split, check_root
from tokenfield.errors import UserError
from tokenfield.views.cache import cached_views
from tokenfield.views.layouts import LAYOUTS, Place

ViewLayout = Literal["learnit", "nerf", "colmap"]


@dataclass(frozen=True)
class ViewSet:
    """One object from N posed cameras."""

    name: str  # unique in its data set, with forward slashes
    images: Float[Tensor, "n 3 h w"]  # in [0, 1], alpha composited on white
    poses: Float[Tensor, "n 4 4"]  # camera-to-world, OpenGL axes: x right, y up, looking along -z
    angle_x: float  # horizontal field of view, radians, the same for all views

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the views."""
        return self.images.shape[-2], self.images.shape[-1]


@dataclass(frozen=True)
class ViewsConfig(Sizes):
    """What to read from a folder of posed views."""

    may_be_zero = frozenset({"fewest", "first_views"})

    category: str = ""
    """Which objects of the folder, "chairs" say (nerf: which scene); empty for all."""
    layout: ViewLayout = "learnit"
    """How the folder is laid out: learnit's ShapeNet renderings; NeRF-synthetic, nerfstudio, instant-ngp; COLMAP."""
    size: int = 128
    """Side of the square views in pixels; larger ones are brought down to it."""
    support: int = 3
    """The most support views of a sample."""
    fewest: int = 0
    """The fewest. Every step draws one number from these two, for its whole batch; 0 is as many as `support`."""
    first_views: int = 25
    """learnit: training takes only so many views of an object, the first ones; 0 for all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layout not in LAYOUTS:
            raise UserError(f"layout {self.layout!r} is not known; give one of {', '.join(LAYOUTS)}")
        if self.fewest > self.support:
            raise UserError(f"fewest is {self.fewest}, more than support {self.support}; lower one or raise the other")
        if 0 < self.first_views <= self.support:
            raise UserError(f"first_views is {self.first_views}: {self.support} support views and a target need "
                            f"{self.support + 1}; raise it or lower support")

    def open(self, root: str | Path, split: Split) -> "ViewsSource":
        """The objects of one split of the data set in folder `root`.

        Decoding them into the cache can take minutes the first time; missing and broken ones are counted in `skipped`.
        Raises UserError where the folder is missing or laid out differently, or none of its objects can be used.
        """
        root = check_root(root, split, "objects")
        first = self.first_views if self.layout == "learnit" and split == "train" else 0
        part = "" if self.layout == "learnit" else split
        return ViewsSource(replace(self, first_views=first), LAYOUTS[self.layout](root, self.category, split), part)


class ViewsSource:
    """The objects at some places, or a `part` of their views; a `Source` whose samples are dictionaries.

    Safe between threads.

    `names` are those of the objects that can be used, in a fixed order; `skipped` are those that cannot, for example
    because they have too few views for a sample. Raises UserError where none can be used.
    """

    def __init__(self, config: ViewsConfig, places: list[Place], part: str = ""):
        self.config, self.skipped = config, SkippedFiles()
        first = config.first_views or None
        self.views = lru_cache(OPEN_FILES)(partial(cached_views, size=config.size, first=first, part=part))

        def check(place: Place) -> None:
            _, transforms = place
            count, least = len(self.views(transforms)[0]), config.support + 1
            if count < least:
                raise PictureError(transforms.parent, f"has {count} views, {least} are needed")

        good = usable(places, check, self.skipped, f"decoding views into {cache_folder()}", "objects")
        self.names, self.files = [name for name, _ in good], [file for _, file in good]

    def __len__(self) -> int:
        return len(self.names)

    def sample(self, seed: int, step: int, slot: int) -> dict[str, Tensor]:
        """What is trained on at `step` in place `slot` of the global batch: a pure function of its arguments.

        Objects are drawn uniformly, with replacement; views of an object without. All samples of a step have the same
        number of support views, V, so that they can be stacked.

        Returns:
            support (V, 3, S, S) in [0, 1], support_poses (V, 4, 4), target (3, S, S), target_pose (4, 4), angle_x (),
            all float32; and integers: seed (), from 0 to 2^31 - 1, for what else is drawn per instance, and step ().
        """
        draws = Draws(seed, step, slot)
        pictures, poses, angle = self.views(self.files[draws.below(len(self))])
        fewest, most = self.config.fewest or self.config.support, self.config.support
        count = fewest + Draws(seed, step).below(most - fewest + 1)
        numbers = distinct(len(pictures), count + 1, seed, step, slot)
        images, cameras = unit(pictures[numbers]), torch.from_numpy(poses[numbers])
        return {
            "support": images[:count],
            "support_poses": cameras[:count],
            "target": images[count],
            "target_pose": cameras[count],
            "angle_x": torch.tensor(angle, dtype=torch.float32),
            "seed": torch.tensor(draws.below(2**31)),
            "step": torch.tensor(step),
        }

    def objects(self) -> Iterator[ViewSet]:
        """Every object with all views of the split, always the same in the same order."""
        for name, file in zip(self.names, self.files, strict=True):
            pictures, poses, angle = self.views(file)
            yield ViewSet(name, unit(pictures), torch.tensor(poses), angle)


def distinct(n: int, count: int, *key: int) -> list[int]:
    """`count` different integers below `n`, every arrangement equally likely, a function of the key."""
    places = list(range(n))
    for i in range(count):  # the first steps of a Fisher-Yates shuffle
        j = i + Draws(*key, i).below(n - i)
        places[i], places[j] = places[j], places[i]
    return places[:count]


def unit(pictures: UInt8[np.ndarray, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Bytes to float32 in [0, 1]."""
    return torch.from_numpy(pictures / np.float32(255))

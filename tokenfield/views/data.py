"""Posed views of objects: the data of light fields and radiance fields (A.2).

A training sample is a few support views of an object and one more view of it, the target, with their poses. All are
drawn from the same views without replacement, as in the compared code, so a target is never encoded. More targets are
cheap, for the object is encoded once; and support views may be asked for again beside them.
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
from tokenfield.data.decoding import PictureError
from tokenfield.data.draws import Draws
from tokenfield.data.pictures import SkippedFiles, usable
from tokenfield.data.sources import Split, check_root
from tokenfield.errors import UserError
from tokenfield.io.cache import OPEN_FILES, cache_folder
from tokenfield.views.cache import cached_views
from tokenfield.views.layouts import LAYOUTS, Place
from tokenfield.views.variants import Vary, varied

ViewLayout = Literal["learnit", "nerf", "colmap"]
SPREAD = 1_327_217_885
"""2^31 over the golden ratio: multiples modulo 2^31 are spread evenly, so targets of a sample ask for other pixels."""


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

    may_be_zero = frozenset({"fewest", "first_views", "again"})

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
    targets: int = 1
    """Views of a sample that are asked for and not encoded."""
    again: int = 0
    """Support views that are asked for as well, `fewest` at most."""
    first_views: int = 25
    """learnit: training takes only so many views of an object, the first ones; 0 for all."""
    balance: bool = False
    """Every category is drawn as often as every other, however few objects it has."""
    vary: Vary = "none"
    """Variants of the objects that are trained on, whose light fields are as true: mirrors is mirrored by halves and
    colour channels in any order, turns is turned about the vertical as well."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layout not in LAYOUTS:
            raise UserError(f"layout {self.layout!r} is not known; give one of {', '.join(LAYOUTS)}")
        if self.fewest > self.support:
            raise UserError(f"fewest is {self.fewest}, more than support {self.support}; lower one or raise the other")
        if self.again > (self.fewest or self.support):
            raise UserError(f"again is {self.again}, more than a sample's support views; lower it")
        if 0 < self.first_views < self.support + self.targets:
            raise UserError(f"first_views is {self.first_views}: {self.support} support views and {self.targets} "
                            f"target(s) need {self.support + self.targets}; raise it or lower support")

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
            count, least = len(self.views(transforms)[0]), config.support + config.targets
            if count < least:
                raise PictureError(transforms.parent, f"has {count} views, {least} are needed")

        good = usable(places, check, self.skipped, f"decoding views into {cache_folder()}", "objects")
        self.names, self.files = [name for name, _ in good], [file for _, file in good]
        groups: dict[str, list[Path]] = {}
        for name, file in good:
            groups.setdefault(name.rpartition("/")[0] if config.balance else "", []).append(file)
        self.groups = list(groups.values())

    def __len__(self) -> int:
        return len(self.names)

    def sample(self, seed: int, step: int, slot: int) -> dict[str, Tensor]:
        """What is trained on at `step` in place `slot` of the global batch: a pure function of its arguments.

        Objects are drawn uniformly, or each from a category that is, with replacement; views of an object without. All
        samples of a step have the same number of support views, V, so that they can be stacked.

        Returns:
            support (V, 3, S, S) in [0, 1], support_poses (V, 4, 4), targets (T, 3, S, S), target_poses (T, 4, 4),
            angle_x (), all float32; and integers: seeds (T,), from 0 to 2^31 - 1, for what else is drawn per target,
            and step ().
        """
        draws = Draws(seed, step, slot)
        group = self.groups[draws.below(len(self.groups)) if self.config.balance else 0]
        pictures, poses, angle = self.views(group[draws.below(len(group))])
        fewest, most = self.config.fewest or self.config.support, self.config.support
        count = fewest + Draws(seed, step).below(most - fewest + 1)
        numbers = distinct(len(pictures), count + self.config.targets, seed, step, slot)
        seed_of_target = draws.below(2**31)
        images, cameras = varied(self.config.vary, draws, unit(pictures[numbers]), torch.from_numpy(poses[numbers]))
        targets = [*range(count, len(numbers)), *range(self.config.again)]
        return {"support": images[:count], "support_poses": cameras[:count], "targets": images[targets],
                "target_poses": cameras[targets], "angle_x": torch.tensor(angle, dtype=torch.float32),
                "seeds": (torch.arange(len(targets)) * SPREAD + seed_of_target) % 2**31, "step": torch.tensor(step)}

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

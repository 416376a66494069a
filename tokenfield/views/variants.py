"""Variants of an object whose light field is as true as its own: turned, mirrored, with other colours.

What is known about every object need not be learned from many. A world that is turned about the vertical together with
all its cameras gives the same pictures; one that is mirrored gives mirrored pictures; and one whose colour channels
change places gives pictures whose channels do. Nothing is resampled, so Plucker coordinates and colours stay exact.
"""

import math
from itertools import permutations
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.data.draws import Draws

Vary = Literal["none", "mirrors", "turns"]
"""mirrors: half of the samples mirrored, colour channels in any order; turns: turned by any angle as well."""


def turned(poses: Float[Tensor, "v 4 4"], angle: float) -> Float[Tensor, "v 4 4"]:
    """The poses in a world that is turned by `angle` (radians) about its vertical; pictures stay as they are."""
    turn = torch.eye(4, dtype=torch.float64)
    turn[0, 0] = turn[1, 1] = math.cos(angle)
    turn[1, 0] = math.sin(angle)
    turn[0, 1] = -turn[1, 0]
    return (turn @ poses.double()).to(poses.dtype)


def mirrored(images: Float[Tensor, "v 3 h w"],
             poses: Float[Tensor, "v 4 4"]) -> tuple[Float[Tensor, "v 3 h w"], Float[Tensor, "v 4 4"]]:
    """Pictures and poses in a world with x and -x exchanged; cameras stay right-handed, so their own x turns too."""
    mirror = torch.tensor([-1.0, 1.0, 1.0, 1.0], dtype=poses.dtype)
    return images.flip(-1), mirror[:, None] * poses * mirror


def varied(vary: Vary, draws: Draws, images: Float[Tensor, "v 3 h w"],
           poses: Float[Tensor, "v 4 4"]) -> tuple[Float[Tensor, "v 3 h w"], Float[Tensor, "v 4 4"]]:
    """A variant of an object, by three draws at most, the same for all its views."""
    if vary == "none":
        return images, poses
    images = images[:, list(permutations(range(3)))[draws.below(6)]]
    if draws.below(2):
        images, poses = mirrored(images, poses)
    return images, turned(poses, 2 * math.pi * draws.below(2**53) / 2**53) if vary == "turns" else poses

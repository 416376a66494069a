"""Generated pictures beside the training pictures that are nearest to them, so that copying would show.

A picture in a figure proves little by itself; how near is near is answered by pictures that are certainly no copies:
held-out photographs have nearest training pictures, too. A generator that copies is nearer to its training set than
held-out photographs are.
"""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from tokenfield.evaluation.figures import Panel, bicubic, sheet


class Nearest(NamedTuple):
    """The nearest pictures of a pool, nearest first.

    Attributes:
        distance: (N, k) root of the mean squared difference of pixel values.
        index: (N, k) into the pool.
        mirrored: (N, k) 1 where the mirror image was the nearer one.
    """

    distance: Float[Tensor, "n k"]
    index: Int[Tensor, "n k"]
    mirrored: Int[Tensor, "n k"]


def nearest(pictures: Float[Tensor, "n c h w"], pool: Float[Tensor, "m c h w"], k: int = 3) -> Nearest:
    """The k nearest of a pool (all, if it has fewer) to each picture of the same size, in pixels, either way round."""
    flat = pictures.flatten(1)
    both = torch.stack([torch.cdist(flat, other.flatten(1)) for other in (pool, pool.flip(-1))])  # (2, N, M)
    distance, way = both.min(0)
    near = distance.topk(min(k, len(pool)), largest=False)
    return Nearest(near.values / flat.shape[1] ** 0.5, near.indices, way.gather(1, near.indices))


def figure(
    pictures: Float[Tensor, "n 3 h w"],
    pool: Float[Tensor, "m 3 h w"],
    *,
    labels: Sequence[str] = (),
    k: int = 3,
    scale: int = 3,
) -> Image.Image:
    """Rows of two groups: a picture with its label, and its k nearest of the pool with their distances.

    Pictures are enlarged `scale` times (bicubic), since training pictures of miniatures are small.
    """
    near = nearest(pictures, pool, k)
    size = (pictures.shape[2] * scale, pictures.shape[3] * scale)
    groups = []
    for i, picture in enumerate(pictures):
        group = [Panel(bicubic(picture, *size), labels[i] if labels else "")]
        for distance, index, mirrored in zip(*(part[i] for part in near), strict=True):
            image = pool[index].flip(-1) if mirrored else pool[index]
            group.append(Panel(bicubic(image, *size), "", f"{distance:.3f}"))
        groups.append(group)
    return sheet([list(chain(*groups[i : i + 2])) for i in range(0, len(groups), 2)])


def summary(
    generated: Float[Tensor, "n c h w"], held_out: Float[Tensor, "o c h w"], pool: Float[Tensor, "m c h w"]
) -> dict[str, float]:
    """How near generated and held-out pictures are to the training pictures: smallest and median distance of each.

    Keys: generated_smallest, generated_median, held_out_smallest, held_out_median; and `nearer_than_held_out`, the
    share of generated pictures that are nearer to a training picture than any held-out picture is.
    """
    mine, theirs = (nearest(pictures, pool, 1).distance[:, 0] for pictures in (generated, held_out))
    return {
        "generated_smallest": mine.min().item(),
        "generated_median": mine.median().item(),
        "held_out_smallest": theirs.min().item(),
        "held_out_median": theirs.median().item(),
        "nearer_than_held_out": (mine < theirs.min()).double().mean().item(),
    }

"""Generated pictures beside the training pictures that are nearest to them, so that copying would show.

A picture in a figure proves little by itself; how near is near is answered by pictures that are certainly no copies:
held-out photographs have nearest training pictures, too. A generator that copies is nearer to its training set than
held-out photographs are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from tokenfield.evaluation.figures import Panel, bicubic, sheet


@dataclass(frozen=True)
class Nearest:
    """The nearest pictures of a pool.

    Attributes:
        distance: (N, k) root of the mean squared difference of pixel values, nearest first.
        index: (N, k) into the pool.
        mirrored: (N, k) 1 where the mirror image was the nearer one.
    """

    distance: Float[Tensor, "n k"]
    index: Int[Tensor, "n k"]
    mirrored: Int[Tensor, "n k"]


def nearest(
    pictures: Float[Tensor, "n c h w"], pool: Float[Tensor, "m c h w"], k: int = 3, *, itself: bool = False
) -> Nearest:
    """The k nearest of a pool to each picture, in pixels, either way round.

    Args:
        pictures, pool: of one size, values in [0, 1].
        k: how many, at most the size of the pool.
        itself: whether picture i is picture i of the pool and does not count.
    """
    flat = pictures.flatten(1)
    both = torch.stack([torch.cdist(flat, other.flatten(1)) for other in (pool, pool.flip(-1))])  # (2, N, M)
    distance, way = both.min(0)
    if itself:
        distance.fill_diagonal_(float("inf"))
    near = distance.topk(min(k, len(pool)), largest=False)
    return Nearest(near.values / flat.shape[1] ** 0.5, near.indices, way.gather(1, near.indices))


def figure(
    pictures: Float[Tensor, "n 3 h w"],
    pool: Float[Tensor, "m 3 h w"],
    *,
    names: Sequence[str] = (),
    labels: Sequence[str] = (),
    k: int = 3,
    scale: int = 3,
    pairs: int = 2,
) -> Image.Image:
    """Rows of a picture and its k nearest of the pool with their distances, `pairs` such groups beside each other.

    Args:
        pictures: what was generated.
        pool: training pictures.
        names: of the pool; short ones, such as classes.
        labels: of the pictures.
        scale: times that pictures are enlarged (bicubic), since training pictures of miniatures are small.
    """
    near = nearest(pictures, pool, k)
    size = (pictures.shape[2] * scale, pictures.shape[3] * scale)
    groups = []
    for i, picture in enumerate(pictures):
        group = [Panel(bicubic(picture, *size), labels[i] if labels else "")]
        for distance, index, way in zip(near.distance[i], near.index[i].tolist(), near.mirrored[i], strict=True):
            image = pool[index].flip(-1) if way else pool[index]
            group.append(Panel(bicubic(image, *size), names[index] if names else "", f"{distance:.3f}"))
        groups.append(group)
    return sheet([list(chain(*groups[i : i + pairs])) for i in range(0, len(groups), pairs)])


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

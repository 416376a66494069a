"""Pictures to patches."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def patchify(images: Float[Tensor, "b c h w"], patch: int, padding: int = 0) -> Float[Tensor, "b n p"]:
    """Non-overlapping square patches, row-major: C patch^2 pixel values, channel-major, then (y, x) inside the patch.

    `patch` must divide H + 2 padding and W + 2 padding, the padding being zeros on each side. A.1: 178 + 2 = 20 x 9.
    """
    height, width = (side + 2 * padding for side in images.shape[-2:])
    if height % patch or width % patch:
        raise ValueError(f"a {height} x {width} picture (padding included) is no whole number of {patch}-pixel patches")
    return F.unfold(images, patch, padding=padding, stride=patch).transpose(1, 2)

"""Pictures to patches and back."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def patchify(images: Float[Tensor, "b c h w"], patch: int, padding: int = 0) -> Float[Tensor, "b n p"]:
    """Non-overlapping square patches, row-major, zero-padded at the border.

    Args:
        images: (B, C, H, W), any range.
        patch: side of a patch in pixels; must divide H + 2 padding and W + 2 padding.
        padding: rows and columns of zeros added on each side. A.1: 178 + 2 = 20 x 9.
    Returns:
        (B, N, C patch^2): pixel values channel-major, then (y, x) inside the patch, as `torch.nn.Unfold` orders them.
    """
    height, width = (side + 2 * padding for side in images.shape[-2:])
    if height % patch or width % patch:
        raise ValueError(f"a {height} x {width} picture (padding included) is no whole number of {patch}-pixel patches")
    return F.unfold(images, patch, padding=padding, stride=patch).transpose(1, 2)


def unpatchify(
    patches: Float[Tensor, "b n p"], patch: int, size: tuple[int, int], padding: int = 0
) -> Float[Tensor, "b c h w"]:
    """The inverse of `patchify` for a picture of `size` (H, W); the padding is cut off again."""
    return F.fold(patches.transpose(1, 2), size, patch, padding=padding, stride=patch)

"""How close a reconstruction is to the picture it came from.

The papers measure PSNR on raw network outputs, a person looks at an 8-bit file, and the two differ by tenths of a
decibel near 45 dB. Both are here, under different names. Every function is pure, takes a batch and returns one number
per member of it; a mean over pictures is taken by the caller, after the logarithm (docs/papers.md, "Protocols").
"""

import math
from typing import overload

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.errors import UserError, explained

PSNR_CEILING = 200.0
"""Of equal pictures, in place of infinity, which no mean and no JSON file survives: an RMS error of 1e-10, far below
what float32 values in [0, 1] can express."""


@explained
def mse(prediction: Float[Tensor, "b *rest"], target: Float[Tensor, "b *rest"],
        weights: Float[Tensor, "*any"] | None = None) -> Float[Tensor, " b"]:
    """Mean squared error of each member of a batch, in the unit of the values squared.

    `weights` are what each value counts for (cell areas on a sphere, a mask): not negative, of any shape that
    broadcasts to `target`, and normalised per member, so their scale does not matter. Raises UserError for two shapes:
    those that only broadcast would compare every value with every other.
    """
    check_pair(prediction, target)
    if not (prediction.is_floating_point() and target.is_floating_point()):  # differences of bytes wrap around
        raise UserError(f"values of type {prediction.dtype} beside {target.dtype}; give floating point numbers")
    squared = (prediction - target).square().flatten(1)                          # (B, N)
    if weights is None:
        return squared.mean(1)
    if not isinstance(weights, Tensor):
        raise UserError(f"the weights are a {type(weights).__name__}; give a tensor")
    weights = weights.to(squared).expand_as(target).flatten(1)                   # (B, N)
    return (weights * squared).sum(1) / weights.sum(1)


def check_pair(prediction: object, target: object) -> None:
    """Raises UserError for what are no two batches of one shape."""
    for name, values in (("prediction", prediction), ("target", target)):
        if not isinstance(values, Tensor) or values.layout != torch.strided or values.ndim < 2:
            what = f"tensor {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
            raise UserError(f"the {name} is a {what}; give a dense tensor (B, ...), torch.from_numpy(array)[None] of "
                            "one array")
    assert isinstance(prediction, Tensor) and isinstance(target, Tensor)
    if prediction.shape != target.shape:
        raise UserError(f"values {tuple(prediction.shape)} beside {tuple(target.shape)}; give the same shape")


@overload
def decibels(error: float, data_range: float = 1.0) -> float: ...


@overload
def decibels(error: Tensor, data_range: float = 1.0) -> Tensor: ...


def decibels(error: float | int | Tensor, data_range: float | int = 1.0) -> float | Tensor:
    """PSNR of a mean squared error, -10 log10(error / data_range^2), at most `PSNR_CEILING`; of a tensor, elementwise.

    An error of 0 gives the ceiling, NaN gives NaN. `data_range` is the largest minus the smallest possible value.
    """
    if not data_range > 0:
        raise UserError(f"a range of {data_range:g}; give the largest minus the smallest possible value, such as 1")
    offset = 20 * math.log10(data_range)
    if isinstance(error, Tensor):
        return (offset - 10 * error.log10()).clamp(max=PSNR_CEILING)
    return min(offset - 10 * math.log10(error), PSNR_CEILING) if error else PSNR_CEILING


@explained
def psnr(prediction: Float[Tensor, "b *rest"], target: Float[Tensor, "b *rest"], *, data_range: float = 1.0,
         weights: Float[Tensor, "*any"] | None = None) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio by the papers' protocol: neither clamped nor rounded.

    Clamping to [0, 1] can only bring a value nearer to its target, so it flatters; the papers leave it out
    and so do comparisons here. Decibels, computed in float32 at least, whatever the precision the model ran in; see
    `mse` for weights and `decibels` for the range.
    """
    check_pair(prediction, target)
    if data_range == 1 and not (prediction.is_floating_point() and target.is_floating_point()):
        raise UserError(f"values of type {prediction.dtype} beside {target.dtype} with a range of 1; give "
                        "data_range=255 of bytes, or floating point numbers")
    wide = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
    error = mse(prediction.to(wide), target.to(wide), weights)                   # (B,)
    return decibels(error, data_range)


def to_8bit(image: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The values that an 8-bit file would hold: clamped to [0, 1] and rounded to a multiple of 1/255."""
    return (image.clamp(0, 1) * 255).round() / 255


@explained
def psnr_8bit(prediction: Float[Tensor, "b *rest"], target: Float[Tensor, "b *rest"]) -> Float[Tensor, " b"]:
    """Peak signal-to-noise ratio between the 8-bit files that a person would open; 0 is black and 1 is white.

    The number for users; not comparable with published ones, which are `psnr`.
    """
    check_pair(prediction, target)
    return psnr(to_8bit(prediction.float()), to_8bit(target.float()))


@explained
def ssim(prediction: Float[Tensor, "b c h w"], target: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
    """Structural similarity with the Gaussian window of Wang et al. (2004), on clamped values.

    scikit-image computes it, with the settings under which it equals the authors' program: Gaussian weights
    of 1.5 pixels, biased covariances, constants 0.01 and 0.03, which assume values in [0, 1]: others are clamped. A
    border of 5 pixels is left out as in the paper; a picture too small for that loses less, so that thumbnails have a
    number too. In [-1, 1]; 1 only for equal pictures.
    """
    from skimage.metrics import structural_similarity  # a second of imports that no other metric needs

    check_pair(prediction, target)
    if prediction.ndim != 4 or 0 in prediction.shape or not prediction.is_floating_point():
        raise UserError(f"pictures {prediction.dtype} {tuple(prediction.shape)}; give floating point (B, C, H, W)")

    scores = []
    for one, other in zip(prediction.detach(), target.detach(), strict=True):
        # float32 agrees with float64 to 2e-6 here, and 24 megapixels then fit in memory.
        pair = [picture.clamp(0, 1).float().cpu().numpy() for picture in (one, other)]
        # With Gaussian weights the window is only the border left out of the mean, where the filter saw reflections.
        widest = min(11, *other.shape[-2:])
        odd = widest - 1 + widest % 2
        scores.append(structural_similarity(*pair, channel_axis=0, data_range=1.0, gaussian_weights=True,
                                            use_sample_covariance=False, win_size=odd))
    return torch.tensor(scores, dtype=torch.float32, device="cpu")

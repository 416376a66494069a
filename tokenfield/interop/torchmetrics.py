"""PSNR and SSIM as `torchmetrics` objects: `update` in a loop, `compute` at its end, summed over processes in between.

    metric = MeanPsnr()
    for pictures in loader:
        metric.update(render(pictures), pictures)       # (B, C, H, W), or any (B, ...), values in [0, 1]
    metric.compute()

They are means over pictures of `tokenfield.metrics`, whose conventions hold: PSNR neither clamped nor rounded, averaged
after the logarithm. `torchmetrics.image.PeakSignalNoiseRatio` averages errors first and gives another number. Needs the
extra `generation`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from tokenfield import metrics
from tokenfield.errors import UserError

try:
    from torchmetrics import Metric
except ImportError as error:
    raise UserError("metrics as objects need torchmetrics; type: pip install 'tokenfield[generation]'") from error


class PictureMean(Metric):
    """The mean over pictures of a function of batches (prediction, target) -> one number per picture."""

    is_differentiable, higher_is_better, full_state_update = True, True, False
    total: Tensor
    count: Tensor

    def __init__(self, score: Callable[[Tensor, Tensor], Tensor]):
        super().__init__()
        self.score = score
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take a batch into account. Raises UserError for two shapes."""
        scores = self.score(prediction, target)
        self.total += scores.double().sum().to(self.total.device)
        self.count += len(scores)

    def compute(self) -> Tensor:
        """The mean so far; NaN before the first batch."""
        return (self.total / self.count).float()


class MeanPsnr(PictureMean):
    """The papers' PSNR, dB."""

    def __init__(self) -> None:
        super().__init__(metrics.psnr)


class MeanPsnr8Bit(PictureMean):
    """PSNR between the 8-bit files that a person would open, dB."""

    def __init__(self) -> None:
        super().__init__(metrics.psnr_8bit)


class MeanSsim(PictureMean):
    """Structural similarity of pictures (B, C, H, W), in [-1, 1]."""

    is_differentiable = False

    def __init__(self) -> None:
        super().__init__(metrics.ssim)

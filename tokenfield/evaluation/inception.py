"""Inception v3 as published FIDs use it: the network, for weights from a file of the user's.

*Rethinking the Inception Architecture for Computer Vision* (Szegedy et al., CVPR 2016) as the TensorFlow graph
`inception-2015-12-05` computes it, whose weights are distributed for PyTorch as `pt_inception-2015-12-05-6726825d.pth`.
That graph differs from the paper's network in four ways: means do not count the padding; the very last block pools by
the maximum; pictures are resized the way TensorFlow 1 did, whose pixel i of the result lies at i n / 299; and values
run over [-1, 1) by (byte - 128) / 128. Features are the 2048 means before the last layer.

Names of modules are those in the file of weights, hence the capitals. Nothing is shipped and nothing is downloaded.
"""

import pickle
from collections import OrderedDict
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.errors import UserError

SIDE = 299
"""Pixels a side that the network sees."""
FEATURES = 2048
MEAN, MAX, HALVED = nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.MaxPool2d(3, 1, 1), nn.MaxPool2d(3, stride=2)


def unit(inward: int, outward: int, kernel: str = "1x1", *, stride: int = 1, padded: bool = True) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU; padded to keep the size, unless it has a stride."""
    height, width = map(int, kernel.split("x"))
    padding = (height // 2, width // 2) if padded and stride == 1 else 0
    conv = nn.Conv2d(inward, outward, (height, width), stride=stride, padding=padding, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(outward, eps=1e-3), relu=nn.ReLU()))


class Mixed(nn.Module):
    """Branches of convolutions and one of pooling, side by side.

    A branch is convolutions one after the other, "NAME CHANNELS HxW, ..." with 1x1 left out; with " + " between them
    two that read the same map, whose results are put side by side. After the pooling comes a convolution of `pooled`
    channels, if any. A block that halves its map has stride 2 in its last convolutions, and in its pooling.
    """

    def __init__(self, inward: int, *branches: str, pooled: int = 0, pool: nn.Module = MEAN, stride: int = 1):
        super().__init__()
        self.pool = pool
        self.branches = [[[one.split() for one in step.split(" + ")] for step in text.split(", ")] for text in branches]
        for branch in self.branches:
            channels = inward
            for step in branch:
                for name, outward, *kernel in step:
                    last = stride if step is branch[-1] else 1
                    self.add_module(name, unit(channels, int(outward), *kernel, stride=last))
                channels = int(step[0][1])
        self.branch_pool = unit(inward, pooled) if pooled else nn.Identity()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d k l"]:
        results = []
        for branch in self.branches:
            inner = x
            for step in branch:
                inner = torch.cat([self.get_submodule(name)(inner) for name, *_ in step], 1)
            results.append(inner)
        return torch.cat([*results, self.branch_pool(self.pool(x))], 1)


def wide(inward: int, pooled: int) -> Mixed:
    """5 x 5, and twice 3 x 3."""
    return Mixed(inward, "branch1x1 64", "branch5x5_1 48, branch5x5_2 64 5x5",
                 "branch3x3dbl_1 64, branch3x3dbl_2 96 3x3, branch3x3dbl_3 96 3x3", pooled=pooled)  # fmt: skip


def crossed(inward: int, inner: int) -> Mixed:
    """7 x 7 as 1 x 7 and 7 x 1, once and twice."""
    once = f"branch7x7_1 {inner}, branch7x7_2 {inner} 1x7, branch7x7_3 192 7x1"
    twice = (f"branch7x7dbl_1 {inner}, branch7x7dbl_2 {inner} 7x1, branch7x7dbl_3 {inner} 1x7, "
             f"branch7x7dbl_4 {inner} 7x1, branch7x7dbl_5 192 1x7")  # fmt: skip
    return Mixed(inward, "branch1x1 192", once, twice, pooled=192)


def spread(inward: int, pool: nn.Module) -> Mixed:
    """3 x 3 as 1 x 3 beside 3 x 1."""
    once = "branch3x3_1 384, branch3x3_2a 384 1x3 + branch3x3_2b 384 3x1"
    twice = "branch3x3dbl_1 448, branch3x3dbl_2 384 3x3, branch3x3dbl_3a 384 1x3 + branch3x3dbl_3b 384 3x1"
    return Mixed(inward, "branch1x1 320", once, twice, pooled=192, pool=pool)


class Inception(nn.Sequential):
    """Bytes as float (B, 3, H, W) in [0, 255] -> features (B, 2048)."""

    def __init__(self) -> None:
        super().__init__(OrderedDict[str, nn.Module]({
            "Conv2d_1a_3x3": unit(3, 32, "3x3", stride=2),
            "Conv2d_2a_3x3": unit(32, 32, "3x3", padded=False),
            "Conv2d_2b_3x3": unit(32, 64, "3x3"),
            "MaxPool_1": nn.MaxPool2d(3, stride=2),
            "Conv2d_3b_1x1": unit(64, 80),
            "Conv2d_4a_3x3": unit(80, 192, "3x3", padded=False),
            "MaxPool_2": nn.MaxPool2d(3, stride=2),
            "Mixed_5b": wide(192, 32),
            "Mixed_5c": wide(256, 64),
            "Mixed_5d": wide(288, 64),
            "Mixed_6a": Mixed(288, "branch3x3 384 3x3",
                              "branch3x3dbl_1 64, branch3x3dbl_2 96 3x3, branch3x3dbl_3 96 3x3", stride=2,
                              pool=HALVED),
            "Mixed_6b": crossed(768, 128),
            "Mixed_6c": crossed(768, 160),
            "Mixed_6d": crossed(768, 160),
            "Mixed_6e": crossed(768, 192),
            "Mixed_7a": Mixed(768, "branch3x3_1 192, branch3x3_2 320 3x3",
                              "branch7x7x3_1 192, branch7x7x3_2 192 1x7, branch7x7x3_3 192 7x1, branch7x7x3_4 192 3x3",
                              stride=2, pool=HALVED),
            "Mixed_7b": spread(1280, MEAN),
            "Mixed_7c": spread(2048, MAX),
        }))  # fmt: skip

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b f"]:
        """Resized, through all layers, and averaged over what is left of the map."""
        x = (resize(pictures) - 128) / 128
        for layer in self:
            x = layer(x)
        return x.mean((2, 3))


def resize(pictures: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c k l"]:
    """At 299 x 299, linear between pixels, pixel i at i n / 299 (no half pixels, no filter), as TensorFlow 1 did."""
    for axis in (2, 3):
        count = pictures.shape[axis]
        at = torch.arange(SIDE, device=pictures.device) * (count / SIDE)
        low = at.long()
        share = (at - low).view(-1, *([1] * (3 - axis)))
        near = pictures.index_select(axis, low)
        far = pictures.index_select(axis, (low + 1).clamp(max=count - 1))
        pictures = near + (far - near) * share
    return pictures


def load(path: Path) -> tuple[Inception, Float[Tensor, "c f"] | None]:
    """The network with weights from a file, and the matrix of its classifier, without the bias, if it is there.

    Raises UserError for a file that holds no weights, or those of another network.
    """
    hint = "give pt_inception-2015-12-05-6726825d.pth, which published FIDs use"
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, ValueError, OSError, EOFError, pickle.UnpicklingError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} holds no weights that PyTorch reads ({first[:80]}); {hint}") from error
    with torch.device("meta"):  # no numbers are drawn only to be replaced
        network = Inception()
    # Counters of batches are of no use, and older files have none.
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items() if not name.endswith("_tracked")}
    tensors = saved if isinstance(saved, dict) else {}
    weights = {name: tensor for name, tensor in tensors.items() if name in shapes and isinstance(tensor, Tensor)}
    for name, shape in shapes.items():
        if name not in weights or weights[name].shape != shape:
            there = tuple(weights[name].shape) if name in weights else "absent"
            raise UserError(f"{path} holds other weights: {name} is {there}, Inception v3 has {tuple(shape)}; {hint}")
    counters = {name: torch.tensor(0) for name in network.state_dict() if name.endswith("_tracked")}
    network.load_state_dict({name: tensor.float() for name, tensor in weights.items()} | counters, assign=True)
    classifier = tensors.get("fc.weight")
    if isinstance(classifier, Tensor) and classifier.ndim == 2 and classifier.shape[1] == FEATURES:
        return network.eval(), classifier.float()
    return network.eval(), None

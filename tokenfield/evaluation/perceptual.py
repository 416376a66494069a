"""rFID and LPIPS of an evaluation: by networks whose weights are the user's, placed in one folder.

Nothing is shipped and nothing is downloaded. Where a file is absent, the column says which one belongs where.
"""

import pickle
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.errors import UserError
from tokenfield.evaluation.features import FeatureNetwork, find_features, frechet_distance
from tokenfield.io.cache import cache_folder
from tokenfield.io.record import Record

FILE = "alexnet-owt-7be5be79.pth"
CONVOLUTIONS = {0: (3, 64, 11, 4, 2), 3: (64, 192, 5, 1, 2), 6: (192, 384, 3, 1, 1), 8: (384, 256, 3, 1, 1),
                10: (256, 256, 3, 1, 1)}
"""By their place in AlexNet: channels in and out, side, stride, padding."""
POOLED = (2, 5)
"""Places of poolings over 3 x 3, every second."""
LEAST = 35
"""Pixels a side without which the last layers see nothing."""


class Lpips(nn.Module):
    """LPIPS (Zhang et al., CVPR 2018), version 0.1 over AlexNet. Pictures in [0, 1] -> distances; 0 for equal ones.

        d(x, y) = sum over 5 layers of  mean over places of  w . (f(x) / |f(x)| - f(y) / |f(y)|)^2

    f are the outputs of AlexNet's ReLUs, |f| the norm over channels; w comes with torchmetrics, AlexNet's weights from
    a file. torchmetrics has the formula too, but takes AlexNet from torchvision.
    """

    def __init__(self, alexnet: dict[str, Tensor], heads: dict[str, Tensor]):
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(max(CONVOLUTIONS) + 2):  # the last ReLU stands behind the last convolution
            if i in CONVOLUTIONS:
                inward, outward, side, stride, padding = CONVOLUTIONS[i]
                conv = nn.Conv2d(inward, outward, side, stride, padding)
                conv.load_state_dict({name: alexnet[f"features.{i}.{name}"] for name in ("weight", "bias")})
                layers.append(conv)
            else:
                layers.append(nn.MaxPool2d(3, 2) if i in POOLED else nn.ReLU())
        bounds = [0, *(i + 2 for i in CONVOLUTIONS)]  # behind every ReLU
        self.parts = nn.ModuleList(nn.Sequential(*layers[a:b]) for a, b in pairwise(bounds))
        self.weights = [heads[f"lin{k}.model.1.weight"].float() for k in range(len(CONVOLUTIONS))]  # (1, F, 1, 1)
        self.mean, self.deviation = (torch.tensor(v).view(3, 1, 1) for v in
                                     ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)))
        self.requires_grad_(False)

    def forward(self, one: Float[Tensor, "b 3 h w"], other: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
        """Of pictures of one size, at least `LEAST` pixels a side; values beyond [0, 1] are clamped."""
        both = torch.cat([one, other]).clamp(0, 1).float()
        both = (2 * both - 1 - self.mean) / self.deviation
        distance = torch.zeros(len(one))
        for part, weight in zip(self.parts, self.weights, strict=True):
            both = part(both)
            a, b = (both * (both.square().sum(1, keepdim=True) + 1e-8).rsqrt()).chunk(2)
            distance = distance + ((a - b).square() * weight).sum(1).mean((1, 2))
        return distance


def load_lpips(path: Path) -> Lpips:
    """With AlexNet's weights from a file. Raises UserError for one that holds others, or without torchmetrics."""
    package = find_spec("torchmetrics")
    if package is None or package.origin is None:
        raise UserError("LPIPS takes weights of channels from torchmetrics, which is missing: pip install "
                        "'tokenfield[generation]'")
    heads = torch.load(Path(package.origin).parent / "functional/image/lpips_models/alex.pth", map_location="cpu",
                       weights_only=True)
    try:
        alexnet = torch.load(path, map_location="cpu", weights_only=True)
        return Lpips(alexnet, heads).eval()
    except (RuntimeError, ValueError, OSError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise UserError(f"{path} holds no weights of AlexNet ({type(error).__name__}); give {FILE}") from error


INCEPTION = "pt_inception-2015-12-05-6726825d.pth"
"""Weights of the network of published FIDs."""


def networks_folder() -> Path:
    """Where weights of feature networks are looked for."""
    return cache_folder() / "networks"


@dataclass
class Perceptual:
    """Gathers what rFID needs, picture by picture, and measures LPIPS; either network may be absent."""

    network: FeatureNetwork | None = None
    lpips: Lpips | None = None
    absent: dict[str, str] = field(default_factory=dict)
    """By the name of a column, what to place where."""
    features: list[Float[Tensor, "2 f"]] = field(default_factory=list)
    """Of every photograph and its reconstruction."""

    @classmethod
    def of(cls, features: str = "auto") -> "Perceptual":
        """By the networks that a user names or, for auto, whose weights lie in `networks_folder`."""
        folder = networks_folder()
        files = {"rfid": folder / INCEPTION, "lpips": folder / FILE}
        absent = {name: f"place {file.name} in {file.parent}" for name, file in files.items() if not file.is_file()}
        network = None
        if features != "auto":
            network = find_features(features)
            absent.pop("rfid", None)
        elif "rfid" not in absent:
            network = find_features(f"inception:{files['rfid']}")
        return cls(network, None if "lpips" in absent else load_lpips(files["lpips"]), absent)

    @torch.no_grad()
    def measure(self, photograph: Float[Tensor, "c h w"], reconstruction: Float[Tensor, "c h w"]) -> float | None:
        """LPIPS of one pair, on the CPU; None without its network, without three channels, or for a tiny picture."""
        if photograph.shape[0] != 3:
            return None
        if self.network is not None and min(photograph.shape[1:]) >= self.network.least:
            self.features.append(self.network(torch.stack([photograph, reconstruction]).clamp(0, 1)).float())
        if self.lpips is None or min(photograph.shape[1:]) < LEAST:
            return None
        return float(self.lpips(photograph[None], reconstruction[None]))

    def facts(self) -> Record:
        """rFID, of how many pictures and by which network; and what is absent."""
        pairs = torch.stack(self.features) if len(self.features) > 1 else None
        return {
            "rfid": None if pairs is None else frechet_distance(pairs[:, 1], pairs[:, 0]),
            "rfid_pictures": len(self.features),
            "features": None if self.network is None else
            {"name": self.network.name, "identity": self.network.identity},
            "absent": self.absent,
        }

"""rFID and LPIPS of an evaluation: by networks whose weights are the user's, placed in one folder.

Nothing is shipped and nothing is downloaded. Where a file is absent, the column says which one belongs where.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.data.cache import cache_folder
from tokenfield.evaluation.features import FeatureNetwork, find_features
from tokenfield.evaluation.frechet import frechet_distance
from tokenfield.evaluation.lpips import FILE, LEAST, Lpips, load_lpips
from tokenfield.io.record import Record

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

"""Feature networks: what FID, KID, precision and recall look at in place of pixels; and the Frechet distance itself.

The distances of all four are between features, so a number means nothing without the network it was measured with.
Every network here has a name and an identity, a hash of everything its answers depend on; both stand beside each
number, and in the file of a reference set's statistics. Published FIDs use Inception v3, whose weights are not ours to
ship: `inception:PATH` takes them from a file. The others need nothing that is not installed.
"""

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.errors import UserError
from tokenfield.evaluation import inception
from tokenfield.evaluation.pca import Basis
from tokenfield.models import pretrained
from tokenfield.models.base import FieldModel

KINDS = {
    "pca": "codes of the packaged PCA basis: texture at the scale of 8 x 8 cells",
    "random:SEED": "a small convolutional network of random weights",
    "MODEL": "tokens of an anchored model, packaged or in a folder, such as photos-s",
    "script:PATH": "a TorchScript file that takes (B, 3, H, W) in [0, 1]",
    "inception:PATH": "Inception v3, as FID is published: pt_inception-2015-12-05-6726825d.pth, or TorchScript (.pt)",
}
"""What `find_features` takes."""

CODES, STRIDE = 24, 4


class FeatureNetwork(nn.Module):
    """Pictures (B, 3, H, W) in [0, 1] -> features (B, F), F = `num_features`; its name stands beside every number."""

    name: str
    num_features: int
    least: int = 1
    """Pixels on the shorter side that it needs."""
    classifier: Tensor | None = None
    """(classes, F): the map from features to logits, of a network that classifies; for the Inception Score."""

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b f"]:
        """Raises UserError for pictures that are too small."""
        if min(pictures.shape[-2:]) < self.least:
            raise UserError(f"pictures of {pictures.shape[-1]} x {pictures.shape[-2]} pixels; features {self.name} "
                            f"need at least {self.least} a side")
        return self.features(pictures)

    def features(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b f"]:
        """Of pictures that are large enough."""
        raise NotImplementedError(f"{type(self).__name__}.features")

    @property
    def identity(self) -> str:
        """SHA-256 of the name and of all weights: equal networks have equal features."""
        digest = hashlib.sha256(f"{self.name} {self.num_features}".encode())
        for key, tensor in sorted(self.state_dict().items()):
            digest.update(key.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().data)
        return digest.hexdigest()


def mean_and_deviation(values: Float[Tensor, "b n f"]) -> Float[Tensor, "b g"]:
    """Over the places of a picture: what it is made of, not where; (B, 2 F)."""
    return torch.cat([values.mean(1), values.var(1, unbiased=False).clamp(min=1e-12).sqrt()], 1)


class PcaFeatures(FeatureNetwork):
    """The first 24 principal components of 8 x 8 cells, one every 4 pixels; their means and deviations: 48 features."""

    components: Tensor
    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        basis = Basis.load()
        self.name, self.num_features, self.least = "pca", 2 * CODES, basis.cell
        self.register_buffer("components", basis.components[:CODES])
        self.register_buffer("mean", basis.mean)

    def features(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b f"]:
        cells = F.unfold(pictures, self.least, stride=STRIDE).mT                   # (B, N, 192)
        return mean_and_deviation((cells - self.mean) @ self.components.T)


class TokenFeatures(FeatureNetwork):
    """Tokens of an anchored model, one per cell; their means and deviations: twice the width of a token."""

    def __init__(self, model: FieldModel, name: str):
        super().__init__()
        if model.input_size is not None:
            raise UserError(f"{name} takes pictures of {model.input_size} only; for features give a model whose tokens "
                            "have places, such as photos-s")
        self.model, self.name, self.num_features, self.least = model, name, 2 * model.config.latent_dim, model.cell

    def features(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b f"]:
        """Pictures are cut to whole cells at the right and below."""
        height, width = (side // self.least * self.least for side in pictures.shape[2:])
        return mean_and_deviation(self.model.encode(pictures[:, :, :height, :width]).flatten(1, 2))


class RandomFeatures(FeatureNetwork):
    """Three strided convolutions whose weights are drawn from a seed; means and deviations of the last: 64 features."""

    def __init__(self, seed: int):
        super().__init__()
        self.name, self.num_features, self.least = f"random:{seed}", 64, 8
        draws = torch.Generator().manual_seed(seed)
        for layer, (inward, outward) in enumerate(((3, 32), (32, 32), (32, 32))):
            weight = torch.randn(outward, inward, 3, 3, generator=draws) * (2 / (9 * inward)) ** 0.5
            self.register_buffer(f"weight{layer}", weight)

    def features(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b f"]:
        """Reflected at the edges."""
        x = pictures * 4 - 2
        for layer in range(3):
            x = F.pad(x, (1, 1, 1, 1), mode="reflect")
            x = F.leaky_relu(F.conv2d(x, getattr(self, f"weight{layer}"), stride=2))
        return mean_and_deviation(x.flatten(2).mT)


class ScriptFeatures(FeatureNetwork):
    """A network in a TorchScript file; its features are flattened. A `classifier` that it has makes logits of them."""

    def __init__(self, path: Path, *, kind: str = "script"):
        super().__init__()
        try:
            self.network = torch.jit.load(str(path), map_location="cpu").eval()
        except (RuntimeError, ValueError, OSError) as error:
            raise UserError(f"{path} is no TorchScript file ({str(error).strip().splitlines()[0]}); make one with "
                            "torch.jit.script(network).save(PATH)") from error
        self.file = hashlib.sha256(path.read_bytes()).hexdigest()
        self.name = f"{kind}:{path.name}"
        self.published = kind == "inception"  # that file takes bytes, and gives features when they are named
        self.num_features = self(torch.zeros(1, 3, 64, 64)).shape[1]
        self.classifier = getattr(self.network, "classifier", None)

    @property
    def identity(self) -> str:
        return hashlib.sha256(f"{self.name} {self.file}".encode()).hexdigest()

    def features(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b f"]:
        if self.published:
            published: Tensor = self.network(as_bytes(pictures).byte(), return_features=True)
            return published.float()
        features: Tensor = self.network(pictures)
        return features.flatten(1).float()


class InceptionFeatures(FeatureNetwork):
    """Inception v3 with its published weights, 2048 features; it resizes to 299 pixels itself (inception.py)."""

    def __init__(self, path: Path):
        super().__init__()
        network, classifier = inception.load(path)
        self.network = network.requires_grad_(False)
        self.classifier = classifier  # no part of what features depend on, so no buffer
        self.name, self.num_features = f"inception:{path.name}", inception.FEATURES

    def features(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b f"]:
        """Pictures are rounded to bytes first, as published."""
        features: Tensor = self.network(as_bytes(pictures))
        return features


def as_bytes(pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Values of [0, 1] as whole numbers from 0 to 255."""
    return (pictures.clamp(0, 1) * 255).round()


def find_features(spec: str) -> FeatureNetwork:
    """The network that a user names, one of `KINDS`. Raises UserError where there is none, or its file is missing."""
    kind, _, rest = spec.partition(":")
    if kind in ("script", "inception") and rest:
        path = Path(rest)
        if not path.is_file():
            raise UserError(f"--features {spec}: no file {path}")
        weights = kind == "inception" and path.suffix != ".pt"
        network: FeatureNetwork = InceptionFeatures(path) if weights else ScriptFeatures(path, kind=kind)
    elif kind == "random" and rest.isdecimal():
        network = RandomFeatures(int(rest))
    elif spec == "pca":
        network = PcaFeatures()
    elif spec in pretrained.list_models() or Path(spec).is_dir():
        network = TokenFeatures(pretrained.load(spec), spec)
    else:
        raise UserError(f"no features are called {spec!r}; give {', '.join(KINDS)} (MODEL is a folder or one of "
                        f"{', '.join(pretrained.list_models())})")
    return network.eval()


def frechet_distance(generated: Float[Tensor, "n f"], reference: Float[Tensor, "m f"]) -> float:
    """FID of two sets of features, in float64; rounding below zero is zero.

    With C = A^T A and C' = B^T B the eigenvalues of C C' are the squared singular values of A B^T, so tr (C C')^(1/2)
    is the sum of these. That holds where there are fewer pictures than features and C is singular; taking the
    eigenvalues of C C', as programs for FID do, then loses half of the digits, or does not converge.
    """
    means, factors = [], []
    for values in (generated.double(), reference.double()):
        means.append(values.mean(0))
        centred = (values - means[-1]) / (len(values) - 1) ** 0.5
        factors.append(torch.linalg.qr(centred, mode="r").R if len(values) > values.shape[1] else centred)
    a, b = factors
    traces = a.square().sum() + b.square().sum()
    shared = torch.linalg.svdvals(a @ b.T).sum()                                   # tr (C C')^(1/2)
    return max(0.0, float((means[0] - means[1]).square().sum() + traces - 2 * shared))

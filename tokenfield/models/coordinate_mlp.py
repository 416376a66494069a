"""One MLP per picture, fitted from scratch: FFNet and SIREN.

FFNet: *Fourier Features Let Networks Learn High Frequency Functions* (NeurIPS 2020), with the axis-aligned frequencies
of LAINR's Eq. 2, and ReLU. SIREN: *Implicit Neural Representations with Periodic Activation Functions* (NeurIPS 2020).

Nothing is shared between pictures but the start, so `encode` is an optimisation, and the tokens are all weights and
biases.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Grid
from tokenfield.metrics import mse
from tokenfield.models.hyponet_field import HyponetField, MlpSizes
from tokenfield.nn.hyponet import AffineLayer, Fourier, Hyponet, Raw, sizes
from tokenfield.nn.siren import weight_bound


@dataclass(frozen=True)
class CoordinateMlpConfig(MlpSizes):
    """Sizes of the MLP and of its fitting. All layers are the picture's own; bandwidth and features are FFNet's."""

    may_be_zero = frozenset({"steps"})

    kind: Literal["ffnet", "siren"] = "ffnet"
    """Fourier features and ReLU, or sines."""
    size: tuple[int, int] = (178, 178)
    """Height and width of the picture."""
    w0: float = 30.0
    """Factor inside the sines (siren)."""
    steps: int = 1000
    """Steps of Adam that `encode` takes."""
    rate: float = 1e-3
    """Their learning rate; SIREN's authors take 1e-4."""

    def build(self) -> "CoordinateMlp":
        """The model with a fresh start."""
        return CoordinateMlp(self)


class CoordinateMlp(HyponetField):
    """An MLP of a picture's own. Tokens (B, units, inputs + 1) are the rows of its matrices, each with its bias."""

    name = "coordinate-mlp"
    token = "a row of a weight matrix of the picture's own network, with its bias"
    default_recipe = None  # it is fitted, by `tokenfield fit`
    config: CoordinateMlpConfig

    def __init__(self, config: CoordinateMlpConfig):
        super().__init__()
        self.config, self.input_size, self.channels = config, config.size, config.channels
        siren = config.kind == "siren"
        features = Raw(2) if siren else Fourier(2, config.feature_dim, config.sigma)
        bounds = sizes(features.out_dim, config.dim, config.depth, config.channels)
        activation = (lambda x: torch.sin(config.w0 * x)) if siren else torch.relu_
        self.net = Hyponet(features, [AffineLayer(i, o) for i, o in bounds], output_bias=0.5, activation=activation)
        self.initial = nn.ParameterList(self._start(i, o, layer) for layer, (i, o) in enumerate(bounds))

    def _start(self, fan_in: int, fan_out: int, layer: int) -> Tensor:
        """Weights uniform within a bound, biases within 1 / sqrt(fan-in), as linear layers start by default."""
        usual = 1 / math.sqrt(fan_in)
        bound = weight_bound(fan_in, self.config.w0, first=layer == 0) if self.config.kind == "siren" else usual
        weight = torch.empty(fan_out, fan_in).uniform_(-bound, bound)
        return torch.cat([weight, torch.empty(fan_out, 1).uniform_(-usual, usual)], 1)

    def start(self, count: int) -> Float[Tensor, "b r d"]:
        """The tokens from which `count` pictures start, all alike."""
        return self.net.layout.join([p.expand(count, -1, -1) for p in self.initial])

    def fit(self, images: Float[Tensor, "b c h w"], *, start: Float[Tensor, "b r d"] | None = None,
            steps: int | None = None) -> Iterator[tuple[Float[Tensor, "b r d"], Float[Tensor, " b"]]]:
        """Adam on all pixels of every picture, each by itself: tokens before every step, and their mean squared errors.

        It goes on from `start`, by default the model's own; `steps` None never ends.
        """
        tokens = self.start(len(images)) if start is None else start
        rows = [part.detach().clone().requires_grad_() for part in self.net.layout.split(tokens)]
        optimizer = torch.optim.Adam(rows, lr=self.config.rate)
        with torch.no_grad():
            located = self.net.locate(Grid.cells(*images.shape[-2:], device=images.device))
            target = images.flatten(2).mT
        for _ in count() if steps is None else range(steps):
            with torch.enable_grad():
                values = self.combine(located, self.prepare(self.net.layout.join(rows)))
                errors = mse(values, target.to(values.dtype))
                optimizer.zero_grad()
                errors.sum().backward()  # instances do not meet: each has its own gradient
            yield self.net.layout.join(rows).detach(), errors.detach()
            optimizer.step()

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b r d"]:
        """The best of `config.steps` steps, for every picture by itself; no gradient reaches the start."""
        best, least = None, torch.full((len(images),), math.inf, device=images.device)
        for tokens, errors in self.fit(images, steps=self.config.steps + 1):
            better = errors < least
            best = tokens if best is None else torch.where(better[:, None, None], tokens, best)
            least = torch.minimum(errors, least)
        assert best is not None, "a fit has at least one step"
        return best

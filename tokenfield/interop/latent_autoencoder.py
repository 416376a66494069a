"""A field model with the habits of diffusers' `AutoencoderKL`, so that its tokens drop into pipelines written for one.

    autoencoder = LatentAutoencoder.fit(tokenfield.load("photos-s"), batches)   # statistics of some pictures
    z = autoencoder.encode(images).latent_dist.sample() * autoencoder.config.scaling_factor
    images = autoencoder.decode(z / autoencoder.config.scaling_factor).sample              # in [-1, 1], as images
    larger = autoencoder.decode(z / autoencoder.config.scaling_factor, size=(512, 512)).sample

Latents of a lattice are pictures of tokens, (B, D, rows, columns), as convolutional and patch denoisers take them; of a
set they are sequences (B, R, D). Every channel, of a set every channel of every token, is standardised: channels differ
in range too much for one scaling factor, which is therefore 1.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel


@dataclass(frozen=True)
class LatentConfig:
    """What pipelines ask of `autoencoder.config`."""

    latent_channels: int
    """D."""
    sample_size: int | None
    """Side of the pictures it takes; None: any multiple of `scale`."""
    scale: int
    """Pixels per latent along a side."""
    in_channels: int = 3
    out_channels: int = 3
    scaling_factor: float = 1.0
    """Multiplies latents before diffusion. They are standardised here, so it is 1."""
    shift_factor: float = 0.0


@dataclass(frozen=True)
class PointDistribution:
    """A distribution in one point: an encoder of tokens draws nothing."""

    mean: Tensor

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """The latents."""
        return self.mean

    def mode(self) -> Tensor:
        """The latents."""
        return self.mean

    def kl(self, other: object = None) -> Tensor:
        """Nothing to regularise: 0 of every picture."""
        return self.mean.new_zeros(len(self.mean))


@dataclass(frozen=True)
class EncoderOutput:
    """What `encode` returns, by both names that pipelines use."""

    latent_dist: PointDistribution

    @property
    def latents(self) -> Tensor:
        """Standardised latents."""
        return self.latent_dist.mean


@dataclass(frozen=True)
class DecoderOutput:
    """What `decode` returns."""

    sample: Tensor
    """Pictures (B, C, H, W) in [-1, 1], neither clamped nor rounded."""


class LatentAutoencoder(nn.Module):
    """`encode` and `decode` of a field model on pictures in [-1, 1], with standardised latents.

    `mean` and `deviation` broadcast to its tokens; by default 0 and 1. Raises UserError for a model of other signals.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, model: FieldModel, mean: Tensor | None = None, deviation: Tensor | None = None):
        super().__init__()
        if model.command != "encode":
            raise UserError(f"{model.name} takes {model.takes}; a latent autoencoder is made of a model of pictures")
        self.model = model
        self.register_buffer("mean", torch.zeros(()) if mean is None else mean)
        self.register_buffer("deviation", torch.ones(()) if deviation is None else deviation)
        side = None if model.input_size is None else model.input_size[0]
        with torch.no_grad():
            width = model.encode(torch.zeros(1, model.channels, *(model.input_size or (2 * model.cell,) * 2))).shape[-1]
        self.config = LatentConfig(width, side, model.cell, model.channels, model.channels)

    @classmethod
    @torch.no_grad()
    def fit(cls, model: FieldModel, batches: Iterable[Float[Tensor, "b c h w"]]) -> "LatentAutoencoder":
        """With mean and deviation of tokens of pictures in [0, 1]: by channel, of a set by token and channel."""
        tokens = torch.cat([model.encode(batch) for batch in batches])  # (N, rows, columns, D) or (N, R, D)
        axes = (0, 1, 2) if tokens.ndim == 4 else (0,)
        mean, deviation = tokens.mean(axes), tokens.std(axes)
        return cls(model, mean, torch.where(deviation > 0, deviation, 1.0))

    @property
    def device(self) -> torch.device:
        """Of the weights."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return next(self.parameters()).dtype

    def encode(self, x: Float[Tensor, "b c h w"]) -> EncoderOutput:
        """Pictures in [-1, 1] -> standardised latents (B, D, rows, columns), of a set (B, R, D)."""
        tokens = (self.model.encode((x + 1) / 2) - self.mean) / self.deviation
        return EncoderOutput(PointDistribution(tokens.movedim(-1, 1) if tokens.ndim == 4 else tokens))

    def decode(self, z: Tensor, size: tuple[int, int] | None = None) -> DecoderOutput:
        """Latents -> pictures at any size (height, width); by default that of what was encoded."""
        tokens = (z.movedim(1, -1) if z.ndim == 4 else z) * self.deviation + self.mean
        if size is None:
            rows, columns = tokens.shape[1:3]
            size = self.model.input_size or (rows * self.model.cell, columns * self.model.cell)
        values = self.model.decode(tokens, Grid.cells(*size, device=z.device))  # (B, H W, C)
        return DecoderOutput(2 * values.mT.unflatten(-1, size) - 1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> DecoderOutput:
        """There and back."""
        return self.decode(self.encode(x).latents)

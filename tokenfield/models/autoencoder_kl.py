"""The autoencoder row of Table 5: latent diffusion's `AutoencoderKL` as one of the systems here.

*High-Resolution Image Synthesis with Latent Diffusion Models* (Rombach et al., CVPR 2022). A convolutional
encoder makes a grid of latents, one per `cell` x `cell` pixels; a convolutional decoder makes a picture of them. The
network is that of the `diffusers` package, which is imported when a model is built and not before.

This is not a field by itself: the decoder knows one grid, that of the input. Values at other coordinates are bilinear
interpolation of the picture it draws, constant beyond the outermost pixel centres.

Weights come from a folder that the user has, as diffusers saved it: `tokenfield import FOLDER -o MODEL`. Tokens are the
mean of the latent's distribution, in the network's own scale (`scaling_factor` is a matter of the diffusion model).
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tokenfield.configs import Sizes
from tokenfield.coords import Coordinates, Grid
from tokenfield.errors import UserError
from tokenfield.io.record import Record
from tokenfield.models.base import FieldModel, RecipeFields
from tokenfield.nn.affine import wide
from tokenfield.nn.attention import fitting_kernel


@dataclass(frozen=True)
class AutoencoderKlConfig(Sizes):
    """The network, and the pictures it is given."""

    size: tuple[int, int] = (256, 256)
    """Height and width of the pictures it encodes, multiples of the factor by which the network shrinks."""
    channels: int = 3
    """Values per coordinate."""
    network: Record = field(default_factory=dict)
    """The network's own configuration, as its config.json has it; what is left out is diffusers' default."""

    def build(self) -> "AutoencoderKl":
        return AutoencoderKl(self)


def autoencoder_class() -> Any:
    """`diffusers.AutoencoderKL`. Raises UserError where the package is missing."""
    try:
        from diffusers import AutoencoderKL
    except ImportError as error:
        raise UserError("AutoencoderKL needs diffusers, which is missing; type: pip install 'tokenfield[generation]'"
                        ) from error
    return AutoencoderKL


class AutoencoderKl(FieldModel):
    """Latent diffusion's autoencoder, bilinear between pixels. Tokens are (B, H / factor, W / factor, D)."""

    name = "autoencoder-kl"
    token = "a cell of a convolutional network's latents"
    default_recipe: ClassVar[RecipeFields | None] = {"model": {"size": (64, 64)}}

    def __init__(self, config: AutoencoderKlConfig):
        super().__init__()
        self.config, self.input_size, self.channels = config, config.size, config.channels
        ends = {"in_channels": config.channels, "out_channels": config.channels}
        network = {key: value for key, value in config.network.items() if not key.startswith("_")}
        if any(network.get(key, value) != value for key, value in ends.items()):
            raise UserError(f"a network of {network.get('in_channels')} channels for pictures of {config.channels}")
        self.network = autoencoder_class().from_config({**network, **ends})
        self.cell = 2 ** (len(self.network.config.block_out_channels) - 1)
        height, width = config.size
        if height % self.cell or width % self.cell:
            raise UserError(f"pictures of {height} x {width} pixels for a network that shrinks by {self.cell}; "
                            f"give multiples of {self.cell}")

    def encode(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b m n d"]:
        """Pictures in [0, 1] of `config.size` -> means of the latents."""
        dtype = next(self.network.parameters()).dtype
        means: Tensor = self.network.encode(images.to(dtype) * 2 - 1).latent_dist.mode()  # it works in [-1, 1]
        return means.movedim(1, -1)

    def locate(self, coords: Coordinates, lattice: tuple[int, ...] = ()) -> Float[Tensor, "*b q 2"]:
        """Points (x, y), as `grid_sample` wants them."""
        return (coords.coords() if isinstance(coords, Grid) else coords).flip(-1)

    def prepare(self, tokens: Float[Tensor, "b m n d"]) -> Float[Tensor, "b c h w"]:
        """The picture that the decoder draws, values in [0, 1] but for what it overshoots."""
        dtype = next(self.network.parameters()).dtype
        with fitting_kernel():
            return wide(self.network.decode(tokens.to(dtype).movedim(-1, 1)).sample) / 2 + 0.5

    def combine(self, located: Tensor, prepared: Float[Tensor, "b c h w"]) -> Float[Tensor, "b q c"]:
        """Bilinear interpolation between the picture's pixel centres."""
        points = located.expand(len(prepared), -1, -1).unsqueeze(1).to(prepared.dtype)  # (B, 1, Q, 2)
        values = F.grid_sample(prepared, points, padding_mode="border", align_corners=False)  # (B, C, 1, Q)
        return values.squeeze(2).mT

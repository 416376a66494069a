"""Systems for recordings: LAINR, IPC and TransINR over one coordinate, time. (d_in = 1)

The parts are those of the picture systems. A segment of `length` samples is cut into patches of `patch` of them, each
a data token of the encoder (ginr-ipc's audio: 200 samples at 16 kHz); a value is one sample, centred at 0 where a
picture's is at 0.5. Sizes of pictures in the configurations that are wrapped here are not used.
"""

from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.configs import Sizes, check_divides
from tokenfield.coords import centers
from tokenfield.errors import UserError
from tokenfield.models.base import Model
from tokenfield.models.hyponet_field import (
    IpcConfig,
    ModulatedSizes,
    TransInrConfig,
    WeightField,
    build_mlp,
    build_row_encoder,
)
from tokenfield.models.lainr import LainrConfig, build_aggregator, build_encoder, build_head
from tokenfield.models.token_field import EncoderSizes, PatchField, TokenField
from tokenfield.nn.hyponet import FactorLayer, Fourier, Hyponet, ScaledLayer
from tokenfield.nn.local_start import local_start
from tokenfield.nn.places import Anchors
from tokenfield.nn.token_decoder import TokenDecoder

S = TypeVar("S", bound=EncoderSizes)


@dataclass(frozen=True)
class SoundConfig(Sizes):
    """How a recording is cut; the defaults are those of ginr-ipc's audio."""

    padding: ClassVar[int] = 0
    channels: ClassVar[int] = 1

    rate: int = 16_000
    """Samples per second."""
    length: int = 16_000
    """Samples of a segment, which is encoded at once."""
    patch: int = 200
    """Samples of a patch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_divides("patch", self.patch, "length", self.length)

    @property
    def size(self) -> tuple[int, int]:
        """A segment as a picture of one row."""
        return 1, self.length

    def sizes(self, config: S) -> S:
        """A picture's sizes for a row of patches, each a pixel of as many channels as it has samples."""
        return replace(config, size=(1, self.length // self.patch), patch=1, padding=0, channels=1)


@dataclass(frozen=True)
class SoundLainrConfig(SoundConfig):
    """A LAINR over time."""

    lainr: LainrConfig = field(default_factory=LainrConfig)

    def build(self) -> "SoundLainr":
        """The model with fresh weights."""
        return SoundLainr(self)


@dataclass(frozen=True)
class SoundIpcConfig(SoundConfig):
    """An IPC over time."""

    ipc: IpcConfig = field(default_factory=IpcConfig)

    def build(self) -> "SoundIpc":
        """The model with fresh weights."""
        return SoundIpc(self)


@dataclass(frozen=True)
class SoundTransInrConfig(SoundConfig):
    """A TransINR over time."""

    trans_inr: TransInrConfig = field(default_factory=TransInrConfig)

    def build(self) -> "SoundTransInr":
        """The model with fresh weights."""
        return SoundTransInr(self)


class SoundModel(PatchField):
    """What systems for recordings answer beside `encode` and `decode`; their configuration says how these are cut."""

    command = "sound"
    takes = "recordings"
    after_training = "sound evaluate {out} --data {data}"
    default_recipe = None
    in_unit = None  # samples in [-1, 1]
    coordinate_dim = 1
    config: SoundConfig

    def example(self, batch: int = 2) -> tuple[Tensor, dict[int, str]]:
        return torch.rand(batch, 1, self.config.length), {0: "batch"}

    def cut(self, images: Float[Tensor, "b 1 n"]) -> Float[Tensor, "b p s"]:
        """Patches, in the type of the encoder."""
        return images.to(self.encoder.embed.weight.dtype).reshape(images.shape[0], -1, self.cell)

    def encode(self, images: Float[Tensor, "b 1 n"]) -> Float[Tensor, "b r d"]:
        """Segments of `length` samples in [-1, 1] -> tokens. Raises UserError for another length."""
        length = self.config.length
        if images.shape[1:] != (1, length):
            raise UserError(f"segments {tuple(images.shape)}; give (B, 1, {length}), or use encode_recording, "
                            "which takes any length")
        tokens: Tensor = self.encoder(self.cut(images))
        return tokens


def sound_model(model: Model) -> SoundModel:
    """The model, if it is one of recordings. Raises UserError for another."""
    if not isinstance(model, SoundModel):
        raise UserError(f"the {model.name} model takes {model.takes}, not recordings; train one of lainr-speech, "
                        "ipc-speech, trans-inr-speech")
    return model


def on_line(count: int) -> Anchors:
    """The middles of equal parts of [-1, 1]."""
    return Anchors(centers(count)[:, None], (2 / count,))


class SoundLainr(SoundModel, TokenField):
    """LAINR over time. Tokens are (B, R, latent_dim), a set."""

    name = "sound-lainr"
    config: SoundLainrConfig

    def __init__(self, config: SoundLainrConfig):
        sizes = config.sizes(config.lainr)
        decoder = TokenDecoder(build_aggregator(sizes, in_dim=1), build_head(sizes, in_dim=1), output_bias=0.0)
        super().__init__(config, config, build_encoder(sizes, channels=config.patch), decoder, start=sizes.start)

    def initialize(self, samples: Float[Tensor, "b 1 n"]) -> None:
        """The local start, with anchors evenly along the segment."""
        patches = self.cut(samples)
        local_start(self.encoder, self.decoder.aggregator, patches, on_line, centers(patches.shape[1])[:, None])


def mlp_over_time(config: ModulatedSizes, kind: type[FactorLayer] | type[ScaledLayer], rows: int) -> Hyponet:
    """The coordinate MLP of an IPC or a TransINR, with Fourier features of time."""
    return build_mlp(config, kind, rows, features=Fourier(1, config.feature_dim, config.sigma), output_bias=0.0)


class SoundIpc(SoundModel, WeightField):
    """IPC over time. Tokens are (B, R, fan-in)."""

    name = "sound-ipc"
    token = "a pattern composer, one of the vectors that a layer's weights are mixed of"
    config: SoundIpcConfig

    def __init__(self, config: SoundIpcConfig):
        sizes = config.sizes(config.ipc)
        net = mlp_over_time(sizes, FactorLayer, sizes.num_latents)
        super().__init__(config, config, build_row_encoder(sizes, net, channels=config.patch), net)


class SoundTransInr(SoundModel, WeightField):
    """TransINR over time. Tokens are (B, the layers' groups one after the other, widest fan-in)."""

    name = "sound-trans-inr"
    token = "a row that multiplies rows of the network's weight matrices"
    config: SoundTransInrConfig

    def __init__(self, config: SoundTransInrConfig):
        sizes = config.sizes(config.trans_inr)
        net = mlp_over_time(sizes, ScaledLayer, sizes.groups)
        super().__init__(config, config, build_row_encoder(sizes, net, channels=config.patch), net)

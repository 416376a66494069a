"""The denoiser: a transformer over the latent tokens of a field (LAINR 4.4, A.3).

The blocks are those of *Scalable Diffusion Models with Transformers* (DiT, Peebles and Xie, ICCV 2023): time and label
scale, shift and gate every block through adaptive layer norm whose gates start at zero, so that a fresh block is the
identity. Two things differ from a network over pictures:

- There is no 2-D structure: no patches, no positions on a grid. LAINR's latents are a set, each from a learnable token
  of its own, so a token's identity is a learned vector, added once. Apart from it the network is equivariant:
  permuting tokens and identities together permutes the answer. (Of tokens that have places: `lattice_denoiser.py`.)
- Time enters as a number in [0, 1], through the Fourier features of the coordinates.

A trained denoiser is a folder like every model's and holds all that sampling needs: the statistics that standardise
latents are buffers, and what it was trained for are fields of its configuration, which `adopt` fills in.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, TypedDict, Unpack

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tokenfield.configs import Sizes, check_divides
from tokenfield.errors import UserError
from tokenfield.generation.paths import Prediction, each
from tokenfield.models.base import Model
from tokenfield.nn.attention import FeedForward, MultiHeadAttention
from tokenfield.nn.fourier import fourier_features, frequencies

TIME_FEATURES = 256
"""Numbers that describe the time, as in DiT."""
TIME_BANDWIDTH = 320.0
"""Highest frequency of time in half-turns per unit: about one radian per step of a thousand, as in DiT."""


@dataclass(frozen=True)
class DenoiserSizes(Sizes):
    """What all denoisers have: sizes, what they predict, what they were trained for. The defaults are the paper's."""

    may_be_zero = frozenset({"classes", "picture_size"})
    may_be_empty = frozenset({"class_names", "lattice"})

    latent_dim: int = 256
    """D, width of a latent token."""
    width: int = 1024
    """Width of the transformer."""
    depth: int = 24
    """Its blocks."""
    heads: int = 16
    """Its attention heads."""
    mlp_ratio: float = 4.0
    """Hidden width of its feed-forward parts over `width`."""
    classes: int = 1000
    """Classes of the labels; 0 is unconditional."""
    prediction: Prediction = "sample"
    """What it is trained to predict: `sample`, the clean latents (the paper); `epsilon`, the noise; `v_prediction`
    (Salimans and Ho, 2022); `velocity`, the noise minus the clean latents, of flow matching."""
    steps: int = 1000
    """T, steps of the noise schedule; not used by flow matching."""
    class_names: tuple[str, ...] = ()
    """Names of the classes; filled in when training starts, as are the fields below."""
    lattice: tuple[int, ...] = ()
    """Shape of the tokens' lattice where they have places, R in all; () for a set."""
    picture_size: tuple[int, int] = (0, 0)
    """Height and width in pixels of the pictures that were encoded."""
    field_model: str = ""
    """The field model whose tokens these are, as the user named it when the latents were made."""
    field_hash: str = ""
    """Its identity (`tokenfield.models.pretrained.model_hash`)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_divides("heads", self.heads, "width", self.width)

    @property
    def names(self) -> tuple[str, ...]:
        """What the classes are called: by number where they have no names."""
        return self.class_names or tuple(map(str, range(self.classes)))


@dataclass(frozen=True)
class DenoiserConfig(DenoiserSizes):
    """A denoiser of sets of tokens; the defaults are the paper's (`SIZES["L"]`, 458 M parameters)."""

    tokens: int = 256
    """R, latent tokens per instance."""

    def build(self) -> "Denoiser":
        return Denoiser(self)


class Size(TypedDict):
    """Fields of `DenoiserSizes` that DiT names by a letter."""

    depth: int
    width: int
    heads: int


SIZES: dict[str, Size] = {
    "S": {"depth": 12, "width": 384, "heads": 6},
    "B": {"depth": 12, "width": 768, "heads": 12},
    "L": {"depth": 24, "width": 1024, "heads": 16},
    "XL": {"depth": 28, "width": 1152, "heads": 16},
}
"""DiT's sizes: `DenoiserConfig(**SIZES["S"], classes=7)`. L is the paper's."""


class Origin(TypedDict):
    """Fields of `DenoiserSizes` that say what a denoiser was trained for."""

    class_names: tuple[str, ...]
    lattice: tuple[int, ...]
    picture_size: tuple[int, int]
    field_model: str
    field_hash: str


class Standardized:
    """What has the statistics of latents over a training set, of every channel of every token or of every channel."""

    mean: Tensor
    deviation: Tensor

    def standardize(self, tokens: Float[Tensor, "*b r d"]) -> Float[Tensor, "*b r d"]:
        """Latents of the field model with mean 0 and deviation 1 over the training set (A.3)."""
        return (tokens - self.mean) / self.deviation

    def restore(self, tokens: Float[Tensor, "*b r d"]) -> Float[Tensor, "*b r d"]:
        """The inverse of `standardize`."""
        return tokens * self.deviation + self.mean


def modulate(x: Float[Tensor, "b *r w"], shift: Float[Tensor, "b w"],
             scale: Float[Tensor, "b w"]) -> Float[Tensor, "b *r w"]:
    """x (1 + scale) + shift, the same for all tokens of an instance."""
    return x * (1 + each(scale, x)) + each(shift, x)


class SelfAttention(MultiHeadAttention):
    """Every token sees all tokens."""

    def forward(self, x: Float[Tensor, "b r w"]) -> Float[Tensor, "b r w"]:  # type: ignore[override]
        return super().forward(x, x)


class AdaptiveBlock(nn.Module):
    """x + gate Attention(modulated LN x), then x + gate FeedForward(modulated LN x)."""

    def __init__(self, dim: int, attention: nn.Module, *, mlp_ratio: float = 4.0):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6)
        self.attention = attention
        self.norm2 = nn.LayerNorm(dim, elementwise_affine=False, eps=1e-6)
        self.mlp = FeedForward(dim, int(dim * mlp_ratio))
        self.adapt = nn.Linear(dim, 6 * dim)

    def forward(self, x: Float[Tensor, "b *r w"], conditions: Float[Tensor, "b w"]) -> Float[Tensor, "b *r w"]:
        """Transform the tokens; `conditions` is what time and label say, after its nonlinearity."""
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = self.adapt(conditions).chunk(6, -1)
        x = x + each(gate_1, x) * self.attention(modulate(self.norm1(x), shift_1, scale_1))
        return x + each(gate_2, x) * self.mlp(modulate(self.norm2(x), shift_2, scale_2))


class TokenDenoiser(Standardized, Model, ABC):
    """Predicts clean latents, or what they follow from, from noisy ones: what sets and lattices have in common.

    Attributes:
        on_lattice: whether its tokens are (rows, columns, D), and not (R, D).
        mean, deviation: of the latents it was trained on. On a lattice of every channel, (D,), since a cell of another
            lattice has no statistics of its own; in a set of every channel of every token, (R, D) (A.3).
        checkpointing: compute blocks again in the backward pass: the same gradient, in the memory of one block.
    """

    command = "generate"
    takes = "latents"
    after_training = "generate samples {out} -o {out}/samples"
    default_recipe = None  # its data are latents, not pictures
    on_lattice: ClassVar[bool] = False
    config: DenoiserSizes
    checkpointing: bool = False

    def __init__(self, config: DenoiserSizes):
        super().__init__()
        self.config = config
        width = config.width
        self.embed = nn.Linear(config.latent_dim, width)
        places = self.make_places()
        first, second = nn.Linear(TIME_FEATURES, width), nn.Linear(width, width)
        self.time = nn.Sequential(first, nn.SiLU(), second)
        self.label = nn.Embedding(config.classes + 1, width)  # the last row: no label
        blocks = [AdaptiveBlock(width, self.make_attention(), mlp_ratio=config.mlp_ratio) for _ in range(config.depth)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.adapt = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, config.latent_dim)
        statistics = self.shape[-1:] if self.on_lattice else self.shape
        self.register_buffer("mean", torch.zeros(statistics))
        self.register_buffer("deviation", torch.ones(statistics))
        # DiT's start: Xavier for linear maps, small normal embeddings; gates and the output at zero.
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for embedding in (*places, self.label.weight, first.weight, second.weight):
            nn.init.normal_(embedding, std=0.02)
        for last in (self.adapt, self.out, *(block.adapt for block in blocks)):
            nn.init.zeros_(last.weight)

    @abstractmethod
    def make_places(self) -> tuple[Tensor, ...]:
        """Make and return the parameters that tell tokens apart."""

    @abstractmethod
    def make_attention(self) -> nn.Module:
        """The attention of one block: what a token sees."""

    @abstractmethod
    def place(self, shape: tuple[int, ...]) -> Float[Tensor, "*r w"]:
        """A vector for every token that tells it apart, for tokens (*shape, D)."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of the tokens of a sample."""

    def on(self, lattice: tuple[int, int]) -> "TokenDenoiser":
        """The same denoiser, weights and all, whose samples have so many rows and columns of cells.

        Raises:
            UserError: tokens of a set, which have no places: there are as many as there were.
        """
        raise UserError("this denoiser draws sets of tokens without places, in the shape of the pictures that were "
                        "encoded; another aspect needs tokens with anchors (recipe ldm-cutouts-32-anchored)")

    @property
    def horizon(self) -> float:
        """The time at which nothing but noise is left: T, or 1 for flow matching."""
        return 1.0 if self.config.prediction == "velocity" else float(self.config.steps)

    def forward(self, noisy: Float[Tensor, "b *r d"], time: Float[Tensor, " b"],
                label: Int[Tensor, " b"]) -> Float[Tensor, "b *r d"]:
        """What `config.prediction` says, from standardised latents mixed with noise.

        Time is a step of the schedule, in [0, T), whole in training; for `velocity` the share of noise, in [0, 1].
        Labels are classes, from 0; `config.classes` for none.
        """
        omega = frequencies(TIME_BANDWIDTH, TIME_FEATURES // 2, device=time.device)
        features = fourier_features(time.float()[:, None] / self.horizon, omega)              # (B, 256), float32 always
        conditions = F.silu(self.time(features.to(self.embed.weight.dtype)) + self.label(label))              # (B, W)
        x = self.embed(noisy.to(self.embed.weight.dtype)) + self.place(noisy.shape[1:-1])  # (B, R, W)
        for block in self.blocks:
            x = checkpoint(block, x, conditions, use_reentrant=False) if self.checkpointing else block(x, conditions)
        shift, scale = self.adapt(conditions).chunk(2, -1)
        return self.out(modulate(self.norm(x), shift, scale))

    @property
    def sharded_parts(self) -> list[nn.Module]:
        return list(self.blocks)

    @torch.no_grad()
    def adopt(self, mean: Float[Tensor, "*r d"], deviation: Float[Tensor, "*r d"], **origin: Unpack[Origin]) -> None:
        """Take over the statistics of latents, and the fields of the configuration that say what they are."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)
        self.config = replace(self.config, **origin)

    def muon_excluded(self) -> set[str]:
        """The maps to and from latents, and those that condition: their rows are gates and offsets, not features."""
        parts = [name.split(".") for name, _ in self.named_parameters()]
        return {".".join(part) for part in parts if part[0] in ("embed", "out", "time") or "adapt" in part}


class Denoiser(TokenDenoiser):
    """The denoiser of a set of tokens, (B, R, D) to the same: every token has an identity and sees all tokens."""

    name: ClassVar[str] = "denoiser"
    config: DenoiserConfig

    def __init__(self, config: DenoiserConfig):  # a folder of weights finds the configuration's class here
        super().__init__(config)

    def make_places(self) -> tuple[Tensor, ...]:
        self.identity = nn.Parameter(torch.empty(self.config.tokens, self.config.width))
        return (self.identity,)

    def make_attention(self) -> nn.Module:
        return SelfAttention(self.config.width, num_heads=self.config.heads)

    def place(self, shape: tuple[int, ...]) -> Float[Tensor, "*r w"]:
        return self.identity

    @property
    def shape(self) -> tuple[int, ...]:
        return self.config.tokens, self.config.latent_dim

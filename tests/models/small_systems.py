"""One small configuration of every registered system of pictures, and two pictures."""

from dataclasses import replace

import torch

from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.anr import AnrConfig
from tokenfield.models.anr_rivals import HyperIpcConfig, HyperTransInrConfig
from tokenfield.models.autoencoder_kl import AutoencoderKlConfig
from tokenfield.models.coordinate_mlp import CoordinateMlpConfig
from tokenfield.models.functa import FunctaConfig, SpatialFunctaConfig
from tokenfield.models.gb_lsr import GbLsrConfig
from tokenfield.models.hyponet_field import IpcConfig, TransInrConfig
from tokenfield.models.lainr import ComposedLainrConfig, LainrConfig, LocalizedLainrConfig
from tokenfield.models.lapped import LappedConfig
from tokenfield.models.learned_init import LearnedInitConfig
from tokenfield.models.liif import LiifConfig
from tokenfield.models.pca_mixture import PcaMixtureConfig

SIZE = (12, 20)
LAINR = LainrConfig(size=SIZE, patch=4, padding=0, num_latents=5, latent_dim=6, encoder_dim=12, encoder_depth=1,
                    encoder_heads=3, dim=8, feature_dim=12, sigmas=(8.0, 3.0), sigma_q=2.0)  # fmt: skip
ANR = AnrConfig(size=SIZE, patch=4, padding=0, num_latents=5, dim=8, encoder_dim=12, encoder_depth=1, decoder_depth=1,
                encoder_heads=2, encoder_head_dim=3, encoder_hidden=14, heads=2, head_dim=3, depth=2,
                sigma=16.0)  # fmt: skip
WEIGHTS = {"size": SIZE, "patch": 4, "padding": 0, "encoder_dim": 12, "encoder_depth": 1, "encoder_heads": 3, "dim": 8,
           "depth": 3, "feature_dim": 12, "sigma": 8.0}  # fmt: skip
HYPER = {**{name: getattr(ANR, name) for name in ANR.__dataclass_fields__ if name.startswith(("encoder", "decoder"))},
         **{name: value for name, value in WEIGHTS.items() if not name.startswith("encoder")}}
MLP = {"size": SIZE, "dim": 8, "depth": 3, "feature_dim": 12, "sigma": 8.0}
CONFIGS = {
    "lainr": LAINR,
    "lainr-localized": LocalizedLainrConfig(LAINR),
    "lainr-composed": ComposedLainrConfig(replace(LAINR, latent_dim=8)),
    "anr": ANR,
    "ipc": IpcConfig(**WEIGHTS, num_latents=3),
    "trans-inr": TransInrConfig(**WEIGHTS, groups=4),
    "anr-trans-inr": HyperTransInrConfig(**HYPER, groups=4),
    "anr-ipc": HyperIpcConfig(**HYPER, num_latents=3),
    "learned-init": LearnedInitConfig(**MLP),
    "coordinate-mlp": CoordinateMlpConfig(**MLP, steps=2),
    "functa": FunctaConfig(size=SIZE, dim=8, depth=3, latent_dim=5),
    "spatial-functa": SpatialFunctaConfig(size=SIZE, grid=(3, 5), dim=8, depth=3, latent_dim=5),
    "anchored": AnchoredConfig(cell=4, latent_dim=9, encoder_dim=8, decoder_dim=8, head_dim=4, harmonics=8),
    "switched": PcaMixtureConfig(cell=4, codes=3, prefixes=(3, 9), harmonics=8),
    "liif": LiifConfig(dim=6, depth=1, hidden=(10, 8), skip="bicubic"),
    "lapped": LappedConfig(cell=4, prefixes=(3, 48)),
    "gb-lsr": GbLsrConfig(size=SIZE, patch=8, dim=6, groups=3, modes=4),
    "autoencoder-kl": AutoencoderKlConfig(size=SIZE, network={
        "block_out_channels": (4, 4), "down_block_types": ("DownEncoderBlock2D",) * 2, "layers_per_block": 1,
        "up_block_types": ("UpDecoderBlock2D",) * 2, "norm_num_groups": 2}),
}  # fmt: skip
WITH_ATTENTION = {"lainr", "lainr-localized", "anr", "anchored", "switched"}
NAMES = sorted(CONFIGS)


def images():
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))

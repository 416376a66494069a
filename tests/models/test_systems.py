"""What every registered system of pictures answers, and configurations that cannot work."""

from dataclasses import replace

import pytest
import torch

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.anr import AnrConfig
from tokenfield.models.autoencoder_kl import AutoencoderKlConfig
from tokenfield.models.base import FieldModel
from tokenfield.models.coordinate_mlp import CoordinateMlpConfig
from tokenfield.models.functa import FunctaConfig, SpatialFunctaConfig
from tokenfield.models.hyponet_field import IpcConfig, TransInrConfig
from tokenfield.models.lainr import ComposedLainrConfig, LainrConfig, LocalizedLainrConfig
from tokenfield.models.learned_init import LearnedInitConfig
from tokenfield.models.pca_mixture import PcaMixtureConfig
from tokenfield.registry import MODELS

SIZE = (12, 20)
LAINR = LainrConfig(size=SIZE, patch=4, padding=0, num_latents=5, latent_dim=6, encoder_dim=12, encoder_depth=1,
                    encoder_heads=3, dim=8, feature_dim=12, sigmas=(8.0, 3.0), sigma_q=2.0)  # fmt: skip
ANR = AnrConfig(size=SIZE, patch=4, padding=0, num_latents=5, dim=8, encoder_dim=12, encoder_depth=1, decoder_depth=1,
                encoder_heads=2, encoder_head_dim=3, encoder_hidden=14, heads=2, head_dim=3, depth=2,
                sigma=16.0)  # fmt: skip
WEIGHTS = {"size": SIZE, "patch": 4, "padding": 0, "encoder_dim": 12, "encoder_depth": 1, "encoder_heads": 3, "dim": 8,
           "depth": 3, "feature_dim": 12, "sigma": 8.0}  # fmt: skip
MLP = {"size": SIZE, "dim": 8, "depth": 3, "feature_dim": 12, "sigma": 8.0}
CONFIGS = {
    "lainr": LAINR,
    "lainr-localized": LocalizedLainrConfig(LAINR),
    "lainr-composed": ComposedLainrConfig(replace(LAINR, latent_dim=8)),
    "anr": ANR,
    "ipc": IpcConfig(**WEIGHTS, num_latents=3),
    "trans-inr": TransInrConfig(**WEIGHTS, groups=4),
    "learned-init": LearnedInitConfig(**MLP),
    "coordinate-mlp": CoordinateMlpConfig(**MLP, steps=2),
    "functa": FunctaConfig(size=SIZE, dim=8, depth=3, latent_dim=5),
    "spatial-functa": SpatialFunctaConfig(size=SIZE, grid=(3, 5), dim=8, depth=3, latent_dim=5),
    "anchored": AnchoredConfig(cell=4, latent_dim=9, encoder_dim=8, decoder_dim=8, head_dim=4, harmonics=8),
    "switched": PcaMixtureConfig(cell=4, codes=3, prefixes=(3, 9), harmonics=8),
    "autoencoder-kl": AutoencoderKlConfig(size=SIZE, network={
        "block_out_channels": (4, 4), "down_block_types": ("DownEncoderBlock2D",) * 2, "layers_per_block": 1,
        "up_block_types": ("UpDecoderBlock2D",) * 2, "norm_num_groups": 2}),
}  # fmt: skip
WITH_ATTENTION = {"lainr", "lainr-localized", "anr", "anchored", "switched"}
NAMES = sorted(CONFIGS)


@pytest.fixture(params=NAMES)
def model(request):
    if request.param == "autoencoder-kl":
        pytest.importorskip("diffusers")
    torch.manual_seed(0)
    return CONFIGS[request.param].build().eval()


def images():
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def test_every_system_of_this_library_is_tested_here():
    assert {name for name in MODELS if MODELS.places[name].module.startswith("tokenfield.models.")} == set(NAMES)


def test_forward_is_decode_of_encode(model):
    """At points: what a wrapper such as DistributedDataParallel calls."""
    points = torch.rand(7, 2, generator=torch.Generator().manual_seed(2)) * 2 - 1
    values = model(images(), points)
    assert values.shape == (2, 7, 3)
    torch.testing.assert_close(values, model.decode(model.encode(images()), points))
    torch.testing.assert_close(model(images(), Grid.cells(3, 5)), model(images(), Grid.cells(3, 5).coords()))


def test_a_system_says_what_it_is(model):
    assert isinstance(model, FieldModel) and MODELS[model.name] is type(model)
    assert model.token != FieldModel.token
    assert model.muon_excluded() <= dict(model.named_parameters()).keys()
    assert model.sharded_parts == []


def test_where_coordinates_look(model):
    tokens = model.encode(images()[:1]).detach()
    count, points = tokens[..., 0].numel(), Grid.cells(3, 4).coords()
    weights = model.attention(tokens, points)
    assert (weights is not None) == (model.name in WITH_ATTENTION)
    if weights is not None:
        assert weights.shape[1:] == (len(points), count) and (weights >= 0).all()
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))


@pytest.mark.parametrize("name", ["lainr", "anr", "ipc"])
def test_a_system_can_be_exported(name):
    model, points = CONFIGS[name].build().eval(), torch.rand(7, 2) * 2 - 1
    program = torch.export.export(model, (images(), points))
    torch.testing.assert_close(program.module()(images(), points), model(images(), points))


IMPOSSIBLE = [
    (LAINR, {"dim": 63}, "dim 63 is no multiple of heads 2"),
    (LAINR, {"heads": 0}, "heads 0"),
    (LAINR, {"encoder_heads": 5}, "encoder_dim 12 is no multiple of encoder_heads 5"),
    (LAINR, {"patch": 0}, "patch 0"),
    (LAINR, {"patch": 7}, "size 12 x 20, padding 0: no whole number of 7-pixel patches"),
    (LAINR, {"num_latents": 0}, "num_latents 0"),
    (LAINR, {"sigma_q": float("nan")}, "sigma_q nan"),
    (LAINR, {"sigmas": (8.0, float("nan"))}, "sigmas nan"),
    (LAINR, {"sigmas": (float("inf"),)}, "sigmas inf"),
    (LAINR, {"size": (12, -20)}, "size -20"),
    (CONFIGS["lainr-localized"], {"cutoff": -0.5}, "cutoff -0.5"),
    (CONFIGS["lainr-composed"], {"lainr": LAINR}, "lainr.latent_dim 6 and lainr.dim 8; here they must agree"),
    (ANR, {"depth": 0}, "depth 0"),
    (ANR, {"cutoff": float("nan")}, "cutoff nan"),
    (CONFIGS["ipc"], {"encoder_heads": 5}, "encoder_dim 12 is no multiple of encoder_heads 5"),
    (CONFIGS["ipc"], {"modulated": (3,)}, "modulated layers (3,) of depth 3"),
    (CONFIGS["trans-inr"], {"groups": 0}, "groups 0"),
    (CONFIGS["learned-init"], {"inner_rate": float("nan")}, "inner_rate nan"),
    (CONFIGS["coordinate-mlp"], {"w0": 0.0}, "w0 0"),
    (CONFIGS["functa"], {"latent_dim": 0}, "latent_dim 0"),
    (CONFIGS["spatial-functa"], {"grid": (0, 5)}, "grid 0"),
    (CONFIGS["anchored"], {"cell": 0}, "cell 0"),
    (CONFIGS["anchored"], {"head_dim": 16}, "encoder_dim 8 is narrower than head_dim 16"),
    (CONFIGS["switched"], {"sharpness": 0.0}, "sharpness 0"),
    (CONFIGS["autoencoder-kl"], {"channels": 0}, "channels 0"),
]


@pytest.mark.parametrize(("config", "changes", "line"), IMPOSSIBLE, ids=[line for _, _, line in IMPOSSIBLE])
def test_a_configuration_that_cannot_work_is_one_line_that_names_the_field(config, changes, line):
    with pytest.raises(UserError) as caught:
        replace(config, **changes)
    assert line in str(caught.value) and "\n" not in str(caught.value)

"""The runs of *Attention Beats Linear* (ANR, ECCV 2024).

Hyperparameters are the authors' (docs/papers.md, "ANR"): Adam with betas (0.9, 0.99), a constant rate of 5e-5, 3 x 6
pictures per step, a moving average of 0.995 every 10 steps, 200 000 steps. Two numbers look different and mean the
same:

- their gradients are clipped at norm 1, of a loss on [-1, 1]; a loss on [0, 1] is a quarter of it, and so is the norm;
- a threshold of 0.0015 for 256 tokens is a cutoff of 0.384 (`tokenfield.nn.localized_attention`).

Coordinates are variational, `objective.jitter normal`, and drawn anew for every picture of a batch. The runs on
photographs share a draw over the batch, so that what depends on coordinates alone is computed once.

On CelebA the listing is split 0.75 / 0.20 / 0.05 as by the authors, but sorted first, so that it is the same on every
machine; `--data.layout celeba` takes CelebA's official split, that of LAINR's runs. The paper says that its best
MLP-based system reaches 37.95 dB, not which of the two it is, nor at which depth and number of columns; the recipes
have the configurations that its code publishes.
"""

from dataclasses import replace

from tokenfield.data import DataConfig
from tokenfield.models.anr import SMALL, AnrConfig
from tokenfield.models.anr_rivals import HyperIpcConfig, HyperTransInrConfig
from tokenfield.recipes.photos import lainr_photos
from tokenfield.training.card import Published
from tokenfield.training.objective import ReconstructionConfig
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.protocols import ModelConfig
from tokenfield.training.recipe import Recipe, run

ADAM = OptimConfig(name="adam", rate=5e-5, betas=(0.9, 0.99), schedule="constant")
FOLLOWS = Published(
    follows=("the authors' code: Adam (0.9, 0.99) at a constant 5e-5, 3 x 6 pictures, clipping at norm 1 of a loss on "
             "[-1, 1], a moving average of 0.995 every 10 steps, float32, variational coordinates for every picture",),
    departs=("the listing is sorted before it is split, so that the split is the same on every machine",
             "pictures are drawn with replacement, so that a run resumes exactly",
             "where no weight is above the threshold the largest ones stay, where theirs is 0 / 0"),
)
"""What the published ones follow, and where they depart."""
CLIP_NORM = 1 / 4
"""Norm 1 of the gradient of a loss on [-1, 1]."""


def _published(name: str, model: ModelConfig, data: DataConfig) -> Recipe:
    return Recipe(name=name, model=model, data=data, optim=ADAM,
                  objective=ReconstructionConfig(jitter="normal", noise="instance"), steps=200_000, batch_size=18,
                  accumulate=3, clip_norm=CLIP_NORM, ema_decay=0.995, ema_every=10, log_every=50, evaluate_every=10_000,
                  evaluate_pictures=200, checkpoint_every=2000)


def _celeba(name: str, model: ModelConfig) -> Recipe:
    """The listing is split 0.75 / 0.20 / 0.05 as by the authors, but sorted first."""
    return _published(name, model, DataConfig(layout="celeba_anr", size=128, crop="center"))  # 128 + 2 = 13 x 10


anr_celeba_128 = run(
    "CelebA 128, D5: 47.25 dB, against 37.95 dB for the best MLP-based INR; 131 072 values per picture.",
    _celeba, "anr-celeba-128", AnrConfig())
anr_trans_inr_celeba_128 = run(
    "CelebA 128, TransINR on ANR's hyper-network (mlp), D6, mod128; the best of it and IPC in the paper: 37.95 dB.",
    _celeba, "anr-trans-inr-celeba-128", HyperTransInrConfig())
anr_ipc_celeba_128 = run(
    "CelebA 128, IPC on ANR's hyper-network (mlp_mod), D6, mod128; the best of it and TransINR in the paper: 37.95 dB.",
    _celeba, "anr-ipc-celeba-128", HyperIpcConfig())


def anr_lsun_256() -> Recipe:
    """LSUN 256 (one category), D5; shown in the paper's figures, without a table.

    Patches of 16 pixels, as LAINR at 256; the authors publish no configuration of theirs. The sorted listing is split
    0.75 / 0.20 / 0.05.
    """
    model = AnrConfig(size=(256, 256), patch=16, padding=0)
    return _published("anr-lsun-256", model, DataConfig(layout="lsun", size=256, crop="center"))


def anr_photos() -> Recipe:
    """ANR beside `lainr-photos`: the same data, start, optimiser, coordinates, steps and values stored.

    And as many transformer blocks, one over patches and one that makes tokens of them where LAINR has two for both; the
    three and three that small ANRs have otherwise are 6.5 MiB of weights.
    """
    model = AnrConfig(**SMALL | {"heads": 8, "head_dim": 32, "start": "local", "encoder_depth": 1, "decoder_depth": 1})
    return replace(lainr_photos(), name="anr-photos", model=model)


FOLLOWS.document(globals(), "photos")

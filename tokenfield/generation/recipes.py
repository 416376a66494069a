"""Generation: field models of labelled pictures, and the denoisers of their latents.

The published run is `ldm-imagenet-256` (LAINR 4.4, A.3). The miniatures are trained on the cut-outs that
`experiments/pools/cutouts.py` builds: field models that store the same 16 x 64 values (a third, IPC, among
`experiments.recipes`), so that one denoiser, of one size and for one time, fits the latents of each. Anchored tokens
have a denoiser of their own beside it, too.
"""

from dataclasses import replace

from tokenfield.data import DataConfig
from tokenfield.generation.denoiser import SIZES, DenoiserConfig
from tokenfield.generation.latents import LatentsConfig
from tokenfield.generation.lattice_denoiser import LatticeDenoiserConfig
from tokenfield.generation.objective import DenoisingConfig
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.recipes.photos import lainr_photos_64
from tokenfield.recipes.published import lainr_of
from tokenfield.training.card import Published
from tokenfield.training.objective import ReconstructionConfig
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.recipe import Recipe, run


def ldm_imagenet_256() -> Recipe:
    """Table 5, LAINR latents of ImageNet 256: FID 9.3 with 250 DDIM steps and guidance 2.5; 400 epochs, for many GPUs.

    The paper's run (A.3): 458 M parameters, prediction of the clean latents, batch 256, Adam 1e-4 constant, 10 % of the
    labels dropped, EMA 0.9999. Its data are what `tokenfield latents` makes with `lainr-imagenet-256`.
    """
    model = DenoiserConfig(tokens=256, latent_dim=256, classes=1000, **SIZES["L"])
    steps = round(400 * 1_281_167 / 256)  # 400 epochs of ImageNet (ILSVRC 2012)
    return Recipe(name="ldm-imagenet-256", model=model, data=LatentsConfig(), optim=OptimConfig(name="adam", rate=1e-4),
                  objective=DenoisingConfig(label_dropout=0.1), steps=steps, batch_size=256, ema_decay=0.9999,
                  log_every=100, evaluate_every=10_000, evaluate_pictures=4096, checkpoint_every=10_000)


def _flow(recipe: Recipe) -> Recipe:
    return replace(recipe, name=f"{recipe.name}-flow", model=replace(recipe.model, prediction="velocity"))


ldm_imagenet_256_flow = run(
    "The same network, latents and steps with flow matching (linear path, velocity) in place of diffusion.",
    _flow, ldm_imagenet_256())


def ldm_cutouts_32() -> Recipe:
    """Diffusion over the latents of 32-pixel cut-outs, small enough for two cores; predicts the clean latents.

    Any of the three field models' latents. The rate is constant, so that a longer run begins with the shorter one.
    """
    model = DenoiserConfig(tokens=16, latent_dim=64, width=128, depth=4, heads=4, classes=7)
    return Recipe(name="ldm-cutouts-32", model=model, data=LatentsConfig(),
                  optim=OptimConfig(name="adamw", rate=1e-3, betas=(0.9, 0.99), warmup=20),
                  objective=DenoisingConfig(label_dropout=0.1), steps=10_000, batch_size=32, clip_norm=1.0,
                  ema_decay=0.999, log_every=50, evaluate_every=500, evaluate_pictures=84, checkpoint_every=500)


ldm_cutouts_32_flow = run(
    "Flow matching over the latents of 32-pixel cut-outs: the network and the steps of `ldm-cutouts-32`.",
    _flow, ldm_cutouts_32())


def ldm_cutouts_32_anchored() -> Recipe:
    """Diffusion over lattices of anchored tokens of 32-pixel cut-outs; draws any aspect ratio.

    Width, depth and training are those of `ldm-cutouts-32`. An object on white fills its picture, so a token knows
    whether it lies at a border.
    """
    model = LatticeDenoiserConfig(latent_dim=64, width=128, depth=4, heads=4, classes=7, radius=1, margin=1)
    return replace(ldm_cutouts_32(), name="ldm-cutouts-32-anchored", model=model, data=LatentsConfig(lattice=True))


def ldm_photos_64_anchored() -> Recipe:
    """Diffusion over 64-pixel crops of photographs, cut from lattices of `photos-s`; draws any aspect ratio.

    Its latents: tokenfield latents photos-s FOLDER --size 256. Crops have no borders to know of, and three blocks see
    three cells on each side, so the middle tokens of 8 x 8 cells see all that a token of a larger lattice sees.
    """
    model = LatticeDenoiserConfig(latent_dim=96, width=128, depth=3, heads=4, classes=0, radius=1, margin=0)
    data = LatentsConfig(lattice=True, part=8)
    return replace(ldm_cutouts_32(), name="ldm-photos-64-anchored", model=model, data=data)


def cutouts_32_lainr() -> Recipe:
    """LAINR on 32-pixel cut-outs of seven classes: 16 tokens of 64, the field model of the generation miniatures."""
    base = lainr_photos_64()
    model = replace(lainr_of(base), size=(32, 32), num_latents=16, latent_dim=64, encoder_dim=128, encoder_heads=4,
                    dim=64, feature_dim=64, sigma_q=4.0,
                    sigmas=(16.0, 4.0))  # in proportion to the paper's 128 and 32 at 178 pixels, and a power of two
    data = DataConfig(layout="imagenette", size=32, crop="random_flip")  # the whole picture, mirrored half the time
    return replace(base, name="cutouts-32-lainr", model=model, data=data,
                   optim=OptimConfig(name="muon", rate=1e-3, betas=(0.9, 0.99), muon_rate=0.02, schedule="cosine",
                                     warmup=50),
                   objective=ReconstructionConfig(jitter="none"), steps=1500, batch_size=32, clip_norm=1.0,
                   evaluate_every=250, evaluate_pictures=84, checkpoint_every=250)


def cutouts_32_anchored() -> Recipe:
    """Anchored tokens on 32-pixel cut-outs: 4 x 4 tokens of 64."""
    return replace(cutouts_32_lainr(), name="cutouts-32-anchored", model=AnchoredConfig(latent_dim=64), steps=1000,
                   objective=ReconstructionConfig(jitter="none", average="decibels"))

def fashion_28_lainr() -> Recipe:
    """The field model of `generate-fashion`: LAINR on grey garments of 28 pixels, 16 tokens of 24: 0.49 per pixel."""
    base = cutouts_32_lainr()
    model = replace(lainr_of(base), size=(28, 28), channels=1, patch=7, latent_dim=24, dim=128, feature_dim=128,
                    heads=8, sigmas=(16.0, 4.0), start="local")
    data = DataConfig(layout="imagenette", size=28, crop="center", channels=1)
    return replace(base, name="fashion-28-lainr", model=model, data=data,
                   optim=OptimConfig(name="muon", rate=1e-3, betas=(0.9, 0.99), muon_rate=0.01, schedule="cosine",
                                     warmup=20),
                   objective=ReconstructionConfig(jitter="axis", fraction=0.25, subset="grid"), steps=4000,
                   ema_decay=0.99, log_every=50, evaluate_every=2000, evaluate_pictures=1000, checkpoint_every=500)


def ldm_fashion_28() -> Recipe:
    """Diffusion over the latents of garments; predicts the clean latents. A cosine to zero, so the steps matter."""
    model = DenoiserConfig(tokens=16, latent_dim=24, width=160, depth=6, heads=5, classes=10)
    return replace(ldm_cutouts_32(), name="ldm-fashion-28", model=model,
                   optim=OptimConfig(name="adamw", rate=1e-3, betas=(0.9, 0.99), schedule="cosine", warmup=100),
                   steps=8000, batch_size=64, evaluate_every=4000, evaluate_pictures=2000)


ldm_fashion_28_flow = run(
    "Flow matching over the latents of garments, the packaged `generate-fashion`: the network and the steps of "
    "`ldm-fashion-28`.", _flow, ldm_fashion_28())


Published(
    follows=("the paper's A.3: 24 blocks of width 1024, clean latents predicted, batch 256, Adam at a constant 1e-4, "
             "labels dropped at 10 %, moving average 0.9999",),
    departs=("modulation by time and class as in DiT-L, which has the published number of parameters: the paper does "
             "not say how they enter",
             "latents are encoded once, by `tokenfield latents`, so that a step costs no encoder"),
).document(globals(), "cutouts", "photos")

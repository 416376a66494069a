"""The runs of the systems that LAINR is compared with, beside its own: TransINR, IPC, Learned Init, and Table 3's rows.

A run is LAINR's of the same pictures with another model: same encoder, data, batch, optimiser, coordinates and steps
(the paper's protocol, 4.1 and A). Where the published number comes from a shorter run, the docstring says which.
"""

from dataclasses import replace

from tokenfield.io.record import Record
from tokenfield.models.hyponet_field import IpcConfig, TransInrConfig
from tokenfield.models.lainr import ComposedLainrConfig, LainrConfig
from tokenfield.models.learned_init import LearnedInitConfig
from tokenfield.recipes import ablations, photos, published
from tokenfield.recipes.published import lainr_of
from tokenfield.training.objective import ReconstructionConfig
from tokenfield.training.protocols import ModelConfig
from tokenfield.training.recipe import Recipe, run

FACES = 64.0
"""Bandwidth of IPC and TransINR on CelebA and FFHQ at 178 pixels in ginr-ipc's code; else LAINR's highest."""
FOLLOWS = replace(published.FOLLOWS, follows=(
    "LAINR's runs: the same encoder, data, batch, optimiser, coordinates and steps (4.1 and A)",
    "ginr-ipc's code where the papers are silent: dropout 0.1, N(0, 1), bandwidth 64 on faces at 178 pixels, patches "
    "of 32 for IPC at 1024"))
"""What the published ones follow, and where they depart."""
CENTRES = ReconstructionConfig(jitter="none")
"""All pixels at their centres, where Learned Init adapts."""


def shared(lainr: LainrConfig) -> Record:
    """What an encoder and an MLP have in common with a LAINR; the MLP's bandwidth is that of the finest band."""
    names = ("size", "patch", "padding", "channels", "encoder_dim", "encoder_depth", "encoder_heads", "mlp_ratio",
             "dropout", "dim", "feature_dim")
    start = {"start": "published"} if lainr.start == "published" else {}
    return {name: getattr(lainr, name) for name in names} | start | {"sigma": max(lainr.sigmas)}


def _beside(lainr: Recipe, system: str, model: ModelConfig) -> Recipe:
    """A LAINR's run with another model, called after both."""
    return replace(lainr, name=f"{system}-{lainr.name.removeprefix('lainr-')}", model=model)


def ipc(lainr: Recipe, **changes: float | int) -> Recipe:
    """Pattern composers in place of LAINR's decoder; as many tokens, of the MLP's width."""
    sizes = shared(lainr_of(lainr)) | {"num_latents": lainr_of(lainr).num_latents}
    return _beside(lainr, "ipc", IpcConfig(**sizes | changes))


def trans_inr(lainr: Recipe, **changes: float | int) -> Recipe:
    """Rows of all layers."""
    return _beside(lainr, "trans-inr", TransInrConfig(**shared(lainr_of(lainr)) | changes))


def learned_init(lainr: Recipe, steps: int = 0) -> Recipe:
    """The MLP alone, adapted at pixel centres; trained for as many steps unless said otherwise."""
    sizes = shared(lainr_of(lainr)).items()
    mlp = {key: value for key, value in sizes if key in LearnedInitConfig.__dataclass_fields__}
    rival = _beside(lainr, "learned-init", LearnedInitConfig(**mlp))
    return replace(rival, objective=CENTRES, steps=steps or lainr.steps)


def composed(lainr: Recipe, **changes: int) -> Recipe:
    """Tokens of the decoder's width in place of selective aggregation."""
    fields: Record = {"latent_dim": lainr_of(lainr).dim} | changes
    return _beside(lainr, "composed", ComposedLainrConfig(replace(lainr_of(lainr), **fields)))


ipc_celeba_178 = run("Table 1, IPC, CelebA 178: 35.93 dB.", ipc, published.lainr_celeba_178(), sigma=FACES)
ipc_ffhq_178 = run("Table 1, IPC, FFHQ 178: 37.18 dB.", ipc, published.lainr_ffhq_178(), sigma=FACES)
ipc_imagenette_178 = run("Table 1, IPC, ImageNette 178: 38.46 dB. 4000 epochs.", ipc, published.lainr_imagenette_178())
ipc_ablation = run(
    "Tables 3 and 4, IPC (w/o both), ImageNette 178, 400 epochs: 34.11 dB.", ipc, ablations.lainr_ablation())
ipc_ffhq_256 = run("Tables 2 and 3, IPC (w/o both), FFHQ 256: 34.68 dB.", ipc, published.lainr_ffhq_256())
ipc_ffhq_512 = run("Table 2, IPC, FFHQ 512: 31.58 dB.", ipc, published.lainr_ffhq_512())
ipc_ffhq_1024 = run(
    "Table 2, IPC, FFHQ 1024: 28.68 dB. 1024 patches of 32 pixels, where LAINR has 484 of 48.",
    ipc, published.lainr_ffhq_1024(), patch=32, padding=0)
trans_inr_celeba_178 = run(
    "Table 1, TransINR, CelebA 178: 33.33 dB.", trans_inr, published.lainr_celeba_178(), sigma=FACES)
trans_inr_ffhq_178 = run("Table 1, TransINR, FFHQ 178: 33.66 dB.", trans_inr, published.lainr_ffhq_178(), sigma=FACES)
trans_inr_imagenette_178 = run(
    "Table 1, TransINR, ImageNette 178: 29.77 dB. 4000 epochs.", trans_inr, published.lainr_imagenette_178())
trans_inr_ffhq_256 = run("Table 2, TransINR, FFHQ 256: 30.96 dB.", trans_inr, published.lainr_ffhq_256())
trans_inr_ffhq_512 = run("Table 2, TransINR, FFHQ 512: 29.35 dB.", trans_inr, published.lainr_ffhq_512())
learned_init_celeba_178 = run(
    "Table 1, Learned Init, CelebA 178: 30.37 dB.", learned_init, published.lainr_celeba_178())
learned_init_imagenette_178 = run(
    "Table 1, Learned Init, ImageNette 178: 27.07 dB. 800 epochs, as in IPC's code.",
    learned_init, published.lainr_imagenette_178(), published.steps(800, published.IMAGENETTE))
composed_ablation = run("Table 3, w/o STA, ImageNette 178, 400 epochs: 34.54 dB.", composed, ablations.lainr_ablation())
composed_ablation_ffhq_256 = run("Table 3, w/o STA, FFHQ 256: 34.52 dB.", composed, ablations.lainr_ablation_ffhq_256())
ipc_photos = run(
    "IPC beside `lainr-photos`: the same data, encoder, optimiser, coordinates, steps and values stored (24 x 256).",
    ipc, photos.lainr_photos(), num_latents=24)


FOLLOWS.document(globals(), "photos")

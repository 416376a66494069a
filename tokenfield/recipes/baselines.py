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
from tokenfield.training.recipe import Recipe

CENTRES = ReconstructionConfig(jitter="none")
"""All pixels at their centres, where Learned Init adapts."""


def shared(lainr: LainrConfig) -> Record:
    """What an encoder and an MLP have in common with a LAINR; the MLP's bandwidth is that of the finest band."""
    names = ("size", "patch", "padding", "channels", "encoder_dim", "encoder_depth", "encoder_heads", "mlp_ratio",
             "dim", "feature_dim")
    return {name: getattr(lainr, name) for name in names} | {"sigma": max(lainr.sigmas)}


def _ipc(base: Recipe, name: str, **changes: int) -> Recipe:
    """Pattern composers in place of LAINR's decoder; as many tokens, of the MLP's width."""
    sizes = shared(lainr_of(base)) | {"num_latents": lainr_of(base).num_latents}
    return replace(base, name=name, model=IpcConfig(**sizes | changes))


def _trans_inr(base: Recipe, name: str, **changes: int) -> Recipe:
    return replace(base, name=name, model=TransInrConfig(**shared(lainr_of(base)) | changes))


def _learned_init(base: Recipe, name: str) -> Recipe:
    sizes = shared(lainr_of(base)).items()
    mlp = {key: value for key, value in sizes if key in LearnedInitConfig.__dataclass_fields__}
    return replace(base, name=name, model=LearnedInitConfig(**mlp), objective=CENTRES)


def _composed(base: Recipe, name: str, **changes: int) -> Recipe:
    """Tokens of the decoder's width in place of selective aggregation."""
    fields: Record = {"latent_dim": lainr_of(base).dim} | changes
    return replace(base, name=name, model=ComposedLainrConfig(replace(lainr_of(base), **fields)))


def ipc_celeba_178() -> Recipe:
    """Table 1, IPC, CelebA 178: 35.93 dB."""
    return _ipc(published.lainr_celeba_178(), "ipc-celeba-178")


def ipc_ffhq_178() -> Recipe:
    """Table 1, IPC, FFHQ 178: 37.18 dB."""
    return _ipc(published.lainr_ffhq_178(), "ipc-ffhq-178")


def ipc_imagenette_178() -> Recipe:
    """Table 1, IPC, ImageNette 178: 38.46 dB. 4000 epochs."""
    return _ipc(published.lainr_imagenette_178(), "ipc-imagenette-178")


def ipc_ablation() -> Recipe:
    """Tables 3 and 4, IPC (w/o both), ImageNette 178, 400 epochs: 34.11 dB."""
    return _ipc(ablations.lainr_ablation(), "ipc-ablation")


def ipc_ffhq_256() -> Recipe:
    """Tables 2 and 3, IPC (w/o both), FFHQ 256: 34.68 dB."""
    return _ipc(published.lainr_ffhq_256(), "ipc-ffhq-256")


def ipc_ffhq_512() -> Recipe:
    """Table 2, IPC, FFHQ 512: 31.58 dB."""
    return _ipc(published.lainr_ffhq_512(), "ipc-ffhq-512")


def ipc_ffhq_1024() -> Recipe:
    """Table 2, IPC, FFHQ 1024: 28.68 dB."""
    return _ipc(published.lainr_ffhq_1024(), "ipc-ffhq-1024")


def trans_inr_celeba_178() -> Recipe:
    """Table 1, TransINR, CelebA 178: 33.33 dB."""
    return _trans_inr(published.lainr_celeba_178(), "trans-inr-celeba-178")


def trans_inr_ffhq_178() -> Recipe:
    """Table 1, TransINR, FFHQ 178: 33.66 dB."""
    return _trans_inr(published.lainr_ffhq_178(), "trans-inr-ffhq-178")


def trans_inr_imagenette_178() -> Recipe:
    """Table 1, TransINR, ImageNette 178: 29.77 dB. 4000 epochs."""
    return _trans_inr(published.lainr_imagenette_178(), "trans-inr-imagenette-178")


def trans_inr_ffhq_256() -> Recipe:
    """Table 2, TransINR, FFHQ 256: 30.96 dB."""
    return _trans_inr(published.lainr_ffhq_256(), "trans-inr-ffhq-256")


def trans_inr_ffhq_512() -> Recipe:
    """Table 2, TransINR, FFHQ 512: 29.35 dB."""
    return _trans_inr(published.lainr_ffhq_512(), "trans-inr-ffhq-512")


def learned_init_celeba_178() -> Recipe:
    """Table 1, Learned Init, CelebA 178: 30.37 dB."""
    return _learned_init(published.lainr_celeba_178(), "learned-init-celeba-178")


def learned_init_imagenette_178() -> Recipe:
    """Table 1, Learned Init, ImageNette 178: 27.07 dB. 800 epochs, as in IPC's code."""
    recipe = _learned_init(published.lainr_imagenette_178(), "learned-init-imagenette-178")
    return replace(recipe, steps=published.steps(800, published.IMAGENETTE))


def composed_ablation() -> Recipe:
    """Table 3, w/o STA, ImageNette 178, 400 epochs: 34.54 dB."""
    return _composed(ablations.lainr_ablation(), "composed-ablation")


def composed_ablation_ffhq_256() -> Recipe:
    """Table 3, w/o STA, FFHQ 256: 34.52 dB."""
    return _composed(ablations.lainr_ablation_ffhq_256(), "composed-ablation-ffhq-256")


def ipc_photos() -> Recipe:
    """IPC beside `lainr-photos`: the same data, encoder, optimiser, coordinates, steps and values stored (24 x 256)."""
    return _ipc(photos.lainr_photos(), "ipc-photos", num_latents=24)


def ipc_photos_64() -> Recipe:
    """IPC on 64-pixel crops, of the size of `lainr-photos-64`: 48 tokens of 128 are as many values as 64 of 96."""
    return _ipc(photos.lainr_photos_64(), "ipc-photos-64", num_latents=48)


def trans_inr_photos_64() -> Recipe:
    """TransINR on 64-pixel crops: 16 groups per layer, 8576 values stored; 8 groups would be 4480."""
    return _trans_inr(photos.lainr_photos_64(), "trans-inr-photos-64", groups=16)


def learned_init_photos_64() -> Recipe:
    """Learned Init on 64-pixel crops; it stores the whole MLP, 65 920 values."""
    return _learned_init(photos.lainr_photos_64(), "learned-init-photos-64")


def composed_photos_64() -> Recipe:
    """LAINR w/o STA on 64-pixel crops: 48 tokens of 128."""
    return _composed(photos.lainr_photos_64(), "composed-photos-64", num_latents=48)


def ipc_photos_178() -> Recipe:
    """IPC on 178-pixel crops: the published model and optimiser; for an accelerator."""
    return _ipc(photos.lainr_photos_178(), "ipc-photos-178")


def trans_inr_photos_178() -> Recipe:
    """TransINR on 178-pixel crops: the published model and optimiser; for an accelerator."""
    return _trans_inr(photos.lainr_photos_178(), "trans-inr-photos-178")


def learned_init_photos_178() -> Recipe:
    """Learned Init on 178-pixel crops; for an accelerator."""
    return _learned_init(photos.lainr_photos_178(), "learned-init-photos-178")


def composed_photos_178() -> Recipe:
    """LAINR w/o STA on 178-pixel crops; for an accelerator."""
    return _composed(photos.lainr_photos_178(), "composed-photos-178")

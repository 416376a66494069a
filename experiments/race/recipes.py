"""The race: every system on the same photographs, storing the same values, for the same seconds of a processor.

`python -m experiments.tables race` runs it (`experiments.race`). A run is `race(system, size)`; with `full` it has the
papers' sizes, for an accelerator, and otherwise such that a core takes some hundred steps in a minute:

| size | patches | tokens x width (LAINR) | transformer | decoder | batch, coordinates of each |
|---|---|---|---|---|---|
| 64 | 8 x 8 of 8 | 64 x 96 = 6144 | 192 wide, 3 blocks | 128 wide | 8, a quarter |
| 178 | 15 x 15 of 12 | 256 x 256 = 65 536 | the same | 256 wide | 4, about 1024 |
| 512 | 16 x 16 of 32 | 256 x 256 | the same | 256 wide | 4, about 1024 |
| 1024 | 16 x 16 of 64 | 256 x 256 | the same | 256 wide | 4, about 1024 |

IPC, ANR and TransINR have LAINR's patches, width and number of blocks, and bring as many values as LAINR, TransINR
within 2 % (its groups must divide its layers). An anchored model stores 96 values per cell of 8 x 8 pixels at 64, 123
at 178 (its cells stand 3 pixels over the edge, 65 067 values), 16 at 512 and 4 at 1024. It takes pictures of any size
and is therefore trained on crops of 128 pixels (64 at 64), of no coarser scales than the others see at that size.

Beside them run two of today's rivals, `EXTRA`. GB-LSR brings as many values as LAINR, in patches of a power of two: 8,
8, 16 and 32 pixels. LIIF cannot: it stores a feature for every pixel, 32 numbers here and 64 in its published size,
whatever the size of the picture; its row says what can be had at that price. It is trained on the anchored's crops.

All have the same recipe, a better one than the papers': Muon for matrices, a warm-up, clipped gradients, and a moving
average in place of a falling rate, since a run that is ended by a clock does not know its last step. Systems whose
tokens are attended to begin locally (docs/local_start.md); LAINR is there a second time as published begins. bfloat16
where the machine multiplies it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from experiments.miniature import as_published, fast_precision
from tokenfield.data import DataConfig
from tokenfield.errors import UserError
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.anr import AnrConfig
from tokenfield.models.gb_lsr import GbLsrConfig
from tokenfield.models.hyponet_field import IpcConfig, TransInrConfig
from tokenfield.models.lainr import LainrConfig
from tokenfield.models.liif import LiifConfig
from tokenfield.recipes import photos, published
from tokenfield.recipes.baselines import shared
from tokenfield.training.objective import ReconstructionConfig
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.recipe import Recipe

SIZES = (64, 178, 512, 1024)
"""Pixels of the pictures' sides."""

CELL_VALUES = {64: 96, 178: 123, 512: 16, 1024: 4}
"""Values per 8 x 8 cell of an anchored model, so that all cells together store what the other systems do."""

LEVELS = {64: 6, 178: 4, 512: 3, 1024: 2}
"""Scales of a photograph that still hold a picture of the size: 64 takes all that `DataConfig` has."""

PIXELS_PER_STEP = 1024
"""Coordinates of a picture per step, as rows times columns."""

OPTIMISER = OptimConfig(name="muon", rate=1e-3, betas=(0.9, 0.99), muon_rate=5e-3, warmup=20)


def lainr(size: int, *, full: bool = False) -> LainrConfig:
    """LAINR for pictures of a size: the others take their sizes from it."""
    if size == 64:
        return replace(photos.lainr_photos_64().model, start="local")
    large = {178: LainrConfig, 512: lambda: published.lainr_ffhq_512().model,
             1024: lambda: published.lainr_ffhq_1024().model}[size]()
    if full:
        return replace(large, start="local")
    patch, padding = {178: (12, 1), 512: (32, 0), 1024: (64, 0)}[size]
    small = replace(large, patch=patch, padding=padding, encoder_dim=192, encoder_depth=3, encoder_heads=3)
    return replace(small, start="local")


def anr(model: LainrConfig) -> AnrConfig:
    """As many tokens as store LAINR's values, at the width of its decoder; its blocks, two thirds before the tokens."""
    before = (2 * model.encoder_depth + 2) // 3
    return AnrConfig(
        size=model.size,
        patch=model.patch,
        padding=model.padding,
        num_latents=values(model) // model.dim,
        dim=model.dim,
        encoder_dim=model.encoder_dim,
        encoder_depth=before,
        decoder_depth=model.encoder_depth - before,
        encoder_heads=model.encoder_heads,
        encoder_head_dim=model.encoder_dim // model.encoder_heads,
        encoder_hidden=int(model.encoder_dim * model.mlp_ratio),
        heads=max(1, model.dim // 64),
        head_dim=64,
        depth=3,  # five layers do not train in so short a time (results/compare)
        start="local",
    )


def ipc(model: LainrConfig) -> IpcConfig:
    """As many tokens as store LAINR's values, at the width of its decoder."""
    return IpcConfig(**shared(model) | {"num_latents": values(model) // model.dim})


def trans_inr(model: LainrConfig) -> TransInrConfig:
    """Four layers of so many groups and three rows of the last: 12 x 120 for 6144 values, 64 x 256 for 65 536."""
    sizes = shared(model) | ({"dim": 120, "feature_dim": 120} if model.dim == 128 else {})
    return TransInrConfig(**sizes | {"groups": 12 if model.dim == 128 else 64})


def gb_lsr(model: LainrConfig) -> GbLsrConfig:
    """Patches of a power of two, as wide as it takes to store LAINR's values, within a thousandth."""
    patch, dim = {64: (8, 96), 178: (8, 124), 512: (16, 64), 1024: (32, 64)}[model.size[0]]
    return GbLsrConfig(size=model.size, patch=patch, dim=dim, groups=4 if dim % 8 else 8)


def values(model: LainrConfig) -> int:
    """Stored per picture."""
    return model.num_latents * model.latent_dim


def _rival(model: Callable[[LainrConfig], object]) -> Callable[[int, bool], Recipe]:
    def run(size: int, full: bool) -> Recipe:
        base = lainr(size, full=full)
        fraction = 1 / 4 if size == 64 else (1.0 if size == 178 else 0.1) if full else PIXELS_PER_STEP / size**2
        return Recipe(
            name="race",
            model=model(base),
            data=DataConfig(layout="folder", size=size, crop="pyramid"),
            optim=OPTIMISER,
            objective=ReconstructionConfig(jitter="axis", fraction=fraction, subset="grid"),
            batch_size=16 if full else 8 if size == 64 else 4,
        )

    return run


def _anchored(start: Literal["components", "random"]) -> Callable[[int, bool], Recipe]:
    def run(size: int, full: bool) -> Recipe:
        side = 64 if size == 64 else 192 if full else 128
        return Recipe(
            name="race",
            model=AnchoredConfig(latent_dim=CELL_VALUES[size], start=start),
            data=DataConfig(layout="folder", size=side, crop="pyramid", levels=LEVELS[size]),
            optim=OPTIMISER,
            objective=ReconstructionConfig(jitter="none", average="decibels"),
            batch_size=16 if full else 8 if size == 64 else 4,
        )

    return run


def _liif(size: int, full: bool) -> Recipe:
    recipe = _anchored("random")(size, full)
    objective = replace(_rival(gb_lsr)(size, full).objective, fraction=min(1.0, PIXELS_PER_STEP / recipe.data.size**2))
    model = LiifConfig() if full else LiifConfig(dim=32, depth=4, hidden=(128, 128))
    return replace(recipe, model=model, objective=objective)


EXTRA = ("gb-lsr", "liif")
"""Rivals that are not the papers'."""
SYSTEMS: dict[str, tuple[str, Callable[[int, bool], Recipe]]] = {
    "anchored": ("anchored, from the linear code", _anchored("components")),
    "anchored-random": ("anchored, random start", _anchored("random")),
    "lainr": ("LAINR, local start", _rival(lambda model: model)),
    "lainr-published": ("LAINR, published start", _rival(as_published)),
    "ipc": ("IPC", _rival(ipc)),
    "anr": ("ANR, local start", _rival(anr)),
    "trans-inr": ("TransINR", _rival(trans_inr)),
    "gb-lsr": ("GB-LSR", _rival(gb_lsr)),
    "liif": ("LIIF, a feature per pixel", _liif),
}
"""What a figure calls a system, and its run."""


def race(system: str, size: int, *, full: bool = False, seed: int = 0) -> Recipe:
    """One run of the race.

    Args:
        system: a key of `SYSTEMS`.
        size: one of `SIZES`.
        full: the papers' sizes, batch of 16 and share of coordinates, for an accelerator.
        seed: of the run.
    Raises:
        UserError: a system or a size that does not take part.
    """
    if system not in SYSTEMS or size not in SIZES:
        raise UserError(f"race of {system} at {size}; systems: {', '.join(SYSTEMS)}; sizes: {SIZES}")
    precision = "bf16" if full else fast_precision()
    recipe = replace(SYSTEMS[system][1](size, full), name=f"race-{system}-{size}", seed=seed)
    return replace(recipe, precision=precision, clip_norm=1.0, ema_decay=0.99)


def held_out(size: int) -> DataConfig:
    """The pictures that all systems are measured on: the middle of every test picture at every scale that holds it.

    At 512 and 1024 pixels at full scale alone: the middle of each test picture, none twice.
    """
    return DataConfig(layout="folder", size=size, crop="pyramid", levels=1 if size >= 512 else 6)

"""Any recipe of pictures in miniature: its model with all sizes divided, so that two cores train it in minutes.

For tables (`miniature`), one base run, the same for every row, whose model is the shrunk model of a row's published
run: what remains is exactly what the row changes. For tests (`tiny`), a recipe's own run with a much smaller model.

| | published, 178 pixels | `SMALL`, for tables | `TINY`, for tests |
|---|---|---|---|
| pictures | 178, 9-pixel patches: 400 | 64, 8-pixel patches: 64 | 16, 4-pixel patches: 16 |
| latent tokens | 256 of width 256, 0.69 values per pixel value | 64 of 128, 0.67 | 12 of 48, 0.75 |
| transformer | 768 wide, 6 blocks, 12 heads | 192 wide, 2 blocks, 3 heads | 64 wide, 2 blocks, 2 heads |
| decoder | 256 wide | 128 wide, 1 head | 48 wide, 1 head |
| bandwidths, by the picture's side | (128, 32), 16 | (46, 11.5), 5.8 | (11.5, 2.9), 1.4 |
| TransINR's groups | 64 per layer: 259 tokens | 16 per layer: 67 tokens | 3 per layer: 15 tokens |
| pictures of 256 | patches of 16 | 64 pixels, patches of 8 | 16 pixels, patches of 4 |
| of 512, of 1024 | patches of 32, of 48 | twice, four times as large | twice, four times as large |
| pixels per step | all; 10 % of larger pictures | 1024: a quarter of 64 x 64 | 256 |

The papers' Adam at 1e-4 hardly moves in thousands of steps. All rows have the same schedule: a warm-up, a cosine to
zero (where seconds end a run and not steps, the rate stays), gradients clipped at norm 1, a moving average over some
hundred steps, which is what is evaluated. No dropout: so few steps do not overfit. A rival is to be as good as it can
be: rates are each system's best of a small sweep (`experiments.training.rates`), systems whose tokens are attended to
begin locally (docs/local_start.md), all others with tokens and positions of 0.02 rather than the published 1
(docs/log.md: 2.4 dB for IPC); `as_published` is the same model from the published start.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch

from tokenfield.comparison.systems import size_of
from tokenfield.data import DataConfig
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.anr import AnrConfig
from tokenfield.models.functa import FunctaConfig, SpatialFunctaConfig
from tokenfield.models.gb_lsr import GbLsrConfig
from tokenfield.models.lainr import ComposedLainrConfig, LainrConfig, LocalizedLainrConfig
from tokenfield.models.liif import LiifConfig
from tokenfield.models.pca_mixture import PcaMixtureConfig
from tokenfield.training.objective import ReconstructionConfig
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.recipe import Recipe, model_name
from tokenfield.training.zoom import ZoomConfig


@dataclass(frozen=True)
class Shape:
    """Sizes of a miniature.

    Attributes:
        side, patch: pixels of pictures and patches.
        tokens, width: what published numbers of tokens and widths are multiplied with.
        encoder_dim, encoder_heads: of the transformer.
        local: whether systems whose tokens are attended to begin locally.
    """

    side: int
    patch: int
    tokens: float
    width: float
    encoder_dim: int
    encoder_heads: int
    local: bool

    @property
    def cell_values(self) -> int:
        """Values stored per patch by a system with a token for each."""
        return int(256 * self.tokens) * int(256 * self.width) * self.patch**2 // self.side**2


SMALL = Shape(side=64, patch=8, tokens=64 / 256, width=128 / 256, encoder_dim=192, encoder_heads=3, local=True)
TINY = Shape(side=16, patch=4, tokens=12 / 256, width=48 / 256, encoder_dim=64, encoder_heads=2, local=False)

MUON = OptimConfig(name="muon", rate=1e-3, betas=(0.9, 0.99), muon_rate=0.01, schedule="cosine", warmup=20)
"""What LAINR and IPC learn fastest with (results/compare)."""
OPTIMISERS: dict[str, OptimConfig] = {}
"""By the name of a system: its best of `experiments.training.rates`, where that is another."""


def fast_precision() -> str:
    """bf16 where this machine multiplies it in hardware."""
    capable = torch.cpu.get_capabilities()
    return "bf16" if capable.get("amx_bf16") or capable.get("avx512_bf16") else "fp32"


def base(shape: Shape = TINY) -> Recipe:
    """The run that every miniature of a shape shares, with LAINR's model."""
    recipe = Recipe(
        name="miniature-lainr",
        model=shrink(LainrConfig(), shape),
        data=DataConfig(layout="folder", size=shape.side, crop="pyramid"),
        optim=OptimConfig(name="adam", rate=3e-3, warmup=50, schedule="cosine"),
        objective=ReconstructionConfig(jitter="axis"),
        batch_size=16,
        clip_norm=1.0,
        ema_decay=0.99,
    )
    if shape == TINY:
        return recipe
    objective = ReconstructionConfig(jitter="axis", fraction=0.25, subset="grid")
    return replace(recipe, optim=MUON, objective=objective, precision=fast_precision())


def shrink(model: Any, shape: Shape = TINY) -> Any:
    """A model's configuration at a miniature's sizes; what is no size stays as it is.

    Pictures of 512 and 1024 pixels become twice and four times as large as those of 178 and 256. Bandwidths shrink as
    the picture's side does, so that they are as far from its Nyquist frequency as before.
    """
    if type(model) in OTHERS:
        return OTHERS[type(model)](model, shape)
    side = model.lainr.size[0] if isinstance(model, LocalizedLainrConfig) else getattr(model, "size", (0,))[0]
    zoom = max(1, side // 256)
    bandwidth = shape.side * zoom / side if side else 1.0
    set_to = {
        "size": (shape.side * zoom, shape.side * zoom),
        "patch": shape.patch * zoom,
        "padding": 0,
        "encoder_dim": shape.encoder_dim,
        "encoder_heads": shape.encoder_heads,
        "heads": 1,
        "dropout": 0.0,
        # ANR's hyper-network counts its blocks in two halves and says the width of its heads and hidden layers.
        "encoder_depth": 1 if hasattr(model, "decoder_depth") else 2,
        "decoder_depth": 1,
        "encoder_head_dim": shape.encoder_dim // shape.encoder_heads,
        "encoder_hidden": 4 * shape.encoder_dim,
        "head_dim": int(256 * shape.width),
    }
    divided = {"num_latents": shape.tokens, "groups": shape.tokens}  # TransINR's tokens: as many as the others have
    divided |= {name: shape.width for name in ("latent_dim", "dim", "feature_dim")}
    changes: dict[str, Any] = {}
    for name in (field.name for field in fields(model)):
        value = getattr(model, name)
        if is_dataclass(value):  # a composition around a LAINR
            changes[name] = shrink(value, replace(shape, local=shape.local and type(model) is not ComposedLainrConfig))
        elif name in set_to:
            changes[name] = set_to[name]
        elif name in divided:
            changes[name] = max(1, int(value * divided[name]))
        elif name in ("sigma", "sigma_q"):
            changes[name] = value * bandwidth
        elif name == "sigmas":
            changes[name] = tuple(sigma * bandwidth for sigma in value)
    if isinstance(model, LainrConfig | AnrConfig):
        changes["start"] = "local" if shape.local else "published" if isinstance(model, AnrConfig) else "small"
    elif getattr(model, "start", "") == "published":
        changes["start"] = "small"
    return replace(model, **changes)


def as_published(model: Any) -> Any:
    """The same model from the published start."""
    if isinstance(model, LocalizedLainrConfig):
        return replace(model, lainr=as_published(model.lainr))
    return replace(model, start="published") if hasattr(model, "start") else model


SIRENS = (FunctaConfig, SpatialFunctaConfig)
OTHERS: dict[type, Callable[[Any, Shape], Any]] = {
    AnchoredConfig: lambda model, shape: replace(
        model,
        cell=shape.patch,
        latent_dim=max(1, model.latent_dim * shape.cell_values // 96),
        encoder_dim=shape.encoder_dim,
        decoder_dim=shape.encoder_dim,
        harmonics=min(model.harmonics, 2 * shape.patch),
    ),
    PcaMixtureConfig: lambda model, shape: replace(
        model, cell=shape.patch, codes=64, prefixes=(shape.cell_values,), harmonics=2 * shape.patch
    ),
    FunctaConfig: lambda model, shape: replace(
        model,
        size=(shape.side, shape.side),
        dim=int(256 * shape.width),
        depth=5,
        latent_dim=4 * int(256 * shape.width),
    ),
    SpatialFunctaConfig: lambda model, shape: replace(
        model,
        size=(shape.side, shape.side),
        grid=(shape.side // shape.patch, shape.side // shape.patch),
        latent_dim=shape.cell_values,
        dim=int(256 * shape.width),
        depth=5,
    ),
    LiifConfig: lambda model, shape: replace(
        model, dim=shape.encoder_dim // 6, depth=min(model.depth, 4), hidden=(int(256 * shape.width),) * 2
    ),
    GbLsrConfig: lambda model, shape: replace(
        model, size=(shape.side, shape.side), patch=shape.patch, dim=shape.cell_values, groups=4
    ),
}
"""Systems whose sizes have other names: cells of the same values, or as many numbers as there are shifts."""


def miniature(recipe: Recipe, seed: int = 0, shape: Shape | None = None) -> Recipe:
    """`base` with the shrunk model of a published run, and that system's best optimiser.

    A system that adapts to pixels (Learned Init, Functa) is asked for pixel centres, where it adapts; all others for
    noise per row and per column. SIRENs get a tenth of Adam's rate: at 3e-3 they do not train at all. Of larger
    pictures a step asks for as many pixels as a small one has, drawn anew every time: the papers' 10 %.
    """
    shape = shape or SMALL
    common = base(shape)
    model = shrink(recipe.model, shape)
    optim = OPTIMISERS.get(model_name(model), common.optim) if shape.local else common.optim
    if isinstance(model, SIRENS) and not shape.local:
        optim = replace(optim, rate=optim.rate / 10)
    side = size_of(model) or shape.side
    objective = replace(common.objective, fraction=common.objective.fraction * (shape.side / side) ** 2)
    if hasattr(model, "inner_steps"):
        objective = replace(objective, jitter="none")
    data = replace(common.data, size=side)
    return replace(common, name="miniature", model=model, data=data, objective=objective, optim=optim, seed=seed)


def tiny(recipe: Recipe, *, steps: int = 2) -> Recipe:
    """The recipe with its model shrunk, and small pictures, few of them: what the tests run of every recipe."""
    model = shrink(recipe.model, TINY)
    side, objective = size_of(model) or TINY.side, recipe.objective
    if isinstance(objective, ZoomConfig):
        objective, zoom = replace(objective, side=side, largest=2.0), 2
    else:
        objective, zoom = replace(objective, prefixes=getattr(model, "prefixes", ())), objective.zoom
    return replace(
        recipe,
        model=model,
        objective=objective,
        data=replace(recipe.data, size=side * zoom),
        optim=replace(recipe.optim, warmup=min(recipe.optim.warmup, steps // 2)),
        steps=steps,
        batch_size=2 * recipe.accumulate,
        log_every=1,
        evaluate_every=steps if recipe.evaluate_every else 0,
        evaluate_pictures=2,
        checkpoint_every=steps,
    )

"""Any recipe of pictures in miniature: its model with all sizes divided, so that two cores train it in a minute.

For tables (`miniature`), one base run, the same for every row, whose model is the shrunk model of a row's published
run: what remains is exactly what the row changes. For tests (`tiny`), a recipe's own run with the shrunk model.

| | published, 178 pixels | miniature |
|---|---|---|
| pictures | 178, 9-pixel patches: 400 | 16, 4-pixel patches: 16 |
| latent tokens | 256 of width 256, 0.69 values per pixel value | 12 of width 48, 0.75 values per pixel value |
| transformer | 768 wide, 6 blocks, 12 heads | 64 wide, 2 blocks, 2 heads |
| decoder | 256 wide | 48 wide, 1 head |
| bandwidths, by the picture's side | (128, 32), 16 | (11.5, 2.9), 1.4 |
| TransINR's groups | 64 per layer: 259 tokens | 3 per layer: 15 tokens |
| pictures of 512, 1024 | patches of 32, 48 | 32 and 64 pixels, patches of 8 and 16 |
| their pixels per step | 10 % | 256: 25 and 6 % |

The papers' Adam at 1e-4 hardly moves in a thousand steps; all rows have 3e-3 after 50 steps of warm-up, falling to zero
at the last step as a cosine (where seconds end a run and not steps, it stays), gradients clipped at norm 1 and a moving
average over some hundred steps, which is what is evaluated. Only SIRENs (Functa) have 3e-4.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

from tokenfield.comparison.systems import size_of
from tokenfield.data import DataConfig
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.functa import FunctaConfig, SpatialFunctaConfig
from tokenfield.models.lainr import LainrConfig, LocalizedLainrConfig
from tokenfield.models.pca_mixture import PcaMixtureConfig
from tokenfield.training.objective import ReconstructionConfig
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.recipe import Recipe

SIDE, PATCH = 16, 4
"""Pixels of the miniature's pictures and patches."""
TOKENS, WIDTH = 12 / 256, 48 / 256
"""What published numbers of tokens and widths are multiplied with."""


def base() -> Recipe:
    """The run that every miniature shares, with LAINR's model: 16-pixel crops of photographs, one thread."""
    return Recipe(
        name="miniature-lainr",
        model=shrink(LainrConfig()),
        data=DataConfig(layout="folder", size=SIDE, crop="pyramid"),
        optim=OptimConfig(name="adam", rate=3e-3, warmup=50, schedule="cosine"),
        objective=ReconstructionConfig(jitter="axis"),
        batch_size=16,
        clip_norm=1.0,
        ema_decay=0.99,
    )


def shrink(model: Any) -> Any:
    """A model's configuration at the miniature's sizes; what is no size stays as it is.

    Pictures of 512 and 1024 pixels become twice and four times as large as those of 178 and 256. Bandwidths shrink as
    the picture's side does, so that they are as far from its Nyquist frequency as before.
    """
    if type(model) in OTHERS:
        return OTHERS[type(model)](model)
    side = model.lainr.size[0] if isinstance(model, LocalizedLainrConfig) else getattr(model, "size", (0,))[0]
    zoom = max(1, side // 256)
    bandwidth = SIDE * zoom / side if side else 1.0
    larger = {"size": (SIDE * zoom, SIDE * zoom), "patch": PATCH * zoom}
    changes: dict[str, Any] = {}
    for name in (field.name for field in fields(model)):
        value = getattr(model, name)
        if is_dataclass(value):  # a composition around a LAINR
            changes[name] = shrink(value)
        elif name in FIXED:
            changes[name] = FIXED[name]
        elif name in SCALES:
            changes[name] = max(1, int(value * SCALES[name]))
        elif name in ("sigma", "sigma_q"):
            changes[name] = value * bandwidth
        elif name == "sigmas":
            changes[name] = tuple(sigma * bandwidth for sigma in value)
    changes |= {name: value for name, value in larger.items() if name in changes}
    changes |= {"encoder_depth": 1} if "decoder_depth" in changes else {}  # two blocks in all, as everywhere
    return replace(model, **changes)


FIXED: dict[str, Any] = {
    "size": (SIDE, SIDE),
    "patch": PATCH,
    "padding": 0,
    "encoder_dim": 64,
    "encoder_heads": 2,
    "heads": 1,
    # ANR's hyper-network counts its blocks in two halves and says the width of its heads and hidden layers.
    "encoder_depth": 2,
    "decoder_depth": 1,
    "encoder_head_dim": 32,
    "encoder_hidden": 256,
    "head_dim": 48,
}
SCALES = {"num_latents": TOKENS, "latent_dim": WIDTH, "dim": WIDTH, "feature_dim": WIDTH}
SCALES |= {"groups": TOKENS}  # tokens of TransINR: as many as the others have, at both scales
SIRENS = (FunctaConfig, SpatialFunctaConfig)
OTHERS: dict[type, Callable[[Any], Any]] = {
    AnchoredConfig: lambda model: replace(
        model,
        cell=4,
        latent_dim=max(1, model.latent_dim * 36 // 96),
        encoder_dim=64,
        decoder_dim=64,
        harmonics=min(model.harmonics, 8),
    ),
    PcaMixtureConfig: lambda model: replace(model, cell=4, codes=64, prefixes=(36,), harmonics=8),
    FunctaConfig: lambda model: replace(model, size=(SIDE, SIDE), dim=48, depth=5, latent_dim=4 * 48),
    SpatialFunctaConfig: lambda model: replace(model, size=(SIDE, SIDE), grid=(4, 4), latent_dim=36, dim=48, depth=5),
}
"""Systems whose sizes have other names: 16 cells of 36 values, or as many numbers as there are shifts."""


def miniature(recipe: Recipe, seed: int = 0) -> Recipe:
    """`base` with the shrunk model of a published run.

    A system that adapts to pixels (Learned Init, Functa) is asked for pixel centres, where it adapts; all others for
    noise per row and per column. SIRENs get a tenth of the rate: at 3e-3 they do not train at all. Of larger pictures a
    step asks for as many pixels as a small one has, drawn anew every time: the papers' 10 %.
    """
    common = base()
    model = shrink(recipe.model)
    if isinstance(model, SIRENS):
        common = replace(common, optim=replace(common.optim, rate=common.optim.rate / 10))
    side = size_of(model) or SIDE
    coordinates = replace(common.objective, jitter="none") if hasattr(model, "inner_steps") else common.objective
    coordinates = replace(coordinates, fraction=(SIDE / side) ** 2)
    data = replace(common.data, size=side)
    return replace(common, name="miniature", model=model, data=data, objective=coordinates, seed=seed)


def tiny(recipe: Recipe, *, steps: int = 2) -> Recipe:
    """The recipe with its model shrunk, and small pictures, few of them: what the tests run of every recipe."""
    model = shrink(recipe.model)
    side = size_of(model) or SIDE
    return replace(
        recipe,
        model=model,
        objective=replace(recipe.objective, prefixes=getattr(model, "prefixes", ())),
        data=replace(recipe.data, size=side * recipe.objective.zoom),
        optim=replace(recipe.optim, warmup=min(recipe.optim.warmup, steps // 2)),
        steps=steps,
        batch_size=2 * recipe.accumulate,
        log_every=1,
        evaluate_every=steps if recipe.evaluate_every else 0,
        evaluate_pictures=2,
        checkpoint_every=steps,
    )

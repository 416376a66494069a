"""Which change to LAINR carries the gain: a fractional factorial of seven, and an eighth nested in it.

Between LAINR and all changes there are 2^7 models. Sixteen of them, a 2^(7-3) fraction of resolution IV, tell every
change's effect apart from every other's and from all interactions of two: a change is tried eight times with and eight
times without, among all kinds of company.

| letter | change | column |
|---|---|---|
| A | anchors: tokens are the cells' own, not learned ones beside them | A |
| B | distance: attention also by distance to the cell's centre | B |
| C | multiplicative modulation in place of Eq. 7 | C |
| D | skip: a linear path from a cell's pixels to its token | D |
| E | relative: the head is asked at v - sum_j a_j p_j | ABC |
| F | Muon for matrices in place of Adam | BCD |
| G | one block in the encoder in place of two | ACD |

Defining relation: I = ABCE = BCDF = ACDG = ADEF = BDEG = ABFG = CEFG. Main effects are aliased with interactions of
three and more; interactions of two come in threes:
AB + CE + FG, AC + BE + DG, AD + EF + CG, AE + BC + DF, AF + DE + BG,
AG + CD + BF, BD + CF + EG.

The content term cannot be a letter: without it and without distance nothing tells tokens apart. It is nested: the
eight runs with distance are made without content as well. LAINR's learned tokens have no places of their own; where B,
D or E need some, token j is given that of cell j, so that every letter can be changed by itself.

All runs: 16-pixel crops, 16 cells of 4 x 4, 16 tokens of 36 values (576 values, 0.75 per pixel value), an eighth of the
published bandwidths, a constant rate, since a few hundred steps are too short for it to fall, and everything else as in
`miniature.base`.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from experiments import miniature
from experiments.factorial.model import AnchoredLainrConfig
from tokenfield.data import DataConfig
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.recipe import Recipe

FACTORS = ("anchors", "distance", "multiplicative", "skip", "relative", "muon", "shallow")
"""Letters A to G."""
GENERATORS: dict[str, tuple[str, ...]] = {
    "relative": ("anchors", "distance", "multiplicative"),
    "muon": ("distance", "multiplicative", "skip"),
    "shallow": ("anchors", "multiplicative", "skip"),
}
"""Whose product, of -1 and +1, decides a change that has no column of its own."""
MODEL_FACTORS = ("anchors", "distance", "multiplicative", "skip", "relative", "content")
TOKENS, WIDTH, DEPTH = 16, 36, 2
BANDS = {"sigmas": (16.0, 4.0), "sigma_q": 2.0}

Changes = Mapping[str, bool | int]
"""What a run has: the seven changes by name, and where they differ from LAINR's, `content` and `depth`."""


def design() -> list[dict[str, bool]]:
    """The sixteen runs, LAINR first and all changes last."""
    runs = []
    for signs in product((-1, 1), repeat=4):
        run = dict(zip(FACTORS[:4], signs, strict=True))
        for name, columns in GENERATORS.items():
            run[name] = run[columns[0]] * run[columns[1]] * run[columns[2]]
        runs.append({name: run[name] > 0 for name in FACTORS})
    return runs


def factorial(changes: Changes, seed: int = 0) -> Recipe:
    """LAINR with these changes, in miniature.

    Args:
        changes: names of `FACTORS`, `content` (on where not named) and `depth` (blocks of the encoder; by default two,
            one if `shallow`).
        seed: of the run.
    """
    base = miniature.base()
    depth = changes.get("depth", 1 if changes.get("shallow") else DEPTH)
    lainr = replace(base.model, num_latents=TOKENS, latent_dim=WIDTH, encoder_depth=depth, **BANDS)
    fields: dict[str, Any] = {name: changes[name] for name in MODEL_FACTORS if name in changes}
    model = AnchoredLainrConfig(lainr, **fields)
    optim = replace(base.optim, schedule="constant")
    if changes.get("muon"):
        optim = OptimConfig(name="muon", rate=optim.rate, muon_rate=0.02, warmup=optim.warmup)
    return replace(base, name="factorial", model=model, optim=optim, seed=seed)


def held_out() -> DataConfig:
    """The middle of every test picture at every scale."""
    return miniature.base().data

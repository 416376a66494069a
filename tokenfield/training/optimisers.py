"""Optimisers and learning-rate schedules, built from their configuration, and the moving average of the weights.

Adam with a constant rate is the papers' choice. Muon (K. Jordan, 2024) orthogonalises the momentum of every weight
matrix (muon.py); on the same model it is several decibels ahead after the same time (docs/log.md). Queries, keys and
values are matrices of their own in this package, so no fused matrix has to be split.
"""

import copy
import math
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import torch
from torch import nn

from tokenfield.errors import UserError
from tokenfield.io.record import Record
from tokenfield.models.base import Model
from tokenfield.training.muon import Muon
from tokenfield.training.sharding import local

MUON_MIN_SIDE = 32
"""Smallest side of a matrix that Muon takes: below it there is little to orthogonalise."""


@dataclass(frozen=True)
class OptimConfig:
    """The optimiser and its learning rate over the run."""

    name: Literal["adam", "adamw", "muon"] = "adam"
    """adam: the papers. adamw: decoupled weight decay. muon: Muon for weight matrices, AdamW for all the rest."""
    rate: float = 1e-4
    """Learning rate of Adam or AdamW, at the height of the schedule."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of Adam's two running means."""
    weight_decay: float = 0.0
    """Decoupled weight decay (adamw, muon); adam takes none."""
    muon_rate: float = 0.02
    """Learning rate of Muon's matrices, at the height of the schedule."""
    muon_momentum: float = 0.95
    """Nesterov momentum of Muon."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """From the end of the warm-up on: the rate stays, or falls to zero at the last step as a cosine or a line."""
    warmup: int = 0
    """Steps over which the rate rises linearly from nothing."""

    def __post_init__(self) -> None:
        if self.name == "adam" and self.weight_decay:
            raise UserError(f"optim.weight_decay {self.weight_decay} has no meaning for adam; use optim.name adamw")
        for name in ("rate", "muon_rate", "weight_decay", "warmup"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"optim.{name} is {getattr(self, name)}; it must not be negative")
        for name, decays in (("betas", self.betas), ("muon_momentum", (self.muon_momentum,))):
            if not all(0 <= decay < 1 for decay in decays):
                raise UserError(f"optim.{name} is {getattr(self, name)}; give numbers in [0, 1)")


def schedule(config: OptimConfig, step: int, steps: int) -> float:
    """The factor on the learning rate, in [0, 1], at a step of `steps`, counted from 0; the first one already moves.

    A pure function of the step, so there is nothing to resume.
    """
    if step < config.warmup:
        return (step + 1) / (config.warmup + 1)
    share = (step - config.warmup) / max(1, steps - config.warmup)  # [0, 1)
    match config.schedule:
        case "constant":
            return 1.0
        case "linear":
            return 1 - share
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * share))


def muon_parameters(model: Model) -> set[str]:
    """Names of the parameters that Muon is for: weights of linear layers with no side below `MUON_MIN_SIDE`.

    Learned tokens and positions are matrices in shape only: their rows are separate things, so they are not among them.
    Nor are those that the model leaves to Adam by `muon_excluded`; its first and last maps, which meet pixels, usually.
    """
    excluded, parameters = model.muon_excluded(), dict(model.named_parameters())
    assert excluded <= parameters.keys(), f"muon_excluded names no parameter: {sorted(excluded - parameters.keys())}"
    linear = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    return {name for name in linear & parameters.keys() - excluded if min(parameters[name].shape) >= MUON_MIN_SIDE}


def build_optimizers(config: OptimConfig, model: Model, *, bf16: bool = False) -> list[torch.optim.Optimizer]:
    """The optimisers of a model: one, or with Muon two that share its parameters out between them.

    `bf16`: the run's products are in bfloat16, and so are Muon's; on an accelerator they always are.
    Adam runs fused where the device has a fused kernel: one pass over the weights in place of some ten.
    """
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    device = next(iter(parameters.values())).device
    options: Record = {"lr": config.rate, "betas": config.betas, "fused": device.type in ("cpu", "cuda")}
    if config.name == "adam":
        return [torch.optim.Adam(parameters.values(), **options)]
    matrices = muon_parameters(model) & parameters.keys() if config.name == "muon" else set()
    rest = [p for name, p in parameters.items() if name not in matrices]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(rest, weight_decay=config.weight_decay, **options)]
    if matrices:
        muon = [p for name, p in parameters.items() if name in matrices]
        rate, momentum = config.muon_rate, config.muon_momentum
        dtype = torch.bfloat16 if bf16 or device.type != "cpu" else torch.float32
        optimizers.append(Muon(muon, lr=rate, momentum=momentum, weight_decay=config.weight_decay, dtype=dtype))
    return optimizers


def set_rate(optimizers: list[torch.optim.Optimizer], factor: float) -> float:
    """Scale every group's learning rate by `factor`; returns the first optimiser's rate, for the log."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
            group["lr"] = group["initial_lr"] * factor
    return float(optimizers[0].param_groups[0]["lr"])


M = TypeVar("M", bound=nn.Module)


class Ema(Generic[M]):
    """A copy of the model that follows it slowly.

    `decay`, in (0, 1), is the share of the old average in the new one, which so spans about 1 / (1 - decay) updates,
    and no more than a tenth of those so far, so that a short run is not averaged with its initialisation: at update t
    it is min(decay, (1 + t) / (10 + t)).
    """

    def __init__(self, model: M, decay: float):
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards `model` for the `step`-th time, counted from 1. Buffers are copied: they are not trained."""
        decay = min(self.decay, (1 + step) / (10 + step))
        mine, theirs = ([local(p) for p in of.parameters()] for of in (self.model, model))  # of slices, slice by slice
        torch._foreach_lerp_(mine, theirs, 1 - decay)
        for old, new in zip(self.model.buffers(), model.buffers(), strict=True):
            old.copy_(new)

"""What a denoiser is trained on: the mean squared error of its prediction (LAINR 4.4, A.3).

Latents are standardised and mixed with noise at a random place of the path (`generation/paths.py`); the network
predicts the clean latents in the paper. Noise, place and whether the label is dropped belong to every instance alone
and are drawn by the source (`generation/latents.py`), so a run's steps do not depend on how many processes share them.

The same objective is diffusion and flow matching; `model.prediction` decides.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor, nn

from tokenfield.errors import UserError
from tokenfield.generation.denoiser import Origin, TokenDenoiser
from tokenfield.generation.latents import LatentFolder
from tokenfield.generation.paths import TARGETS, place
from tokenfield.generation.sampling import Predictor
from tokenfield.training.journal import LOSS, Measure
from tokenfield.training.validation import mean_over


@dataclass(frozen=True)
class DenoisingConfig:
    """How a denoiser is trained on latents."""

    measure: ClassVar[Measure] = LOSS
    label_dropout: float = 0.1
    """Share of the instances whose label is withheld, in [0, 1]: what classifier-free guidance needs."""
    checkpointing: bool = False
    """Compute the blocks again in the backward pass: the same gradient in the memory of one block."""

    def __post_init__(self):
        if not 0 <= self.label_dropout <= 1:
            raise UserError(f"objective.label_dropout {self.label_dropout} is not in [0, 1]; the paper's is 0.1")

    def build(self, model: TokenDenoiser, *, bf16: bool = False) -> nn.Module:
        """The loss as a module."""
        model.checkpointing = self.checkpointing
        return DenoisingObjective(model, self, bf16=bf16)

    def check(self, model: TokenDenoiser, source: LatentFolder, held_out: LatentFolder | None, seed: int) -> None:
        """Refuse latents that the model does not fit, and give it their statistics and description."""
        config, (tokens, width) = model.config, source.shape
        if source.config.lattice != model.on_lattice:
            raise UserError(f"data.lattice is {source.config.lattice} and the model a {model.name}, which takes "
                            f"{'lattices' if model.on_lattice else 'sets'} of tokens; set it to {model.on_lattice}")
        numbers = {"latent_dim": width, "classes": len(source.classes) if config.classes else 0}
        if not model.on_lattice:
            numbers = {"tokens": tokens, **numbers}
        if other := [key for key, needed in numbers.items() if getattr(config, key) != needed]:
            own, options = (" ".join(f"--model.{key.replace('_', '-')} {sizes[key]}" for key in other)
                            for sizes in (vars(config), numbers))
            raise UserError(f"{source.path} has {tokens} x {width} latents of {len(source.classes)} classes, and the "
                            f"model {own}; give {options}")
        origin: Origin = {**source.origin(), "class_names": source.classes if config.classes else ()}
        model.adopt(source.mean, source.deviation, **origin)

    def evaluate(self, model: TokenDenoiser, source: LatentFolder, count: int, accelerator: Accelerator,
                 halted: Callable[[], bool] = lambda: False) -> tuple[float, int]:
        """The loss on at most `count` held-out latents, with the same times and noise always, and how many they are.

        Labels are not withheld. Standardised latents have variance 1, so 1 is what the answer 0 would get where the
        clean latents or the noise are predicted.
        """

        def loss(entry: dict[str, Tensor]) -> Tensor:
            batch = {key: value[None].to(accelerator.device) for key, value in entry.items()}
            return denoising_errors(model, batch, 0.0)[0]

        return mean_over(source.held_out(count), loss, model, count, accelerator, halted)


def denoising_errors(model: Predictor, batch: dict[str, Tensor], label_dropout: float) -> Float[Tensor, " b"]:
    """Mean squared error of the prediction, instance by instance, for what `LatentFolder.sample` gives, stacked.

    Labels of the instances whose draw `drop` is below `label_dropout` are withheld.
    """
    prediction = model.config.prediction
    here = place(prediction, batch["time"], model.config.steps)
    withheld = (batch["drop"] < label_dropout) | (model.config.classes == 0)
    label = torch.where(withheld, model.config.classes, batch["label"])
    answer = model(here.mix(batch["clean"], batch["noise"]), here.time, label)
    target = TARGETS[prediction](here, batch["clean"], batch["noise"])
    return (answer.float() - target).square().flatten(1).mean(1)


class DenoisingObjective(nn.Module):
    """The loss as a module: what is wrapped for data-parallel training.

    `bf16` runs the denoiser under bfloat16 autocast; mixing, time and loss stay in float32.
    """

    def __init__(self, model: Predictor, config: DenoisingConfig, *, bf16: bool = False):
        super().__init__()
        self.model, self.config, self.bf16 = model, config, bf16

    def forward(self, batch: dict[str, Tensor],
                generator: torch.Generator) -> tuple[Float[Tensor, ""], Float[Tensor, " b"]]:
        """Loss and per-instance errors of a batch, whose draws came with it: the generator is not used."""
        with torch.autocast(batch["clean"].device.type, torch.bfloat16, enabled=self.bf16):
            errors = denoising_errors(self.model, batch, self.config.label_dropout)
        return errors.mean(), errors.detach()

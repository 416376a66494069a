"""What a run is made of: model, optimisers, moving average, pictures, and the numbers of its recent steps."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from tokenfield.data import Loader
from tokenfield.data.sources import Sample
from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel
from tokenfield.training import checkpoint, seeding, sharding
from tokenfield.training.checkpoint import Training
from tokenfield.training.ema import Ema
from tokenfield.training.optimisers import build_optimizers
from tokenfield.training.recipe import Recipe, differences, from_json

BEFORE_TRAINING = 2**40
"""The step whose pictures a model is initialised from: one that no run reaches, so they are drawn for this alone."""


def fresh_model(recipe: Recipe) -> FieldModel:
    """The model with the initial weights of the recipe's seed, drawn on the CPU without touching global randomness."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return recipe.model.build()


def split(batch: Sample, parts: int) -> list[Any]:
    """A batch in so many equal parts."""
    if isinstance(batch, Tensor):
        return list(batch.chunk(parts))
    pieces = {name: tensor.chunk(parts) for name, tensor in batch.items()}
    return [{name: piece[i] for name, piece in pieces.items()} for i in range(parts)]


def moved(batch: Sample, device: torch.device) -> Sample:
    """The same batch on a device."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


class Run:
    """Everything built from a recipe.

    Args:
        recipe: what to build.
        data: folder of the pictures.
        out: folder of the run.
        accelerator: knows the processes and the device.
        fsdp: share the weights out between the processes as well (sharding.py).
    Raises:
        UserError: the batch cannot be shared out, the folder is unusable, or pictures and model do not fit.
    """

    def __init__(self, recipe: Recipe, data: Path, out: Path, accelerator: Accelerator, *, fsdp: bool = False):
        world = accelerator.num_processes
        if recipe.batch_size % (world * recipe.accumulate):
            raise UserError(
                f"batch_size {recipe.batch_size} cannot be shared equally by {world} processes that accumulate "
                f"{recipe.accumulate} parts; change batch_size or accumulate"
            )
        self.recipe, self.out, self.accelerator = recipe, out, accelerator
        with accelerator.main_process_first():  # whose caches of decoded pictures the others then find
            self.source = recipe.data.open(data, "train")
            self.held_out = recipe.data.open(data, "test") if recipe.evaluate_every else None
        self.model = fresh_model(recipe)
        recipe.objective.check(self.model, self.source, self.held_out, recipe.seed)
        self.model.to(accelerator.device)
        self.ema = Ema(self.model, recipe.ema_decay) if recipe.ema_decay else None
        self.skeleton = self.share_out() if fsdp else None
        optimizers = build_optimizers(recipe.optim, self.model)
        objective = recipe.objective.build(self.model, bf16=recipe.precision == "bf16")
        if fsdp:  # the model's own hooks gather weights and share out gradients
            self.objective, self.optimizers = objective, [accelerator.prepare(one) for one in optimizers]
        else:
            self.objective, *self.optimizers = accelerator.prepare(objective, *optimizers)
        self.state = Training(self.model, self.ema.model if self.ema else None, self.optimizers)
        if fsdp:
            ema = sharding.WholeModel(self.ema.model) if self.ema else None
            whole = [sharding.WholeOptimizer(one) for one in self.optimizers]
            self.state = Training(sharding.WholeModel(self.model), ema, whole)

    def share_out(self) -> nn.Module:
        """Cut the weights and their average into slices; returns the model's structure."""
        world, device = self.accelerator.num_processes, self.accelerator.device
        sharding.check(self.model, self.recipe.optim.name, world)
        structure = sharding.skeleton(self.model)
        for model in (self.model, *([self.ema.model] if self.ema else ())):
            sharding.shard(model, device, world)
        return structure

    def gathered(self) -> Training:
        """What a checkpoint holds, whole. Collective where processes share the weights."""
        if self.skeleton is None:
            return self.state
        state = self.state
        model, ema = (None if one is None else sharding.Held(one.state_dict()) for one in (state.model, state.ema))
        optimizers = [sharding.Held(one.state_dict()) for one in state.optimizers]
        return Training(model, ema, optimizers, state.step, state.seconds)

    def remark(self) -> str:
        """What a user would want to know before waiting for this run; empty if nothing."""
        if self.recipe.precision == "bf16" and self.accelerator.device.type == "cpu":
            features = torch.cpu.get_capabilities()
            if not (features.get("avx512_bf16") or features.get("amx_bf16")):
                return "this CPU has no bfloat16 instructions: precision bf16 is far slower here than fp32"
        return ""

    def skipped(self) -> str:
        """What could not be read so far, in one line; empty if nothing."""
        sources = [source for source in (self.source, self.held_out) if source is not None]
        return "; ".join(line for source in sources if (line := source.skipped.summary()))

    def initialize(self) -> None:
        """Let a model that starts from its training pictures see some: `initial_pictures` and `initialize(images)`."""
        model: Any = self.model
        count = getattr(model, "initial_pictures", 0)
        if count:
            images = [self.source.sample(self.recipe.seed, BEFORE_TRAINING, slot) for slot in range(count)]
            model.initialize(torch.stack(images).to(self.accelerator.device))
            if self.ema:
                self.ema.model.load_state_dict(self.model.state_dict())

    @property
    def best(self) -> FieldModel:
        """What is evaluated and shipped: the moving average if there is one. Collective where weights are shared."""
        model = self.ema.model if self.ema else self.model
        return model if self.skeleton is None else sharding.rebuilt(self.skeleton, model, self.accelerator.device)

    def batches(self, workers: int) -> Loader:
        """This process's share of every batch from the current step on."""
        return Loader(
            self.source,
            batch_size=self.recipe.batch_size,
            seed=self.recipe.seed,
            first_step=self.state.step,
            rank=self.accelerator.process_index,
            world=self.accelerator.num_processes,
            workers=workers,
        )

    def gradient(self, batch: Sample, step: int) -> Tensor:
        """Forward and backward of one step; gradients lie in the parameters afterwards.

        Every process and every accumulated part asks for the same coordinates, drawn from (seed, step). They have
        equally many pictures, so the mean of their losses is the loss of the whole batch.

        Returns:
            (loss, PSNR) of this process's instances, on the device: reading them here would stall an accelerator.
        """
        parts = split(batch, self.recipe.accumulate)
        loss, decibels = torch.zeros(2, device=self.accelerator.device)
        for i, part in enumerate(parts):
            generator = seeding.generator(self.recipe.seed, step, seeding.COORDINATES)
            last = i == len(parts) - 1  # gradients travel between processes once per step
            with nullcontext() if last else self.accelerator.no_sync(self.objective):
                part_loss, errors = self.objective(part, generator)
                self.accelerator.backward(part_loss / len(parts))
            loss += part_loss.detach() / len(parts)
            decibels += -10 * errors.clamp(min=1e-20).log10().mean() / len(parts)
        return torch.stack([loss, decibels])

    def update(self) -> None:
        """One step of the optimisers and of the moving average."""
        if self.recipe.clip_norm:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.state.step += 1
        if self.ema and self.state.step % self.recipe.ema_every == 0:
            self.ema.update(self.model, self.state.step // self.recipe.ema_every)

    def check_same(self, saved: dict[str, Any]) -> None:
        """Refuse to continue another run's weights."""
        if changed := differences(from_json(saved), self.recipe):
            raise UserError(
                f"the run to resume was another one: {'; '.join(changed)}; resume without these changes, "
                f"or train into a new folder"
            )

    def check_finite(self) -> None:
        """Refuse weights that are not finite; a finite loss can still have had a gradient that was not."""
        for name, p in self.model.named_parameters():
            if not torch.isfinite(p).all():
                raise self.diverged(f"weight {name} is not finite after step {self.state.step}")

    def diverged(self, what: str) -> UserError:
        """The error for a run that came to grief, with all that is needed to go back."""
        good = checkpoint.found(self.out)
        return UserError(
            f"training diverged: {what} of recipe {self.recipe.name} ({self.out / 'recipe.json'}); "
            f"the last good checkpoint is {good[-1] if good else 'none'}; "
            f"lower optim.rate, or set clip_norm, and train into a new folder"
        )


Timer = Callable[[], float]
"""Seconds since any moment: `time.monotonic` on the wall, `time.process_time` of the processor, over all threads."""


class Stopwatch:
    """Seconds spent training: it stands still while `paused`, so that evaluations and saves do not count."""

    def __init__(self, seconds: float, timer: Timer = time.monotonic):
        self._timer, self._begun = timer, timer() - seconds

    @property
    def seconds(self) -> float:
        """Since the beginning of the run, over all its sessions."""
        return self._timer() - self._begun

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time that does not count."""
        held = self.seconds
        try:
            yield
        finally:
            self._begun = self._timer() - held


class Recent:
    """Loss and PSNR of the steps since the last line of metrics.

    They stay on the device until `collect`. Between two lines they are part of a checkpoint, so that a resumed run
    writes the very numbers it would have written.

    Args:
        run: after it was restored.
        values: of the steps since the last line, from a checkpoint.
        timer: what counts the seconds.
    """

    def __init__(self, run: Run, values: list[list[float]], timer: Timer = time.monotonic):
        self.run, self.values = run, values
        self.watch = Stopwatch(run.state.seconds, timer)
        self._waiting: list[Tensor] = []
        self._line_before = (run.state.step, run.state.seconds)

    def add(self, loss_and_psnr: Tensor) -> None:
        """The numbers of one step, unread."""
        self._waiting.append(loss_and_psnr)

    def collect(self) -> None:
        """Read what waits, averaged over the processes. Raises UserError if a loss is not finite, naming its step."""
        self.run.state.seconds = self.watch.seconds
        if not self._waiting:
            return
        waiting = self.run.accelerator.reduce(torch.stack(self._waiting), "mean").tolist()
        self._waiting.clear()
        for step, (loss, _) in enumerate(waiting, self.run.state.step - len(waiting) + 1):
            if not math.isfinite(loss):
                raise self.run.diverged(f"the loss is {loss} at step {step}")
        self.values += waiting

    def line(self, rate: float) -> dict[str, Any]:
        """One line of metrics from the collected numbers, which are then forgotten."""
        loss, decibels = (sum(column) / len(self.values) for column in zip(*self.values, strict=True))
        state, size = self.run.state, self.run.recipe.batch_size
        (step, seconds), self._line_before = self._line_before, (state.step, state.seconds)
        self.values = []
        judged = {"psnr": decibels} if self.run.recipe.objective.measure.name == "psnr" else {}
        return {
            "step": state.step,
            "loss": loss,
            **judged,
            "rate": rate,
            "images": state.step * size,
            "seconds": round(state.seconds, 3),
            "images_per_second": round((state.step - step) * size / max(state.seconds - seconds, 1e-9), 2),
        }

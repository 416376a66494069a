"""The training loop: build -> restore -> for every step: step, log, evaluate, save -> export.

`train` runs a `Trainer`, around `accelerate`: one process on a CPU, several under `torchrun`, a GPU where there is one.
What a trainer needs stands in files of its own:

    the folder and its recipe     folder.py         what a step minimises    objective.py
    checkpoints                   checkpoint.py     optimisers, schedules    optimisers.py
    metrics and the curve         journal.py        signals and budgets      session.py
    what a person sees            journal.py        weights in slices        sharding.py

Processes meet in collective calls, so what decides about such a call (the step, `Stop.due`) is the same on all of them.
"""

import math
import warnings
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device, slice_tensors
from torch import Tensor, nn

from tokenfield.data import Loader
from tokenfield.data.loader import stack
from tokenfield.data.pictures import SkippedFiles
from tokenfield.data.sources import Sample
from tokenfield.errors import UserError
from tokenfield.io.clock import Stopwatch, Timer
from tokenfield.io.lock import locked
from tokenfield.io.record import Record
from tokenfield.metrics import decibels
from tokenfield.models import pretrained
from tokenfield.models.base import Model
from tokenfield.nn.attention import differentiated_once
from tokenfield.training import checkpoint, folder, seeding, sharding
from tokenfield.training.card import card
from tokenfield.training.checkpoint import Training
from tokenfield.training.compiling import compile_loss, recompute_blocks
from tokenfield.training.folder import RECIPE, check_same, lengthens, open_folder, restart, resume_hint, store_recipe
from tokenfield.training.journal import Display, Journal, draw_curve
from tokenfield.training.optimisers import Ema, build_optimizers, schedule, set_rate
from tokenfield.training.protocols import Probe
from tokenfield.training.recipe import Recipe, fresh_model, from_json, to_json
from tokenfield.training.session import Diverged, Interrupted, Session, Stop, TrainingTime

BEFORE_TRAINING = 2**40
"""The step whose pictures a model is initialised from: one that no run reaches, so they are for this alone."""


def train(
    recipe: Recipe | None,
    data: Path | str,
    out: Path | str,
    *,
    resume: bool = False,
    session: Session = Session(),  # noqa: B008, frozen
    budget: TrainingTime = TrainingTime(),  # noqa: B008, frozen
    probe: Probe | None = None,
    callback: Callable[[int, Record], None] | None = None,
    skipped: SkippedFiles | None = None,
) -> Path:
    """Train a model by a recipe; returns `out`.

    Args:
        recipe: what to do; None, when resuming, takes the one stored in `out`.
        data: folder of the pictures, in the layout that `recipe.data` names.
        out: folder of the run. Afterwards it holds model.safetensors and config.json (`tokenfield.load(out)`),
            recipe.json, metrics.jsonl, learning_curve.png and the newest checkpoints.
        resume: continue the run in `out` from its newest whole checkpoint: on a CPU, bit for bit what it would have
            become without the interruption. Without `resume` a folder that holds a run is refused.
        session: the machine, how long this call may take, and what it shows.
        budget: seconds of training over all sessions of the run.
        probe: measured when it is due and at the end.
        callback: called on the first process with the step and every line of metrics, of training and evaluation.
        skipped: files that could not be used are noted there; a warning names and counts them in any case.
    Raises:
        UserError: what the caller can put right: the recipe, the data, the folder, another process that trains there.
        Diverged: a UserError; a loss or a weight is not finite.
        Interrupted: a SystemExit; SIGINT or SIGTERM came and a checkpoint was saved.
    """
    skipped = SkippedFiles() if skipped is None else skipped
    data, out, stop = Path(data), Path(out), Stop(session.max_seconds, budget.seconds)
    sharding.check_environment()
    accelerator = Accelerator(cpu=session.device == "cpu" or not torch.accelerator.is_available())
    with locked(out) if accelerator.is_main_process else nullcontext():
        recipe = open_folder(out, recipe, resume=resume)
        visible = accelerator.is_main_process and not session.quiet
        with closing(Display(recipe.steps, visible=visible, measure=recipe.objective.measure)) as display:
            trainer = Trainer(recipe, data, out, accelerator, display, stop, fsdp=session.fsdp, probe=probe)
            trainer.restore(budget.timer, resume=resume, tensorboard=session.tensorboard, callback=callback)
            with stop:  # from here on a signal means: finish the step and save
                trainer.run(session.workers)
                trainer.finish(resume_hint(data, out, session, accelerator.num_processes), skipped)
    return out


class Trainer:
    """A run: model, optimisers, moving average and pictures, built from a recipe, and what is done with them.

    Arguments are those of `train`. Raises UserError where the batch cannot be shared out, or pictures do not fit.
    """

    watch: Stopwatch
    """Of training; it stands still during evaluations and saves."""
    journal: Journal | None = None
    """On the first process."""
    rate: float = 0.0
    """Of the first optimiser, at the last step."""

    def __init__(self, recipe: Recipe, data: Path, out: Path, accelerator: Accelerator, display: Display, stop: Stop, *,
                 fsdp: bool = False, probe: Probe | None = None):
        world = accelerator.num_processes
        if recipe.batch_size % (world * recipe.accumulate):
            raise UserError(f"batch_size {recipe.batch_size} cannot be shared equally by {world} processes that "
                            f"accumulate {recipe.accumulate} parts; change batch_size or accumulate")
        self.recipe, self.out, self.accelerator = recipe, out, accelerator
        self.display, self.stop, self.probe = display, stop, probe
        with accelerator.main_process_first():  # whose caches of decoded pictures the others then find
            self.source = recipe.data.open(data, "train")
            self.held_out = recipe.data.open(data, "test") if recipe.evaluate_every else None
        self.model = fresh_model(recipe)
        recipe.objective.check(self.model, self.source, self.held_out, recipe.seed)
        self.model.to(accelerator.device)
        self.ema = Ema(self.model, recipe.ema_decay) if recipe.ema_decay else None
        average = self.ema.model if self.ema else None
        self.skeleton = sharding.share_out(self.model, average, recipe.optim.name, accelerator) if fsdp else None
        if recipe.recompute:
            recompute_blocks(self.model)
        bf16 = recipe.precision == "bf16"
        self.loss: nn.Module = recipe.objective.build(self.model, bf16=bf16)
        compile_loss(self.loss, recipe.compile, accelerator.device)
        self.optimizers = [accelerator.prepare(one) for one in build_optimizers(recipe.optim, self.model, bf16=bf16)]
        if not fsdp:  # where weights are shared out, the model's own hooks gather them and share out gradients
            self.loss = accelerator.prepare(self.loss)
        self.state = Training(self.model, average, self.optimizers)
        self.pending: list[Tensor] = []
        """Loss and PSNR of the latest steps, on the device: reading them at every step would stall an accelerator."""
        self.recent: list[list[float]] = []
        """The same of the steps before, back to the last line of metrics. Part of a checkpoint, so that a resumed run
        writes the very numbers it would have written."""

    def restore(self, timer: Timer, *, resume: bool, tensorboard: bool,
                callback: Callable[[int, Record], None] | None = None) -> None:
        """Continue from the newest whole checkpoint or begin; from then on the folder is this run's."""
        say, saved = self.display.say, None
        if resume:
            saved = checkpoint.load_newest(self.out, self.state, self.check_saved, say)
        if saved is not None:
            self.recent = saved["recent"]
        elif self.model.initial_pictures and not self.recipe.start:
            with Stopwatch(timer) as watch:
                self.initialize(self.model.initial_pictures)
            self.state.seconds = watch.seconds  # a model that starts from its training pictures pays for it
        self.line_before = (self.state.step, self.state.seconds)
        self.watch = Stopwatch(timer, self.state.seconds)
        self.accelerator.wait_for_everyone()  # no process writes into the folder before all have read it
        if self.accelerator.is_main_process:
            store_recipe(self.out, self.recipe)
            self.journal = Journal(self.out, self.state.step, tensorboard=tensorboard, callback=callback)

    def check_saved(self, plain: Record, step: int) -> None:
        """Raises UserError for a checkpoint of another run; says so where this one goes on after its end."""
        check_same(plain, self.recipe, step)
        if self.recipe.steps > (before := from_json(plain)).steps and lengthens(before, self.recipe, step):
            self.display.say(restart(before, self.recipe))

    def initialize(self, count: int) -> None:
        """Give a model that starts from training samples as many as it needs."""
        samples = stack([self.source.sample(self.recipe.seed, BEFORE_TRAINING, slot) for slot in range(count)])
        self.model.initialize(send_to_device(samples, self.accelerator.device))
        if self.ema:
            self.ema.model.load_state_dict(self.model.state_dict())

    @property
    def finished(self) -> bool:
        """Whether the last step is done."""
        return self.state.step >= self.recipe.steps

    def run(self, workers: int) -> None:
        """All steps that are left, or as many as signals and budgets allow."""
        self.display.start(self.state.step)
        cpu = torch.cpu.get_capabilities() if self.accelerator.device.type == "cpu" else {"avx512_bf16": True}
        if self.recipe.precision == "bf16" and not (cpu.get("avx512_bf16") or cpu.get("amx_bf16")):
            self.display.say("this CPU has no bfloat16 instructions: precision bf16 is far slower here than fp32")
        ended, processes = self.finished, self.accelerator
        batches = Loader(self.source, batch_size=self.recipe.batch_size, seed=self.recipe.seed, workers=workers,
                         first_step=self.state.step, rank=processes.process_index, world=processes.num_processes)
        with self.watch:
            for step, batch in () if ended else batches:
                assert step == self.state.step, f"the loader is at step {step}, the run at step {self.state.step}"
                self.step(batch)
                if self.state.step % self.recipe.log_every == 0 or self.finished:
                    self.log()
                ended = self.stop.due(self.accelerator, self.watch.seconds) or self.finished
                self.evaluate_and_save(ended)
                if ended:
                    break

    def step(self, batch: Sample) -> None:
        """Gradient, optimisers, moving average."""
        self.rate = set_rate(self.optimizers, schedule(self.recipe.optim, self.state.step, self.recipe.steps))
        self.pending.append(self.gradient(send_to_device(batch, self.accelerator.device, non_blocking=True)))
        if self.recipe.clip_norm:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.state.step += 1
        if self.ema and self.state.step % self.recipe.ema_every == 0:
            self.ema.update(self.model, self.state.step // self.recipe.ema_every)

    def gradient(self, batch: Sample) -> Tensor:
        """Forward and backward of one step; (loss, PSNR) of this process's instances, on the device.

        Every process and every accumulated part decodes at the same coordinates, drawn from (seed, step). They have
        equally many pictures, so the mean of their losses is the loss of the whole batch.
        """
        parts = self.recipe.accumulate
        size = self.recipe.batch_size // (parts * self.accelerator.num_processes)
        loss, psnr = torch.zeros(2, device=self.accelerator.device)
        for i in range(parts):
            generator = seeding.generator(self.recipe.seed, self.state.step, seeding.COORDINATES)
            last = i == parts - 1  # gradients travel between processes once per step
            share = self.accelerator.process_index, i
            draws = seeding.layers(self.recipe.seed, self.state.step, *share, device=self.accelerator.device)
            with differentiated_once(), draws, nullcontext() if last else self.accelerator.no_sync(self.loss):
                part_loss, errors = self.loss(slice_tensors(batch, slice(i * size, (i + 1) * size)), generator)
                self.accelerator.backward(part_loss / parts)
            loss += part_loss.detach() / parts
            psnr += decibels(errors).mean() / parts
        return torch.stack([loss, psnr])

    def collect(self) -> None:
        """Read the clock and the numbers of the latest steps. Raises Diverged for a loss that is not finite."""
        self.state.seconds = self.watch.seconds
        if self.pending:
            rows: list[list[float]] = self.accelerator.reduce(torch.stack(self.pending), "mean").tolist()
            self.pending.clear()
            for step, (loss, _) in enumerate(rows, self.state.step - len(rows) + 1):
                if not math.isfinite(loss):
                    raise self.diverged(f"the loss is {loss} at step {step}")
            self.recent += rows

    def log(self) -> None:
        """A line of metrics: means over the steps since the line before."""
        self.collect()
        loss, psnr = (sum(column) / len(self.recent) for column in zip(*self.recent, strict=True))
        state, size = self.state, self.recipe.batch_size
        (step, seconds), self.line_before, self.recent = self.line_before, (state.step, state.seconds), []
        line = {
            "step": state.step,
            "loss": loss,
            **({"psnr": psnr} if self.recipe.objective.measure.name == "psnr" else {}),
            "rate": self.rate,
            "images": state.step * size,
            "seconds": round(state.seconds, 3),
            "images_per_second": round((state.step - step) * size / max(state.seconds - seconds, 1e-9), 2),
        }
        self.note(line)
        self.display.update(line)

    def note(self, line: Record) -> None:
        """A line for the journal."""
        if self.journal is not None:
            self.journal.add(line)

    def evaluate_and_save(self, ended: bool) -> None:
        """What is due after a step, with the clock of training stopped; at the end all of it, after a signal a save."""
        step, recipe, last = self.state.step, self.recipe, ended and not self.stop.signum
        evaluating = self.held_out is not None and (step % recipe.evaluate_every == 0 or last)
        probe = self.probe if self.probe and (self.probe.due(step) or last) else None
        saving = step % recipe.checkpoint_every == 0 or ended
        if not (evaluating or probe or saving):
            return
        self.collect()
        self.check_finite()  # what is not finite is neither measured nor saved
        with self.watch.paused():
            if evaluating:
                self.evaluate()
            if probe:
                self.note({"step": step, "seconds": round(self.state.seconds, 3)} | probe(self.best))
            if saving:
                self.save()

    def evaluate(self) -> None:
        """The objective's number on held-out pictures."""
        objective, count = self.recipe.objective, self.recipe.evaluate_pictures
        value, pictures = objective.evaluate(self.best, self.held_out, count, self.accelerator, self.stop.signalled)
        if pictures:
            self.note({"step": self.state.step, **objective.measure.line(value, pictures)})
            self.display.evaluated(self.state.step, value, pictures)

    def save(self) -> None:
        """A checkpoint of the current step. Collective."""
        snapshot = self.state.snapshot()
        if self.accelerator.is_main_process:
            description = folder.facts(self.recipe) | {"recent": self.recent}
            checkpoint.save(self.out, snapshot, to_json(self.recipe), description, self.recipe.keep_checkpoints)
        self.accelerator.wait_for_everyone()

    @property
    def best(self) -> Model:
        """What is evaluated and shipped: the moving average if there is one. Collective where weights are shared."""
        model = self.ema.model if self.ema else self.model
        return model if self.skeleton is None else sharding.rebuilt(self.skeleton, model, self.accelerator.device)

    def check_finite(self) -> None:
        """Raises Diverged for weights that are not finite: a finite loss can have had a gradient that was not."""
        for name, p in self.model.named_parameters():
            if not torch.isfinite(p).all():
                raise self.diverged(f"weight {name} is not finite after step {self.state.step}")

    def diverged(self, what: str) -> Diverged:
        """The error of a run whose numbers are not finite, with all that is needed to go back."""
        good = checkpoint.folders(self.out)
        return Diverged(f"training diverged: {what} of recipe {self.recipe.name} ({self.out / RECIPE}); the last good "
                        f"checkpoint is {good[-1] if good else 'none'}; lower optim.rate, or set clip_norm, and train "
                        "into a new folder")

    def finish(self, hint: str, skipped: SkippedFiles) -> None:
        """Export, draw the curve, say what was skipped and how to go on. Raises Interrupted if a signal stopped it."""
        self.display.close()
        interrupted = bool(self.stop.signum) and not self.finished
        best = None if interrupted else self.best  # on all processes: each may have only a part of it
        if self.journal is not None:
            self.journal.close()
            if best is not None:
                pretrained.save(best, self.out, card=card(self.recipe))
            draw_curve(self.out, f"{self.recipe.name}, seed {self.recipe.seed}", self.recipe.objective.measure)
        for source in (self.source, self.held_out):
            if source is not None:
                skipped.update(source.skipped)
        if skipped and self.accelerator.is_main_process:
            warnings.warn(skipped.summary(), stacklevel=2)
        if not self.finished:
            why = "interrupted" if interrupted else "the budget is spent"
            self.display.say(f"{why} after step {self.state.step} of {self.recipe.steps}; everything is saved. "
                             f"To continue: {hint}")
        if self.accelerator.num_processes > 1:
            self.accelerator.end_training()
        if interrupted:
            raise Interrupted(128 + self.stop.signum)

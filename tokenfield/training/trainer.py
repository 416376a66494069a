"""The training loop: validate -> build -> resume -> for step -> log -> evaluate -> save.

`train` is all of it, around `accelerate`: one process on a CPU, several under `torchrun`, a GPU where there is one.
What it calls:

    open_folder     the recipe, and a folder that may be written                (folder.py)
    Run             model, optimisers, moving average, pictures; gradients      (run.py)
    checkpoint      the newest whole one restored; one saved every so often     (checkpoint.py)
    Recent          loss and PSNR of the steps since the last line              (run.py)
    evaluate        PSNR on held-out pictures                                   (validation.py)
    Stop            signals and the end of the budget                           (stopping.py)
    Journal         metrics.jsonl, TensorBoard, the learning curve              (journal.py)
    Display         what a person sees                                          (progress.py)

Processes meet in collective calls, so whatever decides whether one is made (the step, `Stop.asked`) is the same on
all of them.
"""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from tokenfield.training import checkpoint, sharding
from tokenfield.training.folder import export, facts, open_folder, resume_hint, store_recipe
from tokenfield.training.journal import Journal, draw_curve
from tokenfield.training.optimisers import schedule, set_rate
from tokenfield.training.progress import Display
from tokenfield.training.recipe import Recipe, to_json
from tokenfield.training.run import Recent, Run, Timer, moved
from tokenfield.training.stopping import Interrupted, Stop
from tokenfield.training.validation import Probe


def train(
    recipe: Recipe | None,
    data: Path | str,
    out: Path | str,
    *,
    resume: bool = False,
    max_seconds: float | None = None,
    training_seconds: float = math.inf,
    timer: Timer = time.monotonic,
    probe: Probe | None = None,
    device: str = "auto",
    fsdp: bool = False,
    workers: int = 2,
    tensorboard: bool = False,
    quiet: bool = False,
    resume_command: str | None = None,
    callback: Callable[[int, dict[str, Any]], None] | None = None,
) -> Path:
    """Train a model by a recipe.

    Args:
        recipe: what to do; None, when resuming, takes the one stored in `out`.
        data: folder of the pictures, in the layout that `recipe.data` names.
        out: folder of the run. Afterwards it holds model.safetensors and config.json (`tokenfield.load(out)`),
            recipe.json, metrics.jsonl, learning_curve.png and the newest checkpoints.
        resume: continue the run in `out` from its newest whole checkpoint: on a CPU, bit for bit what it would have
            become without the interruption. Without `resume` a folder that holds a run is refused.
        max_seconds: budget from this call on; when it is spent the run is evaluated, saved and exported as it is.
        training_seconds: budget of the run over all its sessions, by `timer`; evaluations and saves do not count.
        timer: what counts the seconds of training; `time.process_time` for those of this process's threads alone, where
            the machine is shared.
        probe: measured when it is due and at the end.
        device: "auto", an accelerator where there is one, or "cpu".
        fsdp: under several processes, share the weights of a denoiser out between them (sharding.py).
        workers: threads that prepare pictures.
        tensorboard: write event files as well.
        quiet: show nothing.
        resume_command: what a stopped run tells the user to type.
        callback: called on the first process with the step and every line of metrics, of training and evaluation.
    Returns:
        `out`.
    Raises:
        UserError: what the caller can put right: the recipe, the data, the folder, a loss that is not finite.
        Interrupted: a SystemExit; SIGINT or SIGTERM came and a checkpoint was saved.
    """
    data, out, stop = Path(data), Path(out), Stop(max_seconds)
    sharding.check_environment()
    with ExitStack() as stack:
        accelerator = Accelerator(cpu=device == "cpu" or not torch.accelerator.is_available())
        main = accelerator.is_main_process
        recipe = open_folder(out, recipe, resume=resume)
        measure = recipe.objective.measure
        display = Display(recipe.steps, shown=main and not quiet, measure=measure)
        stack.callback(display.close)
        run = Run(recipe, data, out, accelerator, fsdp=fsdp)
        state = run.state

        saved = checkpoint.load_newest(out, state, run.check_same, display.say) if resume else None
        if saved is None:
            begun = timer()
            run.initialize()
            state.seconds = timer() - begun  # a model that starts from its training pictures pays for it
        recent = Recent(run, saved["recent"] if saved else [], timer)
        accelerator.wait_for_everyone()  # nobody writes into the folder before everybody has read it
        if main:
            store_recipe(out, recipe)
        journal = Journal(out, state.step, tensorboard=tensorboard) if main else None
        stack.enter_context(stop)  # from here on a signal means: finish the step and save
        display.start(state.step)
        display.remark(run.remark())

        def note(metrics: dict[str, Any]) -> None:
            if journal is not None:
                journal.add(metrics)
            if main and callback is not None:
                callback(state.step, metrics)

        def assess() -> None:
            assert run.held_out is not None
            value, count = recipe.objective.evaluate(
                run.best, run.held_out, recipe.evaluate_pictures, accelerator, stop.noticed
            )
            if count:
                note({"step": state.step, **measure.line(value, count)})
                display.evaluated(state.step, value, count)

        def save() -> None:
            whole = run.gathered()
            if main:
                described = facts(recipe) | {"recent": recent.values}
                checkpoint.save(out, whole, to_json(recipe), described, recipe.keep_checkpoints)
            accelerator.wait_for_everyone()

        finished = ended = state.step >= recipe.steps
        for step, batch in () if ended else run.batches(workers):
            assert step == state.step, f"the loader is at step {step}, the run at step {state.step}"
            rate = set_rate(run.optimizers, schedule(recipe.optim, step, recipe.steps))
            recent.add(run.gradient(moved(batch, accelerator.device), step))
            run.update()

            finished = state.step == recipe.steps
            if state.step % recipe.log_every == 0 or finished:
                recent.collect()
                line = recent.line(rate)
                note(line)
                display.update(line)
            ended = stop.asked(accelerator, recent.watch.seconds >= training_seconds) or finished
            assessing = run.held_out is not None and (
                state.step % recipe.evaluate_every == 0 or (ended and not stop.signum)
            )
            asked = probe if probe and (probe.due(state.step) or (ended and not stop.signum)) else None
            saving = state.step % recipe.checkpoint_every == 0 or ended
            if assessing or asked or saving:
                recent.collect()
                run.check_finite()  # what is not finite is neither measured nor saved
                with recent.watch.paused():
                    if assessing:
                        assess()
                    if asked:
                        measured = {"step": state.step, "seconds": round(state.seconds, 3)}
                        note(measured | asked(run.best))
                    if saving:
                        save()
            if ended:
                break
        display.close()
        if journal is not None:
            journal.close()
        if not (stop.signum and not finished):
            best = run.best  # on all processes: each may have only a part of it
            if main:
                export(out, best)
        if main:
            draw_curve(out, f"{recipe.name}, seed {recipe.seed}", measure)
        display.remark(run.skipped())
        if not finished:
            why = "the budget is spent" if stop.out_of_time and not stop.signum else "interrupted"
            hint = resume_command or resume_hint(recipe, data, out)
            display.say(f"{why} after step {state.step} of {recipe.steps}; everything is saved. To continue: {hint}")
        if accelerator.num_processes > 1:
            accelerator.end_training()
        if stop.signum and not finished:
            raise Interrupted(128 + stop.signum)
    return out

"""Peak memory of training: measured in a process of its own, once for all runs of the same model.

A process that has trained other rows still holds memory that they have freed, and what it needs then depends on which
rows came before.
"""

import ctypes
import gc
import json
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import torch

from tokenfield.comparison.running import Deadline, keep
from tokenfield.comparison.setting import Setting, digest
from tokenfield.errors import UserError
from tokenfield.training.recipe import Recipe, decisive, model_name
from tokenfield.training.session import Session
from tokenfield.training.trainer import train

T = TypeVar("T")

STEPS = 2
"""After one that loads what the first step of a process loads."""


def of_training(recipe: Recipe, setting: Setting, deadline: Deadline) -> int | None:
    """Bytes that training needs at its peak beyond what the process held before it; see `with_peak_memory`.

    The number is written into the folder of the runs; the seed has no say. When no seconds are left, only a number that
    is there already is given.
    """
    recipe = replace(recipe, seed=0, steps=STEPS, evaluate_every=0, checkpoint_every=STEPS)
    facts = [decisive(recipe), recipe.batch_size, setting.place]
    path = setting.runs / "memory" / f"{model_name(recipe.model)}-{digest(facts)}.json"
    if path.exists():
        return json.loads(path.read_text())["peak_memory"]
    remaining = deadline()
    if remaining is not None and remaining <= 0:
        return None
    try:
        context = get_context("forkserver")
        context.set_forkserver_preload([__name__])  # loaded once; nothing is computed there
        with ProcessPoolExecutor(1, context) as pool:
            peak = pool.submit(measure_here, recipe, setting.data, setting.device, torch.get_num_threads()).result()
    except (BrokenProcessPool, UserError):  # one that dies or diverges in two steps has a row that says so
        peak = None
    return keep(path, {"peak_memory": peak})["peak_memory"]


def measure_here(recipe: Recipe, data: Path, device: str, threads: int) -> int | None:
    """The same, in the process that this is called in: one that has done nothing else."""
    torch.set_num_threads(threads)
    with TemporaryDirectory() as folder:

        def steps(count: int) -> None:
            short = replace(recipe, steps=count, checkpoint_every=count)
            train(short, data, Path(folder, str(count)), session=Session(device=device, quiet=True))

        steps(1)
        gc.collect()
        with suppress(OSError, AttributeError):  # glibc: memory that is freed but still held would hide a part
            ctypes.CDLL(None).malloc_trim(0)
        return with_peak_memory(lambda: steps(STEPS))[1]


def _resident(field: str) -> int:
    """A memory field of this process in bytes (Linux)."""
    match = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    assert match is not None, f"/proc/self/status has no {field}"
    return int(match[1]) * 1024


def with_peak_memory(run: Callable[[], T]) -> tuple[T, int | None]:
    """What `run` returns, and the bytes that it needed at its peak beyond what was there before it.

    Of an accelerator, what PyTorch held on it; of a process on Linux, resident memory; None elsewhere, and where the
    high-water mark may not be reset.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        result = run()
        return result, torch.cuda.max_memory_allocated() - before
    try:
        Path("/proc/self/clear_refs").write_text("5")  # 5: reset the high-water mark (proc(5))
        before = _resident("VmRSS")
    except OSError:
        return run(), None
    result = run()
    return result, max(0, _resident("VmHWM") - before)

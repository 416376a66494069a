"""How every number is measured: interleaved, after a warm-up, beside what the machine can do, with the circumstances.

Two runs of one program minutes apart differ by a tenth or more, so alternatives are compared inside one run, turn by
turn (A, B, C, A, B, C, ...), and the ratio of the medians is what counts. A share of the machine's speed is taken
against matrix products measured in the same turns.
"""

import ctypes
import datetime
import gc
import multiprocessing
import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F

T = TypeVar("T")

TUNED_MALLOC = {  # glibc: keep freed memory instead of giving it back to the system and faulting it in again
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31),
    "MALLOC_TOP_PAD_": str(2**26),
}


def synchronize() -> None:
    """Wait for an accelerator; nothing to wait for on a CPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def interleave(variants: dict[str, Callable[[], T]], repeats: int) -> tuple[dict[str, list[float]], dict[str, T]]:
    """Seconds of every variant, `repeats` each, taken in turns, and what each returned last."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    results: dict[str, T] = {}
    for _ in range(repeats):
        for name, run in variants.items():
            synchronize()
            start = time.perf_counter()
            results[name] = run()
            synchronize()
            seconds[name].append(time.perf_counter() - start)
    return seconds, results


def median(seconds: list[float]) -> float:
    """The middle one: a turn disturbed by another process does not move it."""
    return statistics.median(seconds)


def matmul(
    dtype: torch.dtype, m: int = 4096, k: int = 768, n: int = 768, device: torch.device | str = "cpu"
) -> tuple[Callable[[], object], float]:
    """A linear map of a size that LAINR's encoder has, and its floating-point operations."""
    x, weight, bias = (torch.randn(*shape).to(device, dtype) for shape in ((m, k), (n, k), (n,)))
    return torch.no_grad()(lambda: F.linear(x, weight, bias)), 2.0 * m * k * n


def multiplies_natively(dtype: torch.dtype) -> bool:
    """Whether a narrow type is worth its name here: measured, since processors without it emulate it."""
    seconds, _ = interleave({str(t): matmul(t, m=512)[0] for t in (torch.float32, dtype)}, repeats=4)
    return median(seconds[str(dtype)][1:]) < median(seconds[str(torch.float32)][1:])


def _status(field: str) -> int:
    """A memory field of this process, in bytes."""
    text = Path("/proc/self/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M)[1]) * 1024


def peak_memory(run: Callable[[], object]) -> float:
    """Bytes of resident memory that `run` needs at its peak beyond what the process held before it.

    VmHWM, put back to the present size first. What is already resident (weights, optimiser state) is not counted. Linux
    with glibc.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else memory freed earlier, but still held, would hide a part of the peak
    Path("/proc/self/clear_refs").write_text("5")  # 5: reset the high-water mark (proc(5))
    before = _status("VmRSS")
    result = run()  # held until the peak is read: the result is part of it
    peak = _status("VmHWM") - before
    del result
    return float(peak)


def in_own_process(function: Callable, *args):
    """`function(*args)` in a fresh process: memory that an earlier measurement left behind would hide a peak."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *args).result()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*:\s*(.+)$", info.read_text(), re.M) if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str:
    """The checkout's commit, marked if files differ from it; `unknown` outside a checkout."""
    here = Path(__file__).parent
    git = ["git", "-C", str(here)]
    try:
        commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.stdout.strip() + (" with changes" if changed.stdout.strip() else "")


def circumstances() -> dict[str, object]:
    """What a reader must know to compare these numbers with others."""
    capability = torch.backends.cpu.get_cpu_capability()
    device = f"{_processor()}, {torch.get_num_threads()} threads, {capability} kernels"
    return {
        "device": device,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": _commit(),
        "date": datetime.datetime.now().astimezone().strftime("%d %B %Y, %H:%M %Z"),
        "malloc": "tuned" if all(os.environ.get(k) == v for k, v in TUNED_MALLOC.items()) else "default",
        "load before": [round(x, 2) for x in os.getloadavg()],
    }

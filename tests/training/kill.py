"""Kills training runs and resumes them; run as a script by test_kill.py, which explains.

    python kill.py PICTURES OUT MODE

Every run is a fork of this process, which has imported everything and computed nothing: a run then starts in
milliseconds, and OUT is worked on by a process of its own that SIGKILL ends as it ends any other.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from toys import toy

from tokenfield.training import train
from tokenfield.training.session import Session

RECIPE = toy(steps=16, checkpoint_every=2, evaluate_every=0, log_every=3)


def start(pictures: Path, out: Path) -> int:
    """Begin or resume the run in a process of its own; returns its number."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        train(RECIPE, pictures, out, resume=(out / "recipe.json").exists(), session=Session(device="cpu", quiet=True))
        status = 0
    finally:
        os._exit(status)


def end(child: int) -> int:
    """Wait for a process: its exit status, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def ended(child: int) -> bool:
    return os.waitpid(child, os.WNOHANG)[0] != 0


def kill_when(child: int, now: Callable[[], bool]) -> bool:
    """SIGKILL as soon as `now()`; False if the process came to its end before."""
    while not now():
        if ended(child):
            return False
    os.kill(child, signal.SIGKILL)
    return end(child) == -signal.SIGKILL


def at_random_moments(pictures: Path, out: Path, kills: int) -> None:
    """Kill the run `kills` times, anywhere between its start and the time that the rest of it would take."""
    draw = random.Random(5)
    begun = time.monotonic()
    assert end(start(pictures, out.with_name("timing"))) == 0
    seconds = time.monotonic() - begun
    for _ in range(kills):
        moment = time.monotonic() + draw.uniform(0.1, 0.8) * seconds
        if kill_when(start(pictures, out), lambda moment=moment: time.monotonic() >= moment):
            print("killed after checkpoint", max((p.name for p in out.glob("step-*")), default=None))


def while_writing(pictures: Path, out: Path) -> None:
    """Kill the run while a checkpoint is half written, which shows in a `.tmp-` folder that stays behind."""
    for _ in range(100):
        child = start(pictures, out)
        if kill_when(child, lambda: any(out.glob(".tmp-*"))) and any(out.glob(".tmp-*")):
            print("killed while writing", *(p.name for p in out.glob(".tmp-*")))
            return
    raise AssertionError("in 100 runs no checkpoint was caught being written")


if __name__ == "__main__":
    torch.set_num_threads(1)  # no threads that a fork would lose
    pictures, out, mode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    if mode == "random":
        at_random_moments(pictures, out, kills=3)
    if mode == "writing":
        while_writing(pictures, out)
    assert end(start(pictures, out)) == 0, "the last, undisturbed session failed"

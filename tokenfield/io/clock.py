"""Seconds of work: on the wall, on an accelerator that answers before it is done, or of the processor."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

Timer = Callable[[], float]
"""Seconds since any moment: `time.monotonic` on the wall, `time.process_time` of the processor, over all threads."""


def seconds(device: torch.device) -> float:
    """The time, once all work that was given to an accelerator so far is done."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
    return time.perf_counter()


class Stopwatch:
    """Seconds spent inside its `with` blocks, and outside of its `paused` ones, beside those `spent` before."""

    def __init__(self, timer: Timer = time.monotonic, elapsed: float = 0.0):
        self._timer, self._spent, self._begun = timer, elapsed, 0.0
        self.running = False

    @property
    def seconds(self) -> float:
        """Spent so far, also while it runs."""
        return self._timer() - self._begun + self._spent if self.running else self._spent

    def __enter__(self) -> "Stopwatch":
        self._begun, self.running = self._timer(), True
        return self

    def __exit__(self, *_: object) -> None:
        self._spent, self.running = self.seconds, False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time that does not count."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

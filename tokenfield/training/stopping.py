"""Why a run ends before its last step: a signal, or a budget of seconds."""

import signal
import threading
import time
from typing import Any

import torch
from accelerate import Accelerator


class Interrupted(SystemExit):
    """Training was asked to stop by a signal, saved a checkpoint and stopped. The exit code is 128 + the signal."""


class Stop:
    """Watches for SIGINT and SIGTERM while it is entered, and for the end of the budget.

    A signal only leaves a note here, which the loop reads between two steps: a step is never cut in half. A second
    signal acts at once, as if nobody watched.

    Args:
        max_seconds: budget from now on (not from when it is entered), or None.
    """

    def __init__(self, max_seconds: float | None):
        self.deadline = None if max_seconds is None else time.monotonic() + max_seconds
        self.signum, self.out_of_time = 0, False
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            for signum in (signal.SIGINT, signal.SIGTERM):
                self._handlers[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *_) -> None:
        self._restore()

    def noticed(self) -> bool:
        """Whether a signal came to this process."""
        return bool(self.signum)

    def _note(self, signum: int, frame) -> None:
        self.signum = signum
        self._restore()

    def _restore(self) -> None:
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        self._handlers.clear()

    def asked(self, accelerator: Accelerator, spent: bool = False) -> bool:
        """Whether to stop now. All processes agree: the note of one is a note for all, at the same step.

        Args:
            accelerator: knows the processes.
            spent: whether another budget than that of the deadline is used up.
        """
        self.out_of_time = spent or (self.deadline is not None and time.monotonic() >= self.deadline)
        if accelerator.num_processes > 1:
            mine = torch.tensor([self.signum, int(self.out_of_time)], device=accelerator.device)
            signum, late = accelerator.gather(mine).view(-1, 2).amax(0).tolist()
            self.signum, self.out_of_time = signum, bool(late)
        return bool(self.signum) or self.out_of_time

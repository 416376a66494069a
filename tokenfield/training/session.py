"""How one call of `train` runs: on which machine, what a person sees, and why it ends before its last step.

Nothing here changes a weight.
"""

import math
import signal
import threading
import time
from dataclasses import dataclass
from types import FrameType

import torch
from accelerate import Accelerator

from tokenfield.coords import present
from tokenfield.errors import UserError
from tokenfield.io.clock import Timer


def check_seconds(max_seconds: float | None) -> None:
    """Raises UserError for a budget that is no time: below 0, or no number, which never ends."""
    if max_seconds is not None and not max_seconds >= 0:
        raise UserError(f"max_seconds is {max_seconds:g}; give seconds, at least 0")


@dataclass(frozen=True)
class Session:
    """Machine, patience and display of one call."""

    max_seconds: float | None = None
    """Budget from the call on; when it is spent the run is evaluated, saved and exported as it is."""
    device: str = "auto"
    """`auto`, an accelerator where there is one, or `cpu`."""
    fsdp: bool = False
    """Under several processes, share the weights of a denoiser out between them."""
    workers: int = 2
    """Threads that prepare pictures; 0 prepares them in between steps."""
    tensorboard: bool = False
    """Also write TensorBoard's event files."""
    quiet: bool = False
    """Show no progress."""

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise UserError(f"workers is {self.workers}; give at least 0")
        check_seconds(self.max_seconds)
        if self.device != "auto":
            present(self.device)


@dataclass(frozen=True)
class TrainingTime:
    """Budget of a run over all its sessions; evaluations and saves do not count."""

    seconds: float = math.inf
    timer: Timer = time.monotonic
    """What counts them; `time.process_time` where the machine is shared."""


class Interrupted(SystemExit):
    """A signal stopped training after a checkpoint was saved. The exit code is 128 + the signal."""


class Diverged(UserError):
    """A loss or a weight that is not finite. Earlier checkpoints are good."""


class Stop:
    """Watches for SIGINT and SIGTERM while it is entered, and for the end of the budgets.

    A signal is only noted here, and the loop reads the note between two steps: a step is never cut in half. A second
    signal acts at once. `max_seconds` is a budget on the wall from now on (not from when it is entered);
    `training_seconds`, of training alone, by the run's own stopwatch.
    """

    def __init__(self, max_seconds: float | None, training_seconds: float):
        self.deadline = None if max_seconds is None else time.monotonic() + max_seconds
        self.training_seconds = training_seconds
        self.signum, self.out_of_time = 0, False
        self._handlers: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            for signum in (signal.SIGINT, signal.SIGTERM):
                self._handlers[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        self._handlers.clear()

    def signalled(self) -> bool:
        """Whether a signal came to this process."""
        return bool(self.signum)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
        self.__exit__()

    def due(self, accelerator: Accelerator, trained: float) -> bool:
        """Whether to stop after `trained` seconds of training. All processes agree: a signal to one is one to all."""
        late = self.deadline is not None and time.monotonic() >= self.deadline
        self.out_of_time = late or trained >= self.training_seconds
        if accelerator.num_processes > 1:
            mine = torch.tensor([self.signum, int(self.out_of_time)], device=accelerator.device)
            signum, over = accelerator.gather(mine).view(-1, 2).amax(0).tolist()
            self.signum, self.out_of_time = signum, bool(over)
        return bool(self.signum) or self.out_of_time

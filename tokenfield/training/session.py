"""How one call of `train` runs: on which machine, for how long, what a person sees. Nothing here changes a weight."""

import math
import time
from dataclasses import dataclass

from tokenfield.errors import UserError
from tokenfield.io.clock import Timer


@dataclass(frozen=True)
class Session:
    """Machine, patience and display of one call."""

    max_seconds: float | None = None
    """Budget from the call on; when it is spent the run is evaluated, saved and exported as it is."""
    device: str = "auto"
    """`auto`, an accelerator where there is one, or `cpu`."""
    fsdp: bool = False
    """Under several processes, share the weights of a denoiser out between them (sharding.py)."""
    workers: int = 2
    """Threads that prepare pictures; 0 prepares them in between steps."""
    tensorboard: bool = False
    """Also write TensorBoard's event files."""
    quiet: bool = False
    """Show no progress."""

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise UserError(f"workers is {self.workers}; give at least 0")


@dataclass(frozen=True)
class TrainingTime:
    """Budget of a run over all its sessions; evaluations and saves do not count."""

    seconds: float = math.inf
    timer: Timer = time.monotonic
    """What counts them; `time.process_time` where the machine is shared."""

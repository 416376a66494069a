"""Batches, prepared ahead in threads.

Threads, not processes: decoding and copying release the interpreter, tensors need no pickling, and a killed training
run leaves no process behind. Since every picture is a function of (seed, step, slot), neither the number of threads nor
their order matters.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count

import numpy as np
import torch
from torch.utils._pytree import tree_map

from tokenfield.data.sources import Sample, Source
from tokenfield.errors import UserError


def stack(samples: list[Sample]) -> Sample:
    """Samples of one kind as one batch; through NumPy, for torch would start threads of its own in every worker."""
    batch: Sample = tree_map(lambda *tensors: torch.from_numpy(np.stack([t.numpy() for t in tensors])), *samples)
    return batch


class Loader:
    """An endless sequence of (step, batch), the same for every number of workers, from any first step.

        for step, batch in Loader(source, batch_size=16, seed=0):
            ...                                                   # batch: (16, C, H, W) float32 in [0, 1]

    A source whose samples are dictionaries of tensors gives dictionaries of stacked tensors. Iterating again starts at
    `first_step` again. An exception in a worker, such as the `UserError` of a source that runs out of readable files,
    is raised here, at the step it belongs to. Raises UserError for a batch that does not divide, or a number out of
    range.

    Args:
        batch_size: pictures per step over all processes; process `rank` of `world` gets places
            rank * b .. (rank + 1) * b - 1 of the global batch, b = batch_size // world.
        seed: from 0 to 2^64 - 1; with the step it decides every picture.
        workers: threads, which prepare batches ahead; 0 prepares each when it is needed.
    """

    def __init__(self, source: Source, *, batch_size: int, seed: int, first_step: int = 0, rank: int = 0,
                 world: int = 1, workers: int = 2):
        if batch_size < 1 or world < 1 or batch_size % world:
            raise UserError(f"a batch of {batch_size} cannot be shared by {world} processes; give a batch size that is "
                            "a multiple of their number")
        if not 0 <= rank < world:
            raise UserError(f"rank {rank} does not exist among {world} processes; ranks count from 0")
        for name, value in (("seed", seed), ("first_step", first_step), ("workers", workers)):
            if not 0 <= value < 2**64:
                raise UserError(f"{name} is {value}; give 0 or more, below 2^64")
        if len(source) == 0:
            raise UserError("the source has no pictures; give a folder with some")
        self.source, self.seed, self.first_step = source, seed, first_step
        self.slots = range(rank * (batch_size // world), (rank + 1) * (batch_size // world))
        self.workers = workers

    def batch(self, step: int) -> Sample:
        """This process's part of the batch at `step`."""
        return stack([self.source.sample(self.seed, step, slot) for slot in self.slots])

    def __iter__(self) -> Iterator[tuple[int, Sample]]:
        if self.workers == 0:
            yield from ((step, self.batch(step)) for step in count(self.first_step))
        threads = ThreadPoolExecutor(self.workers, thread_name_prefix="loader")
        waiting: deque[Future[Sample]] = deque()
        try:
            for step in count(self.first_step):
                while len(waiting) < max(4, self.workers):
                    waiting.append(threads.submit(self.batch, step + len(waiting)))
                yield step, waiting.popleft().result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

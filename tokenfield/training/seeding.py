"""Every random draw of a training run is a function of (seed, step, stream), and of nothing else.

No generator lives from one step to the next, so there is no generator state to save: a run that was killed and
resumed has the same draws, on one process or on eight. Integers only, since Python's hashes of strings
differ from process to process.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

COORDINATES: Final = 1
"""Stream of the coordinate noise and of the coordinate subsampling."""
LAYERS: Final = 2
"""Stream of what layers draw while a step is computed: dropout."""

_MASK = (1 << 64) - 1


def mix(*numbers: int) -> int:
    """A 64-bit number in which every bit depends on every bit of `numbers`, in their order.

    The finaliser of SplitMix64 (Steele, Lea and Flood, 2014), once per number. Mixing is needed because the generator
    behind `torch.Generator` on a CPU reads only the low 32 bits of its seed: seed and step merely packed into one
    integer would repeat themselves.
    """
    state = 0
    for number in numbers:
        state = (state + (number & _MASK) + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def generator(seed: int, step: int, stream: int) -> torch.Generator:
    """The generator of one stream of draws at one step, counted from 0; different streams are independent.

    It is always a CPU generator; what it draws is moved afterwards. So an accelerator has the coordinates of a CPU.
    """
    return torch.Generator().manual_seed(mix(seed, step, stream))


@contextmanager
def layers(seed: int, step: int, *share: int, device: torch.device) -> Iterator[None]:
    """While entered, torch's own randomness is a function of (seed, step); outside it is as it was.

    With dropout a run resumes exactly, but depends on how a batch is shared out over processes and parts: `share` says
    which of them this is, so that not all leave out the same.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(mix(seed, step, LAYERS, *share))
        yield

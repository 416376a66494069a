"""Other ways to compute the same step: `torch.compile`, which makes one pass over memory of the operators between the
products, and transformer blocks that are computed again in the backward pass.

Evaluation, sampling and files use the same weights as they are: the module keeps its parameters and their names.
"""

import os
import shutil
from functools import partial
from typing import Literal

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tokenfield.errors import UserError
from tokenfield.nn.attention import Block
from tokenfield.nn.neighbourhood import NeighbourhoodBlock

Backend = Literal["none", "inductor", "aot_eager"]


def compile_loss(loss: nn.Module, backend: Backend, device: torch.device) -> None:
    """Compile a loss in its place, at its first call; `none` leaves it as it is.

    Raises UserError where inductor would look for a C++ compiler at the first step and find none.
    """
    if backend == "none":
        return
    compilers = os.environ.get("CXX", "g++"), "clang++"
    if backend == "inductor" and device.type == "cpu" and not any(map(shutil.which, compilers)):
        raise UserError(f"compile inductor: none of the compilers {', '.join(compilers)} is installed; install one, "
                        "name one in CXX, or give compile none")
    loss.compile(backend=backend)


def recompute_blocks(model: nn.Module) -> None:
    """From now on transformer blocks keep their input alone where a gradient is recorded (Chen et al., 1604.06174)."""
    for module in model.modules():
        if isinstance(module, Block | NeighbourhoodBlock):
            setattr(module, "forward", partial(checkpoint, module.forward, use_reentrant=False))  # noqa: B010, a method

"""`torch.compile` for what a step minimises: the operators between the products become one pass over memory.

Evaluation, sampling and files use the same weights as they are: the module keeps its parameters and their names.
"""

import os
import shutil
from typing import Literal

import torch
from torch import nn

from tokenfield.errors import UserError

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

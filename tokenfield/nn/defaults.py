"""What torch makes where no line says of which type or where: programs around this library may have changed it."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor


@contextmanager
def usual_defaults() -> Iterator[None]:
    """New tensors are float32 and on the CPU in the block, whatever `set_default_dtype` or `set_default_device` said.

    Both are of the whole program: a script in float64, or one that draws on an accelerator, means its own tensors.
    """
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu") if device.type != "cpu" else nullcontext():
            yield
    finally:
        torch.set_default_dtype(dtype)


@contextmanager
def gradients() -> Iterator[None]:
    """Gradients are recorded in the block, also inside `torch.no_grad` and `torch.inference_mode`."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def recordable(tensor: Tensor) -> Tensor:
    """The tensor, or a copy where `torch.inference_mode` made it: autograd takes none of those."""
    with torch.inference_mode(False):
        return tensor.clone() if tensor.is_inference() else tensor

"""A configuration compared with the weights beside it, before anything of its sizes exists.

The model is built on torch's `meta` device, where tensors have shapes and no memory, and its parameters are counted
while they appear: a configuration of a thousand layers of a terabyte each, beside two kilobytes of weights, ends at its
first layer.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.overrides import TorchFunctionMode

from tokenfield.errors import UserError
from tokenfield.io.limits import memory
from tokenfield.io.record import Record

ROOM = 1 << 20
"""Numbers that a model may hold beside its stored ones: tables that it computes, layers replaced while it is built."""
LAYERS = 1 << 11
"""Tensors of a model that is trained; a hundred layers have a thousand."""
MAKERS = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn)
"""What sizes of a configuration are given to."""
M = TypeVar("M", bound=nn.Module)
FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


class _Count:
    """Hooks that raise UserError once more is registered than so many numbers and tensors."""

    def __init__(self, numbers: int, tensors: int, line: str):
        self.numbers, self.tensors, self.line = numbers, tensors, line

    def __call__(self, module: nn.Module, name: str, tensor: Tensor | None) -> None:
        self.numbers -= 0 if tensor is None else tensor.numel()
        self.tensors -= 1
        if min(self.numbers, self.tensors) < 0:
            raise UserError(self.line)


@contextmanager
def counted(numbers: int, tensors: int, line: str) -> Iterator[None]:
    """What is built in the block may have so many numbers in so many tensors. Raises UserError, with this line."""
    count = _Count(numbers, tensors, line)
    hooks = (register_module_parameter_registration_hook(count), register_module_buffer_registration_hook(count))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Sized(TorchFunctionMode):
    """Raises UserError for a tensor of more than so many numbers, before it is made."""

    def __init__(self, numbers: int, line: str):
        super().__init__()
        self.numbers, self.line = numbers, line

    def __torch_function__(self, func: Callable[..., Any], types: object, args: tuple[object, ...] = (),
                           kwargs: Record | None = None) -> Any:
        if func in MAKERS:
            size = args[0] if args and isinstance(args[0], tuple | list) else args
            if prod(side for side in size if isinstance(side, int)) > self.numbers:
                raise UserError(self.line)
        return func(*args, **(kwargs or {}))


def trainable(build: Callable[[], M]) -> M:
    """The model that `build` makes from numbers that nobody may have chosen.

    Raises UserError, before it is there, for one that has no room in this machine's memory: with its gradient and two
    moments it takes four times its weights.
    """
    room = memory() // 16
    line = (f"the model has more than {room / 1e9:.3g} billion parameters or {LAYERS} tensors, too many to train on "
            "this machine; make it smaller")
    with counted(room, LAYERS, line), _Sized(room, line):
        try:
            return build()
        except UserError:
            raise
        except (RuntimeError, OverflowError, TypeError) as error:  # torch has all three for sizes that overflow
            reason = str(error).splitlines()[0][:200]
            raise UserError(f"no model can be built of such sizes ({reason}); make it smaller") from error


def check_fits(build: Callable[[], nn.Module], tensors: dict[str, Tensor]) -> None:
    """Raises UserError unless the model that `build` makes has weights of these names, shapes and kinds of numbers."""
    stored = sum(tensor.numel() for tensor in tensors.values())
    with counted(2 * stored + ROOM, 4 * len(tensors) + 64,
                 "describes a far larger model than the weights beside it are of"), torch.device("meta"):
        state = build().state_dict()
    both = [key for key in state if key in tensors]
    kinds = [key for key in both if not same_kind(tensors[key].dtype, state[key].dtype)]
    shapes = [key for key in both if tensors[key].shape != state[key].shape]
    problems = {
        "lacks": [key for key in state if key not in tensors],
        "holds unknown": [key for key in tensors if key not in state],
        "has other shapes for": [f"{k} {tuple(tensors[k].shape)}, not {tuple(state[k].shape)}" for k in shapes],
        "has another kind of numbers for": [f"{key} {tensors[key].dtype}, not {state[key].dtype}" for key in kinds],
        "is not finite in": [key for key in both if key not in kinds and not torch.isfinite(tensors[key]).all()],
    }
    lines = [f"{what} {', '.join(which[:3])}" + (f" and {len(which) - 3} more" if which[3:] else "")
             for what, which in problems.items() if which]
    if lines:
        raise UserError(f"the weights beside it do not fit: model.safetensors {'; it '.join(lines)}")


def same_kind(stored: torch.dtype, own: torch.dtype) -> bool:
    """Whether a stored tensor can be read into one of a model: any float into any, else the very type."""
    return stored == own or (stored in FLOATS and own in FLOATS)

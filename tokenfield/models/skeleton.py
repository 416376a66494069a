"""A configuration compared with the weights beside it, before anything of its sizes exists.

The model is built on torch's `meta` device, where tensors have shapes and no memory, and its parameters are counted
while they appear: a configuration of a thousand layers of a terabyte each, beside two kilobytes of weights, ends at its
first layer.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from tokenfield.errors import UserError

ROOM = 1 << 20
"""Numbers that a model may hold beside its stored ones: tables that it computes, layers replaced while it is built."""
FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


class _Count:
    """Hooks that raise UserError once more is registered than some stored tensors can be for."""

    def __init__(self, tensors: dict[str, Tensor]):
        self.numbers = 2 * sum(tensor.numel() for tensor in tensors.values()) + ROOM
        self.tensors = 4 * len(tensors) + 64

    def __call__(self, module: nn.Module, name: str, tensor: Tensor | None) -> None:
        self.numbers -= 0 if tensor is None else tensor.numel()
        self.tensors -= 1
        if min(self.numbers, self.tensors) < 0:
            raise UserError("describes a far larger model than the weights beside it are of")


def check_fits(build: Callable[[], nn.Module], tensors: dict[str, Tensor]) -> None:
    """Raises UserError unless the model that `build` makes has weights of these names, shapes and kinds of numbers."""
    count = _Count(tensors)
    hooks = (register_module_parameter_registration_hook(count), register_module_buffer_registration_hook(count))
    try:
        with torch.device("meta"):
            state = build().state_dict()
    finally:
        for hook in hooks:
            hook.remove()
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

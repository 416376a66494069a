"""Weights shared out between processes (FSDP): each keeps a slice of every tensor, of the average and of the moments.

Torch's `fully_shard` (FSDP2) gathers the weights of one block at a time, forward and backward, and leaves each process
the mean gradient of its own slice. It is called here and not through `Accelerator.prepare`, which knows FSDP on
accelerators alone (accelerate 1.15). So the same code runs on CPUs, where tests compare it with one process.

A checkpoint holds whole tensors in any case: a sharded run continues on any number of processes, sharded or not.
Everything here that makes whole tensors of slices is collective: all processes call it, in the same order.
"""

import copy
import os
import warnings
from typing import TYPE_CHECKING, TypeGuard, TypeVar, cast

import torch
from accelerate import Accelerator
from torch import Tensor, distributed, nn

from tokenfield.errors import UserError
from tokenfield.io.record import Record
from tokenfield.models.base import Model

if TYPE_CHECKING:  # a second of imports, which one process does without
    from torch.distributed.tensor import DTensor

M = TypeVar("M", bound=Model)
T = TypeVar("T")


def check_environment() -> None:
    """Raises UserError where accelerate's own FSDP is switched on, which would wrap what this file shares out."""
    if os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("1", "true", "yes"):
        raise UserError("ACCELERATE_USE_FSDP is set; weights are shared out by train --fsdp under torchrun: unset it, "
                        "and give --fsdp")


def check(model: Model, optimizer: str, processes: int) -> None:
    """Raises UserError for what cannot be shared out."""
    if processes < 2:
        raise UserError("--fsdp shares weights between processes, and there is one; start it under torchrun: "
                        "torchrun --nproc-per-node N -m tokenfield train ..., or leave --fsdp out")
    if not model.sharded_parts:
        raise UserError(f"--fsdp shares out denoisers, block by block; a {model.name} is small beside its pictures: "
                        "leave --fsdp out")
    if optimizer == "muon":
        raise UserError("--fsdp leaves every process a slice of a matrix, and muon needs whole ones; give --optim.name "
                        "adamw, or leave --fsdp out")


def share_out(model: M, average: Model | None, optimizer: str, accelerator: Accelerator) -> M:
    """Cut the weights of a model and of its moving average into slices, in place: block by block, and the rest.

    Returns the model's `skeleton`, from before. Raises UserError for what cannot be shared out.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    check(model, optimizer, accelerator.num_processes)
    structure = skeleton(model)
    # The last linear map's result is a view, which nobody changes in place.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module")
    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    for one in (model,) if average is None else (model, average):
        for part in (*one.sharded_parts, one):
            fully_shard(part, mesh=mesh)
    return structure


def is_slice(tensor: object) -> "TypeGuard[DTensor]":
    """Whether a tensor is one process's slice of a whole."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def local(tensor: Tensor) -> Tensor:
    """This process's slice; other tensors as they are."""
    return tensor.to_local() if is_slice(tensor) else tensor


def whole(tensor: T) -> T:
    """The whole of a slice, on every process; anything else as it is. Collective."""
    return cast(T, tensor.full_tensor()) if is_slice(tensor) else tensor


def like(tensor: Tensor, other: Tensor) -> Tensor:
    """A whole tensor, which all processes have, cut as another one is."""
    if not is_slice(other):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(other.device), other.device_mesh, other.placements, src_data_rank=None)


def model_state(model: nn.Module) -> Record:
    """Whole tensors by their names. Collective."""
    return {name: whole(tensor).detach() for name, tensor in model.state_dict().items()}


@torch.no_grad()
def load_model(model: nn.Module, saved: Record) -> None:
    """The inverse of `model_state`: every process takes its slices."""
    for name, tensor in model.state_dict().items():
        tensor.copy_(like(saved[name], tensor))


def optimizer_state(optimizer: torch.optim.Optimizer) -> Record:
    """The optimiser's `state_dict` of whole tensors. Collective."""
    state = optimizer.state_dict()
    slots = {i: {name: whole(value) for name, value in slot.items()} for i, slot in state["state"].items()}
    return state | {"state": slots}


def load_optimizer(optimizer: torch.optim.Optimizer, saved: Record) -> None:
    """The inverse of `optimizer_state`. What has a parameter's shape is cut as that is; counters of steps are not."""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    slots = {
        i: {name: like(value, params[i]) if value.shape == params[i].shape else value for name, value in slot.items()}
        for i, slot in saved["state"].items()
    }
    optimizer.load_state_dict(saved | {"state": slots})


def skeleton(model: M) -> M:
    """A model's structure without its numbers, from before it is shared out."""
    return copy.deepcopy(model).to("meta")


def rebuilt(structure: M, sharded: Model, device: torch.device) -> M:
    """The whole model, to evaluate and to export: in memory beside the slices as long as it is held. Collective."""
    model = copy.deepcopy(structure).to_empty(device=device)
    model.load_state_dict(model_state(sharded))
    return model.eval()

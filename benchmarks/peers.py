"""Other projects' own code, where a checkout of it is named; nothing of it is in this repository.

ginr-ipc: clone kakaobrain/ginr-ipc (measured at 135f55c) and `pip install einops omegaconf pyyaml`.
"""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import flops
from benchmarks.cases import Case, Device
from tokenfield.errors import UserError
from tokenfield.models.lainr import LainrConfig

IPC_178 = "configs/image/low_rank_modulated_transinr/imagenette178_low_rank_modulated_transinr.yaml"


def stub(*names: str) -> None:
    """Empty modules in place of packages that the parts used here import and do not need."""
    for name in names:
        sys.modules[name] = module = ModuleType(name)
        module.SummaryWriter = None
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


def open_ginr_ipc(clone: Path) -> Callable[[object], nn.Module]:
    """What makes a model of ginr-ipc from its `arch`. Raises UserError where the folder is no checkout of it."""
    if not (clone / IPC_178).exists():
        raise UserError(f"{clone} holds no {IPC_178}; give a checkout of kakaobrain/ginr-ipc")
    stub("torchvision", "torchvision.transforms")
    sys.path.insert(0, str(clone / "src"))
    np.product = np.prod  # gone from NumPy 2
    usual = dataclasses.dataclass  # their configurations have instances for defaults, which Python 3.11 asks to hash
    dataclasses.dataclass = lambda cls=None, **options: usual(cls, **options | {"unsafe_hash": True})
    try:
        from models import create_model
        from models.generalizable_INR import configs
        from omegaconf import OmegaConf
    finally:
        dataclasses.dataclass = usual
    classes = {
        "low_rank_modulated_transinr": configs.LowRankModulatedTransINRConfig,
        "meta_low_rank_modulated_inr": configs.MetaLowRankModulatedINRConfig,
    }

    def make(arch: object) -> nn.Module:
        described = OmegaConf.create(arch)
        model, _ = create_model(classes[described.type].create(described))
        return model

    return make


def ipc_178(clone: Path, device: Device) -> nn.Module:
    """IPC at 178 pixels as its authors trained it on ImageNette."""
    import yaml

    make = open_ginr_ipc(clone)
    torch.manual_seed(0)
    return make(yaml.safe_load((clone / IPC_178).read_text())["arch"]).to(device)


def ginr_ipc_step(clone: Path | None, batch: int, device: Device) -> list[Case]:
    """IPC's training step in its own code, float32 and under autocast: noisy coordinates of all pixels, Adam.

    Its encoder has the sizes of LAINR's; 178 pixels is the size that it has a recipe for.
    """
    if clone is None:
        return []
    images = torch.rand(batch, 3, 178, 178).to(device)
    work = 3 * batch * (flops.encoder(LainrConfig(), last_block_whole=True) + flops.ipc_decoder(178 * 178))
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        model = ipc_178(clone, device).train()
        adam = torch.optim.Adam(model.parameters(), lr=1e-4)

        def step(model: nn.Module = model, adam: torch.optim.Optimizer = adam, dtype: torch.dtype = dtype) -> Tensor:
            with torch.autocast(images.device.type, torch.bfloat16, enabled=dtype is torch.bfloat16):
                coords = model.sample_coord_input(images)
                coords = coords + (2 * torch.rand_like(coords) - 1) / 178
                loss = model.compute_loss(model(images, coords), images)["loss_total"]
            loss.backward()
            adam.step()
            adam.zero_grad()
            return loss.detach()

        name = f"ginr-ipc's IPC, {'bf16 autocast' if dtype is torch.bfloat16 else 'fp32'}"
        rows.append(Case(name, step, work, dtype, (adam,)))
    return rows


def ginr_ipc_decode(clone: Path | None, size: int, device: Device) -> list[Case]:
    """IPC's decoder in its own code: one picture's composers -> size x size values."""
    if clone is None:
        return []
    model = ipc_178(clone, device).eval()
    with torch.no_grad():
        composers = model.predict_modulation_params_dict(torch.rand(1, 3, 178, 178).to(device))
    coords = model.sample_coord_input(torch.zeros(1, 3, size, size, device=device))
    run = torch.no_grad()(lambda: model.forward_with_params(coords, modulation_params_dict=composers))
    return [Case("ginr-ipc's IPC, fp32", run, flops.ipc_decoder(size * size))]

"""Other projects' own code beside the same systems here, in one run; nothing of theirs is in this repository.

    git clone https://github.com/kakaobrain/ginr-ipc       # measured at 135f55c; and Roninton/ANR at 1c5ef29,
    pip install einops omegaconf pyyaml                    # yinboc/liif at 4c833f8, KempnerInstitute/gblsr at 6a3cd60
    python -m benchmarks.peers --ginr-ipc ginr-ipc --anr ANR --liif liif --gb-lsr gblsr

Decoding and a training step (forward, backward, Adam; float32) at the sizes that each project publishes, random
weights, turn by turn; those without a checkout are left out. A table for people, then one line of JSON.
"""

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks import cases, flops, measure
from benchmarks.cases import Case, Device
from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.models.anr import AnrConfig
from tokenfield.models.base import FieldModel
from tokenfield.models.gb_lsr import GbLsrConfig
from tokenfield.models.lainr import LainrConfig
from tokenfield.models.liif import LiifConfig
from tokenfield.nn.attention import differentiated_once
from tokenfield.registry import RECIPES
from tokenfield.training.objective import ReconstructionConfig
from tokenfield.training.optimisers import OptimConfig, build_optimizers

IPC_178 = "configs/image/low_rank_modulated_transinr/imagenette178_low_rank_modulated_transinr.yaml"
ANR_128 = "configs/Celeba128_anr_d5.yaml"
LIIF = "configs/train-div2k/train_edsr-baseline-liif.yaml"
LIIF_POINTS = 2304
"""Coordinates per picture of LIIF's step, as many as its encoder has pixels, 48 x 48."""


def stub(*names: str) -> None:
    """Empty modules in place of packages that the parts used here import and do not need."""
    for name in names:
        sys.modules[name] = module = ModuleType(name)
        module.SummaryWriter = module.VGGLoss = None
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


@contextmanager
def checkout(clone: Path, file: str, name: str, source: str = "") -> Iterator[None]:
    """Imports come from a checkout, and leave no `models` and `utils` for the next. Raises UserError without `file`."""
    if not (clone / file).exists():
        raise UserError(f"{clone} holds no {file}; give a checkout of {name}")
    before = set(sys.modules)
    sys.path.insert(0, str(clone / source))
    try:
        yield
    finally:
        sys.path.remove(str(clone / source))
        for module in set(sys.modules) - before:
            if module.partition(".")[0] in ("models", "utils", "loss"):
                del sys.modules[module]


def open_ginr_ipc(clone: Path) -> Callable[[object], nn.Module]:
    """What makes a model of ginr-ipc from its `arch`. Raises UserError where the folder is no checkout of it."""
    stub("torchvision", "torchvision.transforms")
    np.product = np.prod  # gone from NumPy 2
    usual = dataclasses.dataclass  # their configurations have instances for defaults, which Python 3.11 asks to hash
    dataclasses.dataclass = lambda cls=None, **options: usual(cls, **options | {"unsafe_hash": True})
    try:
        with checkout(clone, IPC_178, "kakaobrain/ginr-ipc", "src"):
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


def read_yaml(file: Path) -> dict:
    """A configuration of theirs."""
    import yaml

    return yaml.safe_load(file.read_text())


def ipc_178(clone: Path, device: Device) -> nn.Module:
    """IPC at 178 pixels as its authors trained it on ImageNette."""
    make = open_ginr_ipc(clone)
    torch.manual_seed(0)
    return make(read_yaml(clone / IPC_178)["arch"]).to(device)


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


def steps(model: nn.Module, adam: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """A training step: loss, gradient, Adam."""
    model.train()

    def step() -> Tensor:
        with differentiated_once():
            value = loss()
            value.backward()
        adam.step()
        adam.zero_grad()
        return value.detach()

    return step


def own_step(model: FieldModel, loss: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """A step of a system of this project, with its Adam."""
    (adam,) = build_optimizers(OptimConfig(), model)
    return steps(model, adam, loss)


def reconstruction(model: FieldModel, images: Tensor, config: ReconstructionConfig) -> Callable[[], Tensor]:
    """A step on pixels of pictures."""
    objective, generator = config.build(model), torch.Generator().manual_seed(0)
    return own_step(model, lambda: objective(images, generator)[0])


def decoding(model: FieldModel, images: Tensor, size: int) -> Callable[[], Tensor]:
    """Tokens of a picture -> size x size values."""
    with torch.no_grad():
        tokens = model.eval().encode(images)
    return torch.no_grad()(lambda: model.decode(tokens, Grid.cells(size, size)))


Runs = dict[str, Callable[[], Tensor]]


def ipc(clone: Path) -> dict[str, Runs]:
    """IPC at 178 pixels, all of them in the step, and LAINR with the same encoder."""
    image = torch.rand(1, 3, 178, 178)
    every = ReconstructionConfig(jitter="axis", row_blocks=cases.ROW_BLOCKS)
    own, lainr = RECIPES["ipc-imagenette-178"]().model, LainrConfig()
    theirs = {"decode": ginr_ipc_decode(clone, 178, "cpu")[0].run, "step": ginr_ipc_step(clone, 1, "cpu")[0].run}
    return {
        "IPC, 178 px: decode": {"ginr-ipc": theirs["decode"], "tokenfield": decoding(own.build(), image, 178),
                                "LAINR here": decoding(lainr.build(), image, 178)},
        "IPC, 178 px: step": {"ginr-ipc": theirs["step"], "tokenfield": reconstruction(own.build(), image, every),
                              "LAINR here": reconstruction(lainr.build(), image, every)},
    }  # fmt: skip


def anr(clone: Path) -> dict[str, Runs]:
    """ANR D5 at 128 pixels, as published for CelebA: noise on every coordinate of every picture."""
    stub("loss", "loss.perceptual_loss")
    with checkout(clone, ANR_128, "Roninton/ANR"):
        from models import make_model
    settings = read_yaml(clone / ANR_128)["model_framework"]
    (network, sizes), (manager, options) = settings["inner_model"], settings["outer_model"]
    theirs = make_model(manager)(hypernet=make_model(network)(device="cpu", **sizes), device="cpu", **options)
    image = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        weights = theirs.hypernet(2 * image - 1, time=None)
    adam = torch.optim.Adam(theirs.parameters(), lr=1e-4)
    noisy = ReconstructionConfig(jitter="normal", noise="instance")
    return {
        "ANR, 128 px: decode": {"ANR": torch.no_grad()(lambda: theirs.hypo_pred(weights, [1, 128, 128])),
                                "tokenfield": decoding(AnrConfig().build(), image, 128)},
        "ANR, 128 px: step": {"ANR": steps(theirs, adam, lambda: theirs(image, coord_noise=True)[2]),
                              "tokenfield": reconstruction(AnrConfig().build(), image, noisy)},
    }  # fmt: skip


def liif(clone: Path) -> dict[str, Runs]:
    """LIIF on EDSR-baseline: 48 pixels to 178; a step of four such pictures at 2304 points of their own."""
    stub("tensorboardX")
    with checkout(clone, LIIF, "yinboc/liif"):
        import models
    if not torch.cuda.is_available():
        torch.Tensor.cuda = lambda tensor: tensor  # which it calls on whatever machine
    theirs, own = models.make(read_yaml(clone / LIIF)["model"]), LiifConfig().build()
    images, points = torch.rand(4, 3, 48, 48), 2 * torch.rand(4, LIIF_POINTS, 2) - 1
    target, cell = torch.rand(4, LIIF_POINTS, 3), torch.full((4, LIIF_POINTS, 2), 2 / 96)
    grid, cells = Grid.cells(178, 178).coords()[None], torch.full((1, 178 * 178, 2), 2 / 178)

    @torch.no_grad()
    def decode() -> Tensor:
        parts = zip(grid.split(30_000, 1), cells.split(30_000, 1), strict=True)
        return torch.cat([theirs.query_rgb(*part) for part in parts], 1)

    with torch.no_grad():
        theirs.gen_feat(images[:1])
    feature = theirs.feat
    adam = torch.optim.Adam(theirs.parameters(), lr=1e-4)
    step = steps(theirs, adam, lambda: F.l1_loss(theirs(images, points, cell), target))

    def decode_again() -> Tensor:
        theirs.feat = feature
        return decode()

    return {
        "LIIF, 48 px to 178: decode": {"liif": decode_again, "tokenfield": decoding(own, images[:1], 178)},
        "LIIF, 48 px: step": {"liif": step, "tokenfield": own_step(
            own, lambda: F.l1_loss(own.decode(own.encode(images), points), target))},
    }  # fmt: skip


def gb_lsr(clone: Path) -> dict[str, Runs]:
    """GB-LSR as published at 256 pixels; a step of two pictures, all pixels."""
    with checkout(clone, "configs/example.yaml", "KempnerInstitute/gblsr", "src"):
        from gblsr.models.arms import EncoderConfig, ModelConfig, build_model
        from gblsr.models.basis import BasisConfig
    told = read_yaml(clone / "configs/example.yaml")["base"]
    basis = BasisConfig(patch_size=told["patch_size"], p_max=told["p_max"], family=told["family"],
                        s_e_range=(told["s_e_lo"], told["s_e_hi"]), p_soft_range=(told["p_soft_lo"], told["p_soft_hi"]))
    sizes = ModelConfig(arm="local_spectral", image_size=256, patch_size=32, basis=basis, encoder=EncoderConfig(128))
    theirs = build_model(sizes, bandwidth_mode="global_scalar")
    images = torch.rand(2, 3, 256, 256)
    with torch.no_grad():
        feature = theirs.encoder(images[:1])
    adam = torch.optim.Adam(theirs.parameters(), lr=2e-4)
    step = steps(theirs, adam, lambda: F.mse_loss(theirs(images)["recon"], images))
    centres = ReconstructionConfig(jitter="none")
    return {
        "GB-LSR, 256 px: decode": {"gblsr": torch.no_grad()(lambda: theirs.decoder(feature)["recon"]),
                                   "tokenfield": decoding(GbLsrConfig().build(), images[:1], 256)},
        "GB-LSR, 256 px: step": {"gblsr": step,
                                 "tokenfield": reconstruction(GbLsrConfig().build(), images, centres)},
    }  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Where the checkouts are."""

    ginr_ipc: Path | None = None
    """Of kakaobrain/ginr-ipc."""
    anr: Path | None = None
    """Of Roninton/ANR."""
    liif: Path | None = None
    """Of yinboc/liif."""
    gb_lsr: Path | None = None
    """Of KempnerInstitute/gblsr."""
    repeats: int = 5
    """Recorded turns."""
    threads: int = 1
    """Threads of torch."""


def main(options: Options) -> None:
    """Measure, print the table, print the line of JSON."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    table, rows = Table(title="Others' own code and this project's, float32"), []
    for column in ("", "ms", "x their speed"):
        table.add_column(column, justify="left" if not column else "right")
    product, work = measure.matmul(torch.float32)
    for make, clone in ((ipc, options.ginr_ipc), (anr, options.anr), (liif, options.liif), (gb_lsr, options.gb_lsr)):
        for title, runs in make(clone).items() if clone else ():
            measure.interleave(runs, 1)
            seconds, _ = measure.interleave(runs | {"product": product}, options.repeats)
            rate = work / measure.median(seconds["product"]) / 1e9
            table.add_row(f"[bold]{title}[/bold] ({rate:.0f} GFLOP/s)")
            theirs = measure.median(seconds[next(iter(runs))])
            for name in runs:
                middle = measure.median(seconds[name])
                table.add_row(name, f"{1e3 * middle:.1f}", f"{theirs / middle:.2f}")
                rows.append({"section": title, "name": name, "median_s": middle, "times_theirs": theirs / middle,
                             "matmul_gflops": rate})
    Console(width=110).print(table)
    print(json.dumps({"benchmark": "peers", **measure.circumstances(), "rows": rows}))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))

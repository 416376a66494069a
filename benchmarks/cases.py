"""What is compared: the same work done plainly and done by tokenfield, with the same weights.

Each function returns the alternatives of one section, the plain one first. A case carries its operations by formula, so
that time becomes a share of the machine's matrix-product rate.
"""

import copy
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from benchmarks import flops, reference
from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.models.lainr import Lainr, LainrConfig
from tokenfield.training.compiling import Backend, compile_loss, recompute_blocks
from tokenfield.training.objective import Reconstruction, ReconstructionConfig
from tokenfield.training.optimisers import OptimConfig, build_optimizers

PAPER = LainrConfig()
"""docs/papers.md, "LAINR", settings: 178 pixels, 42.5 M parameters in the encoder, 256 tokens of 256, two bands."""
TOY = replace(
    PAPER,
    size=(14, 14),
    patch=7,
    padding=0,
    num_latents=5,
    latent_dim=6,
    encoder_dim=12,
    encoder_depth=2,
    encoder_heads=3,
    dim=8,
    feature_dim=8,
)
"""The same in milliseconds, for tests."""
CHUNK = 4096
"""Coordinates per chunk of the plain decoder where it is chunked at all: as many as ours takes."""
BATCH = 4
"""Pictures per training step on processors."""
Device = torch.device | str
NODES = {178: (64,), 512: (64, 192), 1024: (192,)}
"""Nodes per axis of the coarse decoder: 4 and 12 times the bandwidth of the queries."""
ROW_BLOCKS = 8
"""Blocks of rows in our training step on all pixels."""


@dataclass(frozen=True)
class Case:
    """One alternative.

    Attributes:
        name: what is done, as the table shows it.
        run: does it once and returns its result.
        flops: operations of one run.
        dtype: type of its matrix products.
        optimizers: those whose state must exist before anything is measured.
    """

    name: str
    run: Callable[[], Tensor]
    flops: float
    dtype: torch.dtype = torch.float32
    optimizers: tuple[torch.optim.Optimizer, ...] = ()

    def settle(self) -> None:
        """Make the optimisers' state, as a first step does, without the step."""
        for optimizer in self.optimizers:
            for parameter in (p for group in optimizer.param_groups for p in group["params"]):
                parameter.grad = torch.zeros_like(parameter)
            optimizer.step()
            optimizer.zero_grad()


def build(config: LainrConfig, seed: int = 0, device: Device = "cpu") -> Lainr:
    """A model with fresh weights, the same every time."""
    torch.manual_seed(seed)
    return config.build().eval().to(device)


def decode(
    config: LainrConfig,
    size: int,
    *,
    batch: int = 1,
    bf16: bool = True,
    compiled: bool = False,
    device: Device = "cpu",
) -> list[Case]:
    """Pictures' tokens -> size x size values each. The plain decoder is chunked above the size it was trained on."""
    model = build(config, device=device)
    plain = reference.Reference.of(model).to(device)
    tokens = torch.randn(batch, config.num_latents, config.latent_dim).to(device)
    points, grid = size * size, Grid.cells(size, size, device=device)
    chunk = CHUNK if size > config.size[0] else None
    coordinates = partial(reference.pixel_coords, batch, size, size, device=device)
    ours = flops.our_decoder(config, points, batch=batch, axes=(size, size))
    cases = [
        Case(
            "plain fp32" + (f", chunks of {chunk}" if chunk else ""),
            torch.no_grad()(lambda: plain.decode(tokens, coordinates(), chunk)),
            batch * flops.reference_decoder(config, points),
        ),
        Case("tokenfield fp32", torch.no_grad()(lambda: model.decode(tokens, grid)), ours),
    ]
    for n in NODES.get(size, (65,)):
        run = torch.no_grad()(partial(model.coarse(n).decode, tokens, grid))
        coarse = batch * flops.coarse_decoder(config, points, n)
        cases.append(Case(f"tokenfield fp32, {n} x {n} nodes", run, coarse))
    narrow = build(config, device=device).bfloat16()
    if bf16:
        run = torch.no_grad()(lambda: narrow.decode(tokens.bfloat16(), grid))
        cases.append(Case("tokenfield bf16", run, ours, torch.bfloat16))
        with suppress(UserError):  # no AMX, or no compiler
            run = torch.no_grad()(partial(model.fused().decode, tokens, grid))
            cases.append(Case("tokenfield bf16, fused", run, ours, torch.bfloat16))
    if compiled:  # what meets a tile, not the loop over tiles, which would be unrolled
        exact = [case for case in cases[1:] if "nodes" not in case.name and "fused" not in case.name]
        for case, net, z in zip(exact, (model, narrow), (tokens, tokens.bfloat16()), strict=False):
            net = copy.deepcopy(net)
            net.locate, net.combine = torch.compile(net.locate), torch.compile(net.combine)
            run = torch.no_grad()(lambda net=net, z=z: net.decode(z, grid))
            cases.append(Case(f"{case.name}, compiled", run, ours, z.dtype))
    return cases


def encode(config: LainrConfig, batch: int = 1, *, bf16: bool = True, device: Device = "cpu") -> list[Case]:
    """A batch of pictures -> tokens."""
    model = build(config, device=device)
    plain = reference.Reference.of(model).to(device)
    images = torch.rand(batch, config.channels, *config.size).to(device)
    ours = batch * flops.encoder(config, last_block_whole=False)
    whole = batch * flops.encoder(config, last_block_whole=True)
    cases = [
        Case("plain fp32", torch.no_grad()(lambda: plain.encode(images)), whole),
        Case("tokenfield fp32", torch.no_grad()(lambda: model.encode(images)), ours),
    ]
    if bf16:
        narrow = build(config, device=device).bfloat16()
        cases.append(Case("tokenfield bf16", torch.no_grad()(lambda: narrow.encode(images)), ours, torch.bfloat16))
    return cases


def train(
    config: LainrConfig,
    fraction: float = 1.0,
    *,
    bf16: bool = True,
    batch: int = BATCH,
    row_blocks: int = ROW_BLOCKS,
    backend: Backend = "none",
    recompute: bool = False,
    device: Device = "cpu",
) -> list[Case]:
    """One step of a batch: forward, backward, Adam; `backend` compiles one more of ours, in the narrowest type;
    `recompute` adds one in float32 that computes the encoder's blocks again in the backward pass.

    The plain step draws noise (and, below 1, the subset) for every pixel of every picture, as public code does; ours
    draws both per row and per column and once for the batch, which keeps the coordinates a grid.
    """
    images = torch.rand(batch, config.channels, *config.size).to(device)
    plain = reference.Reference.of(build(config)).to(device).train()
    adam = torch.optim.Adam(plain.parameters(), lr=1e-4)
    points = reference.num_points(config.size, fraction)
    plain_flops = flops.encoder(config, last_block_whole=True) + flops.reference_decoder(config, points)
    cases = [
        Case(
            "plain fp32, points per picture",
            lambda: reference.step(plain, adam, images, fraction),
            3 * batch * plain_flops,
            optimizers=(adam,),
        )
    ]
    blocks = row_blocks if fraction == 1 else 1
    coordinates = ReconstructionConfig(jitter="axis", fraction=fraction, subset="grid", row_blocks=blocks)
    axes = tuple(max(1, round(side * fraction**0.5)) for side in config.size)
    decoder = flops.our_decoder(config, axes[0] * axes[1], batch=batch, axes=axes)
    ours = 3 * (batch * flops.encoder(config, last_block_whole=False) + decoder)
    types = (torch.float32, torch.bfloat16)[: 1 + bf16]
    ways: list[tuple[torch.dtype, Backend, bool]] = [(dtype, "none", False) for dtype in types]
    ways += [(types[-1], backend, False)] * (backend != "none") + [(torch.float32, "none", True)] * recompute
    for dtype, compiler, again in ways:
        narrow = dtype is torch.bfloat16
        objective = Reconstruction(build(config, device=device).train(), coordinates, bf16=narrow)
        compile_loss(objective, compiler, torch.device(device))
        if again:
            recompute_blocks(objective)
        name = f"tokenfield {'bf16' if narrow else 'fp32'}, rows x columns" + ", compiled" * (compiler != "none")
        name += ", blocks again" * again
        optimizers = tuple(build_optimizers(OptimConfig(), objective.model))
        cases.append(Case(name, _step(objective, optimizers, images), ours, dtype, optimizers))
    return cases


def _step(
    objective: Reconstruction, optimizers: tuple[torch.optim.Optimizer, ...], images: Tensor
) -> Callable[[], Tensor]:
    generator = torch.Generator().manual_seed(0)

    def step() -> Tensor:
        loss, _ = objective(images, generator)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach()

    return step

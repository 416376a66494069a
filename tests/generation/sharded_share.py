"""Train with shared weights, for test_sharded.py: python sharded_share.py LATENTS OUT under torchrun."""

import sys
from dataclasses import replace
from pathlib import Path

import latent_toys as toys
import torch
from accelerate import Accelerator

from tokenfield.generation.objective import DenoisingConfig
from tokenfield.training import OptimConfig, train
from tokenfield.training.session import Session

RECIPE = replace(toys.RECIPE, steps=6, clip_norm=0.5, optim=OptimConfig(name="adamw", rate=1e-3, weight_decay=0.1),
                 objective=DenoisingConfig(checkpointing=True), accumulate=2, checkpoint_every=3)  # fmt: skip
OPTIONS = {"session": Session(device="cpu", quiet=True, workers=0)}


def work(latents: Path, out: Path) -> None:
    """`out/whole`: six steps. `out/halves`: three, and three more."""
    whole, halves = out / "whole", out / "halves"
    for folder, steps, resume in ((whole, 6, False), (halves, 3, False), (halves, 6, True)):
        session = replace(OPTIONS["session"], fsdp=True)
        train(replace(RECIPE, steps=steps), latents, folder, resume=resume, session=session)


if __name__ == "__main__":
    torch.set_num_threads(1)
    Accelerator.end_training = lambda self: None  # a run ends the process group, which the next one here still needs
    work(*map(Path, sys.argv[1:]))
    torch.distributed.destroy_process_group()  # else its threads may still run when the process ends

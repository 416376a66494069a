"""One run, for test_processes.py: python share.py PICTURES OUT, alone or under torchrun."""

import sys
from pathlib import Path

import torch
from toys import toy

from tokenfield.training import OptimConfig, train
from tokenfield.training.session import Session

torch.set_num_threads(1)
recipe = toy(steps=4, optim=OptimConfig(rate=1e-3), accumulate=int(sys.argv[3]), evaluate_every=2, checkpoint_every=4)
train(recipe, Path(sys.argv[1]), Path(sys.argv[2]), session=Session(device="cpu", quiet=True))

"""SIGKILL one of two processes of a run under torchrun: a line, an exit code, and a run that goes on."""

import os
import signal
import subprocess
import sys
import time

import psutil

from tokenfield.io.lock import locked
from tokenfield.training import Session, train
from tokenfield.training.checkpoint import folders, last_step

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ENDLESS = """
    --model.size 16 16 --model.patch 8 --model.encoder-dim 32 --model.encoder-heads 2 --model.encoder-depth 1
    --model.num-latents 7 --model.latent-dim 11 --model.dim 16 --model.feature-dim 16 --data.size 16 --steps 1000000
    --batch-size 2 --evaluate-every 0 --checkpoint-every 2 --device cpu --quiet
"""


def test_a_killed_process_is_one_line_and_the_run_goes_on(pictures, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, *TORCHRUN, "-m", "tokenfield", "train", "lainr-photos-64", "--data", pictures,
               "--out", out, *ENDLESS.split()]
    run = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True)
    workers = {}
    while not folders(out):
        assert run.poll() is None, run.stderr.read()
        time.sleep(0.1)
        workers = {child.environ().get("RANK"): child for child in psutil.Process(run.pid).children()}
    workers["0"].send_signal(signal.SIGKILL)
    said = run.communicate(timeout=120)[1]
    assert run.returncode != 0
    ours = [line for line in said.splitlines() if line.startswith("tokenfield:")]
    assert len(ours) == 1 and "process 1 of 2: another process" in ours[0] and "--resume" in ours[0]
    before = last_step(out)
    with locked(out):
        pass  # what the killed process held is free
    train(None, pictures, out, resume=True, session=Session(max_seconds=0.0, device="cpu", quiet=True))
    assert last_step(out) == before + 1

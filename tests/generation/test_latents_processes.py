"""Two processes, as torchrun starts them, make the latents that one makes, and train the denoiser that one trains."""

from pathlib import Path

import latent_toys as toys
import pytest
from latents_share import work
from processes import start
from safetensors.torch import load_file

from tokenfield.training.journal import read

HERE = Path(__file__).parent


def test_two_processes_equal_one(tmp_path, capsys):
    field, pictures = toys.save_field(tmp_path / "field"), toys.write_pictures(tmp_path / "pictures")
    one, two = tmp_path / "one", tmp_path / "two"
    work(field, pictures, one)
    process = start(HERE / "latents_share.py", field, pictures, two, processes=2)
    assert capsys.readouterr().out.replace("/one/", "/two/") == process.stdout  # said once, by one of them
    files = sorted(path.relative_to(one) for path in (one / "latents").rglob("*.*") if path.is_file())
    assert len(files) == 6  # three shards of training, one held out, statistics, description
    for file in files:
        assert (one / file).read_bytes() == (two / file).read_bytes(), file
    weights, others = (load_file(out / "run" / "model.safetensors") for out in (one, two))
    assert max((others[name] - tensor).abs().max().item() for name, tensor in weights.items()) < 2e-4
    for mine, theirs in zip(*(read(out / "run" / "metrics.jsonl") for out in (one, two)), strict=True):
        for key in mine.keys() - {"seconds", "images_per_second"}:
            assert mine[key] == pytest.approx(theirs[key], rel=1e-4, abs=1e-4), key

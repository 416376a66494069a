"""The script that makes the squares of `results/superres`."""

from pathlib import Path

import torch
from processes import start

from tokenfield.data.pictures import read_picture, write_picture

ROOT = Path(__file__).parents[2]


def run(*arguments):
    return start("experiments.pools.middle_squares", *arguments, cwd=ROOT, check=False)


def test_count_squares_come_from_pictures_that_are_large_enough(tmp_path):
    picture = torch.rand(3, 19, 29).mul(255).round() / 255
    write_picture(tmp_path / "in" / "a.png", picture)
    write_picture(tmp_path / "in" / "small.png", torch.rand(3, 18, 40))
    result = run(tmp_path / "in", tmp_path / "out", "--count", 5, "--size", 19)
    assert result.returncode == 0 and "1 squares of 19 pixels" in result.stdout
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    torch.testing.assert_close(read_picture(tmp_path / "out" / "a.png"), picture[:, :, 5:24], rtol=0, atol=1e-6)
    assert run(tmp_path / "in", tmp_path / "out").returncode == 1  # never into a folder that holds something

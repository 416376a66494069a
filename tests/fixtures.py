"""What tests of all rooms share: a model of a few thousand parameters, small pictures, a way to type a command."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from toys import write_pictures

from tokenfield.cli import main
from tokenfield.data.demo_pictures import HELD_OUT, data_folder
from tokenfield.data.pictures import write_picture
from tokenfield.models import pretrained
from tokenfield.models.anchored import AnchoredConfig

TINY = AnchoredConfig(
    cell=4, latent_dim=24, encoder_dim=16, encoder_depth=1, decoder_dim=16, decoder_depth=1, head_dim=8, harmonics=8
)


@dataclass
class Outcome:
    """What a command left: exit code, results, and what it said beside them."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Of stderr."""
        return self.err.splitlines()


def smooth(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """A random picture whose neighbouring pixels are alike."""
    coarse = torch.rand(1, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0]


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> str:
    """A folder with an anchored model that starts at the principal components of smooth pictures."""
    torch.manual_seed(0)
    built = TINY.build()
    built.initialize(torch.stack([smooth(16, 16, seed) for seed in range(64)]))
    return str(pretrained.save(built, tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture
def photo(tmp_path) -> str:
    """A picture of 23 x 17 pixels."""
    write_picture(tmp_path / "photo.png", smooth(17, 23))
    return str(tmp_path / "photo.png")


@pytest.fixture
def folder(tmp_path):
    """A folder of pictures: three good ones, one of them in a sub-folder, and two that cannot be read."""
    root = tmp_path / "pictures"
    for seed, name in enumerate(("b.png", "a.jpg", "sub/c.png")):
        write_picture(root / name, smooth(13 + seed, 19, seed))
    (root / "cut.png").write_bytes((root / "b.png").read_bytes()[:60])
    (root / "empty.jpg").touch()
    return root


def typist(capsys, command: Callable[[list[str]], int]) -> Callable[..., Outcome]:
    """Types a command line, here and in the tests of other programs."""

    def type_line(*argv: object) -> Outcome:
        capsys.readouterr()
        code = command([str(argument) for argument in argv])
        return Outcome(code, *capsys.readouterr())

    return type_line


@pytest.fixture
def run(capsys):
    """Types a command: `run("encode", path, "-o", target)`."""
    return typist(capsys, main)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads or writes the user's cache."""
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pyramids"


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    """Drawing its curve is a quarter of a toy run. Runs of larger scope are made before this, and have one."""
    monkeypatch.setattr("tokenfield.training.trainer.draw_curve", lambda *_: None)


@pytest.fixture(scope="session")
def photographs():
    """A few held-out photographs as uint8 (H, W, 3) arrays of a quarter of their size."""
    names = ("astronaut", "chelsea", "coffee", "rocket", "ihc")
    images = (Image.open(data_folder() / HELD_OUT[name]).convert("RGB").reduce(4) for name in names)
    return [np.asarray(image) for image in images]


@pytest.fixture
def write(photographs):
    """`write(path, number, height, width)`: a JPEG or PNG crop of a photograph, another one for every number."""

    def write(path: Path, number: int = 0, height: int = 47, width: int = 61) -> Path:
        photograph = photographs[number % len(photographs)]
        top, left = number % (photograph.shape[0] - height + 1), number % (photograph.shape[1] - width + 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photograph[top : top + height, left : left + width]).save(path)
        return path

    return write


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder of seven small PNGs."""
    return write_pictures(tmp_path_factory.mktemp("pictures"))

"""A model of a few thousand parameters, pictures of a few hundred pixels, and a way to type a command."""

from dataclasses import dataclass

import pytest
import torch

from tokenfield import pretrained
from tokenfield.cli import main
from tokenfield.data.pictures import write_picture
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


@pytest.fixture
def run(capsys):
    """Types a command: `run("encode", path, "-o", target)`."""

    def typed(*argv: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in argv])
        return Outcome(code, *capsys.readouterr())

    return typed

"""The pool of films: every sequence lands on its side, unchanged, as a film that training reads."""

import subprocess

import pytest
from PIL import Image

from experiments.pools import films
from tokenfield.film.data import FilmConfig


@pytest.fixture
def source(tmp_path):
    """An unpacked package of sequences of five frames."""
    root = tmp_path / "package" / "usr" / "share" / films.PACKAGE / "ViSP-images"
    for i, folder in enumerate(folder for side in films.SEQUENCES.values() for folder in side.values()):
        (root / folder).mkdir(parents=True)
        for frame in range(5):
            Image.new("L", (37, 33), 10 * i + frame).save(root / folder / f"image{frame}.pgm")
    licence = tmp_path / "package" / "usr" / "share" / "doc" / films.PACKAGE / "copyright"
    licence.parent.mkdir(parents=True)
    licence.write_text("GPL-2")
    return tmp_path / "package"


def test_every_sequence_is_a_film_on_its_side(source, tmp_path):
    out = tmp_path / "out"
    assert films.write(source, out) == {"train": 20, "test": 10}
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=out, check=True)
    for split, names in films.SEQUENCES.items():
        source = FilmConfig(channels=1).open(out, split)
        assert {path.name for path in source.paths} == set(names)
        assert all(film.shape == (1, 5, 33, 37) for _, film in source.signals())


def test_a_folder_without_them_is_one_line(tmp_path):
    with pytest.raises(SystemExit, match="give --source"):
        films.write(tmp_path, tmp_path / "out")

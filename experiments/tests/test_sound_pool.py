"""The pool of recordings: everything but silence lands on one side, unchanged, where training would put it."""

import subprocess

import pytest

from experiments.pools import sound
from tokenfield.sound.data import SoundConfig


@pytest.fixture
def source(tmp_path):
    """An unpacked package of thirty-two prompts and a silence."""
    voice = tmp_path / "package" / "usr" / "share" / "asterisk" / "sounds" / "en_US"
    names = [f"prompt{i}" for i in range(30)] + ["digits/1", "letters/1", "silence/1"]
    for name in names:
        path = voice / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    licence = tmp_path / "package" / "usr" / "share" / "doc" / sound.PACKAGE / "copyright"
    licence.parent.mkdir(parents=True)
    licence.write_text("CC-BY-SA-3.0")
    return tmp_path / "package"


def test_every_prompt_is_on_one_side(source, tmp_path):
    counts = sound.write(source, tmp_path / "out")
    files = {path.name: path for path in (tmp_path / "out").rglob("*.wav")}
    assert len(files) == sum(counts.values()) == 32 and counts["test"]
    assert files["digits-1.wav"].read_text() == "digits/1" and files["letters-1.wav"].read_text() == "letters/1"
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=tmp_path / "out", check=True)
    assert (tmp_path / "out" / "LICENCE").read_text() == "CC-BY-SA-3.0"


def test_the_sides_are_those_of_a_folder_without_them(source, tmp_path):
    sound.write(source, tmp_path / "out")
    (tmp_path / "flat").mkdir()
    for path in (tmp_path / "out").rglob("*.wav"):
        (tmp_path / "flat" / path.name).write_bytes(path.read_bytes())
    for split in ("train", "test"):
        flat, apart = (SoundConfig().open(tmp_path / folder, split) for folder in ("flat", "out"))
        assert {path.name for path in flat.paths} == {path.name for path in apart.paths}


def test_a_folder_without_recordings_is_one_line(tmp_path):
    with pytest.raises(SystemExit, match="0 recordings and 0 copyright files"):
        sound.write(tmp_path, tmp_path / "out")

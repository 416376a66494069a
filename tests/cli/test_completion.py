"""What shells complete."""

import shutil
import subprocess

import pytest

from tokenfield.cli import main


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(("words", "expected"), [
    (["tokenfield", "enc"], ["encode"]),
    (["tokenfield", "train", "lainr-celeba"], ["lainr-celeba-178"]),
    (["tokenfield", "encode", "a.jpg", "--model", "photos-s"], ["photos-s"]),
])  # fmt: skip
def test_bash_completes(words, expected, capsys):
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    line = " ".join(map(repr, words))
    done = subprocess.run(
        ["bash", "-c", f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}\n_tokenfield\n"
         "echo ${COMPREPLY[@]}"],
        capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script(shell, capsys):
    assert main(["completion", shell]) == 0
    assert "photos-s" in capsys.readouterr().out

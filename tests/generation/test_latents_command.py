"""`tokenfield latents` as it is typed: what it prints, what it refuses."""

import json

import pytest

from tokenfield.cli import main
from tokenfield.fields.archive import FieldArchive
from tokenfield.generation.latents import LatentFolder


@pytest.fixture
def type_latents(model, folder, tmp_path, capsys):
    """Runs the command on the folder of pictures, two of which are damaged."""

    def typed(*options, data=folder):
        code = main(["latents", model, str(data), "--device", "cpu", *options])
        return code, *capsys.readouterr()

    return typed


def test_a_folder_of_pictures_becomes_latents(type_latents, model, tmp_path):
    out = tmp_path / "latents"
    code, output, beside = type_latents("-o", str(out), "--size", "12", "--json", str(tmp_path / "x.json"))
    train = LatentFolder(out)
    assert code == 3 and "skipped 2 of" in beside  # damaged ones are named, the rest is done
    assert f"{out}: train: {len(train)} entries of 9 x 24, 0 classes" in output
    assert (train.lattice, train.model) == ((3, 3), model)
    facts = json.loads((tmp_path / "x.json").read_text())
    assert facts["command"] == "latents" and facts["splits"]["train"]["entries"] == len(train)


@pytest.mark.parametrize(("options", "part"), [
    ((), "say with -o FOLDER"),
    (("-o", "x", "--shard", "0"), "--shard 0: give at least 1"),
    (("-o", "x", "--batch", "-2"), "--batch -2: give at least 1"),
    (("-o", "x"), "give a multiple of its 4-pixel cells"),
    (("-o", "x", "--size", "13"), "give a multiple of its 4-pixel cells"),
    (("-o", "x", "--size", "12", "--layout", "imagenette"), "not laid out as ImageNette"),
])
def test_what_it_refuses_is_one_line(options, part, type_latents, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, output, beside = type_latents(*options)
    assert (code, output) == (1, "") and part in beside and len(beside.splitlines()) == 1


def test_a_folder_that_is_not_there(type_latents, tmp_path):
    code, _, beside = type_latents("-o", str(tmp_path / "x"), "--size", "12", data=tmp_path / "nothing")
    assert code == 1 and "no such folder" in beside


def test_a_folder_becomes_one_file(folder, tmp_path, capsys):
    out = tmp_path / "all.fields"
    assert main(["latents", "photos-codec", str(folder), "-o", str(out), "--bytes"]) == 3
    output, beside = capsys.readouterr()
    archive = FieldArchive(out)
    assert f"{len(archive)} pictures in" in output and "skipped 2 of" in beside
    assert archive[0].shape[-1] == 768 and archive.names == sorted(archive.names)

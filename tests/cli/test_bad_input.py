"""Everything that people and disks do to input: each gets the right result, or one clear line and a non-zero exit.

The tables below are typed through the command line as a user would. What reads picture files, fields and checkpoints
has tests of its own; here it is about what arrives at the terminal.
"""

import builtins
import contextlib
import errno
import json
import resource
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tokenfield.cli import main
from tokenfield.data import decoding
from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.models import pretrained

WIDTH, HEIGHT = 13, 7
RED = (204, 51, 0)
GREY = 102


def solid(mode: str, color, **info) -> Image.Image:
    image = Image.new(mode, (WIDTH, HEIGHT), color)
    image.info.update(info)
    return image


def palette() -> Image.Image:
    image = Image.new("P", (WIDTH, HEIGHT), 3)
    image.putpalette([0] * 9 + list(RED))
    return image


def rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6                                         # stored lying on its side
    Image.new("RGB", (HEIGHT, WIDTH), RED).save(path, exif=exif, quality=100, subsampling=0)


def animated(path: Path) -> None:
    frames = [solid("RGB", RED), solid("RGB", (0, 0, 0))]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def sixteen_bit(path: Path) -> None:
    Image.fromarray(np.full((HEIGHT, WIDTH), GREY * 257, np.uint16)).save(path)


GOOD = {
    "photo.png": (lambda path: solid("RGB", RED).save(path), 0.3333),
    "cmyk.jpg": (lambda path: solid("CMYK", (0, 0, 0, 255 - GREY)).save(path, quality=100), 0.4),
    "palette.png": (lambda path: palette().save(path), 0.3333),
    "grey.png": (lambda path: solid("L", GREY).save(path), 0.4),
    "bilevel.png": (lambda path: solid("1", 1).save(path), 1.0),
    "sixteen.png": (sixteen_bit, 0.4),
    "sixteen.tif": (sixteen_bit, 0.4),
    "transparent.png": (lambda path: solid("RGBA", (*RED, 0)).save(path), 1.0),
    "half.png": (lambda path: solid("LA", (0, 51)).save(path), 0.8),
    "animated.gif": (animated, 0.3333),
    "rotated.jpg": (rotated, 0.3333),
    "really-a-jpeg.png": (lambda path: solid("L", GREY).save(path, "JPEG", quality=100), 0.4),
    "blank in name ü.png": (lambda path: solid("L", GREY).save(path), 0.4),
}
"""File name -> how to make it, and the mean value that whoever opens it sees; all are 13 x 7 pixels."""


@pytest.mark.parametrize("name", GOOD)
def test_pictures_of_every_kind_are_read_right(run, model, tmp_path, name):
    make, mean = GOOD[name]
    path, facts = tmp_path / name, tmp_path / "facts.json"
    make(path)
    assert run("info", path, "--json", facts).code == 0
    assert json.loads(facts.read_text())["mean"] == pytest.approx(mean, abs=0.02)
    outcome = run("encode", path, "--model", model, "--json", facts)
    (item,) = json.loads(facts.read_text())["items"]
    assert outcome.code == 0 and (item["width"], item["height"]) == (WIDTH, HEIGHT)
    assert outcome.lines == ([f"tokenfield: warning: {path} holds several frames; only the first one is read"]
                             if name.endswith(".gif") else [])


def picture(path: Path, kind: str) -> bytes:
    Image.effect_noise((67, 61), 60).save(path, kind)
    return path.read_bytes()


def tiff(path: Path, value: np.number) -> None:
    Image.fromarray(np.full((5, 7), value)).save(path)


def bomb(path: Path) -> None:
    """A few bytes that claim to be 60000 x 60000 pixels."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))


BAD = {
    "truncated.png": (lambda path: path.write_bytes(picture(path, "PNG")[:-900]), "damaged or truncated"),
    "truncated.jpg": (lambda path: path.write_bytes(picture(path, "JPEG")[:-900]), "damaged or truncated"),
    "header-only.png": (lambda path: path.write_bytes(picture(path, "PNG")[:20]), ""),
    "empty.jpg": (Path.touch, "is empty (0 bytes)"),
    "really-text.png": (lambda path: path.write_text("hello"), "no picture"),
    "really-a-field.png": (lambda path: save_file({"a": torch.ones(2)}, path), ""),
    "bomb.png": (bomb, "3600 megapixels"),
    "wide-integers.tif": (lambda path: tiff(path, np.int32(1 << 20)), "int32 values"),
    "nan.tif": (lambda path: tiff(path, np.float32("nan")), "nan"),
    "folder.png": (Path.mkdir, "no pictures"),
    "dangling.png": (lambda path: path.symlink_to("nowhere"), "no such"),
}
"""File name -> how to make it, and what must be said of it."""


@pytest.mark.parametrize("command", ["encode", "info"])
@pytest.mark.parametrize("name", BAD)
def test_pictures_that_cannot_be_read_are_one_line(run, model, tmp_path, name, command):
    make, said = BAD[name]
    path = tmp_path / name
    make(path)
    options = ("--model", model, "-o", tmp_path / "out.field") if command == "encode" else ()
    outcome = run(command, path, *options)
    assert_one_line(outcome, said)
    assert name in outcome.err
    assert not (tmp_path / "out.field").exists()


def assert_one_line(outcome, *said: str) -> None:
    assert outcome.code == 1, outcome
    assert len(outcome.lines) == 1, outcome.err
    assert outcome.err.startswith("tokenfield: error: ") and "Traceback" not in outcome.err
    for text in said:
        assert text in outcome.err


def test_a_folder_run_names_and_counts_all_of_them_and_finishes(run, model, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name, (make, _) in (GOOD | BAD).items():
        make(pictures / name)
    facts = tmp_path / "facts.json"
    outcome = run("encode", pictures, "-o", tmp_path / "fields", "--model", model, "--json", facts)
    data = json.loads(facts.read_text())
    assert outcome.code == 3
    assert len(data["items"]) == len(GOOD)
    skipped = {Path(entry["file"]).name for entry in data["skipped"]}
    assert skipped == set(BAD) - {"folder.png"}           # a folder with nothing in it is no picture to skip
    assert f"skipped {len(skipped)} of {len(GOOD) + len(skipped)}: " in outcome.err

    outcome = run("evaluate", model, "--data", pictures, "--protocol", "native", "--json", facts)
    assert outcome.code == 3
    assert json.loads(facts.read_text())["count"] == len(GOOD)


def test_an_unreadable_file(run, model, photo, monkeypatch):
    def refuse(path, *args, **kwargs):
        if Path(path) == Path(photo):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return builtins.open(path, *args, **kwargs)

    monkeypatch.setattr(decoding, "open", refuse, raising=False)  # permissions mean nothing to a test run by root
    assert_one_line(run("encode", photo, "--model", model), "photo.png: may not be read (permission denied)")


NONE = {
    "missing": (lambda path: None, "no such"),
    "empty": (Path.mkdir, "holds no pictures"),
    "texts": (lambda path: (path.mkdir(), (path / "a.txt").touch()), "none of them a picture"),
}


@pytest.mark.parametrize("name", NONE)
@pytest.mark.parametrize("command", ["encode", "evaluate", "train"])
def test_folders_without_pictures(run, model, tmp_path, name, command):
    make, said = NONE[name]
    folder = tmp_path / name
    make(folder)
    argv = {
        "encode": ("encode", folder, "-o", tmp_path / "out", "--model", model),
        "evaluate": ("evaluate", model, "--data", folder),
        "train": ("train", "lainr-photos-64", "--data", folder, "--out", tmp_path / "run"),
    }[command]
    assert_one_line(run(*argv), said)


ARRAYS = {
    "nan": (torch.full((3, 5, 7), torch.nan), "finite"),
    "infinite": (torch.full((3, 5, 7), torch.inf), "finite"),
    "whole numbers": (torch.zeros(3, 5, 7, dtype=torch.int32), "uint8 or uint16"),
    "0 to 255": (torch.full((3, 5, 7), 200.0), "[0, 1]"),
    "-1 to 1": (torch.full((3, 5, 7), -1.0), "[0, 1]"),
    "two channels": (torch.zeros(2, 5, 7), "(3, H, W)"),
    "a batch": (torch.zeros(2, 3, 5, 7), "(C, H, W)"),
    "no pixels": (torch.zeros(3, 0, 7), "(C, H, W)"),
    "numpy with NaN": (np.full((3, 5, 7), np.nan, np.float32), "finite"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_are_no_pictures(model, name):
    array, said = ARRAYS[name]
    with pytest.raises(UserError) as raised:
        Field.of(pretrained.load(model), array)
    assert said in str(raised.value) and "\n" not in str(raised.value)


OPTIONS = {
    "unknown recipe": (("train", "lainr-photo-64", "--data", "."), 1, "did you mean lainr-photos-64"),
    "no recipe": (("train", "--data", "."), 2, "give a recipe first"),
    "unknown option": (("train", "lainr-photos-64", "--data", ".", "--model.latent-dm", "3"), 2, "--model.latent-dim"),
    "option without data": (("train", "lainr-photos-64"), 2, "--data FOLDER"),
    "impossible recipe": (("train", "lainr-photos-64", "--data", ".", "--batch-size", "0"), 1, "at least 1"),
    "endless": (("train", "lainr-photos-64", "--data", ".", "--max-seconds", "nan"), 1, "give seconds"),
    "no time": (("compare", "lainr", "--data", ".", "--budget", "steps=1", "--max-seconds", "-1"), 1, "give seconds"),
    "unknown precision": (("encode", "a.png", "--precision", "fp8"), 2, "'bf16'"),
    "unknown device": (("evaluate", "MODEL", "--device", "abacus"), 1, "give auto or cpu"),
    "unknown protocol": (("evaluate", "MODEL", "--protocol", "imagenet"), 2, "'native'"),
    "protocol without its data": (("evaluate", "MODEL", "--protocol", "native"), 1, "--data FOLDER"),
    "data without its protocol": (("evaluate", "MODEL", "--data", ".", "--protocol", "skimage256"), 1, "--data FOLDER"),
    "no pictures at all": (("evaluate", "MODEL", "--data", ".", "--count", "0"), 1, "at least 1"),
    "a basis that is none": (("evaluate", "MODEL", "--against", "nosuch"), 1, "no PCA basis"),
    "a model that is no run": (("evaluate", "MODEL", "--data", ".", "--protocol", "recipe"), 1, "recipe.json"),
    "two sizes": (("decode", "a.field", "--size", "5", "--scale", "2"), 1, "give one of them"),
    "size 0": (("decode", "a.field", "--size", "0"), 1, "give at least 1"),
    "scale nan": (("decode", "a.field", "--scale", "nan"), 1, "above 0"),
    "folder without output": (("encode", ".", "--model", "MODEL"), 1, "-o FOLDER"),
    "unknown ending": (("decode", "a.field", "-o", "a.doc"), 1, ".png"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_that_cannot_be(run, model, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (9, 9)).save("a.png")
    argv, code, said = OPTIONS[name]
    outcome = run(*(model if argument == "MODEL" else argument for argument in argv))
    assert (outcome.code, len(outcome.lines)) == (code, 1), outcome
    assert said in outcome.err


def edit_config(folder: Path, **changes) -> None:
    path = folder / pretrained.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


MODELS = {
    "missing": (shutil.rmtree, "nor a folder"),
    "no weights": (lambda folder: (folder / pretrained.WEIGHTS).unlink(), "has no model.safetensors"),
    "no configuration": (lambda folder: (folder / pretrained.CONFIG).unlink(), "has no config.json"),
    "another library's": (lambda folder: (save_file({"a": torch.ones(2)}, folder / pretrained.WEIGHTS),
                                          edit_config(folder, model="BertModel")), "known systems are"),
    "other sizes": (lambda folder: edit_config(folder, latent_dim=25), "not the configuration"),
    "no JSON": (lambda folder: (folder / pretrained.CONFIG).write_text("{"), "no JSON"),
    "cut short": (lambda folder: cut(folder / pretrained.WEIGHTS), "cut short"),
    "a pickle": (lambda folder: torch.save({}, folder / pretrained.WEIGHTS), "no safetensors file"),
    "not finite": (lambda folder: save_file({k: v * torch.nan for k, v in pretrained.load(folder).state_dict().items()},
                                            folder / pretrained.WEIGHTS), "not finite"),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_that_are_missing_foreign_or_damaged(run, model, photo, tmp_path, name):
    change, said = MODELS[name]
    folder = shutil.copytree(model, tmp_path / "model")
    change(folder)
    assert_one_line(run("encode", photo, "--model", folder), said)
    assert_one_line(run("evaluate", folder), said)


FIELDS = {
    "missing": (Path.unlink, "no file"),
    "empty": (lambda path: path.write_bytes(b""), "damaged or cut short"),
    "cut short": (cut, "damaged or cut short"),
    "a picture": (lambda path: Image.new("RGB", (5, 5)).save(path, "PNG"), "damaged or cut short"),
    "foreign": (lambda path: save_file({"tokens": torch.ones(3)}, path), "tokenfield encode"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), ""),
}


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("command", ["decode", "info"])
def test_fields_that_are_missing_foreign_or_damaged(run, model, photo, tmp_path, name, command):
    path = tmp_path / "photo.field"
    run("encode", photo, "-o", path, "--model", model, "--no-check")
    FIELDS[name][0](path)
    outcome = run(command, path, *(("-o", tmp_path / "out.png") if command == "decode" else ()))
    said = "no such file" if (name, command) == ("missing", "info") else FIELDS[name][1]
    assert_one_line(outcome, said, "photo.field")


def test_a_field_of_another_model(run, model, photo, tmp_path):
    other = pretrained.load(model)
    other.from_latent.bias.data += 1
    pretrained.save(other, tmp_path / "other")
    run("encode", photo, "-o", tmp_path / "p.field", "--model", model, "--no-check")
    outcome = run("decode", tmp_path / "p.field", "-o", tmp_path / "p.png", "--model", tmp_path / "other")
    assert_one_line(outcome, "p.field was made by", "its tokens mean nothing to")


@pytest.mark.parametrize("crop", [(0, 0, 18, 5), (-1, 0, 5, 5), (0, 0, 0, 5), (3, 20, 5, 5)])
def test_crops_that_leave_the_picture(run, model, photo, tmp_path, crop):
    run("encode", photo, "-o", tmp_path / "p.field", "--model", model, "--no-check")
    outcome = run("decode", tmp_path / "p.field", "-o", tmp_path / "p.png", "--crop", *crop)
    assert_one_line(outcome, "not inside the picture of 17 rows and 23 columns")


@contextlib.contextmanager
def disk_with_room_for(size: int):
    """Files cannot grow beyond `size` bytes: the nearest to a full disk that needs no rights."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


FULL = {
    "encode": ("encode", "photo.png", "-o", "out.field", "--model", "MODEL"),
    "decode": ("decode", "p.field", "-o", "out.png", "--size", "60"),
    "json": ("info", "photo.png", "--json", "out.json"),
    "gallery": ("evaluate", "MODEL", "--data", "photo.png", "--save", "out"),
    "train": ("train", "lainr-photos-64", "--data", "pictures", "--out", "out", "--data.size", "64"),
}


@pytest.mark.parametrize("name", FULL)
def test_a_full_disk_is_one_line_and_leaves_nothing_half_done(run, model, folder, photo, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    run("encode", photo, "-o", "p.field", "--model", model, "--no-check")
    argv = [model if argument == "MODEL" else argument for argument in FULL[name]]
    with disk_with_room_for(100):
        outcome = run(*argv)
    assert outcome.code == 1, outcome
    assert outcome.lines[-1].startswith("tokenfield: error: cannot write ")
    assert "Traceback" not in outcome.err
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name.startswith((".", "out"))]


def test_a_full_disk_under_stdout():
    """Results that cannot be printed are an error, said once."""
    command = [sys.executable, "-m", "tokenfield", "--version"]
    with open("/dev/full", "w") as full:
        process = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert process.returncode == 1
    line = "tokenfield: error: the disk is full; free some space or choose another folder"
    assert process.stderr.splitlines() == [line]


def test_a_reader_that_has_seen_enough():
    command = f"{sys.executable} -m tokenfield --version | true; exit ${{PIPESTATUS[0]}}"
    process = subprocess.run(["bash", "-c", f"sleep 0.1; {command}"], stderr=subprocess.PIPE, text=True, timeout=60)
    assert process.returncode in (0, 128 + signal.SIGPIPE) and process.stderr == ""


def test_control_c(model, folder, tmp_path, monkeypatch, capsys):
    """What was finished stays, and the exit code is that of an interrupt."""
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("tokenfield.cli.encode.fidelity", interrupt)
    assert main(["encode", str(folder), "-o", str(tmp_path / "fields"), "--model", model]) == 130
    assert capsys.readouterr().err.splitlines() == ["tokenfield: error: interrupted; what was finished before is kept"]
    assert (tmp_path / "fields" / "a.field").exists()


def test_a_run_that_is_none_and_a_run_that_is_there_already(run, model, folder, tmp_path):
    nothing = tmp_path / "nothing"
    outcome = run("train", "lainr-photos-64", "--data", folder, "--out", nothing, "--resume")
    assert_one_line(outcome, "nothing to resume")
    assert_one_line(run("train", "lainr-photos-64", "--data", folder, "--out", model), "holds a trained run already")
    (tmp_path / "bad.json").write_text("{")
    assert_one_line(run("train", tmp_path / "bad.json", "--data", folder), "no JSON file")

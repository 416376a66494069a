"""Disks without room, and folders that may not be written: one line, what was there stays, nothing half is left.

The system itself refuses: files may be no longer than a limit of this process, which every writer meets, also those of
libraries; and folders are ones that the kernel gives to nobody, not even to root.
"""

import resource
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from toys import toy, write_pictures

from tokenfield.data.pictures import read_picture, write_picture
from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.io.atomic import folder_aside, write_whole
from tokenfield.models import pretrained
from tokenfield.training import Session, journal, train

RECIPE = toy(steps=4, checkpoint_every=2, evaluate_every=0, ema_decay=0.0, log_every=1)


@contextmanager
def room(size):
    """No file of this process may be longer than `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


COMMANDS = {
    "encode": "encode {p} -o {t}/a.field --model {m} --no-check",
    "encode a folder": "encode {d} -o {t}/fields --model {m} --no-check",
    "decode": "decode {a} -o {t}/a.png --model {m}",
    "evaluate": "evaluate {m} --data {d} --size 12 --json {t}/a.json",
    "fit": "fit {p} -o {t}/fit --steps 1",
    "latents": "latents {m} {d} -o {t}/latents --size 8",
    "infill": "generate infill generate-fashion {g} -o {t}/a --region 0,0,6,12 --count 1 --repeats 1 --steps 1",
    "latents, coded": "latents photos-codec {d} -o {t}/all.fields --bytes --quality 90",
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, model):
    """A picture, a folder of them, and a field."""
    root = tmp_path_factory.mktemp("inputs")
    pictures = write_pictures(root / "pictures", 3)
    write_picture(root / "grey.png", torch.rand(1, 12, 12))
    field = Field.of(pretrained.load(model), read_picture(pictures / "1.png"))
    field.save(root / "a.field")
    return {"d": pictures, "p": pictures / "1.png", "m": model, "a": root / "a.field",
            "g": root / "grey.png"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line_and_leaves_nothing_half(name, run, inputs, tmp_path):
    words = COMMANDS[name].format(t=tmp_path, **inputs).split()
    (tmp_path / "mine").write_text("mine")
    with room(100):
        outcome = run(*words)
    assert outcome.code == 1 and len(outcome.lines) == 1, outcome.err
    assert f"cannot write {tmp_path}" in outcome.err and "larger than is allowed" in outcome.err, outcome.err
    assert ".tmp-" not in outcome.err and ".part" not in outcome.err
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["mine"]


@pytest.mark.parametrize("option", ["--json a.json", "--table a.md", "--neighbours a.png"])
def test_a_score_that_cannot_be_kept_is_a_line(option, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "d", 8)
    words = "score", "d", "--reference", "d", "--size", 8, "--split", "train"
    assert run(*words).code == 0
    with room(100):
        outcome = run(*words, *option.split())
    assert outcome.code == 1 and "cannot write a." in outcome.err
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".", "a"))]


def test_folders_name_themselves_and_not_what_they_were_before(tmp_path):
    """Also where a library wrote into them, or copied from elsewhere."""
    source = tmp_path / "source"
    source.write_bytes(bytes(200))
    writers = (lambda folder: shutil.copyfile(source, folder / "a"), lambda folder: (folder / "x/y").mkdir(),
               lambda folder: write_whole(folder / "a", bytes(200)), lambda folder: np.save(folder / "a", np.ones(200)))
    for writer in writers:
        with room(100), pytest.raises(UserError) as caught, folder_aside(tmp_path / "page") as aside:
            writer(aside)
        assert str(caught.value).startswith(f"cannot write {tmp_path / 'page'}") and ".tmp-" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [source]


@pytest.fixture(scope="module")
def whole(pictures, tmp_path_factory):
    """A run that nothing disturbed."""
    return train(RECIPE, pictures, tmp_path_factory.mktemp("whole"), session=Session(quiet=True))


@pytest.mark.parametrize("size", [0, 1800, 100_000])
def test_a_run_goes_on_where_the_disk_has_room_again(size, whole, tmp_path, pictures):
    """Without room for the lock's content and a recipe, for a line of metrics, for a checkpoint."""
    out = tmp_path / "run"
    with room(size), pytest.raises(UserError, match=r"cannot write .*allowed"):
        train(RECIPE, pictures, out, session=Session(quiet=True))
    begun = (out / "recipe.json").exists()
    assert begun == (size > 0) and not list(out.glob(".*"))
    train(RECIPE, pictures, out, resume=begun, session=Session(quiet=True))
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    steps = [[line["step"] for line in journal.read(folder / journal.METRICS)] for folder in (out, whole)]
    assert steps[0] == steps[1]


def test_a_line_of_metrics_that_was_cut_off_is_dropped(tmp_path):
    log = journal.Journal(tmp_path, 0)
    log.add({"step": 1, "loss": 0.5})
    with room((tmp_path / journal.METRICS).stat().st_size + 7), pytest.raises(UserError, match="make room, then"):
        log.add({"step": 2, "loss": 0.25})
    log = journal.Journal(tmp_path, 2)
    log.add({"step": 3, "loss": 0.125})
    assert [line["step"] for line in journal.read(log.path)] == [1, 3]


@pytest.mark.parametrize("words", ["encode {p} -o /proc/a/b.field --model {m}", "fit {p} -o /proc/a --steps 1",
                                   "info {p} --json /proc/a.json", "train lainr-photos-64 --data {d} --out /proc/a"])
def test_folders_that_nobody_may_write_to(words, run, inputs):
    """The kernel's own, for root cannot be kept out of any other."""
    outcome = run(*words.format(**inputs).split())
    assert outcome.code == 1 and len(outcome.lines) == 1 and "cannot write /proc/a" in outcome.err, outcome.err

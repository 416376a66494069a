"""`tokenfield import` on a checkpoint that another project's code saved."""

from pathlib import Path

import pytest
import torch
import yaml

from tokenfield.interop.checkpoints import import_checkpoint
from tokenfield.models import pretrained

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("name", ["ipc_dev", "transinr_dev", "anr_dev"])
def test_the_folder_holds_the_imported_model(run, tmp_path, name):
    outcome = run("import", str(GOLDEN / f"{name}.pt"), "-o", str(tmp_path / "model"))
    assert outcome.code == 0, outcome.err
    loaded, imported = pretrained.load(tmp_path / "model"), import_checkpoint(GOLDEN / f"{name}.pt")
    assert pretrained.model_hash(loaded) == pretrained.model_hash(imported)


def test_what_cannot_be_imported_is_one_line(run, tmp_path):
    (tmp_path / "notes.pt").write_text("not a checkpoint")
    for checkpoint in (tmp_path / "notes.pt", tmp_path / "absent.pt"):
        outcome = run("import", str(checkpoint), "-o", str(tmp_path / "model"))
        assert outcome.code == 1 and len(outcome.lines) == 1 and checkpoint.name in outcome.err
    (tmp_path / "taken").mkdir()
    outcome = run("import", str(GOLDEN / "ipc_dev.pt"), "-o", str(tmp_path / "taken"))
    assert outcome.code == 1 and "exists already" in outcome.err


def test_the_size_comes_from_an_option_or_an_assumption_in_one_line(run, tmp_path):
    checkpoint = GOLDEN / "learned_init_dev.pt"
    outcome = run("import", checkpoint, "-o", tmp_path / "assumed")
    assert outcome.code == 0 and len(outcome.lines) == 1
    assert "178 x 178 is assumed" in outcome.err and "--size HEIGHT WIDTH" in outcome.err
    outcome = run("import", checkpoint, "-o", tmp_path / "chosen", "--size", 24, 32)
    assert outcome.code == 0 and not outcome.err
    assert pretrained.load(tmp_path / "chosen").input_size == (24, 32)
    outcome = run("import", GOLDEN / "ipc_dev.pt", "-o", tmp_path / "other", "--size", 24, 32)
    assert outcome.code == 1 and len(outcome.lines) == 1 and not (tmp_path / "other").exists()


def test_of_two_sets_of_weights_one_is_named(run, tmp_path):
    content = torch.load(GOLDEN / "ipc_dev.pt", weights_only=True)
    average = {name: t / 2 if name.endswith("weight") else t for name, t in content["state_dict"].items()}
    torch.save(content | {"state_dict_ema": average}, tmp_path / "x.pt")
    outcome = run("import", tmp_path / "x.pt", "--config", GOLDEN / "ipc_dev.yaml", "-o", tmp_path / "model")
    assert outcome.code == 0 and len(outcome.lines) == 1 and "taken were the trained weights" in outcome.err
    options = ("--config", GOLDEN / "ipc_dev.yaml", "--weights", "ema", "-o", tmp_path / "ema")
    outcome = run("import", tmp_path / "x.pt", *options)
    assert outcome.code == 0 and len(outcome.lines) == 1 and "taken were their moving average" in outcome.err
    first, second = (pretrained.model_hash(pretrained.load(tmp_path / name)) for name in ("model", "ema"))
    assert first != second


def test_unknown_sections_and_pickled_objects_are_one_line(run, tmp_path):
    config = yaml.safe_load((GOLDEN / "ipc_dev.yaml").read_text()) | {"losss": {"type": "mse"}, "zzz": 1}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(config))
    outcome = run("import", GOLDEN / "ipc_dev.pt", "--config", tmp_path / "x.yaml", "-o", tmp_path / "model")
    assert outcome.code == 1 and len(outcome.lines) == 1 and "losss, zzz are not known" in outcome.err
    torch.save({"state_dict": {}, "args": Path("x")}, tmp_path / "x.pt")
    outcome = run("import", tmp_path / "x.pt", "-o", tmp_path / "model")
    assert outcome.code == 1 and len(outcome.lines) == 1
    assert outcome.err.endswith("are not opened; save it again without them\n")
    assert "\x1b" not in outcome.err and "pathlib.PosixPath" in outcome.err

"""`tokenfield import` on a checkpoint that another project's code saved."""

from pathlib import Path

import pytest

from tokenfield import interop, pretrained

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("name", ["ipc_dev", "transinr_dev", "anr_dev"])
def test_the_folder_holds_the_imported_model(run, tmp_path, name):
    outcome = run("import", str(GOLDEN / f"{name}.pt"), "-o", str(tmp_path / "model"))
    assert outcome.code == 0, outcome.err
    loaded, imported = pretrained.load(tmp_path / "model"), interop.import_checkpoint(GOLDEN / f"{name}.pt")
    assert pretrained.model_hash(loaded) == pretrained.model_hash(imported)


def test_what_cannot_be_imported_is_one_line(run, tmp_path):
    (tmp_path / "notes.pt").write_text("not a checkpoint")
    for checkpoint in (tmp_path / "notes.pt", tmp_path / "absent.pt"):
        outcome = run("import", str(checkpoint), "-o", str(tmp_path / "model"))
        assert outcome.code == 1 and len(outcome.lines) == 1 and checkpoint.name in outcome.err
    (tmp_path / "taken").mkdir()
    outcome = run("import", str(GOLDEN / "ipc_dev.pt"), "-o", str(tmp_path / "taken"))
    assert outcome.code == 1 and "exists already" in outcome.err

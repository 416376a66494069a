"""A run of a table is made once, resumed where it was stopped, and measured the same way whatever its system is."""

import json
import math
from dataclasses import replace
from functools import partial

import pytest
import torch

from experiments.miniature import base
from experiments.tables.measuring import describe_run
from experiments.tables.tables import TABLES
from tokenfield.comparison import running
from tokenfield.comparison.running import RESULT
from tokenfield.comparison.setting import Budget, Setting
from tokenfield.data.pictures import write_picture
from tokenfield.errors import UserError
from tokenfield.training import Diverged

LAINR = base()
"""With 16-pixel crops."""
run = partial(running.run, measurement=describe_run)


@pytest.fixture
def setting(tmp_path, monkeypatch):
    """Two steps on four small pictures."""
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    draw = torch.Generator().manual_seed(0)
    for number in range(4):
        split = "train" if number < 2 else "test"
        write_picture(tmp_path / "pool" / split / f"{number}.png", torch.rand(3, 17, 19, generator=draw))
    return Setting(Budget("steps", 2), tmp_path / "pool", tmp_path / "runs", device="cpu")


def test_a_finished_run_is_not_repeated(setting, monkeypatch):
    result = run(LAINR, setting)
    assert result["steps"] == 2 and set(result["pictures"]) == {"test/2.png", "test/3.png"}
    assert result["psnr"] == pytest.approx(sum(result["pictures"].values()) / 2, abs=1e-3)
    assert result["values_stored"] == 12 * 48 and result["values_per_pixel_value"] == 0.75
    assert result["curve"][-1]["step"] == 2
    assert result["curve"][-1]["psnr"] == pytest.approx(result["psnr"], abs=1e-3)  # one protocol, two places
    assert 0 < result["locality"] <= 0.9 and result["failure"] is None
    monkeypatch.setattr(running, "train", None)  # calling it would fail
    assert run(LAINR, setting) == result


def test_rows_that_are_the_same_run_share_a_folder_and_others_do_not(setting):
    rows = (TABLES["3"].rows[0], TABLES["7"].rows[0], TABLES["figure-1"].rows[0])
    folders = {setting.folder(row.at("miniature", 0)) for row in rows}
    assert len(folders) == 1
    assert setting.folder(rows[0].at("miniature", 1)) not in folders
    assert setting.folder(TABLES["7"].rows[1].at("miniature", 0)) not in folders


def test_a_stopped_table_goes_on_and_ends_as_if_it_had_not_stopped(setting, tmp_path, monkeypatch):
    """The first call has no time left after one step; the second finishes the same run, bit for bit."""
    whole = run(LAINR, setting)
    again = Setting(setting.budget, setting.data, tmp_path / "others", device="cpu")
    assert run(LAINR, again, deadline=lambda: 0.0) is None
    train, calls = running.train, []

    def one_step(*args, **options):
        calls.append(options["resume"])
        limit = 1e-9 if len(calls) == 1 else None
        return train(*args, **options | {"session": replace(options["session"], max_seconds=limit)})

    monkeypatch.setattr(running, "train", one_step)
    resumed = run(LAINR, again)
    assert calls == [False, True]
    assert resumed["pictures"] == whole["pictures"] and resumed["steps"] == 2


def test_two_processes_do_not_make_the_same_run(setting):
    recipe = replace(setting.budget.of(LAINR), evaluate_pictures=10**6)
    with running.claim(setting.folder(recipe)), pytest.raises(running.Busy):
        run(LAINR, setting)
    with running.claim(setting.folder(recipe)):  # free again
        pass


def test_a_run_that_diverges_is_a_row_and_no_end(setting, monkeypatch):
    def diverge(*args, **options):
        raise Diverged("training diverged: the loss is nan at step 1")

    monkeypatch.setattr(running, "train", diverge)
    result = run(LAINR, setting)
    assert result["failure"] == "diverged" and "psnr" not in result
    (record,) = setting.runs.glob(f"*/{RESULT}")
    assert json.loads(record.read_text()) == result


def test_other_errors_are_errors(setting, monkeypatch):
    def fail(*args, **options):
        raise UserError("no such folder")

    monkeypatch.setattr(running, "train", fail)
    with pytest.raises(UserError, match="no such folder"):
        run(LAINR, setting)


@pytest.mark.parametrize(
    "text", ["steps=0", "steps=1.5", "seconds=-1", "seconds=inf", "epochs=3", "published=1", "", "steps="]
)
def test_budgets_that_mean_nothing(text):
    with pytest.raises(UserError, match="give steps=1200, seconds=60, or published"):
        Budget.parse(text)


def test_budgets():
    assert Budget.parse("steps=40").of(LAINR).steps == 40
    assert Budget.parse("published").of(LAINR).steps == LAINR.steps
    assert str(Budget.parse("seconds=1.5")) == "seconds=1.5"
    assert Budget.parse("seconds=9").remaining(LAINR, running.Path("nowhere")) == 9
    assert Budget.parse("steps=1").remaining(LAINR, running.Path("nowhere")) == math.inf

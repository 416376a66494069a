"""Metrics, curve and display."""

import json

import pytest

from tokenfield.errors import UserError
from tokenfield.training import journal
from tokenfield.training.journal import LOSS, PSNR, Display, Journal, draw_curve, read


def line(step, **more):
    return {"step": step, "loss": 0.5, "psnr": 20.0 + step} | more


def test_lines_are_appended_and_read(tmp_path):
    book = Journal(tmp_path, 0)
    for step in (2, 4):
        book.add(line(step))
    assert read(tmp_path / journal.METRICS) == [line(2), line(4)]


def test_resuming_drops_what_lies_beyond_the_step_and_a_torn_last_line(tmp_path):
    path = tmp_path / journal.METRICS
    path.write_text("".join(json.dumps(line(step)) + "\n" for step in (2, 4, 6)) + '{"step": 8, "lo')
    Journal(tmp_path, 4).add(line(6, loss=0.25))
    assert read(path) == [line(2), line(4), line(6, loss=0.25)]


def test_a_new_run_starts_an_empty_file(tmp_path):
    (tmp_path / journal.METRICS).write_text(json.dumps(line(2)) + "\n")
    Journal(tmp_path, 0)
    assert read(tmp_path / journal.METRICS) == []


def test_the_curve_is_a_png_even_without_points(tmp_path):
    book = Journal(tmp_path, 0)
    assert draw_curve(tmp_path, "empty").read_bytes().startswith(b"\x89PNG")
    book.add(line(1))
    book.add({"step": 1, "evaluation_psnr": 20.0, "evaluation_pictures": 3})
    assert draw_curve(tmp_path, "two").read_bytes().startswith(b"\x89PNG")


def test_denoisers_are_judged_by_their_loss(tmp_path):
    line = {"step": 4} | LOSS.line(0.25, 7)
    assert line == {"step": 4, "evaluation_loss": 0.25, "evaluation_latents": 7}
    assert LOSS.last([line, {"step": 5, "loss": 0.1}]) == (0.25, 7)
    assert PSNR.read(line) is None and PSNR.last([]) is None
    book = Journal(tmp_path, 0)
    for one in ({"step": 3, "loss": 0.4}, line):
        book.add(one)
    assert draw_curve(tmp_path, "losses", LOSS).read_bytes().startswith(b"\x89PNG")


def test_without_tensorboard_the_error_says_what_to_install(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match=r"pip install 'tokenfield\[tensorboard\]'"):
        Journal(tmp_path, 0, tensorboard=True)


def test_with_tensorboard_every_number_is_a_scalar(tmp_path, monkeypatch):
    import sys
    import types

    lines, closed = [], []

    class SummaryWriter:
        def __init__(self, folder, purge_step):
            lines.append((folder, purge_step))

        def add_scalar(self, name, value, step):
            lines.append((name, value, step))

        def close(self):
            closed.append(True)

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=SummaryWriter))
    book = Journal(tmp_path, 4, tensorboard=True)
    book.add({"step": 6, "psnr": 30.0})
    book.close()
    assert lines == [(tmp_path / "tensorboard", 4), ("step", 6, 6), ("psnr", 30.0, 6)]
    assert closed == [True]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    book = Journal(tmp_path, 0)
    book.path.unlink()
    book.path.mkdir()
    with pytest.raises(UserError, match=r"cannot write .*metrics\.jsonl"):
        book.add(line(2))


def test_without_a_terminal_progress_is_plain_lines(capsys, monkeypatch):
    display = Display(40, visible=True)
    display.start(10)
    display.evaluated(20, 31.25, 3)
    for step in (30, 40):
        display.update({"step": step, "psnr": 32.0, "images": 4 * step, "images_per_second": 8.0})
    display.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "resumed after step 10 of 40",
        "step 20: 31.25 dB on 3 held-out pictures",
        "step 40/40 · 32.00 dB (held out 31.25) · 8.0 images/s · 0:00:00 left",
    ]


def test_a_loss_is_called_a_loss(capsys):
    display = Display(40, visible=True, measure=LOSS)
    display.evaluated(20, 0.4321, 3)
    display.update({"step": 40, "loss": 0.5, "images": 160, "images_per_second": 8.0})
    assert capsys.readouterr().err.splitlines() == [
        "step 20: loss 0.4321 on 3 held-out latents",
        "step 40/40 · loss 0.5000 (held out 0.4321) · 8.0 latents/s · 0:00:00 left",
    ]


def test_what_is_not_shown_is_silent(capsys):
    display = Display(4, visible=False)
    display.start(2)
    display.say("nothing")
    display.update({"step": 4, "psnr": 1.0, "images": 4, "images_per_second": 1.0})
    display.close()
    assert capsys.readouterr() == ("", "")

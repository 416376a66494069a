"""Nothing may be lost: commands beside each other, over each other, with names of every kind, on any terminal."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image

from tokenfield.cli import app, console
from tokenfield.errors import UserError, printable
from tokenfield.evaluation.tables import aligned, write
from tokenfield.io.atomic import BadName, folder_aside, typed, write_whole, written_aside


@pytest.fixture
def phone(tmp_path):
    """A folder with three pictures whose fields would have one name."""
    (tmp_path / "phone").mkdir()
    for i, name in enumerate(("a.jpg", "a.png", "a.jpg.png")):
        Image.new("RGB", (9, 8), (80 * i, 0, 0)).save(tmp_path / "phone" / name)
    return tmp_path / "phone"


def test_every_picture_has_its_field_and_every_field_its_picture(run, model, phone, tmp_path):
    assert run("encode", phone, "-o", tmp_path / "fields", "--model", model, "--no-check").code == 0
    fields = sorted(path.name for path in (tmp_path / "fields").iterdir())
    assert fields == ["a.jpg.field", "a.jpg.png.field", "a.png.field"]
    assert run("decode", tmp_path / "fields", "-o", tmp_path / "back").code == 0
    assert len(list((tmp_path / "back").iterdir())) == 3


def test_originals_and_earlier_results_stay(run, model, phone, tmp_path):
    before = {path.name: path.read_bytes() for path in phone.iterdir()}
    run("encode", phone, "-o", tmp_path / "fields", "--model", model, "--no-check")
    assert run("info", phone / "a.png", "--json", phone / "a.png").code == 1
    outcome = run("decode", tmp_path / "fields", "-o", phone)
    assert outcome.code == 1 and "would be replaced" in outcome.err
    outcome = run("encode", phone, "-o", tmp_path / "fields", "--model", model)
    assert outcome.code == 1 and "a.jpg.field and 2 more would be replaced" in outcome.err
    assert run("encode", phone, "-o", tmp_path / "fields", "--model", model, "--overwrite", "--no-check").code == 0
    assert {path.name: path.read_bytes() for path in phone.iterdir()} == before


def test_a_report_s_place_is_checked_before_the_work(run, model, phone, tmp_path):
    outcome = run("encode", phone, "-o", tmp_path / "fields", "--model", model, "--json", phone / "a.png")
    assert outcome.code == 1 and "no JSON file" in outcome.err and not (tmp_path / "fields").exists()


NAMES = {"a line\nbreak": 0, "\x1b[31mred": 0, "x" * 251: 1, "\udcff not text": 0, "\u00fcber \u5199\u771f": 0}


def test_a_bad_name_costs_one_file_and_is_shown_escaped(run, model, tmp_path):
    (tmp_path / "p").mkdir()
    for name in NAMES:
        try:
            Image.new("RGB", (9, 8)).save(tmp_path / "p" / f"{name}.png")
        except OSError:
            pytest.skip("this disk takes no such names")
    outcome = run("encode", tmp_path / "p", "-o", tmp_path / "out", "--model", model, "--no-check")
    assert len(list((tmp_path / "out").iterdir())) == len(NAMES) - sum(NAMES.values())
    assert outcome.code == 3 and "the name is too long" in outcome.err and "skipped 1 of 5" in outcome.err
    assert "\x1b" not in outcome.out + outcome.err and len(outcome.out.splitlines()) == len(NAMES)  # one is the total
    assert "\\x1b[31mred" in outcome.out and "a line\\nbreak" in outcome.out


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_terminals_that_cannot_show_a_letter_get_it_escaped(encoding, monkeypatch):
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert app.main(["info", "\u5199\u771f.png"]) == console.FAILED
    sys.stderr.flush()
    assert b"\\u5199\\u771f.png: no such file" in sys.stderr.buffer.getvalue()


def test_folders_whose_names_are_not_utf_8(run, model, phone, tmp_path, own_cache):
    """Of pictures, results and models: in tables, JSON, pages, and the list of models that this machine made."""
    strange = tmp_path / "m\udcfcller"
    try:
        shutil.copytree(model, strange / "model")
    except OSError:
        pytest.skip("this disk takes no such names")
    shutil.copytree(phone, strange / "p")
    (strange / "p" / "a.png").rename(strange / "p" / "\udcfc.png")
    options = ("--model", strange / "model")
    assert run("encode", strange / "p", "-o", strange / "f", *options, "--json", strange / "r.json").code == 0
    assert run("decode", strange / "f" / "\udcfc.field", "-o", strange / "again.png").code == 0
    assert run("evaluate", strange / "model", "--data", strange / "p", "--size", 8, "--table", strange / "t.md",
               "--json", strange / "e.json").code == 0
    assert "\\udcfc" in (strange / "t.md").read_text() and "\\udcfc" in (strange / "r.json").read_text()
    assert run("explain", strange / "p" / "\udcfc.png", *options, "-o", strange / "page", "--tokens", 1, "--maps", 8,
               "--size", 8).code == 0
    assert "\\udcfc" in (strange / "page" / "explained.html").read_text()


def test_letters_that_are_no_control_characters_stay():
    assert printable("\u00fcber \u5199") == "\u00fcber \u5199"
    assert printable("a\x1b]0;b\x07\r\n") == "a\\x1b]0;b\\x07\\r\\n" == str(UserError("a\x1b]0;b\x07\r\n"))


STRANGE = ("a\nb", "\x1b[31m'q\"", "\udcff", "$(id) `id`", "-rf", "\u00fcber", "\\n")


@pytest.mark.parametrize("name", STRANGE)
def test_commands_that_are_printed_can_be_typed(name, tmp_path):
    command = typed("ls", Path(name))
    assert command.isprintable()
    (tmp_path / name).touch()
    names = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=True).stdout
    assert Path(os.fsdecode(names.removesuffix(b"\n"))) == Path(name)


def test_tables_have_a_line_for_a_row(tmp_path):
    rows = [["file", "dB"], *([name, "1"] for name in (*STRANGE, "a|b"))]
    assert aligned(rows).count("\n") == len(rows) - 1 and "\x1b" not in aligned(rows)
    write(tmp_path / "t.md", rows)
    assert {line.count("|") for line in (tmp_path / "t.md").read_text().splitlines()} == {3}


def test_names_of_255_bytes_are_written(tmp_path):
    for name in ("x" * 255, "\u5199" * 85):
        write_whole(tmp_path / name, "whole")
        assert (tmp_path / name).read_text() == "whole"
    for name in ("x" * 256, "\u5199" * 86):
        with pytest.raises(BadName, match="too long"):
            write_whole(tmp_path / name, "whole")
    assert len(list(tmp_path.iterdir())) == 2


WRITER = """
import sys, time
from pathlib import Path
from tokenfield.io.atomic import folder_aside, written_aside
with (folder_aside if sys.argv[2] == "folder" else written_aside)(Path(sys.argv[1])) as aside:
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_export_left_is_removed_by_the_next_one(kind, tmp_path):
    target = tmp_path / ("export" if kind == "folder" else "export.bin")
    process = subprocess.Popen([sys.executable, "-c", WRITER, target, kind], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"writing\n"
    write_whole(tmp_path / "other.bin", "whole")
    assert len(list(tmp_path.iterdir())) == 2  # what a living process writes is left to it
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    if kind == "folder":
        with folder_aside(target) as aside:
            (aside / "a").write_text("whole")
    else:
        write_whole(target, "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["other.bin", target.name])


def test_writing_goes_through_links(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "file").symlink_to(tmp_path / "real" / "file")
    (tmp_path / "folder").symlink_to(tmp_path / "real" / "folder")
    with written_aside(tmp_path / "file") as file:
        file.write(b"whole")
    with folder_aside(tmp_path / "folder") as aside:
        (aside / "a").write_text("whole")
    assert (tmp_path / "real" / "file").read_text() == (tmp_path / "real" / "folder" / "a").read_text() == "whole"
    assert (tmp_path / "file").is_symlink() and (tmp_path / "folder").is_symlink()
    (tmp_path / "round").symlink_to("round")
    for writer in (written_aside, folder_aside):
        with pytest.raises(UserError, match="leads back to itself"), writer(tmp_path / "round"):
            pass
    assert (tmp_path / "round").is_symlink() and len(list(tmp_path.iterdir())) == 4


def test_pipes_and_streams_are_written_to_and_stay_what_they_are(run, phone, tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    reader, writer = os.pipe()
    with ThreadPoolExecutor(1) as pool:
        for place in (tmp_path / "pipe.json", Path(f"/dev/fd/{writer}")):
            said = pool.submit(place.read_bytes) if place.is_fifo() and place.parent == tmp_path else None
            assert run("info", phone / "a.png", "--json", place).code == 0
            report = said.result() if said else os.read(reader, 1 << 16)
            assert json.loads(report)["command"] == "info"
    assert (tmp_path / "pipe.json").is_fifo() and len(list(tmp_path.iterdir())) == 2
    os.close(reader)
    os.close(writer)


def test_a_report_may_follow_what_is_printed_or_stand_alone(phone):
    words = [sys.executable, "-m", "tokenfield", "info", "a.png", "--json"]
    done = subprocess.run(["sh", "-c", '"$@" >&-', "-", *words, "a.json"], cwd=phone, capture_output=True, check=True)
    assert not done.stderr and (phone / "a.json").is_file()
    out = subprocess.run([*words, "/dev/stdout"], cwd=phone, capture_output=True, check=True, text=True).stdout
    assert out.startswith("kind") and json.loads(out[out.index("{") :])["command"] == "info"


def test_what_is_no_regular_file_is_not_waited_for(run, phone, tmp_path):
    for name in ("a.json", "a.nc"):
        os.mkfifo(tmp_path / name)
    for words in (["train", tmp_path / "a.json", "--data", phone, "--out", tmp_path / "run"],
                  ["climate", "year", tmp_path / "a.nc", "-o", tmp_path / "a.field"]):
        outcome = run(*words)
        assert outcome.code == 1 and "no regular file" in outcome.err and outcome.err.count("\n") == 1


RACER = """
import sys
from pathlib import Path
from tokenfield.errors import UserError
from tokenfield.io.atomic import folder_aside, write_whole
for n in range(100):
    write_whole(Path("file"), sys.argv[1] * 50_000)
    try:
        with folder_aside(Path(f"folder{n}")) as aside:
            for name in "ab":
                (aside / name).write_text(sys.argv[1])
    except UserError as error:
        assert "cannot write" in str(error)
"""


def test_of_two_that_write_one_thing_at_once_one_wins(tmp_path):
    racers = [subprocess.Popen([sys.executable, "-c", RACER, letter], cwd=tmp_path) for letter in "xy"]
    assert [racer.wait() for racer in racers] == [0, 0]
    assert (tmp_path / "file").read_text() in ("x" * 50_000, "y" * 50_000)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["file", *(f"folder{n}" for n in range(100))])
    for folder in tmp_path.glob("folder*"):
        assert sorted(path.read_text() for path in folder.iterdir()) in (["x", "x"], ["y", "y"])


def test_a_lost_process_is_one_line(monkeypatch, capsys):
    def parser(argv):
        def fail():
            raise RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1234")
        return fail

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert app.main([], parser) == console.FAILED
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setenv("WORLD_SIZE", "1")
    with pytest.raises(RuntimeError):
        app.main([], parser)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
                                   torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")])
def test_want_of_memory_is_one_line(error, capsys):
    def fail():
        raise error

    assert app.main([], lambda argv: fail) == console.FAILED
    assert "more memory than there is" in (line := capsys.readouterr().err) and line.count("\n") == 1


@pytest.mark.parametrize("words", [["encode", ""], ["encode", "a.png", "--model", ""], ["train", "lainr", "--data="]])
def test_a_variable_that_is_not_set_is_not_this_folder(words, run, phone, monkeypatch):
    monkeypatch.chdir(phone)
    outcome = run(*words)
    assert outcome.code == 2 and "an empty word" in outcome.err and len(list(phone.iterdir())) == 3


def test_a_present_folder_that_is_gone_is_said(run, phone, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    outcome = run("encode", phone / "a.png", "-o", "a.field")
    assert outcome.code == 1 and "the present folder was removed" in outcome.err


def test_a_model_is_found_again_by_its_hash_and_not_by_the_file_s_word(run, model, phone, tmp_path, own_cache):
    run("encode", phone / "a.png", "-o", tmp_path / "a.field", "--model", model, "--no-check")
    assert run("decode", tmp_path / "a.field", "-o", tmp_path / "a.png").code == 0
    for note in (own_cache.parent / "models").iterdir():
        note.unlink()
    outcome = run("decode", tmp_path / "a.field", "-o", tmp_path / "b.png")
    assert outcome.code == 1 and "say with --model where it is" in outcome.err

"""Results that options name: never in the place of an input, of another kind, of another result, or unasked."""

import pytest
from toys import toy

from tokenfield.errors import UserError
from tokenfield.io.lock import LOCK, locked
from tokenfield.training.folder import open_folder

COMMANDS = {
    "encode": "encode {p} -o {t}/new",
    "decode": "decode {t}/a.field",
    "info": "info {p}",
    "evaluate": "evaluate photos-s --data {d}",
    "explain": "explain {p}",
    "fit": "fit {p}",
    "optimize": "optimize {p}",
    "view": "view {p}",
    "train": "train lainr-photos-64 --data {d}",
    "compare": "compare lainr --data {d} --budget steps=1",
    "export": "export photos-s",
    "import": "import {t}/x.pt -o {t}/new",
    "latents": "latents photos-s {d} -o {t}/new",
    "score": "score photos-s --reference {d}",
    "generate": "generate samples {t}/run -o {t}/new",
    "climate encode": "climate encode {t}/x.nc --model {t}/run -o {t}/new",
    "climate query": "climate query {t}/a.field --at 0 0",
    "views measure": "views measure {t}/run --data {d}",
    "views render": "views render {d} -o {t}/new",
    "doctor": "doctor",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_puts_its_report_in_the_place_of_another_program_s_file(name, run, photo, folder, tmp_path):
    other = tmp_path / "annotations.json"
    other.write_text('{"images": []}')
    before = sorted(tmp_path.rglob("*"))
    words = COMMANDS[name].format(p=photo, d=folder, t=tmp_path).split()
    for place, said in ((other, "no report of a command"), (photo, "no JSON file"), (folder, "is a folder")):
        outcome = run(*words, "--json", place)
        assert outcome.code == 1 and said in outcome.err and outcome.err.count("\n") == 1, outcome.err
    assert other.read_text() == '{"images": []}' and sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("words", [
    "encode {d} -o", "evaluate photos-s --data {d} --save", "explain {p} -o", "latents photos-s {d} -o",
    "generate samples {d} -o", "generate interpolate {d} 1 2 -o", "generate infill {d} {p} --region 0,0,1,1 -o",
    "climate encode {d} --model {d} -o", "views measure {d} --data {d} -o", "views orbit {d} --data {d} -o",
    "views render {d} -o", "demo --out", "train lainr-photos-64 --data {d} --device cpu --out"])
def test_one_folder_is_written_into_by_one_command(words, run, photo, folder, tmp_path):
    words = [*words.format(p=photo, d=folder).split(), tmp_path / "new" / "taken"]
    with locked(tmp_path / "new" / "taken"):
        outcome = run(*words)
        assert outcome.code == 1 and "taken is being written into by process" in outcome.err
        assert outcome.err.count("\n") == 1 and len(list((tmp_path / "new" / "taken").iterdir())) == 1
    assert not (tmp_path / "new").exists()


def test_a_folder_is_free_when_its_command_has_ended(run, folder, model, tmp_path):
    words = ("encode", folder, "-o", tmp_path / "new" / "fields", "--model", model, "--no-check")
    assert run(*words, "--quality", 200).code == 1 and not (tmp_path / "new").exists()
    with locked(tmp_path / "other"):
        assert run(*words).code == 3
    assert not (tmp_path / "new" / "fields" / LOCK).exists()


@pytest.mark.parametrize("words", [
    "fit {p} --figure {p}", "optimize {p} --figure {p}", "fit {d}/a.jpg --figure {d}/a.jpg",
    "climate evaluate photos-s --data {d} --figure {d}/b.png", "score photos-s --reference {d} --neighbours {d}/b.png"])
def test_a_figure_takes_the_place_of_no_picture_that_is_read(words, run, photo, folder, tmp_path):
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert run(*words.format(p=photo, d=folder).split()).code == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_link_to_an_input_is_that_input(run, photo, tmp_path):
    (tmp_path / "link.png").symlink_to(photo)
    outcome = run("fit", photo, "--figure", tmp_path / "link.png", "--steps", 1)
    assert outcome.code == 1 and "is an input" in outcome.err


def test_earlier_pages_stay_unless_told(run, photo, model, tmp_path):
    words = ("explain", photo, "--model", model, "-o", tmp_path / "page", "--tokens", 2, "--maps", 9, "--size", 12)
    assert run(*words).code == 0
    outcome = run(*words)
    assert outcome.code == 1 and "explained.html and 2 more would be replaced" in outcome.err
    assert run(*words, "--overwrite").code == 0


def test_earlier_galleries_stay_unless_told(run, folder, model, tmp_path):
    words = ("evaluate", model, "--data", folder, "--size", 12, "--save", tmp_path / "gallery", "--keep", 1)
    assert run(*words).code == 3
    outcome = run(*words)
    assert outcome.code == 1 and "would be replaced" in outcome.err
    assert run(*words, "--overwrite").code == 3


def test_earlier_measurements_stay_unless_told(run, tmp_path):
    (tmp_path / "views.json").write_text("{}")
    outcome = run("views", "measure", tmp_path / "run", "--data", tmp_path, "-o", tmp_path)
    assert outcome.code == 1 and "views.json would be replaced" in outcome.err


@pytest.mark.parametrize("name", ["README.md", "config.json"])
def test_a_training_leaves_what_others_wrote(name, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=f"{name} would be replaced; train into a new folder"):
        open_folder(tmp_path, toy(), resume=False)

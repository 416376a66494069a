"""What a command would overwrite: no two results share a name, none is an input, and nothing else is replaced."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tokenfield.errors import UserError
from tokenfield.io.outputs import check_free, check_named, check_report, distinct_names, plan_file, plan_folder, short


def names(*paths, ending=".field"):
    return [path.as_posix() for path in distinct_names([Path(path) for path in paths], ending)]


def test_names_are_short_where_they_can_be():
    assert names("a.jpg", "b.png", "sub/a.jpg") == ["a.field", "b.field", "sub/a.field"]
    assert names("a.jpg", "a.png", "a.jpg.png") == ["a.jpg.field", "a.png.field", "a.jpg.png.field"]
    assert names("A.png", "a.jpg") == ["A.png.field", "a.jpg.field"]
    assert names("A.png", "a.png") == ["A.png.field", "a.png~2.field"]
    assert names("a.field", "a.png", ending=".png") == ["a.field.png", "a.png.png"]


STEMS = st.sampled_from(["a", "A", "a.jpg", "a.png", "a.jpg.png", "b", "a~2"])


@given(st.lists(st.tuples(STEMS, st.sampled_from([".jpg", ".png", ".PNG", ".field"])).map("".join), unique=True))
def test_no_two_results_of_a_run_share_a_name_on_any_disk(files):
    for ending in (".field", ".png"):
        results = names(*files, ending=ending)
        assert len({result.casefold() for result in results}) == len(files) and all(r.endswith(ending) for r in results)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "in" / name).write_bytes(b"original")
    return tmp_path / "in"


def test_a_folder_s_results_replace_neither_inputs_nor_what_is_there(folder, tmp_path):
    files = sorted(folder.iterdir())
    targets = plan_folder(folder, files, tmp_path / "out", ".field")
    (tmp_path / "out").mkdir()
    targets[0].write_bytes(b"earlier")
    with pytest.raises(UserError, match=r"a.field would be replaced; .* --overwrite"):
        plan_folder(folder, files, tmp_path / "out", ".field")
    assert plan_folder(folder, files, tmp_path / "out", ".field", overwrite=True) == targets
    with pytest.raises(UserError, match="is an input"):
        plan_folder(folder, files, folder, ".png", overwrite=True)
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(UserError, match="is an input"):
        plan_folder(folder, files, tmp_path / "link", ".png", overwrite=True)


def test_files_in_the_place_of_folders_are_said_before_the_work(folder, tmp_path):
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "deep"):
        with pytest.raises(UserError, match=r"file is a file, not a folder"):
            check_free([place / "a.png"], overwrite=True)
    check_free([tmp_path / "new" / "deep" / "a.png"], overwrite=False)


@given(st.text())
def test_names_are_cut_to_bytes_and_not_to_letters(name):
    assert name.encode("utf-8", "ignore").startswith(short(name).encode()) and len(short(name).encode()) <= 200


def test_one_result_is_no_input_no_folder_and_of_its_own_kind(folder, tmp_path):
    picture = folder / "a.png"
    assert plan_file(picture, None, [".field"]) == folder / "a.field"
    wrong = {picture: "the input itself", folder: "is a folder", tmp_path / "x.jpg": "ending in .png"}
    for output, words in wrong.items():
        with pytest.raises(UserError, match=words):
            plan_file(picture, output, [".png"])
    (tmp_path / "link.png").symlink_to(picture)
    with pytest.raises(UserError, match="the input itself"):
        plan_file(picture, tmp_path / "link.png", [".png"])
    (folder / "a.field").write_bytes(b"earlier")
    with pytest.raises(UserError, match="exists already"):
        plan_file(picture, None, [".field"])
    with pytest.raises(UserError, match=r"a.png is a file, not a folder"):
        plan_file(picture, picture / "x.field", [".field"])
    assert plan_file(picture, Path("x" * 300 + ".field"), [".field"]).suffix == ".field"  # writing says what is wrong


def test_a_report_takes_the_place_of_a_report_alone(folder, tmp_path):
    (tmp_path / "report.json").write_text(' {"command": "info"}')
    for path in (tmp_path / "report.json", tmp_path / "new.json", Path("/dev/null")):
        check_report(path)
    (tmp_path / "recipe.json").write_text('{"command": 1}')
    wrong = {folder / "a.png": "no JSON file", folder: "a folder", tmp_path / "recipe.json": "read by"}
    for path, words in wrong.items():
        with pytest.raises(UserError, match=words):
            check_report(path)


def test_what_options_name_for_results_is_no_input_and_not_two_things(folder, tmp_path):
    (tmp_path / "text.png").write_text("notes")
    (tmp_path / "annotations.json").write_text('{"images": []}')
    (tmp_path / "r.json").write_text('{"command": "info"}')
    (folder / "sub").mkdir(exist_ok=True)
    for place in (tmp_path, folder / "sub"):
        Image.new("RGB", (2, 2)).save(place / "figure.png")
    check_named([("json", tmp_path / "r.json"), ("figure", tmp_path / "figure.png")], [folder])
    wrong = {
        "is no PNG": [("figure", tmp_path / "text.png")],
        "is a folder": [("figure", folder)],
        "in a folder that is read": [("neighbours", folder / "sub" / "figure.png")],
        "no report of a command": [("json", tmp_path / "annotations.json")],
        "--json and --figure are both": [("json", tmp_path / "x"), ("figure", tmp_path / "X")],
        "--output is an input": [("output", tmp_path / "figure.png")],
    }
    for words, results in wrong.items():
        with pytest.raises(UserError, match=words.replace("--output", "--output .*")):
            check_named(results, [folder, tmp_path / "figure.png"])

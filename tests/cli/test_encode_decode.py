"""encode, decode, info: what they write, where, and what they say about it."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import torch
from PIL import Image

from tokenfield.cli import decode as decode_module
from tokenfield.cli import doctor
from tokenfield.cli.decode import Size
from tokenfield.cli.encode import plan
from tokenfield.data.demo_pictures import data_folder
from tokenfield.data.pictures import read_picture, write_picture
from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.metrics import psnr, psnr_8bit
from tokenfield.models import pretrained


def load(path):
    return json.loads(path.read_text())


def test_a_picture_becomes_a_field_and_a_picture_again(run, model, photo, tmp_path):
    field, back, facts = tmp_path / "photo.field", tmp_path / "back.png", tmp_path / "facts.json"
    outcome = run("encode", photo, "-o", field, "--model", model, "--json", facts)
    assert outcome.code == 0 and outcome.err == ""
    (item,) = load(facts)["items"]
    assert (item["height"], item["width"]) == (17, 23)
    assert item["tokens"] == 5 * 6 and item["values_stored"] == 5 * 6 * 24
    assert f"{item['psnr_8bit']:.2f} dB" in outcome.out and str(item["values_stored"]) in outcome.out

    assert run("decode", field, "-o", back).code == 0
    picture, again = read_picture(photo)[None], read_picture(back)[None]
    assert again.shape == picture.shape
    assert psnr_8bit(again, picture).item() == pytest.approx(item["psnr_8bit"], abs=1e-3)
    rendered = Field.load(field).render(17, 23)[None]
    assert psnr(rendered, picture).item() == pytest.approx(item["psnr"], abs=1e-3)


def test_half_files_are_half_and_their_psnr_is_that_of_what_was_stored(run, model, photo, tmp_path):
    facts = tmp_path / "facts.json"
    run("encode", photo, "-o", tmp_path / "a.field", "--model", model)
    run("encode", photo, "-o", tmp_path / "b.field", "--model", model, "--half", "--json", facts)
    assert (tmp_path / "b.field").stat().st_size < 0.75 * (tmp_path / "a.field").stat().st_size
    picture, rendered = read_picture(photo), Field.load(tmp_path / "b.field").render(17, 23)
    assert psnr(rendered[None], picture[None]).item() == pytest.approx(load(facts)["items"][0]["psnr"], abs=1e-3)


def test_no_check_leaves_the_psnr_out(run, model, photo, tmp_path):
    facts = tmp_path / "facts.json"
    outcome = run("encode", photo, "-o", tmp_path / "a.field", "--model", model, "--no-check", "--json", facts)
    assert "dB" not in outcome.out and "psnr" not in load(facts)["items"][0]


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ((), (17, 23)),
        (("--size", 46), (34, 46)),
        (("--size", 1), (1, 1)),
        (("--width", 46), (34, 46)),
        (("--height", 34), (34, 46)),
        (("--width", 5, "--height", 31), (31, 5)),
        (("--scale", 2), (34, 46)),
        (("--scale", 0.5), (8, 12)),
        (("--crop", 3, 5, 7, 11), (7, 11)),
        (("--crop", 3, 5, 7, 11, "--scale", 3), (21, 33)),
        (("--crop", 0, 0, 17, 23, "--size", 23), (17, 23)),
    ],
)
def test_sizes(run, model, photo, tmp_path, options, size):
    field, back = tmp_path / "photo.field", tmp_path / "back.png"
    run("encode", photo, "-o", field, "--model", model, "--no-check")
    assert run("decode", field, "-o", back, *options).code == 0
    assert tuple(read_picture(back).shape[1:]) == size


def test_a_crop_is_that_part_of_the_whole(run, model, photo, tmp_path):
    field = tmp_path / "photo.field"
    run("encode", photo, "-o", field, "--model", model, "--no-check")
    run("decode", field, "-o", tmp_path / "whole.png")
    run("decode", field, "-o", tmp_path / "part.png", "--crop", 3, 5, 7, 11)
    whole, part = read_picture(tmp_path / "whole.png"), read_picture(tmp_path / "part.png")
    assert (whole[:, 3:10, 5:16] - part).abs().max() <= 1.01 / 255  # a rounding to 8 bits may fall either way


def test_a_field_with_its_own_model_is_decoded_from_anywhere(run, model, photo, tmp_path, monkeypatch):
    """`optimize --what decoder -o own` writes both into a folder; its name was relative and the folder has moved."""
    monkeypatch.chdir(tmp_path)
    options = ("--what", "decoder", "--steps", 1, "--beside", "-o", "own")
    assert run("optimize", photo, "--model", model, *options).code == 0
    (tmp_path / "own").rename(tmp_path / "moved")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    outcome = run("decode", tmp_path / "moved" / "photo.field", "-o", "again.png")
    assert outcome.code == 0, outcome.err
    assert "model at hand" in (described := run("info", tmp_path / "moved" / "photo.field").out)
    assert "yes" in next(line for line in described.splitlines() if "at hand" in line)


def test_without_a_name_the_result_lies_beside_the_file_and_replaces_nothing(run, model, photo, tmp_path):
    before = (tmp_path / "photo.png").read_bytes()
    assert run("encode", photo, "--model", model).code == 0
    outcome = run("decode", tmp_path / "photo.field")  # would be photo.png, the photograph itself
    assert outcome.code == 1 and "exists already" in outcome.err
    assert (tmp_path / "photo.png").read_bytes() == before
    assert run("encode", photo, "--model", model).code == 1


def test_the_input_is_never_overwritten(run, model, photo, tmp_path):
    before = (tmp_path / "photo.png").read_bytes()
    assert "is an input, and would be replaced" in run("encode", photo, "-o", photo, "--model", model).err
    (tmp_path / "photo.field").write_bytes(before)
    assert "is an input" in run("encode", tmp_path / "photo.field", "-o", tmp_path / "photo.field").err
    assert (tmp_path / "photo.png").read_bytes() == (tmp_path / "photo.field").read_bytes() == before


def test_a_folder_keeps_its_structure_and_names_what_it_skipped(run, model, folder, tmp_path):
    facts = tmp_path / "facts.json"
    outcome = run("encode", folder, "-o", tmp_path / "fields", "--model", model, "--json", facts)
    assert outcome.code == 3
    assert "skipped 2 of 5: cut.png (" in outcome.err and "empty.jpg (is empty" in outcome.err
    names = sorted(p.relative_to(tmp_path / "fields").as_posix() for p in (tmp_path / "fields").rglob("*.field"))
    assert names == ["a.field", "b.field", "sub/c.field"]
    assert len(load(facts)["items"]) == 3 and len(load(facts)["skipped"]) == 2

    (tmp_path / "fields" / "bad.field").write_bytes(b"nothing")
    outcome = run("decode", tmp_path / "fields", "-o", tmp_path / "back", "--scale", 2)
    assert outcome.code == 3 and "skipped 1 of 4: bad.field (is no .field file" in outcome.err
    assert read_picture(tmp_path / "back" / "sub" / "c.png").shape == (3, 30, 38)


def test_a_folder_in_which_nothing_can_be_used_fails(run, model, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"no")
    outcome = run("encode", tmp_path / "pictures", "-o", tmp_path / "fields", "--model", model)
    assert outcome.code == 1 and "skipped 1 of 1" in outcome.err


def test_files_that_differ_in_their_ending_alone_do_not_collide(tmp_path):
    (tmp_path / "in").mkdir()
    files = [tmp_path / "in" / name for name in ("a.jpg", "a.png", "b.png")]
    targets = plan(tmp_path / "in", files, tmp_path / "out", [".field"])
    assert [target.name for target in targets] == ["a.jpg.field", "a.png.field", "b.field"]


def test_a_model_of_a_fixed_size_takes_any_picture_too(run, photo, tmp_path):
    from tokenfield.models.lainr import LainrConfig

    config = LainrConfig(size=(12, 12), patch=4, padding=0, num_latents=5, latent_dim=8, encoder_heads=3,
                         encoder_dim=12, encoder_depth=1, dim=12, feature_dim=12, sigmas=(8.0,), heads=3)
    torch.manual_seed(0)
    folder = pretrained.save(config.build(), tmp_path / "lainr")
    assert run("encode", photo, "-o", tmp_path / "p.field", "--model", folder).code == 0
    assert run("decode", tmp_path / "p.field", "-o", tmp_path / "p.png", "--size", 31).code == 0
    assert read_picture(tmp_path / "p.png").shape == (3, 23, 31)
    assert "any size, in tiles of 12 x 12" in run("info", folder).out


def test_more_pixels_than_memory_are_refused_before_any_is_drawn(model, monkeypatch):
    field = Field.of(pretrained.load(model), torch.rand(3, 5, 7))
    with pytest.raises(UserError, match="at most 256,000,000"):
        Size(size=10**6).pixels(field.native_size)
    monkeypatch.setattr(decode_module, "MAX_PIXELS", 35)
    assert Size().pixels(field.native_size) == (5, 7) and Size().box(field.native_size) == (-1, -1, 1, 1)
    with pytest.raises(UserError, match="at most 35"):
        Size(scale=1.2).pixels(field.native_size)


def test_a_coded_field_of_too_many_pixels_is_refused_before_it_is_decoded(monkeypatch, tmp_path):
    Field.of("photos-s", torch.rand(3, 8, 8)).save(tmp_path / "a.field", quality=20)
    monkeypatch.setattr(decode_module, "MAX_PIXELS", 63)
    monkeypatch.setattr(Field, "load", lambda *given, **options: pytest.fail("decoded"))
    with pytest.raises(UserError, match="at most 63"):
        decode_module.open_field(tmp_path / "a.field", None, {}, "cpu", size=Size())


def test_info_about_everything(run, model, photo, folder, tmp_path):
    run("encode", photo, "-o", tmp_path / "photo.field", "--model", model, "--no-check")
    facts = tmp_path / "facts.json"
    for path, kind, said in (
        (tmp_path / "photo.field", "field", "23 x 17 pixels"),
        (model, "model", "anchored"),
        (photo, "picture", "23 x 17 pixels"),
        (folder, "folder", "5"),
    ):
        outcome = run("info", path, "--json", facts)
        assert outcome.code == 0, outcome.err
        assert said in outcome.out
        assert load(facts)["kind"] == kind
    outcome = run("info", tmp_path / "photo.field")
    assert pretrained.model_hash(pretrained.load(model)) in outcome.out
    assert re.search(r"model at hand +yes", outcome.out) and re.search(r"values per pixel value +0\.6138", outcome.out)


def test_a_field_whose_model_moved_is_decoded_with_model(run, model, photo, tmp_path):
    moved = pretrained.save(pretrained.load(model), tmp_path / "here")
    run("encode", photo, "-o", tmp_path / "photo.field", "--model", moved, "--no-check")
    moved.rename(tmp_path / "there")
    outcome = run("decode", tmp_path / "photo.field", "-o", tmp_path / "back.png")
    assert outcome.code == 1 and "--model" in outcome.err
    assert run("decode", tmp_path / "photo.field", "-o", tmp_path / "back.png", "--model", tmp_path / "there").code == 0


def test_doctor_finds_everything_here_and_fails_never(run, tmp_path):
    outcome = run("doctor", "--json", tmp_path / "doctor.json")
    assert outcome.code == 0
    facts = load(tmp_path / "doctor.json")["facts"]
    assert facts["torch"] == torch.__version__.split("+")[0] or facts["torch"] == torch.__version__
    assert "8 in scikit-image" in outcome.out


def test_doctor_says_what_to_type_for_what_is_missing(run, monkeypatch):
    installed = doctor.installed
    monkeypatch.setattr(doctor, "installed", lambda name: None if name == "rich" else installed(name))
    outcome = run("doctor")
    assert outcome.code == 0 and "pip install rich" in outcome.out
    monkeypatch.setattr(doctor, "installed", lambda name: None)
    outcome = run("doctor")
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = {extra: some for extra, some in project["optional-dependencies"].items() if extra not in ("docs", "test")}
    for extra, package in [(extra, re.match(r"[\w-]+", one)[0]) for extra, some in extras.items() for one in some]:
        assert re.search(rf"{package} +not installed \(for .+: pip install 'tokenfield\[{extra}\]'\)", outcome.out)


def test_pictures_and_fields_of_one_pixel(run, model, tmp_path):
    write_picture(tmp_path / "dot.png", torch.full((3, 1, 1), 0.5))
    assert run("encode", tmp_path / "dot.png", "--model", model).code == 0
    assert run("decode", tmp_path / "dot.field", "-o", tmp_path / "big.png", "--size", 7).code == 0
    assert read_picture(tmp_path / "big.png").shape == (3, 7, 7)


@pytest.fixture(scope="module")
def camera(tmp_path_factory):
    """A folder of two JPEGs as a camera makes them."""
    folder = tmp_path_factory.mktemp("camera")
    for name, top in (("a", 40), ("b", 200)):
        part = read_picture(data_folder() / "chelsea.png")[:, top : top + 90, 100:240]
        array = (part * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(array).save(folder / f"{name}.jpg", quality=92)
    return folder


def test_a_folder_of_photographs_becomes_smaller(run, camera, tmp_path):
    facts = tmp_path / "facts.json"
    outcome = run("encode", camera, "-o", tmp_path / "fields", "--json", facts)
    assert outcome.code == 0, outcome.err
    for item in load(facts)["items"]:
        assert item["bytes"] == Path(item["field"]).stat().st_size < 0.7 * item["bytes_before"]
        assert item["psnr_8bit"] > 37 and item["ssim"] > 0.93
        assert item["bits_per_pixel"] == pytest.approx(8 * item["bytes"] / (90 * 140))
        assert f"{item['psnr_8bit']:.2f} dB" in outcome.out and "bits per pixel" in outcome.out
    outcome = run("info", tmp_path / "fields" / "a.field")
    assert "coded in steps of 11.3 levels" in outcome.out and re.search(r"model at hand +yes", outcome.out)
    assert run("decode", tmp_path / "fields" / "a.field", "-o", tmp_path / "a.png", "--crop", 3, 5, 7, 11).code == 0
    assert read_picture(tmp_path / "a.png").shape == (3, 7, 11)


def test_bytes_and_decibels_are_kept_to(run, camera, tmp_path):
    facts, target = tmp_path / "facts.json", tmp_path / "a.field"

    def item(*options):
        outcome = run("encode", camera / "a.jpg", "-o", target, "--json", facts, *options)
        assert outcome.code == 0, outcome.err
        return load(facts)["items"][0]

    assert 1300 < item("--bytes", 1500)["bytes"] <= 1500
    assert 36 <= item("--psnr", 36)["psnr_8bit"] < 36.7
    assert item("--quality", 80)["bytes"] > item("--quality", 20)["bytes"]
    assert item("--lossless")["bytes"] > 90 * 140 * 12
    for options, said in ((("--bytes", 10), "the smallest file is"), (("--psnr", 90), "dB is what photos-codec"),
                          (("--bytes", 99, "--psnr", 30), "give one of them"), (("--quality", 101), "from 0 to 100")):
        outcome = run("encode", camera / "a.jpg", "-o", target, *options)
        assert outcome.code == 1 and said in outcome.err


def test_cut_and_altered_files_are_one_line(run, camera, tmp_path):
    field = tmp_path / "a.field"
    run("encode", camera / "a.jpg", "-o", field, "--no-check")
    data = field.read_bytes()
    for damaged, said in ((data[:-9], "cut short"), (data[:60] + b"x" + data[61:], "damaged"), (data[:5], "cut short"),
                          (data[:-5] + bytes([data[-5] ^ 1]) + data[-4:], "damaged")):
        field.write_bytes(damaged)
        outcome = run("decode", field, "-o", tmp_path / "a.png")
        assert outcome.code == 1 and said in outcome.err and outcome.err.count("\n") == 1
    field.write_bytes(data[:-9])
    assert run("decode", field, "-o", tmp_path / "a.png", "--partial").code == 0
    field.write_bytes(data)
    assert run("decode", field, "-o", tmp_path / "b.png", "--layers", 1).code == 0
    run("encode", camera / "a.jpg", "-o", tmp_path / "whole.field", "--no-check", "--lossless")
    outcome = run("decode", tmp_path / "whole.field", "-o", tmp_path / "c.png", "--layers", 1)
    assert outcome.code == 1 and "have no layers" in outcome.err

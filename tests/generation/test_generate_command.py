"""generate as it is typed: pictures, fields, contact sheet, animations, in-filling, and what it refuses."""

import json
from pathlib import Path

import pytest
import torch
from fixtures import smooth
from PIL import Image

from tokenfield.data.pictures import read_picture, write_picture
from tokenfield.fields.field import Field
from tokenfield.generation.denoiser import DenoiserConfig
from tokenfield.generation.lattice_denoiser import LatticeDenoiserConfig
from tokenfield.io.cache import remember_model
from tokenfield.models import pretrained
from tokenfield.models.lainr import LainrConfig

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

CLASSES = ("cat", "dog", "hot air balloon")
SMALL = dict(width=16, depth=1, heads=2, classes=3)


READERS = {}
"""Where models of latents are, by their hashes."""


@pytest.fixture(autouse=True)
def remembered(denoiser, of_sets, of_lattices):
    """As `latents` does; every test has a cache of its own."""
    for digest, folder in READERS.items():
        remember_model(digest, folder)


def denoiser_of(folder, path, *, prediction="sample", lattice=(), size=(12, 8), kind=DenoiserConfig, **shape):
    """A fresh denoiser whose answers are not zero, for the latents of a field model."""
    torch.manual_seed(0)
    built = kind(**(SMALL | shape), prediction=prediction).build()
    torch.nn.init.normal_(built.out.weight, std=0.3)
    shape = built.mean.shape
    described = {"class_names": CLASSES, "lattice": lattice, "picture_size": size, "field_model": str(folder)}
    described["field_hash"] = pretrained.model_hash(pretrained.load(folder))
    READERS[described["field_hash"]] = Path(folder)
    built.adopt(torch.zeros(shape), torch.full(shape, 0.5), **described)
    return pretrained.save(built, path)


@pytest.fixture(scope="session")
def denoiser(model, tmp_path_factory):
    """For lattices of 3 x 2 tokens of the session's anchored model."""
    return denoiser_of(model, tmp_path_factory.mktemp("denoisers") / "d", lattice=(3, 2), tokens=6, latent_dim=24)


@pytest.fixture(scope="session")
def of_sets(tmp_path_factory):
    """A velocity denoiser for the sets of a tiny LAINR."""
    torch.manual_seed(1)
    root = tmp_path_factory.mktemp("sets")
    config = LainrConfig(size=(16, 16), patch=8, padding=0, num_latents=5, latent_dim=11, encoder_dim=16,
                         encoder_depth=1, encoder_heads=2, dim=16, feature_dim=16, sigmas=(4.0, 2.0), sigma_q=2.0)
    folder = pretrained.save(config.build(), root / "lainr")
    return denoiser_of(folder, root / "d", prediction="velocity", size=(16, 16), tokens=5, latent_dim=11)


@pytest.fixture(scope="session")
def of_lattices(model, tmp_path_factory):
    """Trained, as it were, on 3 x 2 tokens of the session's anchored model; it draws any shape."""
    path = tmp_path_factory.mktemp("lattices") / "d"
    return denoiser_of(model, path, lattice=(3, 2), latent_dim=24, kind=LatticeDenoiserConfig)


def test_a_file_s_word_opens_no_model_elsewhere(run, model, denoiser, tmp_path, monkeypatch):
    options = "generate", "samples", denoiser, "--count", 1, "--steps", 1, "--size", 24
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "another machine"))
    outcome = run(*options, "-o", tmp_path / "a")
    assert outcome.code == 1 and "say with --field where it is" in outcome.err
    outcome = run(*options, "-o", tmp_path / "b", "--field", model)
    assert outcome.code == 0, outcome.err


def drawn(run, denoiser, out, *options, form="samples"):
    outcome = run("generate", form, denoiser, *options, "-o", out, "--size", 24, "--steps", 3)
    assert outcome.code == 0, outcome.err
    return outcome


def test_pictures_fields_and_a_sheet(run, denoiser, model, tmp_path):
    out = tmp_path / "out"
    outcome = drawn(run, denoiser, out, "--class", "dog", "--count", 3, "--json", tmp_path / "facts.json")
    assert "3 samples (dog): 16 x 24 pixels, DDIM, 3 steps, guidance 2.5, seed 0" in outcome.out
    pictures = [read_picture(out / f"000{k}.png") for k in range(3)]
    assert all(picture.shape == (3, 24, 16) for picture in pictures) and not torch.equal(*pictures[:2])
    for k, picture in enumerate(pictures):  # the field is the sample: it gives the picture again, at any size
        again = Field.load(out / f"000{k}.field")
        assert again.native_size == (12, 8)
        torch.testing.assert_close(again.render(24, 16).clamp(0, 1), picture, atol=0.003, rtol=0)
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert [item["class"] for item in facts["items"]] == ["dog"] * 3 and (out / "sheet.png").is_file()
    assert facts["sampler"] == {"scheduler": "DDIM", "steps": 3, "guidance": 2.5}


def test_earlier_samples_are_replaced_only_if_told_to(run, denoiser, tmp_path):
    options = (denoiser, "-o", tmp_path / "o", "--count", 2, "--size", 8, "--steps", 1)
    assert run("generate", "samples", *options).code == 0
    before = (tmp_path / "o" / "0001.png").read_bytes()
    outcome = run("generate", "samples", *options, "--first", 1)
    assert outcome.code == 1 and "0001.png" in outcome.err and "--overwrite" in outcome.err
    assert len(outcome.err.splitlines()) == 1 and (tmp_path / "o" / "0001.png").read_bytes() == before
    assert run("generate", "samples", *options, "--overwrite").code == 0


def test_batch_count_and_first_change_no_picture(run, denoiser, tmp_path):
    drawn(run, denoiser, tmp_path / "all", "--count", 5, "--batch", 5, "--class", "each", "--scheduler", "DDPM")
    drawn(run, denoiser, tmp_path / "two", "--count", 3, "--batch", 2, "--class", "each", "--scheduler", "DDPM",
          "--first", 2)
    for k in (2, 3, 4):
        one, other = (read_picture(tmp_path / name / f"000{k}.png") for name in ("all", "two"))
        assert (one - other).abs().max() <= 1 / 255 + 1e-6  # products of another batch round differently


def test_classes_in_turn_are_balanced(run, denoiser, tmp_path):
    drawn(run, denoiser, tmp_path / "o", "--class", "each", "--count", 6, "--json", tmp_path / "f.json")
    assert [item["class"] for item in json.loads((tmp_path / "f.json").read_text())["items"]] == list(CLASSES) * 2


def test_a_set_of_tokens_is_one_tile(run, of_sets, tmp_path):
    outcome = drawn(run, of_sets, tmp_path / "o", "--count", 2)
    assert "2 samples (no class): 24 x 24 pixels, Euler, 3 steps" in outcome.out
    assert Field.load(tmp_path / "o" / "0000.field").tokens.shape == (1, 1, 5, 11)


def test_between_two_samples_and_two_photographs(run, denoiser, tmp_path):
    write_picture(tmp_path / "a.png", smooth(30, 40, 1))
    write_picture(tmp_path / "b.png", smooth(50, 20, 2))
    drawn(run, denoiser, tmp_path / "photos", tmp_path / "a.png", tmp_path / "b.png", "--frames", 4, form="interpolate")
    with Image.open(tmp_path / "photos" / "between.webp") as film:
        assert film.n_frames == 6 and film.size == (16, 24)
    drawn(run, denoiser, tmp_path / "o", "--count", 4, "--class", "cat")
    outcome = drawn(run, denoiser, tmp_path / "samples", 1, 3, "--frames", 3, "--class", "cat", form="interpolate")
    assert "3 frames between samples 1 and 3" in outcome.out
    for end, number in ((0, 1), (1, 3)):
        one = read_picture(tmp_path / "samples" / f"000{end}.png")
        other = read_picture(tmp_path / "o" / f"000{number}.png")
        assert (one - other).abs().max() <= 1 / 255 + 1e-6


def test_filling_keeps_what_lies_outside(run, denoiser, tmp_path):
    write_picture(tmp_path / "p.png", smooth(24, 16, 3))
    outcome = drawn(run, denoiser, tmp_path / "o", tmp_path / "p.png", "--region", "0,0,8,8", "--share", 0.5,
                    "--count", 2, "--repeats", 2, "--json", tmp_path / "f.json", form="infill")
    assert "drawing 1 of 6 tokens: (0, 0) anew" in outcome.out
    facts = json.loads((tmp_path / "f.json").read_text())
    assert facts["drawn"] == [[0, 0]] and facts["of"] == 6
    one, other = (Field.load(tmp_path / "o" / f"000{k}.field").tokens for k in range(2))
    assert torch.equal(one[1:], other[1:]) and torch.equal(one[0, 1], other[0, 1])
    assert not torch.equal(one[0, 0], other[0, 0])
    mask = torch.zeros(3, 24, 16)
    mask[:, :8, :8] = 1
    write_picture(tmp_path / "m.png", mask)
    drawn(run, denoiser, tmp_path / "m", tmp_path / "p.png", "--region", tmp_path / "m.png", "--share", 0.5,
          "--count", 2, "--repeats", 2, form="infill")
    assert torch.equal(Field.load(tmp_path / "m" / "0001.field").tokens, other)


def test_any_aspect_of_anchored_tokens(run, of_lattices, tmp_path):
    """Cells are of 4 pixels; 24 pixels are asked for on the longer side, and .field files are of the shape drawn."""
    for options, cells, size in ((("--shape", "2:1"), (2, 4), (12, 24)), (("--shape", "7x3"), (7, 3), (24, 10)),
                                 ((), (3, 2), (24, 16))):
        out = tmp_path / "-".join(map(str, options))
        drawn(run, of_lattices, out, "--count", 2, "--class", "dog", *options, "--json", tmp_path / "f.json")
        assert read_picture(out / "0001.png").shape == (3, *size)
        field = Field.load(out / "0001.field")
        assert field.tokens.shape == (*cells, 24) and field.native_size == (4 * cells[0], 4 * cells[1])
        assert json.loads((tmp_path / "f.json").read_text())["lattice"] == list(cells)
    write_picture(tmp_path / "p.png", smooth(24, 48, 3))
    wide = (tmp_path / "p.png", "--shape", "2:1", "--share", 0.5, "--repeats", 1)
    outcome = drawn(run, of_lattices, tmp_path / "filled", *wide, "--region", "0,24,12,12", "--count", 2, form="infill")
    assert "drawing 1 of 8 tokens: (0, 2) anew" in outcome.out
    one, other = (Field.load(tmp_path / "filled" / f"000{k}.field").tokens for k in range(2))
    assert not torch.equal(one[0, 2], other[0, 2]) and torch.equal(one[0, :2], other[0, :2])
    drawn(run, of_lattices, tmp_path / "between", 0, 1, "--frames", 3, "--shape", "2x5", form="interpolate")
    with Image.open(tmp_path / "between" / "between.webp") as film:
        assert film.size == (24, 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--shape", "wide"), "--shape wide: give width and height, such as 2:1, or rows and columns"),
        (("--shape", "0x2"), "at least 1 of each"),
    ],
)
def test_shapes_that_are_none_are_one_line(run, of_lattices, tmp_path, options, message):
    outcome = run("generate", "samples", of_lattices, "-o", tmp_path / "o", *options)
    assert outcome.code == 1 and message in outcome.lines[-1] and len(outcome.lines) == 1


@pytest.mark.parametrize(
    ("form", "options", "message"),
    [
        ("samples", ("--class", "dgo"), "no class is called 'dgo'; did you mean dog"),
        ("samples", ("--class", "zebra"), "no class is called 'zebra'; there are: "),
        ("samples", ("--class", "zebra"), "there are: cat, dog, hot air balloon"),
        ("samples", ("--scheduler", "DIMM"), "did you mean DDIM"),
        ("samples", ("--steps", 0), "1 to 1000"),
        ("samples", ("--count", 0), "--count 0: give at least 1"),
        ("interpolate", ("0", "1", "--frames", 1), "--frames 1: give at least 2"),
        ("interpolate", ("no.png", "nor.png"), "no.png"),
        ("infill", ("p.png", "--region", "0,0,1,1", "--repeats", 0), "--repeats 0: give at least 1"),
        ("infill", ("p.png", "--region", "0,0,1,1", "--share", 2), "--share 2: give a part"),
        ("infill", ("p.png", "--region", "0,0,1,1"), "p.png"),
        ("samples", ("--field", "photos-s"), "its weights are others"),
        ("samples", ("--size", 10**6), "give less"),
        ("samples", ("--shape", "2:1"), "without places"),
    ],
)
def test_what_it_refuses_is_one_line(run, denoiser, tmp_path, form, options, message):
    outcome = run("generate", form, denoiser, *options, "-o", tmp_path / "o")
    assert outcome.code == 1 and message in outcome.lines[-1] and len(outcome.lines) == 1


@pytest.mark.parametrize(("options", "form"), [
    ((), "generate samples MODEL"), (("--between", 0, 1), "generate interpolate MODEL A B"),
    (("--fill", "p.png", "--box", 0, 0, 1, 1), "generate infill MODEL PICTURE"),
])
def test_former_options_are_answered_by_what_they_became(run, denoiser, tmp_path, options, form):
    outcome = run("generate", "--model", denoiser, "-o", tmp_path / "o", *options)
    assert outcome.code == 2 and form in outcome.lines[-1] and len(outcome.lines) == 1
    outcome = run("generate", "infill", denoiser, "p.png", "--mask", "m.png", "-o", tmp_path / "o")
    assert outcome.code == 2 and "generate --mask became --region PICTURE;" in outcome.lines[-1]


def test_a_field_model_draws_nothing(run, model, tmp_path):
    outcome = run("generate", "samples", model, "-o", tmp_path / "o")
    assert outcome.code == 1 and "give the folder of a denoiser" in outcome.lines[-1]

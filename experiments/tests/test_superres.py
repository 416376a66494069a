"""The super-resolution protocol: what is compared with what, in closed form where there is one."""

import json
from dataclasses import replace

import pytest
import torch

from experiments.fields.superres_protocol import METHODS, compare, detail_sheet, markdown, noise_of, sizes_of
from tokenfield.coords import Grid
from tokenfield.data.pictures import SkippedFiles, write_picture
from tokenfield.errors import UserError
from tokenfield.evaluation.figures import bicubic
from tokenfield.models.lainr import LainrConfig

SIZE, SCALES = 8, (2, 3)
CONFIG = LainrConfig(
    size=(SIZE, SIZE), patch=4, padding=0, num_latents=3, latent_dim=7, encoder_dim=16, encoder_depth=1,
    encoder_heads=2, dim=8, feature_dim=8, sigmas=(8.0, 4.0), sigma_q=2.0, heads=1,
)


def waves(height, width, frequency=9.0, shift=0.0):
    """A picture of slanted waves of so many half-turns over its height."""
    y, x = Grid.cells(height, width).coords().view(height, width, 2).unbind(-1)
    turns = torch.pi / 2 * frequency * (y + 0.7 * x * width / height + shift)
    return 0.5 + 0.4 * torch.stack([turns.sin(), turns.cos(), (2 * turns).sin() / 2])


@pytest.fixture
def files(tmp_path):
    paths = []
    for number, (height, width) in enumerate([(24, 24), (37, 61), (23, 90), (50, 29)]):  # the third is too small
        paths.append(tmp_path / f"{number}.png")
        write_picture(paths[-1], waves(height, width, shift=number / 3))
    (tmp_path / "4.png").write_bytes(b"no picture")
    return [*paths, tmp_path / "4.png"]


@pytest.fixture
def models():
    torch.manual_seed(0)
    return {"a": CONFIG.build().eval(), "b": replace(CONFIG, sigmas=(64.0, 4.0)).build().eval()}


def photographs(files, skipped=None):
    return sizes_of(files, SIZE, SCALES, SkippedFiles() if skipped is None else skipped, [f.stem for f in files])


def test_all_sizes_come_from_the_original_and_small_pictures_are_named(files):
    skipped = SkippedFiles()
    pictures = list(photographs(files, skipped))
    assert [sizes.name for sizes in pictures] == ["0", "1", "3"] and len(skipped) == 2
    assert "90 x 23; 3 times 8 pixels need 24" in skipped.summary()
    for sizes in pictures:
        assert sizes.small.shape == (3, 8, 8)
        assert {scale: tuple(image.shape) for scale, image in sizes.large.items()} == {2: (3, 16, 16), 3: (3, 24, 24)}
    exact = waves(24, 24)
    torch.testing.assert_close(pictures[0].large[3], exact, rtol=0, atol=0.5 / 255 + 1e-6)  # its own size: only rounded


def test_methods_share_photographs_and_only_interpolations_are_exact_at_the_encoded_size(files, models):
    result = compare(models, photographs(files), SIZE, SCALES, facts={"a": {"noise": "none"}})
    assert [m.name for m in result.methods] == [*METHODS, "a", "b"] and result.pictures == ["0", "1", "3"]
    assert result.photograph.mean(2, "psnr") == 200  # itself: the ceiling
    for method in result.methods:
        assert all(len(method.scales[scale]) == 3 for scale in SCALES)
        assert len(method.native) == (0 if method.name in METHODS else 3)
    by_name = {m.name: m for m in result.methods}
    for entry in by_name["bicubic"].scales[2]:
        assert entry.psnr == pytest.approx(entry.interpolated)  # bicubic of its own pixels is bicubic
    assert result.beyond(result.photograph, 3) == pytest.approx(0)


def test_a_field_is_scored_as_it_renders(files, models):
    result = compare(models, photographs(files), SIZE, SCALES)
    first = next(photographs(files))
    model = models["b"]
    with torch.no_grad():
        values = model.decode(model.encode(first.small[None]), Grid.cells(24, 24))
    error = (values[0].T.view(3, 24, 24) - first.large[3]).square().mean()
    scored = next(m for m in result.methods if m.name == "b").scales[3][0]
    assert scored.psnr == pytest.approx(-10 * error.log10().item(), abs=1e-3)
    with torch.no_grad():
        own = model.decode(model.encode(first.small[None]), Grid.cells(8, 8))[0].T.view(3, 8, 8)
    error = (bicubic(own, 24, 24) - first.large[3]).square().mean()
    assert scored.interpolated == pytest.approx(-10 * error.log10().item(), abs=1e-3)


def test_results_are_plain_numbers_a_table_and_pictures(files, models):
    result = compare(models, photographs(files), SIZE, SCALES, details=2)
    plain = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert plain["count"] == 3 and [m["name"] for m in plain["methods"]] == [*METHODS, "a", "b"]
    assert set(plain["methods"][2]["scales"]) == {"2", "3"}
    table = markdown(result, "superres a b")
    assert table.count("\n| ") == 5 and "`superres a b`" in table  # a heading and four methods
    assert len(result.details) == 2 and detail_sheet(result).size[0] > 100


def test_without_a_large_enough_photograph_there_is_one_line(files, models):
    with pytest.raises(UserError, match="no photograph is large enough for 3 times 8 pixels"):
        compare(models, photographs(files[2:3]), SIZE, SCALES)


@pytest.mark.parametrize(
    ("coordinates", "noise"),
    [({"jitter": "none"}, "none"), ({"jitter": "normal"}, "normal"), ({}, None),
     ({"jitter": "normal", "noise": "instance"}, "normal, each picture's own")],
)
def test_a_runs_noise_is_read_from_its_recipe(coordinates, noise, tmp_path):
    assert noise_of(tmp_path) is None
    (tmp_path / "recipe.json").write_text(json.dumps({"objective": coordinates}))
    assert noise_of(tmp_path) == noise

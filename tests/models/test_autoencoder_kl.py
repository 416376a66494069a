"""The adapter over diffusers' AutoencoderKL, on a random one of a few thousand parameters."""

import json
import sys

import pytest
import torch

from tokenfield.cli import main
from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.interop.checkpoints import import_checkpoint
from tokenfield.models import pretrained
from tokenfield.models.autoencoder_kl import AutoencoderKlConfig

NETWORK = {
    "block_out_channels": [4, 8], "layers_per_block": 1, "latent_channels": 3, "norm_num_groups": 2,
    "down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2, "sample_size": 16,
}
CONFIG = AutoencoderKlConfig(size=(12, 8), network=NETWORK)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return CONFIG.build().eval()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("vae") / "vae"
    model.network.save_pretrained(path)
    return path


@pytest.fixture
def images():
    return torch.rand(2, 3, 12, 8, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_at_pixel_centres_it_is_the_network_itself(model, images):
    tokens = model.encode(images)
    assert tokens.shape == (2, 6, 4, 3)
    expected = model.network(images * 2 - 1, sample_posterior=False).sample / 2 + 0.5
    values = model.decode(tokens, Grid.cells(12, 8))
    torch.testing.assert_close(values.mT.unflatten(2, (12, 8)), expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_between_pixel_centres_it_is_bilinear_interpolation_and_no_more(model, images):
    tokens = model.encode(images)
    pixels = model.decode(tokens, Grid.cells(12, 8)).unflatten(1, (12, 8))
    y, x = Grid.cells(12, 8).axes
    middle = torch.tensor([[(y[3] + y[4]) / 2, x[2] * 0.75 + x[3] * 0.25]])
    rows = (pixels[:, 3] + pixels[:, 4]) / 2
    torch.testing.assert_close(model.decode(tokens, middle)[:, 0], 0.75 * rows[:, 2] + 0.25 * rows[:, 3],
                               rtol=0, atol=1e-5)
    corner = model.decode(tokens, torch.tensor([[-1.0, -1.0]]))
    torch.testing.assert_close(corner[:, 0], pixels[:, 0, 0], rtol=0, atol=1e-5)


@torch.no_grad()
def test_chunks_order_and_points_of_their_own_do_not_matter(model, images):
    tokens, points = model.encode(images), torch.rand(2, 13, 2) * 2 - 1
    whole, order = model.decode(tokens, points), torch.randperm(13)
    torch.testing.assert_close(model.decode(tokens, points, chunk=4), whole)
    torch.testing.assert_close(model.decode(tokens, points[:, order]), whole[:, order])
    torch.testing.assert_close(model.decode(tokens, points[0])[0], whole[0], rtol=0, atol=1e-5)
    grid = Grid.cells(5, 7)
    torch.testing.assert_close(model.decode(tokens, grid, chunk=6), model.decode(tokens, grid.coords()))


def test_gradients_reach_decoder_coordinates_and_encoder(model, images):
    points = torch.zeros(3, 2, requires_grad=True)
    model.decode(model.encode(images), points).square().sum().backward()
    assert points.grad.abs().max() > 0
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()


def test_an_imported_folder_is_the_same_network(folder, model, images, tmp_path):
    (tmp_path / "size.yaml").write_text("size: [12, 8]")
    assert main(["import", str(folder), "--config", str(tmp_path / "size.yaml"), "-o", str(tmp_path / "model")]) == 0
    loaded = pretrained.load(tmp_path / "model")
    assert loaded.name == "autoencoder-kl" and loaded.input_size == (12, 8) and loaded.cell == 2
    with torch.no_grad():
        assert torch.equal(loaded.encode(images), model.encode(images))
    assert import_checkpoint(folder).input_size == (256, 256)


def test_a_field_of_any_size_is_saved_and_loaded(model, tmp_path):
    own = pretrained.load(pretrained.save(model, tmp_path / "model"))
    field = Field.of(own, torch.rand(3, 17, 21))
    field.save(tmp_path / "a.field")
    assert torch.equal(Field.load(tmp_path / "a.field").render(9, 7), field.render(9, 7))


def test_a_mismatch_is_one_line(folder, tmp_path):
    with pytest.raises(UserError, match="give multiples of 2"):
        AutoencoderKlConfig(size=(12, 9), network=NETWORK).build()
    with pytest.raises(UserError, match="4 channels for pictures of 3"):
        AutoencoderKlConfig(size=(12, 8), network=NETWORK | {"in_channels": 4}).build()
    with pytest.raises(UserError, match=r"has no config\.json"):
        import_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "UNet2DModel"}))
    with pytest.raises(UserError, match="holds a UNet2DModel, not an AutoencoderKL"):
        import_checkpoint(tmp_path)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(UserError, match="cannot be read"):
        import_checkpoint(tmp_path)
    (tmp_path / "other.yaml").write_text("sizes: [12, 8]")
    with pytest.raises(UserError, match="a setting 'sizes'"):
        import_checkpoint(folder, tmp_path / "other.yaml")


def test_weights_that_are_missing_or_unknown_are_named(folder, tmp_path):
    from safetensors.torch import load_file, save_file

    name = "diffusion_pytorch_model.safetensors"
    weights = load_file(folder / name)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    for changed, message in (
        ({k: v for k, v in weights.items() if k != "quant_conv.bias"}, "lack quant_conv.bias"),
        (weights | {"more": torch.ones(1)}, "hold unknown more"),
    ):
        save_file(changed, tmp_path / name, {"format": "pt"})
        with pytest.raises(UserError, match=message):
            import_checkpoint(tmp_path)


def test_without_diffusers_the_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(UserError, match="pip install"):
        CONFIG.build()

"""A field for other libraries, and what its tokens are for, as functions."""

import numpy as np
import pytest
import torch
from PIL import Image

from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.hyponet_field import IpcConfig
from tokenfield.models.lainr import LainrConfig

LATTICE = AnchoredConfig(latent_dim=5, encoder_dim=32, decoder_dim=32, start="random")
ENCODER = {
    "size": (12, 12),
    "patch": 4,
    "padding": 0,
    "encoder_dim": 8,
    "encoder_depth": 1,
    "encoder_heads": 1,
    "feature_dim": 8,
    "dim": 8,
}
SET = LainrConfig(num_latents=3, latent_dim=7, heads=2, sigmas=(4.0, 2.0), sigma_q=2.0, **ENCODER)


def field_of(config, height=29, width=37):
    """A field of noise, which is larger than one tile."""
    torch.manual_seed(0)
    model = config.build().eval()
    return Field.of(model, torch.rand(3, height, width))


@pytest.mark.parametrize("config", [LATTICE, SET])
def test_attention_is_shared_out_over_all_tokens(config):
    field = field_of(config)
    points = torch.rand(11, 2) * 1.6 - 0.8
    weights = field.attention(points)
    assert weights.shape[1:] == (11, field.tokens[..., 0].numel()) and (weights >= 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]), atol=1e-5, rtol=0)
    order = torch.randperm(11)
    torch.testing.assert_close(field.attention(points[order]), weights[:, order])


def test_attention_of_one_tile_is_the_models():
    field = field_of(SET, 12, 12)
    points = torch.rand(5, 2) * 2 - 1
    expected = field.model.attention(field.tokens.flatten(0, -3), points)
    torch.testing.assert_close(field.attention(points), expected, atol=1e-6, rtol=1e-5)


def test_a_system_without_attention_says_so():
    with pytest.raises(UserError, match=r"ipc has no attention.*locality"):
        field_of(IpcConfig(num_latents=2, **ENCODER)).attention(torch.zeros(1, 2))


def test_locality_maps_and_areas():
    influences = field_of(LATTICE).locality(count=4, size=(10, 13))
    assert len(influences) == 4 and all(one.map.shape == (10, 13) and 0 < one.area <= 1 for one in influences)


def test_arrays_and_pictures():
    field = field_of(LATTICE)
    values = field.render(29, 37)
    assert np.array_equal(field.numpy(), values.numpy()) and field.numpy(5, 7).shape == (3, 5, 7)
    picture = field.to_pil()
    assert isinstance(picture, Image.Image) and picture.size == (37, 29)
    eight = (values.clamp(0, 1) * 255).round().permute(1, 2, 0).byte().numpy()
    assert np.array_equal(np.asarray(picture), eight)


def test_labelled_axes():
    array = field_of(LATTICE).to_xarray(3, 5)
    assert array.dims == ("channel", "y", "x") and array.shape == (3, 3, 5)
    np.testing.assert_allclose(array.y, [-2 / 3, 0, 2 / 3], atol=1e-6)


def test_a_model_by_its_name_and_a_picture_by_its_path(tmp_path):
    import tokenfield

    assert "photos-s" in tokenfield.list_models()
    field = Field.of("photos-s", Image.new("RGB", (11, 7), "red"))
    field.to_pil().save(tmp_path / "red.png")
    assert torch.equal(
        Field.of("photos-s", tmp_path / "red.png").tokens, Field.of("photos-s", str(tmp_path / "red.png")).tokens
    )
    with pytest.raises(UserError, match="no model 'photos-x'"):
        Field.of("photos-x", tmp_path / "red.png")

"""Weights whose bytes lie apart are the same weights, in a file that packs smaller."""

import zlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from experiments.release import apart
from tokenfield.errors import UserError
from tokenfield.models import pretrained
from tokenfield.models.folder import WEIGHTS, _joined, model_hash
from tokenfield.models.lainr import LainrConfig

SMALL = LainrConfig(size=(12, 20), patch=4, padding=0, num_latents=5, latent_dim=6, encoder_dim=60, encoder_depth=1,
                    encoder_heads=3, dim=8, feature_dim=12, sigmas=(8.0, 3.0))  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_not_a_bit_changes(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    folder = pretrained.save(SMALL.build(), tmp_path / "model", dtype=dtype)
    before, packed = pretrained.load(folder), len(zlib.compress((folder / WEIGHTS).read_bytes()))
    apart.main((folder,))
    after = pretrained.load(folder)
    assert after.state_dict().keys() == before.state_dict().keys()
    assert all(torch.equal(after.state_dict()[key], value) for key, value in before.state_dict().items())
    assert model_hash(after) == model_hash(before)
    assert dtype is torch.float32 or len(zlib.compress((folder / WEIGHTS).read_bytes())) < packed


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (0, 3), (2, 1), (5, 3)])
def test_tensors_of_any_shape_come_back(shape: tuple[int, ...]) -> None:
    tensor = torch.randn(shape).half()
    name, joined = _joined(*apart.apart("weight", tensor))
    assert name == "weight" and joined.dtype == tensor.dtype and torch.equal(joined, tensor)


@pytest.mark.parametrize("shape", [(), (2,), (3, 4), (0, 2)])
def test_a_name_alone_joins_nothing(tmp_path: Path, shape: tuple[int, ...]) -> None:
    folder = pretrained.save(SMALL.build(), tmp_path / "model")
    save_file({"decoder.head.bias:float16": torch.zeros(shape, dtype=torch.uint8)}, folder / WEIGHTS)
    with pytest.raises(UserError, match="do not fit"):
        pretrained.load(folder)

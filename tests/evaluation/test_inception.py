"""Inception v3: its size, its resizing, its weights from a file in the published format, and files that are none.

Features agree to 1e-5 of values up to 12 with those of torch-fidelity 0.4.0 from the same random weights (by hand: that
package needs torchvision).
"""

import json

import pytest
import torch

from tokenfield.cli import main
from tokenfield.data.pictures import write_picture
from tokenfield.errors import UserError
from tokenfield.evaluation import inception
from tokenfield.evaluation.features import find_features


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random ones, as the published file holds them: no counters of batches, and a classifier of 1008 classes."""
    draws = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in inception.Inception().state_dict().items()}
    saved = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    for name, shape in shapes.items():
        if name.endswith("conv.weight"):
            saved[name] = torch.randn(shape, generator=draws) * (2 / shape[1:].numel()) ** 0.5
        elif not name.endswith("_tracked"):
            saved[name] = torch.zeros(shape) if name.endswith(("bias", "mean")) else torch.ones(shape)
    path = tmp_path_factory.mktemp("weights") / "pt_inception-random.pth"
    torch.save(saved, path)
    return path


def test_it_has_the_published_number_of_weights():
    """23 834 568 of Inception v3 without auxiliary classifier, less the last layer's 1000 x 2049."""
    with torch.device("meta"):
        network = inception.Inception()
    assert sum(p.numel() for p in network.parameters()) == 23_834_568 - 1000 * 2049
    assert [name for name, _ in network.named_children()][-4:] == ["Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c"]


def test_pictures_are_resized_as_tensorflow_did():
    picture = torch.rand(2, 3, 299, 299)
    assert torch.equal(inception.resize(picture), picture)
    ramp = torch.arange(31.0).expand(1, 1, 7, 31)
    at = (torch.arange(299) * (31 / 299)).clamp(max=30)  # after the last pixel there is nothing but itself
    torch.testing.assert_close(inception.resize(ramp)[0, 0, 150], at, atol=1e-4, rtol=0)


def test_score_measures_with_weights_from_a_file(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    draws = torch.Generator().manual_seed(1)
    for folder, bright in (("drawn", 0.6), ("real/test", 1.0)):
        for k in range(5):
            write_picture(tmp_path / folder / f"{k}.png", bright * torch.rand(3, 12, 12, generator=draws))
    (tmp_path / "real" / "train").mkdir()
    write_picture(tmp_path / "real" / "train" / "0.png", torch.rand(3, 12, 12))
    options = ["--size", "12", "--features", f"inception:{weights}", "--json", str(tmp_path / "s.json")]
    assert main(["score", str(tmp_path / "drawn"), "--reference", str(tmp_path / "real"), *options]) == 0
    facts = json.loads((tmp_path / "s.json").read_text())
    assert facts["features"]["name"] == "inception:pt_inception-random.pth" and facts["distances"]["fid"] > 0


@pytest.mark.parametrize("what", ["text", "another", "tensor", "misshapen"])
def test_other_files_are_one_line(what, weights, tmp_path):
    path = tmp_path / "weights.pth"
    if what == "text":
        path.write_text("no weights")
    elif what == "misshapen":
        torch.save({"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 1, 3, 3)}, path)
    else:
        torch.save({"layer1.0.weight": torch.zeros(3)} if what == "another" else torch.zeros(3), path)
    with pytest.raises(UserError) as error:
        find_features(f"inception:{path}")
    text = str(error.value)
    assert "\n" not in text and text.endswith("give pt_inception-2015-12-05-6726825d.pth, which published FIDs use")
    expected = {"text": "holds no weights that PyTorch reads", "misshapen": "is (32, 1, 3, 3), Inception v3 has (32, "}
    assert expected.get(what, "Conv2d_1a_3x3.conv.weight is absent") in text

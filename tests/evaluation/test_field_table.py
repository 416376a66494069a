"""The field's own table: test sets whole or cut, their counts, kinds, rFID and LPIPS; all but the model by hand."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import tokenfield
from tokenfield.cli import main
from tokenfield.evaluation import perceptual
from tokenfield.evaluation.features import find_features
from tokenfield.evaluation.protocols import PROTOCOLS, kind_of

MODEL = "photos-s"


def photograph(number, height, width):
    """Smooth shapes and an edge, 8 bits."""
    y, x = np.meshgrid(np.linspace(0, 1, height), np.linspace(0, 1, width), indexing="ij")
    waves = [np.sin(9 * x * (c + 1) + number) * np.cos(7 * y + c) for c in range(3)]
    pixels = 0.4 * np.stack(waves, -1) + 0.5 + 0.1 * (x > 0.3 + 0.1 * number)[..., None]
    return Image.fromarray((255 * pixels.clip(0, 1)).round().astype(np.uint8))


def save(path, number, height, width):
    path.parent.mkdir(parents=True, exist_ok=True)
    photograph(number, height, width).save(path, "PNG")
    return path


def run(tmp_path, monkeypatch, *options):
    """What the command writes as JSON."""
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out.json"
    assert main(["evaluate", MODEL, *map(str, options), "--json", str(out)]) == 0
    return json.loads(out.read_text())


def by_hand(images):
    """Mean PSNR of Pillow pictures, in numpy: bytes / 255, the model's values as they are."""
    model, scores = tokenfield.load(MODEL), []
    for image in images:
        pixels = np.asarray(image.convert("RGB"), np.float64) / 255
        field = tokenfield.Field.of(model, torch.from_numpy(pixels).permute(2, 0, 1).float())
        again = field.render(*pixels.shape[:2]).permute(1, 2, 0).double().numpy()
        scores.append(-10 * np.log10(np.mean((again - pixels) ** 2)))
    return np.mean(scores)


def test_whole_pictures_and_how_they_differ_from_the_test_set(tmp_path, monkeypatch, capsys):
    files = [save(tmp_path / "kodak" / "a.png", 1, 64, 96), save(tmp_path / "kodak" / "b.png", 2, 75, 50)]
    facts = run(tmp_path, monkeypatch, "--protocol", "kodak", "--data", tmp_path / "kodak")
    assert facts["psnr"] == pytest.approx(by_hand(map(Image.open, files)), abs=0.01)
    assert [(p["height"], p["width"]) for p in facts["pictures"]] == [(64, 96), (75, 50)]
    assert facts["protocol"]["counting"] == "24 pictures" and facts["protocol"]["crop"] == "none"
    assert facts["differences"] == ["2 pictures were measured, and the test set has 24",
                                    "2 pictures are not of 768 x 512 pixels, the first of 96 x 64"]
    printed = capsys.readouterr().out
    assert "not the whole test set: 2 pictures were measured" in printed and "clamp: none" in printed
    folder = tmp_path / "cache" / "networks"
    for column, file in (("rFID", perceptual.INCEPTION), ("LPIPS", perceptual.FILE)):
        assert f"{column} -: place {file} in {folder}" in " ".join(printed.split())


def test_imagenet_is_resized_and_cut_by_hand(tmp_path, monkeypatch):
    root = tmp_path / "imagenet"
    save(root / "train" / "n0" / "n0_1.JPEG", 5, 70, 60)
    file = save(root / "val" / "ILSVRC2012_val_00000001.JPEG", 3, 300, 451)
    facts = run(tmp_path, monkeypatch, "--protocol", "imagenet256", "--data", root)
    small = Image.open(file).resize((int(451 * 256 / 300), 256), Image.Resampling.BILINEAR)
    left = round((small.width - 256) / 2)
    assert facts["psnr"] == pytest.approx(by_hand([small.crop((left, 0, left + 256, 256))]), abs=0.01)
    assert "shorter side resized to 256 (Pillow, bilinear, antialiased)" in facts["protocol"]["crop"]
    assert facts["differences"] == ["1 pictures were measured, and the test set has 50000"]


def test_counts_sides_and_folders_of_the_test_sets(tmp_path):
    kodak = PROTOCOLS["kodak"]
    assert kodak.differences([(512, 768)] * 20 + [(768, 512)] * 4) == []
    assert PROTOCOLS["div2k"].differences([(1356, 2040)] * 100) == []
    assert PROTOCOLS["urban100"].differences([(9, 9)] * 99) != []
    (tmp_path / "DIV2K_valid_HR").mkdir()
    assert PROTOCOLS["div2k"].folder(tmp_path) == tmp_path / "DIV2K_valid_HR" != PROTOCOLS["kodak"].folder(tmp_path)


def test_kinds_are_columns(tmp_path, monkeypatch, capsys):
    names = {"photos/a.png": "photographs", "line-art/b.png": "line art", "Stars/c/d.png": "stars", "other/e.png": None}
    assert {name: kind_of(name) for name in names} == names and kind_of("text") is None
    for number, name in enumerate(names):
        save(tmp_path / "kinds" / name, number, 24, 32)
    facts = run(tmp_path, monkeypatch, "--protocol", "native", "--data", tmp_path / "kinds")
    scores = {score["name"]: score for score in facts["pictures"]}
    assert {kind: part["psnr"] for kind, part in facts["kinds"].items()} == {
        kind: scores[name]["psnr"] for name, kind in names.items() if kind}
    assert "line art (1)" in capsys.readouterr().out


def test_rfid_is_the_distance_of_features_before_and_after(tmp_path, monkeypatch):
    files = [save(tmp_path / "set" / f"{k}.png", k, 40, 48) for k in range(5)]
    facts = run(tmp_path, monkeypatch, "--protocol", "native", "--data", tmp_path / "set", "--features", "random:3")
    model, network, rows = tokenfield.load(MODEL), find_features("random:3"), []
    for file in files:
        picture = torch.from_numpy(np.asarray(Image.open(file), np.float32) / 255).permute(2, 0, 1)
        again = tokenfield.Field.of(model, picture).render(40, 48)
        rows.append(torch.cat([network(p[None].clamp(0, 1)) for p in (picture, again)]).double().detach().numpy())
    before, after = np.stack(rows, 1)
    values, vectors = np.linalg.eigh(np.cov(before.T))
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ np.cov(after.T) @ root).clip(0)).sum()
    mean = ((before.mean(0) - after.mean(0)) ** 2).sum()
    expected = mean + np.trace(np.cov(before.T)) + np.trace(np.cov(after.T)) - 2 * shared
    assert facts["perceptual"]["rfid"] == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert facts["perceptual"]["rfid_pictures"] == 5 and facts["perceptual"]["features"]["name"] == "random:3"


@pytest.fixture
def alexnet():
    draws = torch.Generator().manual_seed(0)
    weights = {}
    for place, (inward, outward, side, _, _) in perceptual.CONVOLUTIONS.items():
        scale = (2 / (inward * side**2)) ** 0.5
        weights[f"features.{place}.weight"] = scale * torch.randn(outward, inward, side, side, generator=draws)
        weights[f"features.{place}.bias"] = 0.1 * torch.randn(outward, generator=draws)
    return weights


def test_lpips_by_hand(alexnet, tmp_path, monkeypatch, capsys):
    pytest.importorskip("torchmetrics")
    path = tmp_path / "cache" / "networks" / perceptual.FILE
    path.parent.mkdir(parents=True)
    torch.save(alexnet | {"classifier.6.bias": torch.zeros(1000)}, path)
    network = perceptual.load_lpips(path)
    heads = [weight.flatten().double() for weight in network.weights]
    assert [len(head) for head in heads] == [64, 192, 384, 256, 256] and min(head.min() for head in heads) >= 0
    one, other = torch.rand(2, 3, 71, 53, generator=torch.Generator().manual_seed(1))[:, None]
    layers = []
    for picture in (one, other):
        mean, deviation = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in
                           ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)))
        x, seen = (2 * picture.double() - 1 - mean) / deviation, []
        for place, (_, _, _, stride, padding) in perceptual.CONVOLUTIONS.items():
            if place in (3, 6):
                x = torch.nn.functional.max_pool2d(x, 3, 2)
            weight, bias = (alexnet[f"features.{place}.{part}"].double() for part in ("weight", "bias"))
            x = torch.nn.functional.conv2d(x, weight, bias, stride, padding).relu()
            seen.append(x / (x.square().sum(1, keepdim=True) + 1e-8).sqrt())
        layers.append(seen)
    expected = sum((head[:, None, None] * (a - b).square()[0]).sum(0).mean()
                   for head, a, b in zip(heads, *layers, strict=True))
    assert network(one, other).item() == pytest.approx(expected.item(), rel=1e-4)
    assert network(one, one).item() == 0
    save(tmp_path / "set" / "a.png", 1, 48, 64)
    facts = run(tmp_path, monkeypatch, "--protocol", "native", "--data", tmp_path / "set")
    assert facts["lpips"] == facts["pictures"][0]["lpips"] > 0
    assert set(facts["perceptual"]["absent"]) == {"rfid"} and "version 0.1, AlexNet" in capsys.readouterr().out


def test_another_file_is_one_line(tmp_path, monkeypatch, capsys):
    pytest.importorskip("torchmetrics")
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path))
    path = tmp_path / "networks" / perceptual.FILE
    path.parent.mkdir()
    torch.save({"features.0.weight": torch.zeros(1)}, path)
    assert main(["evaluate", MODEL]) != 0
    error = capsys.readouterr().err
    assert f"holds no weights of AlexNet (KeyError); give {perceptual.FILE}" in " ".join(error.split())

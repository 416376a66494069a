"""Every named protocol gives a frozen number on committed pictures, and says all that decides it.

The trees have the layouts of the data sets; their pictures are computed, so that nothing but the protocol (split,
order, resampling, crop, range, averaging) and the model stands between them and the number. Each holds pictures of the
wrong split as well, which would move the mean. Protocols for any folder see `pictures/`, files of prime sizes, which
`picture` below made: in this folder,

    python -c "from test_protocols import *; [save(PICTURES / f'{h}x{w}.png', w % 10 + 5, h, w) for h, w in SIDES]"
"""

import json
import math
from pathlib import Path
from typing import get_args

import pytest
import torch
from lookup import Lookup, LookupConfig
from PIL import Image

import tokenfield
from tokenfield.cli.evaluate import Pictures, Protocol
from tokenfield.data import DataConfig
from tokenfield.errors import UserError
from tokenfield.evaluation import evaluate as evaluation
from tokenfield.evaluation.protocols import DATA_SETS, MEASUREMENT, PROTOCOLS
from tokenfield.training.recipe import Recipe, to_json

PICTURES = Path(__file__).parents[1] / "pictures"
SIDES = (31, 43), (53, 127), (67, 101)


def picture(number: int, height: int, width: int) -> Image.Image:
    """Waves whose period, direction and colour follow from the number; exact in 8 bits on every machine."""
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    waves = [torch.sin(x / (2 + number + c) + c) * torch.cos(y / (3 + number * c) - number) for c in range(3)]
    pixels = ((torch.stack(waves, -1) + 1) * 127).round().to(torch.uint8)
    return Image.fromarray(pixels.numpy())


def save(path, number: int, height: int = 90, width: int = 121) -> None:
    """Without loss, whatever the layout calls the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(number, height, width).save(path, "PNG")


def imagenette(root):
    for number in range(4):
        save(root / "train" / "n01440764" / f"{number}.JPEG", number)
    for number in range(2):
        save(root / "val" / ("n01440764", "n02102040")[number] / f"{number}.JPEG", 10 + number)
    save(root / "train" / "n02102040" / "9.JPEG", 9)


def imagenet(root):
    for number in range(2):
        save(root / "train" / f"n0{number}" / f"n0{number}_1.JPEG", number)
        save(root / "val" / f"ILSVRC2012_val_0000000{number}.JPEG", 20 + number)


def celeba(root):
    for number in range(1, 6):
        save(root / "img_align_celeba" / f"{number:06}.jpg", number, 218, 178)
    lines = (f"{number:06}.jpg {part}\n" for number, part in enumerate((0, 1, 2, 2, 0), 1))
    (root / "list_eval_partition.txt").write_text("".join(lines))


def ffhq(root):
    for number in (1, 24, 59999, 69950):
        save(root / f"{number - number % 1000:05}" / f"{number:05}.png", number % 7, 96, 96)


def flat(root):
    for number in range(8):
        save(root / f"{number}.jpg", number)


TREES = {"imagenette": imagenette, "imagenet": imagenet, "celeba": celeba, "ffhq": ffhq, "folder": flat}

GOLDEN = {
    "skimage256": 27.6969,
    "folder": 47.9889,
    "native": 47.8229,
    "recipe": 43.3194,
    "imagenette178": 55.7603,
    "celeba178": 44.5949,
    "ffhq178": 52.6558,
    "ffhq256": 25.0625,
    "ffhq512": 25.0647,
    "ffhq1024": 25.0653,
    "imagenet256": 26.0093,
    "celeba128": 51.3203,
    "lsun256": 25.0457,
    **dict.fromkeys(("kodak", "div2k", "urban100"), 47.8229),  # whole pictures of a folder, as native
}
"""dB: of the packaged photos-s up to 178 pixels, above of a model that gives back 0.9 times the picture."""

TAKEN = {
    "skimage256": 8 * [(256, 256)],
    "folder": [(31, 43), (48, 48), (48, 48)],
    "native": list(SIDES),
    "recipe": [(24, 24)] * 3,  # 31x43, 67x101 and its half; 53x127 is trained on
    **{name: list(SIDES) for name in ("kodak", "div2k", "urban100")},
} | {name: 2 * [(PROTOCOLS[name].data.size,) * 2] for name in DATA_SETS}
"""Heights and widths of the pictures that each takes, of `folder` at 48 pixels."""


@pytest.fixture(scope="module")
def photos_s():
    return tokenfield.load("photos-s")


def shrinking(size: int) -> Lookup:
    """0.9 times the picture: its PSNR follows from the mean square of the pictures alone."""
    built = Lookup(LookupConfig(size=(size, size)))
    built.scale.data.fill_(0.9)
    return built.eval()


def test_every_protocol_has_a_golden_number():
    assert set(GOLDEN) == set(TAKEN) == set(PROTOCOLS)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_golden_number(name, tmp_path, photos_s, monkeypatch):
    monkeypatch.setattr(evaluation, "ssim", lambda *_: torch.zeros(1))  # not a part of the number, and slow at 1024
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path / "cache"))
    run = tmp_path / "run"
    if name in DATA_SETS:
        TREES[PROTOCOLS[name].data.layout](tmp_path)
    elif name == "recipe":
        run.mkdir()
        cut = DataConfig(size=24, crop="pyramid", holdout=0.5)
        (run / "recipe.json").write_text(json.dumps(to_json(Recipe("golden", photos_s.config, cut))))
    data = tmp_path if name in DATA_SETS else PICTURES
    pictures, total, skipped = Pictures(data=str(data), protocol=name, size=48).open(str(run))
    side = max(TAKEN[name])[0]
    model = photos_s if side <= 178 else shrinking(side)
    report = evaluation.evaluate(model, pictures, name, skipped=skipped)
    assert sorted((s.height, s.width) for s in report.pictures) == TAKEN[name] and not skipped
    assert total == (2 if name == "recipe" else len(TAKEN[name]))  # files
    assert report.mean("psnr") == pytest.approx(GOLDEN[name], abs=1e-3)


def test_the_number_is_the_mean_of_psnr_by_hand(tmp_path):
    flat(tmp_path)
    pictures = [image for _, image in PROTOCOLS["lsun256"].open(tmp_path, None)[0]]
    by_hand = sum(-10 * math.log10((0.1 * image.double()).square().mean()) for image in pictures) / len(pictures)
    assert GOLDEN["lsun256"] == pytest.approx(by_hand, abs=1e-3)


def test_every_result_says_all_that_decides_it():
    for name, protocol in PROTOCOLS.items():
        facts = protocol.describe(name)
        assert {"name", "pictures", "split", "crop", *MEASUREMENT} <= set(facts) and all(facts.values())
        assert (name in DATA_SETS) == ("published" in facts)
    assert set(get_args(Protocol)) == {"auto", *PROTOCOLS}


def test_count_takes_the_first_ones(tmp_path):
    flat(tmp_path)
    pictures, total, _ = PROTOCOLS["celeba128"].open(tmp_path, 1)
    assert total == 1 and [name for name, _ in pictures] == ["6.jpg"]  # 6 and 7 are the last quarter of eight


def test_another_layout_is_refused(tmp_path):
    flat(tmp_path)
    with pytest.raises(UserError, match="not laid out as ImageNette"):
        PROTOCOLS["imagenette178"].open(tmp_path, None)
    with pytest.raises(UserError, match="no such folder"):
        PROTOCOLS["lsun256"].open(tmp_path / "missing", None)

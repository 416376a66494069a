"""What tokens are for: every system gets removal maps, those with attention its weights, and the page holds both."""

import base64
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tokenfield.coords import Grid
from tokenfield.evaluation.explain import attention_on, explain, figure, label, locality, strongest
from tokenfield.evaluation.explain_page import TEMPLATE, atlas, attention_table, values
from tokenfield.evaluation.pages import render
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.anr import AnrConfig
from tokenfield.models.hyponet_field import IpcConfig
from tokenfield.models.lainr import LainrConfig

SIZES = {"size": (10, 10), "patch": 5, "padding": 0, "encoder_dim": 16, "encoder_depth": 1, "encoder_heads": 2}
CONFIGS = {
    "lainr": LainrConfig(**SIZES, num_latents=7, latent_dim=5, dim=12, feature_dim=8, sigmas=(8.0,), sigma_q=2.0,
                         heads=3),
    "anr": AnrConfig(**SIZES, num_latents=11, dim=12, decoder_depth=1, encoder_head_dim=8, encoder_hidden=16, heads=2,
                     head_dim=4, depth=2, sigma=8.0),
    "ipc": IpcConfig(**SIZES, num_latents=5, dim=8, feature_dim=8),
    "anchored": AnchoredConfig(cell=5, latent_dim=5, encoder_dim=16, encoder_depth=1, decoder_dim=16, decoder_depth=1,
                               head_dim=8, harmonics=8),
}

def page(models, command):
    """The page as text."""
    return render(TEMPLATE, **values(models, command))


TOKENS = {"lainr": 7, "anr": 11, "ipc": 5, "anchored": 9}  # 15 pixels in cells of 5


def built(name):
    torch.manual_seed(0)
    model = CONFIGS[name].build().eval()
    for parameter in model.parameters():  # a fresh head may be exactly zero, and then no token governs anything
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def explained(name, seed=1, **options):
    picture = torch.rand(3, 23, 31, generator=torch.Generator().manual_seed(seed))
    return explain(built(name), f"picture {seed}", picture, size=15, map_size=6, queries=4, **options)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_token_has_a_map_and_only_attention_has_weights(name):
    one = explained(name)
    assert one.tokens == len(one.influences) == TOKENS[name]
    assert all(influence.map.shape == (6, 6) and influence.map.min() >= 0 for influence in one.influences)
    assert max(influence.largest for influence in one.influences) > 0
    assert all(0 < area <= 1 for area in one.areas)
    assert (one.attention is None) == (name == "ipc")
    assert one.grid == ((3, 3) if name == "anchored" else None)
    if one.attention is not None:
        weights = one.attention.weights
        assert weights.shape == ({"lainr": 3, "anr": 2, "anchored": 1}[name], 16, one.tokens)
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
        assert not one.attention.elsewhere.any()


def test_weights_belong_to_the_tokens_that_were_removed():
    whole, some = explained("lainr"), explained("lainr", most_tokens=3)
    assert some.tokens == 7 and len(some.influences) == 3
    numbers = [influence.token[-1] for influence in some.influences]
    torch.testing.assert_close(some.attention.weights, whole.attention.weights[..., numbers])
    left_out = [k for k in range(7) if k not in numbers]
    torch.testing.assert_close(some.attention.elsewhere, whole.attention.weights[..., left_out].sum(-1))
    assert torch.equal(some.attention.enough, whole.attention.enough)  # counted among all seven
    for k, influence in zip(numbers, some.influences, strict=True):
        torch.testing.assert_close(influence.map, whole.influences[k].map)
    model = built("lainr")
    tokens = model.encode(whole.image[None]).detach()
    torch.testing.assert_close(whole.attention.weights, model.attention(tokens, Grid.cells(4, 4).coords()).detach())


def test_how_many_tokens_hold_90_percent():
    weights = torch.tensor([[[0.1] * 10], [[0.5, 0, 0.2, 0.3] + 6 * [0]]])  # two heads, one pixel
    attention = attention_on(weights, [3, 9])
    assert attention.enough.tolist() == [[8], [9], [3]]  # of the mean .30 .20 .15 .05 ..., and of each head
    torch.testing.assert_close(attention.elsewhere, torch.tensor([[0.8], [0.7]]))


def test_removing_a_token_changes_pixels_near_its_place_in_an_anchored_model():
    one = explained("anchored")
    for k, influence in enumerate(one.influences):
        i, j = (int(part) for part in label(one, k).split(", "))
        y, x = divmod(int(influence.map.argmax()), 6)
        assert abs(y // 2 - i) <= 2 and abs(x // 2 - j) <= 2  # its cell, or within the decoder's reach


def test_the_number_is_the_mean_over_tokens_and_pictures():
    pair = [explained("lainr", seed) for seed in (1, 2)]
    number = locality(pair)
    areas = [influence.area for one in pair for influence in one.influences]
    assert number["area_mean"] == pytest.approx(sum(areas) / 14, abs=1e-5)
    assert number["shares"] == pytest.approx(7 * sum(areas) / 14, abs=1e-3)
    assert (number["tokens"], number["removed"], number["without_effect"]) == (7, 14, 0)
    assert len(set(strongest(pair, 4))) == 4


def pixels(data_address):
    data = base64.b64decode(data_address.removeprefix("data:image/webp;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))[..., 0]


def test_the_page_holds_maps_and_weights_to_the_bit_and_no_address_of_another_file():
    models = {name: [explained(name, seed) for seed in (1, 2)] for name in ("lainr", "ipc", "anchored")}
    text = page(models, "tokenfield explain <a & b>.jpg")
    assert "&lt;a &amp; b&gt;" in text
    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:)|https?://|@import|url\(""", text)
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1])
    lainr, ipc, anchored = data
    assert (lainr["heads"], lainr["queries"], lainr["places"], lainr["without"]) == (3, 4, None, "")
    without = models["ipc"][0].without_attention
    assert (ipc["heads"], ipc["without"], ipc["pictures"][0]["attention"]) == (0, without, None)
    assert anchored["grid"] == [3, 3] and anchored["places"][4] == [1, 1] and anchored["labels"][4] == "1, 1"
    for model, name in zip(data, models, strict=True):
        for shown, one in zip(model["pictures"], models[name], strict=True):
            assert (pixels(shown["maps"]) == np.asarray(atlas(one))).all()
            if one.attention is not None:
                table = pixels(shown["attention"]).astype(float)  # (Q, H (R + 1))
                assert (table == np.asarray(attention_table(one.attention))).all()
                weights = ((table / 255) ** 2).reshape(16, model["heads"], -1).swapaxes(0, 1)
                expected = one.attention.weights.numpy()
                assert np.abs(weights[..., :-1] - expected).max() < 1 / 255 + 1e-6  # 2 sqrt(w) half a step
                assert not weights[..., -1].any() and shown["enough"] == one.attention.enough.tolist()


def test_maps_lie_in_the_atlas_in_the_order_of_the_tokens():
    one = explained("lainr")
    sheet = np.asarray(atlas(one))
    assert sheet.shape == (3 * 6, 3 * 6)  # seven maps in rows of three
    for k, influence in enumerate(one.influences):
        part = sheet[k // 3 * 6 : k // 3 * 6 + 6, k % 3 * 6 : k % 3 * 6 + 6]
        assert np.abs(part - 255 * influence.map.numpy()).max() <= 0.5 + 1e-3


def test_a_figure_has_a_row_per_model_and_picture():
    rows = [(name, [explained(name, seed) for seed in (1, 2)]) for name in ("lainr", "ipc")]
    narrow, wide = figure(rows, count=2, side=20), figure(rows, count=4, side=20)
    assert wide.size[0] > narrow.size[0] and wide.size[1] == narrow.size[1] > 4 * 20


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1])


@pytest.mark.parametrize("name", ["lainr", "anr", "anchored"])
def test_a_page_of_some_tokens_accounts_for_all_attention(name):
    model, = data_of(page({name: [explained(name, most_tokens=2)]}, ""))
    weights = (pixels(model["pictures"][0]["attention"]).astype(float) / 255) ** 2
    weights = weights.reshape(16, model["heads"], len(model["labels"]) + 1)
    assert (len(model["labels"]), model["tokens"]) == (2, TOKENS[name])
    assert weights.sum(-1) == pytest.approx(np.ones(weights.shape[:2]), abs=0.01)
    assert weights[..., :-1].sum(-1).min() < 0.5  # the two alone would not do
    whole = explained(name).attention.enough
    assert model["pictures"][0]["enough"] == whole.tolist() and whole.max() > 2


BROWSER = """
const [text, script, images, wanted] = JSON.parse(require("fs").readFileSync(0));
const parts = {}, anything = new Proxy(function () {}, {
  get: (_, key) => key === Symbol.toPrimitive ? () => 0 : key === "then" ? undefined : anything,
  set: () => true, apply: () => anything });
const part = (name) => parts[name] ??= new Proxy({}, {
  get: (kept, key) => key in kept ? kept[key] : anything, set: (kept, key, value) => (kept[key] = value, true) });
globalThis.document = { documentElement: anything, getElementById: () => ({ textContent: text }),
  querySelector: (s) => part(s.replace(".explain ", "")), createElement: () => part("made") };
globalThis.location = { hash: wanted };
globalThis.Image = class { decode() { Object.assign(this, images[this.src]); } };
globalThis.OffscreenCanvas = class { getContext() { let seen; return new Proxy({}, { get: (_, key) =>
  key === "drawImage" ? (image) => { seen = image; } : key !== "getImageData" ? () => ({ data: { set() {} } }) :
  () => ({ data: seen.grey.flatMap((v) => [v, v, v, 255]) }), set: () => true }); } };
(0, eval)(script);
setTimeout(() => console.log(JSON.stringify([parts[".says"].textContent, parts[".of-photo"].innerHTML])), 50);
"""
"""Enough of a browser for the page's script to say its sentences."""


def said(one, address):
    """The sentence below the photograph and its caption, after a click."""
    data = data_of(text := page({"m": [one]}, ""))
    shown = data[0]["pictures"][0]
    greys = {shown[key]: pixels(shown[key]) for key in ("maps", "attention")}
    images = {key: {"width": v.shape[1], "height": v.shape[0], "grey": v.ravel().tolist()} for key, v in greys.items()}
    script = re.search(r"</script>\s*<script>(.*)</script>", text, re.DOTALL)[1]
    request = json.dumps([json.dumps(data), script, images, address])
    process = subprocess.run(["node", "-e", BROWSER], input=request, text=True, capture_output=True)
    assert not process.stderr
    return json.loads(process.stdout)


@pytest.mark.skipif(shutil.which("node") is None, reason="runs the page's script in Node.js")
def test_what_the_page_says_of_a_pixel_is_true_of_all_tokens():
    weights = torch.zeros(1, 16, 9)
    weights[0, 0, :4], weights[0, 1, 5:8], weights[0, 2, 0] = torch.tensor([0.4, 0.3, 0.2, 0.1]), 1 / 3, 1
    one, left, right, alone = explained("anchored"), "#x=0.1&y=0.1", "#x=0.4&y=0.1", "#x=0.6&y=0.1"

    whole = replace(one, attention=attention_on(weights, range(9)))
    sentence, caption = said(whole, left)
    assert sentence == "This pixel gives 90 % of its attention to 3 of 9 tokens; 5 get none, or too little to be kept."
    assert "where the tokens act" in caption

    some = replace(one, influences=one.influences[:2], attention=attention_on(weights, [0, 1]))
    sentence, caption = said(some, left)
    assert sentence == ("This pixel gives 90 % of its attention to 3 of 9 tokens; of its attention 30 % goes to the 7 "
                        "tokens that are not on this page.")
    assert "where the tokens act" in caption
    sentence, caption = said(some, right)  # all that it looks at were left out
    assert sentence == ("This pixel gives 90 % of its attention to 3 of 9 tokens; of its attention 100 % goes to the 7 "
                        "tokens that are not on this page, and none to the 2 that are.")
    assert "the tokens that it looks at are not on this page" in caption
    assert "to 1 of 9 tokens; of its attention 0.0 % goes" in said(some, alone)[0]

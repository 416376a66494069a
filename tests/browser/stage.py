"""What tests of the page share: its fields, the page of them, and what runs it.

Chromium runs all of it. Node runs what needs no browser, decoding and geometry: the same modules and the same
onnxruntime-web.
"""

import json
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import torch
from fixtures import smooth

from benchmarks.chromium import Chromium
from tokenfield.browser.command import HOST, server_of
from tokenfield.browser.page import write_page
from tokenfield.browser.scenes import Subject
from tokenfield.earth.globe import Globe
from tokenfield.earth.models import GriddedLainrConfig
from tokenfield.fields.field import Field
from tokenfield.models import pretrained
from tokenfield.models.lainr import LainrConfig
from tokenfield.views.light_field import LightField
from tokenfield.views.models.lainr_views import LainrViewsConfig
from tokenfield.views.viewer.orbits import pose_at

HEIGHT, WIDTH = 76, 108
SIZES = {"patch": 4, "padding": 0, "num_latents": 5, "latent_dim": 8, "encoder_dim": 12, "encoder_depth": 1,
         "encoder_heads": 3, "dim": 8, "feature_dim": 24}
CODEC, ZOOM, OBJECT, GLOBE, HARMONIC = 3, 4, 5, 6, 7
"""Places of subjects."""


@pytest.fixture(scope="module")
def subjects():
    """Two fields of one model and size, one of overlapping tiles, other lattices, an object and two globes."""
    pictures = [smooth(HEIGHT, WIDTH, seed) + 0.1 * torch.rand(3, HEIGHT, WIDTH) for seed in (1, 2)]
    lattice, tiles = pretrained.load("photos-s"), pretrained.load("lainr-photos")
    return [Subject("first", Field.of(lattice, pictures[0].clamp(0, 1)), pictures[0].clamp(0, 1)),
            Subject("second", Field.of(lattice, pictures[1].clamp(0, 1))),
            Subject("tiles", Field.of(tiles, pictures[0][:, :40, :70].clamp(0, 1))),
            *(Subject(name, Field.of(name, pictures[0].clamp(0, 1))) for name in ("photos-codec", "photos-zoom")),
            Subject("object", an_object()), Subject("globe", a_globe()), Subject("harmonic", a_harmonic_globe())]


def an_object():
    """Not trained, but with colours that differ from ray to ray."""
    torch.manual_seed(0)
    model = LainrViewsConfig(LainrConfig(size=(8, 8), **SIZES), 3).build().eval()
    return Field(model, torch.randn(5, 8), LightField.at(pose_at(30, 20, 4.0), 0.8, (8, 8)))


def a_globe():
    torch.manual_seed(0)
    model = GriddedLainrConfig(lainr=LainrConfig(size=(8, 16), **SIZES)).build().eval()
    return Field(model, torch.randn(5, 8), on_grid((8, 16)))


def a_harmonic_globe():
    """Of the packaged model: every harmonic has a part in it."""
    model = pretrained.load("earth-climate")
    return Field(model, torch.randn(1024, 1) / 32, on_grid(model.input_size))


def on_grid(encoded):
    """8 x 16 cells, of a model whose encoder has so many rows and columns."""
    return Globe((8, 16), encoded, (78.75, -78.75, 8.0), (11.25, 348.75, 16.0), ("t2m",), ("K",), (280.0,), (0.05,))


@pytest.fixture(scope="module")
def written(subjects, tmp_path_factory):
    """The page, and what lets Node take its modules."""
    folder = tmp_path_factory.mktemp("page") / "page"
    write_page(subjects, folder)
    shutil.copy(Path(__file__).with_name("node.mjs"), folder)
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


class Node:
    """Evaluates what `Chromium` does, without a page."""

    def __init__(self, program, folder):
        self.process = subprocess.Popen([program, folder / "node.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, encoding="utf-8")

    def evaluate(self, script):
        self.process.stdin.write(" ".join(script.split()) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer.get("value")


@pytest.fixture(scope="module")
def node(written):
    node = Node(shutil.which("node"), written)
    yield node
    node.process.communicate()


@pytest.fixture(scope="module")
def browser(written, tmp_path_factory):
    """A Chromium before the page."""
    with server_of(written, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = Chromium(tmp_path_factory.mktemp("profile"), 700, 500)
        try:
            browser.open(f"http://{HOST}:{server.server_port}/")
            browser.until("window.page?.shown?.whole")
            yield browser
        finally:
            browser.close()
            server.shutdown()


@pytest.fixture
def page(browser):
    """The page as it is after it was opened."""
    browser.evaluate("window.page.open(0)")
    browser.until("window.page.shown.whole")
    return browser


@pytest.fixture(params=["page", "node"])
def engine(request):
    """What runs the page's modules, with the first field open."""
    engine = request.getfixturevalue(request.param)
    engine.evaluate("page.open(0)")
    return engine

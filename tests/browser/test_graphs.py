"""The graphs that the page runs, run here: packaged ones fit their models, and tiles of a lattice are its rendering."""

import json

import numpy as np
import pytest
import torch

from tokenfield.browser.graphs import NAMES, PACKAGED, graphs_of, name_of, weights_of
from tokenfield.browser.networks import Cells, Functions, RayAttention, RayColours, sharpness_of
from tokenfield.coords import Grid
from tokenfield.fields.field import Field
from tokenfield.interop.networks import WEIGHTS
from tokenfield.models import pretrained
from tokenfield.models.anchored import AnchorField
from tokenfield.models.lainr import LainrConfig
from tokenfield.views.light_field import LightField
from tokenfield.views.models.lainr_views import LainrViewsConfig
from tokenfield.views.radiance_field import PUBLISHED
from tokenfield.views.rays import LINES, plucker, view_rays
from tokenfield.views.viewer.orbits import pose_at

ort = pytest.importorskip("onnxruntime")
TOLERANCE = 1e-4


class Graphs:
    """Graphs in a folder with the weights of a model, as the page has them."""

    def __init__(self, model, folder):
        graphs = graphs_of(model)
        (folder / WEIGHTS).write_bytes(weights_of(model, graphs))
        for file in graphs.glob("*.onnx"):
            (folder / file.name).write_bytes(file.read_bytes())
        self.folder = folder

    def run(self, name, **inputs):
        session = ort.InferenceSession(str(self.folder / f"{name}.onnx"), providers=["CPUExecutionProvider"])
        values = session.run(None, {key: np.asarray(value, np.float32) for key, value in inputs.items()})
        return [torch.from_numpy(value) for value in values]


def cells_inputs(model, tokens, samples):
    """A whole lattice as one tile with so many samples per cell, and how many of the first gap come before it."""
    before = samples // 2
    places = (torch.arange(samples) + before + 0.5) / samples - 0.5
    off = [torch.zeros(n + 2) for n in tokens.shape[:2]]
    for axis in off:
        axis[0] = axis[-1] = 1
    span = torch.full((2,), max(1.0, model.cell / samples))
    inputs = {"y": places, "x": places, "span": span}
    if isinstance(model, AnchorField):
        inputs |= {"outside_y": off[0], "outside_x": off[1], "sharpness": torch.tensor([sharpness_of(model, tokens)])}
    return inputs, samples - before


@pytest.mark.parametrize("name", pretrained.list_models())
def test_packaged_models_have_graphs(name):
    """Where this fails after a change of a decoder or a configuration: python -m tokenfield.browser.graphs."""
    folder = PACKAGED / name_of(pretrained.load(name))
    assert folder.exists(), f"no graphs of {name}"
    assert json.loads((folder / NAMES).read_text())


@pytest.mark.parametrize("name", ["photos-s", "photos-ladder", "photos-codec"])
@pytest.mark.parametrize("samples", [2, 8, 32])
def test_a_lattice_renders_alike(name, samples, tmp_path):
    """Below, at and above the picture's own size."""
    model = pretrained.load(name)
    field, graphs = Field.of(model, torch.rand(3, 32, 48)), Graphs(model, tmp_path)
    (functions,) = graphs.run("functions", tokens=field.tokens)
    inputs, skip = cells_inputs(model, field.tokens, samples)
    values, weights = graphs.run("cells", functions=functions, **inputs)
    tall, wide = (n * samples for n in field.tokens.shape[:2])
    expected = field.render(tall, wide)
    torch.testing.assert_close(values[:, skip : skip + tall, skip : skip + wide], expected, rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(weights.sum(0), torch.ones_like(weights[0]))


def test_overlapping_cells_share_out_a_pixel(tmp_path):
    """By the squares of what the numbers of each token change."""
    model, graphs = pretrained.load("photos-codec"), Graphs(pretrained.load("photos-codec"), tmp_path)
    tokens, (down, across) = torch.randn(4, 5, model.prefixes[-1]), (0.3, 0.8)  # between anchors (1, 2) and (2, 3)
    (functions,) = graphs.run("functions", tokens=tokens)
    inputs = {"y": torch.tensor([down]), "x": torch.tensor([across]), "span": torch.ones(2)}
    weights = graphs.run("cells", functions=functions, **inputs)[1][:, 2, 3]  # after a gap above and one to the left
    coords = torch.tensor([[2 * (1.5 + down) / 4 - 1, 2 * (2.5 + across) / 5 - 1]])
    change = torch.func.jacrev(lambda t: model.decode(t[None], coords)[0, 0, 0])(tokens).square().sum(-1)
    expected = change[1:3, 2:4].flatten()
    torch.testing.assert_close(weights, expected / change.sum(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale, span", [(1, 1.0), (3, 1 / 3), (8, 1 / 8)])
def test_windows_of_a_lattice_render_alike(scale, span, tmp_path):
    """A part of the picture from the tokens around it, below and beyond the least pixel that the model tells apart."""
    model, graphs = pretrained.load("photos-zoom"), Graphs(pretrained.load("photos-zoom"), tmp_path)
    field = Field.of(model, torch.rand(3, 17, 23))
    first, last = 5 - model.reach, 9 + model.reach  # rows and columns 5 to 9 of pixels
    local = (2 * (torch.arange(4 * scale) + 0.5) / scale + 2 * model.reach) / (last - first) - 1
    (values,) = graphs.run("window", tokens=field.tokens[first:last, first:last], y=local, x=local,
                           span=torch.full((2,), span))
    expected = field.crop(field.pixel_box(5, 5, 9, 9), (4 * scale, 4 * scale))
    torch.testing.assert_close(values, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", ["lainr-photos", "ipc-photos", "anr-photos"])
def test_tiles_decode_alike(name, tmp_path):
    model, graphs = pretrained.load(name), Graphs(pretrained.load(name), tmp_path)
    tokens = model.encode(torch.rand(1, 3, *model.input_size)).detach()
    y, x = torch.linspace(-0.9, 0.9, 7), torch.linspace(-1, 0.3, 11)
    (values,) = graphs.run("grid", tokens=tokens[0], y=y, x=x)
    expected = model.decode(tokens, Grid((y, x)))[0].T.unflatten(1, (7, 11))
    torch.testing.assert_close(values, expected, rtol=0, atol=TOLERANCE)


def test_pixels_attend_alike(tmp_path):
    model, coords = pretrained.load("lainr-photos"), torch.rand(5, 2) * 2 - 1
    tokens = torch.randn(64, 96)
    (weights,) = Graphs(model, tmp_path).run("attention", tokens=tokens, coords=coords)
    torch.testing.assert_close(weights, model.attention(tokens[None], coords).mean(0), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("samples", [1, 3, 5])
def test_odd_numbers_of_samples(samples, model):
    """A sample at an anchor belongs to the gap above it."""
    small = pretrained.load(model)
    field = Field.of(small, torch.rand(3, 12, 20))
    inputs, skip = cells_inputs(small, field.tokens, samples)
    with torch.no_grad():
        functions = Functions(small)(field.tokens)
        values, _ = Cells(small.head.shape[-1], small.cell)(functions, **inputs)
    tall, wide = (n * samples for n in field.tokens.shape[:2])
    torch.testing.assert_close(values[:, skip : skip + tall, skip : skip + wide], field.render(tall, wide),
                               rtol=0, atol=1e-5)


@pytest.mark.parametrize("line", ["plucker", "foot"])
def test_rays_are_those_of_a_camera(line):
    """Their attention is asked for by Plucker coordinates, whatever the model's own are."""
    sizes = LainrConfig(size=(8, 8), patch=4, padding=0, num_latents=5, latent_dim=8, encoder_dim=12, encoder_depth=1,
                        encoder_heads=3, dim=8, feature_dim=42)
    model, pose = LainrViewsConfig(sizes, 3, line=line).build().eval(), pose_at(30, 20, 4.0)
    field = Field(model, torch.randn(5, 8), LightField.at(pose, 0.8, (4, 6)))
    angle = torch.tensor([0.8], dtype=torch.float64)
    origins, directions = view_rays(pose[None].double(), angle, Grid.cells(4, 6), 4, 6)
    with torch.no_grad():
        colours = RayColours(model, PUBLISHED)(field.tokens, origins[0].float(), directions[0].float(), -pose[:3, 2])
    torch.testing.assert_close(colours.T.unflatten(1, (4, 6)), field.render(4, 6), rtol=0, atol=1e-5)
    one = origins[0].float(), directions[0].float()
    weights = RayAttention(model)(field.tokens, plucker(*one))
    torch.testing.assert_close(weights, model.attention(field.tokens[None], LINES[line](*one)).mean(0))

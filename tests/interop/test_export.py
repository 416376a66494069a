"""Exported graphs give what the model gives: any number of pictures and coordinates, weights beside a graph."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from fixtures import TINY
from processes import start
from small_systems import CONFIGS, SIZE

from tokenfield.errors import UserError
from tokenfield.interop import networks
from tokenfield.interop.export import PlainSubspaces, encoder_network, export
from tokenfield.interop.networks import WEIGHTS, Network, put_beside, tensor_file, to_onnx, trace
from tokenfield.models import pretrained
from tokenfield.sound.models import SoundLainrConfig
from tokenfield.views.models.lainr_views import LainrViewsConfig

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
TOLERANCE = 1e-4


def outputs(path, **inputs):
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})


def close(values, expected, tolerance=TOLERANCE):
    np.testing.assert_allclose(values, expected.detach().numpy(), rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def lainr():
    torch.manual_seed(3)
    return CONFIGS["lainr"].build().eval()


@pytest.fixture(scope="module")
def folder(lainr, tmp_path_factory):
    """The exported model."""
    path = tmp_path_factory.mktemp("export") / "graphs"
    export(lainr, path, "onnx")
    return path


@pytest.mark.parametrize("batch, points", [(1, 1), (3, 101)])
def test_any_number_of_pictures_and_points(lainr, folder, batch, points):
    images, coords = torch.rand(batch, 3, *SIZE), torch.rand(points, 2) * 2 - 1
    (tokens,) = outputs(folder / "encoder.onnx", images=images)
    close(tokens, lainr.encode(images))
    (values,) = outputs(folder / "decoder.onnx", tokens=torch.from_numpy(tokens), coords=coords)
    close(values, lainr(images, coords))


def test_record_says_what_graphs_take(lainr, folder):
    about = json.loads((folder / "export.json").read_text())
    assert about["decoder"]["inputs"] == {"tokens": ["batch", 5, 6], "coords": ["points", 2]}
    assert about["hash"] == pretrained.model_hash(lainr)


def test_an_existing_folder_is_kept(lainr, folder):
    with pytest.raises(UserError, match="exists already"):
        export(lainr, folder, "onnx")


def test_half_precision_halves_the_weights():
    module = torch.nn.Linear(32, 64)
    network = Network(module, {"x": torch.rand(5, 32)}, ("y",), {"x": {0: "rows"}})
    whole, half = (to_onnx(network, half=choice) for choice in (False, True))
    assert half.ByteSize() < 0.6 * whole.ByteSize()
    session = ort.InferenceSession(half.SerializeToString())
    x = torch.rand(7, 32)
    (values,) = session.run(None, {"x": x.numpy()})
    close(values, torch.nn.functional.linear(x, module.weight.half().float(), module.bias.half().float()), 1e-5)


def test_weights_beside_a_graph_serve_every_model_of_a_configuration(tmp_path):
    """One graph, two sets of weights."""
    modules = [torch.nn.Linear(5, 7) for _ in range(2)]
    network = Network(modules[0], {"x": torch.rand(3, 5)}, ("y",), {"x": {0: "rows"}})
    exported = to_onnx(network, optimize=False)
    put_beside(exported.graph, dict(modules[0].named_parameters()))
    (tmp_path / "graph.onnx").write_bytes(exported.SerializeToString())
    for module in modules:
        (tmp_path / WEIGHTS).write_bytes(tensor_file(dict(module.named_parameters())))
        x = torch.rand(11, 5)
        close(outputs(tmp_path / "graph.onnx", x=x)[0], module(x), 1e-6)


def test_plain_subspaces_choose_and_restore_alike():
    torch.manual_seed(0)
    model = CONFIGS["switched"].build()
    model.subspaces.mean.normal_()
    model.subspaces.components.normal_()
    plain, cells = PlainSubspaces.of(model.subspaces), torch.randn(13, 48)
    for one, other in zip(plain.choose(cells), model.subspaces.choose(cells), strict=True):
        torch.testing.assert_close(one, other)
    index, coefficients, _ = plain.choose(cells)
    for width in (2, 8):
        torch.testing.assert_close(plain.restore(index, coefficients[:, :width]),
                                   model.subspaces.restore(index, coefficients[:, :width]))


def test_a_native_resolution_model_keeps_free_sizes(tmp_path):
    """Traced on one lattice, run on another, by a command of its own: shapes checked in tests know no free sizes."""
    model = pretrained.save(replace(TINY, decoder_depth=0).build(), tmp_path / "model")
    words = "export", model, "--to", "torch", "-o", tmp_path / "out", "--json", tmp_path / "about.json"
    start("tokenfield", *words)
    about = json.loads((tmp_path / "about.json").read_text())
    assert about["encoder"]["inputs"]["images"] == ["batch", 3, "height", "width"]
    encode, decode = (torch.export.load(tmp_path / "out" / f"{part}.pt2").module() for part in ("encoder", "decoder"))
    own, images, coords = pretrained.load(model), torch.rand(1, 3, 12, 44), torch.rand(5, 2) * 2 - 1
    tokens = own.encode(images)
    torch.testing.assert_close(encode(images), tokens)
    torch.testing.assert_close(decode(tokens, coords), own.decode(tokens, coords))


@pytest.mark.parametrize(("config", "inputs"), [
    (LainrViewsConfig(replace(CONFIGS["lainr"], size=(8, 8), patch=4, padding=0), 5), ["batch", "views", 9, 8, 8]),
    (SoundLainrConfig(rate=20, length=60, patch=5, lainr=CONFIGS["lainr"]), ["batch", 1, 60]),
], ids=["views", "recordings"])
def test_systems_of_other_signals_say_what_they_encode(config, inputs, tmp_path):
    """Traced with three views, run with two: by a command of its own, as above."""
    torch.manual_seed(1)
    model = config.build().eval()
    pretrained.save(model, tmp_path / "model")
    words = "export", tmp_path / "model", "--to", "torch", "-o", tmp_path / "out"
    start("tokenfield", *words)
    assert json.loads((tmp_path / "out" / "export.json").read_text())["encoder"]["inputs"]["images"] == inputs
    encode, decode = (torch.export.load(tmp_path / "out" / f"{part}.pt2").module() for part in ("encoder", "decoder"))
    images, coords = model.example(5)[0][:, :2], torch.rand(19, model.coordinate_dim)
    tokens = model.encode(images)
    torch.testing.assert_close(encode(images), tokens)
    torch.testing.assert_close(decode(tokens, coords), model.decode(tokens, coords))


def test_gradient_steps_fit_in_no_graph():
    with pytest.raises(UserError, match="no graph holds"):
        trace(encoder_network(CONFIGS["learned-init"].build().eval()))


def test_missing_packages_are_named(monkeypatch, lainr):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"tokenfield\[onnx\]"):
        networks.require_onnx()


def test_bad_words_are_one_line(run, model, tmp_path):
    (tmp_path / "there").mkdir()
    for words, reason in ((("-o", tmp_path / "there"), "exists already"),
                          (("--to", "torch", "--precision", "fp16"), "leave it out")):
        outcome = run("export", model, *words)
        assert outcome.code == 1 and len(outcome.lines) == 1 and reason in outcome.err

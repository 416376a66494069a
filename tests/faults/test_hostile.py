"""Files that claim more than they hold: one line each, within 256 MB and two seconds, and nothing else is opened."""

import json
import resource
import struct
import time

import pytest
import torch
from safetensors.torch import save_file

from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.io.limits import DamagedJson, parse_json
from tokenfield.models import pretrained
from tokenfield.models.folder import ModelId
from tokenfield.models.lainr import LainrConfig
from tokenfield.training import checkpoint, recipe
from tokenfield.training.recipe import usual_recipe

TOY = LainrConfig(size=(8, 8), patch=4, padding=0, num_latents=2, latent_dim=3, encoder_dim=8, encoder_depth=1,
                  encoder_heads=2, dim=8, feature_dim=8, sigma_q=2.0, sigmas=(4.0,), heads=2)  # fmt: skip


def bounded(action):
    """The line that an action ends with, which takes neither long nor much."""
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(UserError) as caught:
        action()
    assert time.process_time() - begin < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256_000
    text = str(caught.value)
    assert "\n" not in text and len(text) < 1000
    return text


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model in a folder and a field of it; what torch imports for its first `meta` tensors is there, too."""
    torch.empty(1, device="meta").add(1)
    folder = tmp_path_factory.mktemp("hostile")
    torch.manual_seed(0)
    model = TOY.build().eval()
    pretrained.save(model, folder / "model")
    Field.of(model, torch.rand(3, 11, 13)).save(folder / "a.field")
    return folder, model


DEEP, LONG = "[" * 100_000 + "]" * 100_000, "9" * 1_000_000
TEXTS = {"deep": DEEP, "deep objects": '{"a":' * 100_000, "a long integer": LONG, "a large number": "1e999",
         "not a number": "NaN", "65 deep": "[" * 65 + "]" * 65, "nothing": "", "no text": b"\xff\xfe\xfd"}


@pytest.mark.parametrize("name", TEXTS)
def test_json_of_strangers_is_bounded(name):
    begin = time.process_time()
    with pytest.raises(DamagedJson) as caught:
        parse_json(TEXTS[name])
    assert time.process_time() - begin < 1 and len(str(caught.value)) < 200


def test_honest_json_is_read():
    assert parse_json('{"a": [1, 2.5, -3, null, true, "x"], "b": 9223372036854775807}') == {
        "a": [1, 2.5, -3, None, True, "x"], "b": 2**63 - 1}


def changed(folder, change):
    """The field with another description."""
    data = (folder / "a.field").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    about = json.loads(header["__metadata__"]["tokenfield.field"])
    header["__metadata__"]["tokenfield.field"] = change if isinstance(change, str) else json.dumps(change(about))
    text = json.dumps(header).encode()
    (folder / "b.field").write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    return folder / "b.field"


def domain(**fields):
    return lambda about: about | {"domain": {"kind": "tiles", "size": [11, 13], "tile": [8, 8]} | fields}


GLOBE = {"kind": "globe", "size": [2**53, 2**53], "input_size": [8, 8], "latitudes": [90.0, -90.0, float(2**53)],
         "longitudes": [0.0, 359.0, float(2**53)], "variables": ["a"], "units": [""], "offset": [0.0], "scale": [1.0]}
FIELDS = {
    "huge tiles": domain(size=[2**53, 2**53]), "a long picture": domain(size=[8, 2**62]),
    "tiny tiles": domain(tile=[4, 4]),
    "no overlap": domain(overlap=-1e300), "huge overlap": domain(overlap=1e300),
    "a huge lattice": domain(kind="lattice", size=[2**53, 2**53], cell=1), "no": domain(kind="lattice", cell=-4),
    "a huge globe": lambda about: about | {"domain": GLOBE},
    "a globe with a bomb": lambda about: about | {"domain": GLOBE | {"missing": "x" * 100_000}},
    "a camera": lambda about: about | {"domain": {"kind": "light-field", "size": [2**60, 2**60], "pose": [0.0] * 16,
                                                  "angle_x": 1.0}},
    "a list": lambda about: [about], "deep": DEEP, "a long integer": '{"version": ' + LONG + "}",
    "a long kind": domain(kind="x" * 10_000_000),
}


@pytest.mark.parametrize("name", FIELDS)
def test_fields_are_compared_with_their_tokens_before_anything_is_made(name, made):
    folder, model = made
    path = changed(folder, FIELDS[name])
    assert str(path) in bounded(lambda: Field.load(path, model))


def test_tokens_of_another_kind_are_no_tokens(made):
    folder, model = made
    from safetensors import safe_open

    with safe_open(folder / "a.field", "pt") as file:
        metadata, tokens = file.metadata(), file.get_tensor("tokens")
    for other in (tokens[..., :2], tokens[..., None], tokens.flatten(2), tokens[:1]):
        save_file({"tokens": other.contiguous()}, folder / "c.field", metadata)
        assert "damaged" in bounded(lambda: Field.load(folder / "c.field", model))


CONFIGURATIONS = {
    "no heads": {"heads": 0}, "no patch": {"patch": 0}, "negative": {"dim": -4}, "wide": {"dim": 2**40},
    "deep": {"encoder_depth": 10**9}, "many": {"num_latents": 2**53}, "not a number": {"sigma_q": 1e400},
    "many sigmas": {"sigmas": [4.0] * 100_000}, "huge": {"size": [2**53, 2**53]}, "text": {"heads": "two"},
    "another system": {"model": "anchored"}, "no system": {"model": ["lainr"]}, "unknown": {"x" * 100_000: 1},
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configurations_are_compared_with_their_weights_before_anything_is_built(name, made, tmp_path):
    folder, model = made
    description = json.loads((folder / "model" / "config.json").read_text()) | CONFIGURATIONS[name]
    (tmp_path / "config.json").write_text(json.dumps(description))
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    assert "config.json" in bounded(lambda: pretrained.load(tmp_path))


def test_weights_are_what_they_should_be(made, tmp_path):
    folder, model = made
    (tmp_path / "config.json").write_bytes((folder / "model" / "config.json").read_bytes())
    state = model.state_dict()
    key = next(iter(state))
    for tensor, words in ((state[key].int(), "another kind"), (state[key][:0], "other shapes"),
                          (torch.full_like(state[key], torch.nan), "not finite")):
        save_file(state | {key: tensor.contiguous()}, tmp_path / "model.safetensors")
        assert words in bounded(lambda: pretrained.load(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}")
    assert "header" in bounded(lambda: pretrained.load(tmp_path))


@pytest.mark.parametrize("change", [{"steps": -1}, {"batch_size": 0}, {"seed": 2**200}, {"optim": []}, {"model": {}},
                                    {"model": {"name": "lainr", "heads": 0}}, {"data": {"kind": "x" * 99999}},
                                    {"betas": 1}, {"optim": {"name": "adam", "rate": "fast"}}])
def test_recipes_are_read_or_refused(change, tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps(recipe.to_json(usual_recipe("toy", TOY)) | change))
    assert "recipe.json" in bounded(lambda: recipe.read(tmp_path / "recipe.json"))


@pytest.mark.parametrize("change", [{"padding": 10**9}, {"dim": 2**40}, {"encoder_depth": 10**9},
                                    {"num_latents": 10**9}, {"num_latents": 2**53}, {"padding": 2**53}])
def test_models_that_nobody_can_train_are_not_built(change, tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps(
        (plain := recipe.to_json(usual_recipe("toy", TOY))) | {"model": plain["model"] | change}))
    assert bounded(lambda: recipe.fresh_model(recipe.read(tmp_path / "recipe.json")))


@pytest.mark.parametrize("state", [{}, {"step": 1, "sha256": {"/etc/passwd": ""}}, {"step": 1, "sha256": {"../a": ""}},
                                   {"step": "x", "sha256": {}}])
def test_a_checkpoint_s_state_names_files_of_its_own(state, tmp_path, monkeypatch):
    (tmp_path / "state.json").write_text(json.dumps(checkpoint._sealed(state)))
    monkeypatch.setattr(checkpoint, "_digest", lambda path: pytest.fail("opened"))
    with pytest.raises(checkpoint.DamagedError, match="names no step, or files elsewhere"):
        checkpoint.verify(tmp_path)


@pytest.mark.parametrize("origin", ["/etc", "../outside", "..", "\x1b[2J", "a\0b", "hf:some/body", "~",
                                    "//server/share"])
def test_nothing_outside_the_file_s_folder_is_opened_on_its_word(origin, made, tmp_path, monkeypatch):
    folder, model = made
    (tmp_path / "inside").mkdir()
    pretrained.save(model, tmp_path / "outside")
    opened = []
    monkeypatch.setattr(pretrained, "load_folder", lambda place: opened.append(place) or model)
    path = tmp_path / "inside" / "a.field"
    path.write_bytes((folder / "a.field").read_bytes())
    assert pretrained.at_hand(path, ModelId("lainr", origin, "0" * 64)) is None
    with pytest.raises(UserError):
        pretrained.find_model(path, ModelId("lainr", origin, "0" * 64))
    assert not opened

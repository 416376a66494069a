"""Checkpoints of Roninton/ANR: what their code computed, and what is not read but refused by name."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.interop.anr import BESIDE, INSIDE, PROJECT, _plan
from tokenfield.interop.checkpoints import import_checkpoint
from tokenfield.models import pretrained
from tokenfield.models.anr import AnrConfig
from tokenfield.views.models.radiance import AnrRadianceConfig
from tokenfield.views.radiance_field import Integral, field_of, render
from tokenfield.views.rays import rays, with_rays

GOLDEN = Path(__file__).parent.parent / "golden"
TOLERANCE = 1e-5  # the fixtures' promise; measured: tokens 2e-6, values 7e-7, rays 0, rendered values 3e-7


def fixture(name):
    with np.load(GOLDEN / f"{name}_io.npz") as arrays:
        return import_checkpoint(GOLDEN / f"{name}.pt", GOLDEN / f"{name}.yaml"), {
            k: torch.from_numpy(arrays[k]) for k in arrays
        }


def contents(name):
    checkpoint = torch.load(GOLDEN / f"{name}.pt", weights_only=True)
    return checkpoint, yaml.safe_load((GOLDEN / f"{name}.yaml").read_text())


def close(a, b, atol=TOLERANCE):
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def their_cells(*sizes):
    """Cell centres as their code rounds them: not the nearest float32, but up to 6e-8 beside it."""
    return Grid(tuple(-1 + 2 * ((0.5 + torch.arange(n)) / n) for n in sizes))


@pytest.fixture(scope="module")
def pictures():
    return fixture("anr_dev")


@pytest.fixture(scope="module")
def views():
    return fixture("anr_nerf_dev")


@torch.no_grad()
def test_r_tokens_of_pictures(pictures):
    model, io = pictures
    close(model.encode(io["image"]), io["r_tokens"])


@pytest.mark.parametrize("name", ["reconstruction", "reconstruction_68x50"])
@torch.no_grad()
def test_values_of_pictures(pictures, name):
    model, io = pictures
    height, width = io[name].shape[2:]
    expected = io[name].flatten(2).mT
    tokens = model.encode(io["image"])
    close(model.decode(tokens, their_cells(height, width)), expected)
    close(model.decode(tokens, their_cells(height, width).coords()), expected)
    # At our cell centres phases of pi 1024 v differ in their last bit, 2e-4: so much of the values is rounding.
    close(model.decode(tokens, Grid.cells(height, width)), expected, atol=1e-4)


@torch.no_grad()
def test_psnr_of_pictures(pictures):
    model, io = pictures
    values = model.decode(model.encode(io["image"]), their_cells(34, 34))
    errors = (values - io["image"].flatten(2).mT).square().mean((1, 2))
    assert -10 * errors.log10().mean().item() == pytest.approx(io["psnr"].item(), abs=1e-4)


@torch.no_grad()
def test_rays_tokens_and_rendered_values_of_views(views):
    model, io = views
    origins, directions = rays(io["query_poses"], io["query_focals"], 16, 16)
    close(origins, io["rays_o"])
    close(directions, io["rays_d"])
    tokens = model.encode(with_rays(io["support_imgs"], io["support_poses"], io["support_focals"]))
    close(tokens, io["r_tokens"])
    field, integral = field_of(model, tokens), Integral(float(io["near"][0]), float(io["far"][0]), 16)
    close(render(field, origins.flatten(1, -2), directions.flatten(1, -2), integral), io["render"].flatten(1, -2))


@torch.no_grad()
def test_any_number_of_views_in_any_order(views):
    model, io = views
    support = with_rays(io["support_imgs"], io["support_poses"], io["support_focals"])
    close(model.encode(support[:, [2, 0, 1]]), model.encode(support))
    assert model.encode(support[:, :1]).shape == model.encode(torch.cat([support, support], 1)).shape


@pytest.mark.parametrize("which", ["pictures", "views"])
def test_our_format_keeps_it(which, request, tmp_path):
    model, _ = request.getfixturevalue(which)
    loaded = pretrained.load(pretrained.save(model, tmp_path / "model"))
    assert loaded.config == model.config
    assert pretrained.model_hash(loaded) == pretrained.model_hash(model)


def theirs(model):
    """A state dict of theirs that holds the model: the plan, backwards."""
    ours, state = model.state_dict(), {}
    for name, source in _plan(model.config).items():  # keys come before values, as in their matrix of both
        their = f"hypernet.{source.name}"
        state[their] = torch.cat([state[their], ours[name]]) if their in state else ours[name]
    return state | {BESIDE + n.removeprefix(INSIDE): t for n, t in state.items() if n.startswith(INSIDE)}


@pytest.mark.parametrize("name", ["anr_dev", "anr_nerf_dev"])
@pytest.mark.parametrize("depth", [1, 4])
def test_other_sizes(name, depth):
    _, config = contents(name)
    arguments = config["hyper_network"][1]
    decoder = arguments["hyponet"]["args"]
    decoder |= {"hidden_dim": 26, "depth": depth, "token_len": 7, "adaptive_idim": True, "pe_dim": 5}
    del decoder["att_threshold"]  # their default: none
    arguments["tinr_enc"]["args"]["depth"], arguments["tokenizer"]["args"]["patch_size"] = 1, [5, 5]
    sizes = {"num_latents": 7, "dim": 26, "encoder_dim": 48, "encoder_depth": 1, "decoder_depth": 2, "cutoff": 0.0}
    sizes |= {"encoder_heads": 3, "encoder_head_dim": 8, "encoder_hidden": 96, "heads": 3, "head_dim": 8, "patch": 5}
    ends = {"size": (34, 34), "drop_rest": True} if name == "anr_dev" else {"size": (16, 16), "drop_rest": True}
    of_kind = AnrConfig if name == "anr_dev" else AnrRadianceConfig
    torch.manual_seed(0)
    model = of_kind(**sizes, **ends, depth=depth).build()
    imported = PROJECT.read({"step": 0, "model": theirs(model)}, config)
    assert imported.config == model.config
    assert all(torch.equal(a, b) for a, b in zip(imported.parameters(), model.parameters(), strict=True))


@pytest.mark.parametrize(("name", "kind"), [("anr_dev", AnrConfig), ("anr_nerf_dev", AnrRadianceConfig)])
def test_the_importer_of_all_projects_knows_them(name, kind):
    assert isinstance(import_checkpoint(GOLDEN / f"{name}.pt").config, kind)  # its YAML lies beside it


def test_only_their_checkpoints_are_recognised():
    checkpoint, _ = contents("anr_dev")
    assert PROJECT.recognises(checkpoint)
    others = {}, {"model": 3}, {"model": {"a": 1}}, {"state_dict": checkpoint["model"]}
    assert not any(map(PROJECT.recognises, others))


LAYER = "hypernet.tinr_enc.layers.0.0.fn.to_kv.weight"
BROKEN = {  # what is done to the state dict, and what is said
    "missing": (lambda s: s.pop(LAYER), LAYER),
    "missing beside": (lambda s: s.pop("hypo_model.mlp.2.bias"), r"lacks hypo_model\.mlp\.2\.bias"),
    "unknown": (lambda s: s.update(extra=torch.zeros(1)), "holds unknown extra"),
    "of another shape": (lambda s: s.update({LAYER: torch.zeros(7, 48)}), rf"{LAYER} is \(7, 48\)"),
    "no tensor": (lambda s: s.update({LAYER: 3}), f"{LAYER} is int"),
    "two decoders": (
        lambda s: s.update({"hypo_model.mlp.2.bias": torch.ones(3)}),
        r"hypo_model\.mlp\.2\.bias and .* differ",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_other_tensors_are_named(name):
    (checkpoint, config), (change, message) = contents("anr_dev"), BROKEN[name]
    change(checkpoint["model"])
    with pytest.raises(UserError, match=message):
        PROJECT.read(checkpoint, config)


def changed(config, path, value):
    config = copy.deepcopy(config)
    *outer, last = path.split(".")
    inner = config["hyper_network"][1]
    for key in outer:
        inner = inner[key]
    inner[last] = value
    config["model_framework"]["inner_model"] = config["hyper_network"]
    return config


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("hyponet.args.activation", "mish", "activation is 'mish'; only 'relu'"),
        ("hyponet.args.rescale", True, "rescale is True"),
        ("hyponet.args.out_bias", 0.5, "out_bias is 0.5"),
        ("hyponet.args.att_treshold", 0.1, "did you mean 'hyponet.args.att_threshold'"),
        ("hyponet.args.pe_dim", 20, "needs adaptive_idim"),
        ("hyponet.args.out_dim", 4, "out_dim 4 and tokenizer.args.img_channels 3 differ"),
        ("hyponet.args.in_dim", 1, "in_dim 1"),
        ("hyponet.name", "MLP", "name is 'MLP'; ANR, HypoMlp"),
        ("direct_wtoken", False, "direct_wtoken is False"),
        ("tinr_enc.args.shortcut_every", 2, "shortcut_every is 2"),
        ("tinr_dec.args.n_head", 2, "n_head 3 and tinr_dec.args.n_head 2"),
        ("tokenizer.args.dim", 2, "tokenizer.args.dim"),
        ("tokenizer.args.patch_size", [5, 10], "one number for both axes"),
        ("tokenizer.args.input_size", [34], "a pair of numbers"),
        ("hyponet.args.token_len", "many", "token_len is 'many'"),
        ("hyponet.args.att_threshold", "low", "att_threshold is 'low'"),
        ("hyponet.args.n_head", "some", "heads: 'some' is not int"),
        ("tokenizer.args.stride", 2, "tokenizer.args.stride is not known"),
    ],
)
def test_other_configurations_are_named(path, value, message):
    checkpoint, config = contents("anr_dev")
    with pytest.raises(UserError, match=message):
        PROJECT.read(checkpoint, changed(config, path, value))


def test_configurations_of_another_form_are_refused():
    checkpoint, config = contents("anr_dev")
    for broken in ({}, {"hyper_network": 3}, {"hyper_network": ["HyperNetwork"]}, {"model_framework": []}):
        with pytest.raises(UserError, match="lacks hyper_network"):
            PROJECT.read(checkpoint, broken)
    with pytest.raises(UserError, match="'Other' is not known"):
        PROJECT.read(checkpoint, {"hyper_network": ["Other", {}]})
    with pytest.raises(UserError, match="need their YAML"):
        PROJECT.read(checkpoint, None)
    config["model_framework"]["outer_model"][1]["is_norm_01"] = False
    with pytest.raises(UserError, match="is_norm_01"):
        PROJECT.read(checkpoint, config)


def test_every_section_has_a_meaning():
    checkpoint, config = contents("anr_dev")
    with pytest.raises(UserError, match=r"losss_type, zzz are not known; did you mean 'loss_type'.*; accepted: hyper"):
        PROJECT.read(checkpoint, config | {"losss_type": 1, "zzz": 1})
    config["model_framework"]["outer_model"][1]["is_norm01"] = False
    with pytest.raises(UserError, match=r"outer_model\.is_norm01 is not known; did you mean 'is_norm_01'"):
        PROJECT.read(checkpoint, config)


def test_the_moving_average_is_imported_on_request(tmp_path):
    checkpoint, _ = contents("anr_dev")
    averaged = {name: tensor / 2 for name, tensor in checkpoint["model"].items()}
    ema = {f"ema_model.{name}": tensor for name, tensor in averaged.items()} | {"step": torch.tensor(1)}
    torch.save(checkpoint | {"ema": ema}, tmp_path / "x.pt")
    torch.save(checkpoint | {"model": averaged}, tmp_path / "averaged.pt")
    with pytest.warns(UserWarning, match="a moving average that differs; taken were their moving average"):
        imported = import_checkpoint(tmp_path / "x.pt", GOLDEN / "anr_dev.yaml", weights="ema")
    expected = import_checkpoint(tmp_path / "averaged.pt", GOLDEN / "anr_dev.yaml")
    assert pretrained.model_hash(imported) == pretrained.model_hash(expected)


def test_other_contents_are_refused(tmp_path):
    checkpoint, config = contents("anr_dev")
    with pytest.raises(UserError, match="holds unknown state_dict"):
        PROJECT.read(checkpoint | {"state_dict": {}}, config)
    torch.save({"model": {"weight": torch.zeros(1)}}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="is no checkpoint of kakaobrain/ginr-ipc"):
        import_checkpoint(tmp_path / "other.pt")
    torch.save(checkpoint | {"ema": replace}, tmp_path / "code.pt")  # a function: nothing in a checkpoint may run
    with pytest.raises(UserError, match=r"code\.pt is no checkpoint of tensors and plain data"):
        import_checkpoint(tmp_path / "code.pt", GOLDEN / "anr_dev.yaml")
    with pytest.raises(UserError, match=r"missing\.pt: no such file"):
        import_checkpoint(tmp_path / "missing.pt", GOLDEN / "anr_dev.yaml")

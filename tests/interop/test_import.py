"""What is asked of a foreign checkpoint and its configuration, and how each refusal reads."""

import copy
import os
import shutil
from argparse import Namespace
from pathlib import Path

import pytest
import torch
import yaml

from tokenfield.errors import UserError
from tokenfield.interop.checkpoints import PROJECTS, import_checkpoint
from tokenfield.models.hyponet_field import IpcConfig

GOLDEN = Path(__file__).parents[1] / "golden"


def changed(tmp_path, name, *, tensors=None, setting=None, dataset=None, sections=None):
    """A checkpoint and its YAML after `tensors(state dict)` and with `setting`, a dotted name and a value or None."""
    content = torch.load(GOLDEN / f"{name}_dev.pt", weights_only=True)
    config = yaml.safe_load((GOLDEN / f"{name}_dev.yaml").read_text())
    if tensors:
        tensors(content["state_dict"])
    if setting:
        *path, last = setting[0].split(".")
        section = config["arch"]
        for part in path:
            section = section[part]
        if setting[1] is None:
            section.pop(last)
        else:
            section[last] = setting[1]
    if dataset:
        config["dataset"] = dataset
    config |= sections or {}
    torch.save(content, tmp_path / "some.pt")
    (tmp_path / "some.yaml").write_text(yaml.safe_dump(config))
    return tmp_path / "some.pt"


def take(name, tensor=None):
    return lambda state: state.pop(name) if tensor is None else state.update({name: tensor})


STATES = {
    "missing": (take("transformer.blocks.1.attn.key.bias"), r"lacks transformer\.blocks\.1\.attn\.key\.bias$"),
    "unknown": (
        take("transformer.blocks.2.ln1.bias", torch.ones(48)),
        r"holds unknown transformer\.blocks\.2\.ln1\.bias",
    ),
    "another shape": (
        take("weight_groups.weight_groups", torch.ones(15, 48)),
        r"weight_groups is \(15, 48\).*\(16, 48\)",
    ),
    "a number": (take("weight_groups.weight_groups", torch.tensor(1.0)), r"weight_groups is \(\)"),
    "no tensor": (take("weight_groups.weight_groups", "x"), "weight_groups is str"),
    "other frequencies": (take("hyponet.ff_linear", torch.ones(8)), "ff_linear holds other frequencies"),
}


@pytest.mark.parametrize("name", STATES)
def test_every_tensor_has_its_place(tmp_path, name):
    tensors, message = STATES[name]
    with pytest.raises(UserError, match=message):
        import_checkpoint(changed(tmp_path, "ipc", tensors=tensors))


def test_many_missing_names_are_counted(tmp_path):
    def without_transformer(state):
        for name in [name for name in state if name.startswith("transformer.")]:
            del state[name]

    with pytest.raises(UserError, match=r"and 27 more$"):
        import_checkpoint(changed(tmp_path, "ipc", tensors=without_transformer))


SETTINGS = [
    ("transformer.n_layers", 2, r"arch\.transformer\.n_layers is not known; did you mean 'transformer\.n_layer'"),
    ("transformer.n_layer", None, r"lacks arch\.transformer\.n_layer$"),
    ("transformer.mask", True, "arch.transformer.mask is True; only False is implemented here"),
    ("transformer.block.gelu", "v2", "gelu is 'v2'; only 'v1'"),
    ("hyponet.activation.type", "siren", "activation.type is 'siren'; only 'relu'"),
    ("hyponet.hidden_dim", [32, 32, 32, 16], "one width is implemented here"),
    ("hyponet.normalize_weight", False, "normalize_weight is False"),
    ("hyponet.fourier_mapping.type", "random_gaussian", "type is 'random_gaussian'"),
    ("data_encoder", {"type": "unfold_audio", "encoder_spec": {"use_padding": True}}, "type is 'unfold_audio'; only"),
    ("coord_sampler.data_type", "audio", "data_type is 'audio'; only 'image'"),
    ("transformer.n_layer", "two", "encoder_depth: 'two' is not int"),
    ("latent_mapping.n_patches", 17, "17 is no square number"),
    ("latent_mapping.latent_dim", 47, "must agree"),
    ("n_weight_groups", [16, 16, 8, 16, 16], None),
    ("n_weight_groups", [16, 8, 16, 16, 16], r"weight_groups is \(16, 48\)"),
    ("data_encoder.n_channel", 1, "n_channel and arch.hyponet.output_dim differ"),
    ("type", "functa", "arch.type 'functa' is not known"),
    ("transformer.block", 3, r"arch\.transformer\.block is 3, not a mapping; accepted in it: n_head, "),
    ("hyponet.n_layer", {"deep": 1}, r"arch\.depth: {'deep': 1} is not int"),
]


@pytest.mark.parametrize(("name", "value", "message"), SETTINGS)
def test_every_setting_has_a_meaning(tmp_path, name, value, message):
    checkpoint = changed(tmp_path, "ipc", setting=(name, value))
    if message is None:
        import_checkpoint(checkpoint)
        return
    with pytest.raises(UserError, match=message):
        import_checkpoint(checkpoint)


def test_sizes_are_those_of_the_configuration(tmp_path):
    dataset = {"type": "imagenette", "transforms": {"type": "imagenette34x34"}}
    model = import_checkpoint(changed(tmp_path, "ipc", dataset=dataset))
    assert model.config == IpcConfig(
        size=(34, 34), encoder_dim=48, encoder_depth=2, encoder_heads=4, dim=32, feature_dim=32, num_latents=16,
        rounding="ginr-ipc",
    )
    dataset["transforms"]["type"] = "imagenette178x178"
    with pytest.raises(UserError, match="names 178 pixels, but the patches cover 34"):
        import_checkpoint(changed(tmp_path, "ipc", dataset=dataset))


SECTIONS = {  # of the YAML, and what is said
    "misspelt": ({"losss": {}, "zzz": 1}, r"losss, zzz are not known; did you mean 'loss'\?; accepted: arch, "),
    "one": ({"zzz": 1}, "zzz is not known; accepted: arch"),
    "no text": ({1: 1}, "1 is not known"),
    "inside": (
        {"dataset": {"typ": "imagenette", "transformz": {"type": "x"}}},
        r"dataset\.transformz, dataset\.typ are not known; did you mean .*; "
        r"accepted in dataset: type, transforms, train_config, val_config$",
    ),
    "deep": (
        {"dataset": {"train_config": {"n_suport": 2}}},
        r"n_suport is not known; did you mean .*n_support.*accepted in dataset\.train_config: split, n_support, ",
    ),
    "no mapping": ({"dataset": {"transforms": "x"}}, r"dataset\.transforms is 'x', not a mapping; accepted in it: "),
    "no section": ({"dataset": "x"}, "dataset is 'x', not a mapping; accepted in it: type, transforms"),
    "many": (dict.fromkeys("abcdefg", 1), "a, b, c, d, e and 2 more are not known"),
}


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_has_a_meaning(tmp_path, name):
    sections, message = SECTIONS[name]
    with pytest.raises(UserError, match=message):
        import_checkpoint(changed(tmp_path, "ipc", sections=sections))


def test_sections_of_their_trainer_are_accepted(tmp_path):
    training = {name: {"anything": 1} for name in ("loss", "optimizer", "experiment", "runtime")}
    dataset = {"type": "ffhq", "transforms": {"type": "ffhq34x34", "normalize": False}, "train_config": None}
    sections = training | {"seed": 0, "result_path": "/tmp", "dataset": dataset}
    assert import_checkpoint(changed(tmp_path, "ipc", sections=sections)).input_size == (34, 34)
    import_checkpoint(changed(tmp_path, "ipc", sections={"dataset": None}))


def test_a_misspelt_setting_gets_the_accepted_ones(tmp_path):
    with pytest.raises(UserError, match=r"; accepted in arch\.transformer: n_layer, block, embed_dim, mask$"):
        import_checkpoint(changed(tmp_path, "ipc", setting=("transformer.deep", 2)))


def test_defaults_are_theirs(tmp_path):
    setting = ("transformer.block", {"n_head": 4})  # as their own files have it
    assert import_checkpoint(changed(tmp_path, "ipc", setting=setting)).config.encoder_heads == 4


VIEWS = {  # patches, n_support, and the views or what is said
    "said": (12, 3, 3),
    "not said": (12, None, 3),
    "of another number": (12, 2, r"n_patches 12 and .*n_support 2 do not fit.* for 12 patches n_support is 3, for 2"),
    "transinr_shapenet_chairs_5views": (512, 5, r"n_patches 512 and .*n_support 5 do not fit.* n_support is 2, for 5"),
    "no number": (12, "3", "n_support '3' do not fit"),
    "open": (16, None, "n_support says how many"),
}


@pytest.mark.parametrize(("patches", "views_setting", "views"), VIEWS.values(), ids=VIEWS)
def test_views_come_from_the_setting_or_are_the_only_ones_possible(tmp_path, patches, views_setting, views):
    dataset = {"train_config": {"n_support": views_setting}}
    checkpoint = changed(tmp_path, "ipc_nerf", setting=("latent_mapping.n_patches", patches), dataset=dataset)
    if isinstance(views, int):
        assert import_checkpoint(checkpoint).config.views == views
        return
    with pytest.raises(UserError, match=views):
        import_checkpoint(checkpoint)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("owned",)


FILES = {
    "nothing": (None, "no such file"),
    "text": (b"hello", "no checkpoint of tensors"),
    "code": (Evil(), r"it holds pickled objects \(\w+\.mkdir\), which could run code and are not opened; [a-z ]+$"),
    "pickled objects": ({"args": Namespace(x=1)}, r"x\.pt is no checkpoint .* objects \(argparse\.Namespace\), which"),
    "a list": ([torch.ones(2)], "holds a list"),
    "another project": ({"weights": torch.ones(2)}, r"\(with weights\) is no checkpoint of kakaobrain/ginr-ipc, "),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_no_checkpoints(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    content, message = FILES[name]
    if isinstance(content, bytes):
        Path("x.pt").write_bytes(content)
    elif content is not None:
        torch.save(content, "x.pt")
    with pytest.raises(UserError, match=message):
        import_checkpoint("x.pt")
    assert not Path("owned").exists()


def test_truncated_files(tmp_path):
    whole = (GOLDEN / "ipc_dev.pt").read_bytes()
    for end in (0, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "x.pt").write_bytes(whole[:end])
        with pytest.raises(UserError, match="no checkpoint of tensors"):
            import_checkpoint(tmp_path / "x.pt", GOLDEN / "ipc_dev.yaml")


def test_where_the_configuration_is_looked_for(tmp_path):
    checkpoint = tmp_path / "epoch1_model.pt"
    shutil.copy(GOLDEN / "ipc_dev.pt", checkpoint)
    with pytest.raises(UserError, match="need their YAML"):
        import_checkpoint(checkpoint)
    import_checkpoint(checkpoint, GOLDEN / "ipc_dev.yaml")
    shutil.copy(GOLDEN / "ipc_dev.yaml", tmp_path / "config.yaml")  # where their trainer writes it
    import_checkpoint(checkpoint)
    broken = {"- 1": "holds no mapping", "a: [": "no readable YAML", "a: !!python/name:os.mkdir": "no readable YAML"}
    for text, message in broken.items():
        (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(UserError, match=message):
            import_checkpoint(checkpoint)


def test_unknown_entries_beside_the_weights(tmp_path):
    content = torch.load(GOLDEN / "ipc_dev.pt", weights_only=True) | {"extra": 1}
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(UserError, match="holds unknown extra"):
        import_checkpoint(tmp_path / "x.pt", GOLDEN / "ipc_dev.yaml")


def yinboc(tmp_path, change):
    content = torch.load(GOLDEN / "yinboc_transinr_dev.pt", weights_only=True)
    content = copy.deepcopy(content)
    change(content["model"]["args"])
    torch.save(content, tmp_path / "x.pt")
    return tmp_path / "x.pt"


YINBOC = {
    "heads": (lambda args: args["transformer_encoder"]["args"].update(head_dim=4), "heads that fill the width"),
    "patches": (lambda args: args["tokenizer"]["args"].update(padding=2), "no whole patches of 5"),
    "bias": (lambda args: args["hyponet"]["args"].pop("out_bias"), r"out_bias is 0; only 0\.5"),
    "net": (lambda args: args["hyponet"].update(name="hypo_x"), "'hypo_x' is not known"),
    "unknown": (lambda args: args["tokenizer"]["args"].update(stride=1), "stride is not known"),
    "depth": (lambda args: args["hyponet"]["args"].update(depth=5), "lacks base_params.wb4"),
}


@pytest.mark.parametrize("name", YINBOC)
def test_specifications_inside_the_checkpoint(tmp_path, name):
    change, message = YINBOC[name]
    with pytest.raises(UserError, match=message):
        import_checkpoint(yinboc(tmp_path, change))


def test_a_yaml_beside_a_specification_must_agree(tmp_path):
    checkpoint = yinboc(tmp_path, lambda args: None)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"model": {"name": "trans_inr"}}))
    with pytest.raises(UserError, match="leave the YAML out"):
        import_checkpoint(checkpoint)


def test_every_section_of_a_yaml_beside_a_specification_has_a_meaning(tmp_path):
    checkpoint = yinboc(tmp_path, lambda args: None)
    model = torch.load(checkpoint, weights_only=True)["model"]
    del model["sd"]
    sections = {"trainer": "imgrec_trainer", "train_dataset": {"name": "x", "args": {"a": 1}}, "max_epoch": 1}
    (tmp_path / "cfg.yaml").write_text(yaml.safe_dump(sections | {"model": model}))
    import_checkpoint(checkpoint, tmp_path / "cfg.yaml")
    for wrong, message in (
        ({"zzz": 1}, "zzz is not known; accepted: model, train_dataset"),
        ({"test_dataset": {"nam": 1}}, r"test_dataset\.nam is not known.*in test_dataset: name, args, loader$"),
    ):
        (tmp_path / "cfg.yaml").write_text(yaml.safe_dump(sections | wrong | {"model": model}))
        with pytest.raises(UserError, match=message):
            import_checkpoint(checkpoint, tmp_path / "cfg.yaml")


def test_projects_know_their_own():
    projects = {"ipc": 0, "transinr": 0, "learned_init": 0, "ipc_nerf": 0, "yinboc_transinr": 1, "anr": 2}
    for name, project in projects.items():
        content = torch.load(GOLDEN / f"{name}_dev.pt", weights_only=True)
        claims = [project.recognises(content) for project in PROJECTS]
        assert claims.index(True) == project and sum(claims) == 1

"""Models in folders: identity, strictness, no network."""

import dataclasses
import json
import resource
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import load_file, save_file

from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.models import pretrained
from tokenfield.models.lainr import Lainr, LainrConfig

TOY = LainrConfig(
    size=(16, 16), patch=4, padding=0, num_latents=5, latent_dim=7, encoder_dim=16, encoder_depth=1, encoder_heads=2,
    dim=16, feature_dim=16, sigma_q=2.0, sigmas=(8.0, 4.0), heads=2,
)  # fmt: skip


@pytest.fixture
def model():
    torch.manual_seed(0)
    return TOY.build()


@pytest.fixture
def folder(model, tmp_path):
    return pretrained.save(model, tmp_path / "m", card="# A card\n", evaluation={"psnr": 41.5})


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Reaching for the network is an error in every test here."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"the network was asked: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_weights_and_configuration_come_back(model, folder):
    again = pretrained.load(folder)
    assert isinstance(again, Lainr) and again.config == model.config and again.origin == str(folder)
    assert not again.training
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), model.state_dict().values(), strict=True))
    assert pretrained.model_hash(again) == pretrained.model_hash(model)
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "eval.json", "model.safetensors"]
    assert json.loads((folder / "eval.json").read_text()) == {"psnr": 41.5}
    assert json.loads((folder / "config.json").read_text())["model"] == "lainr"
    assert list(folder.parent.iterdir()) == [folder]
    twice = pretrained.save(again, folder.with_name("n"))
    assert (twice / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_upcast_and_has_an_identity_of_its_own(model, tmp_path, dtype):
    folder = pretrained.save(model, tmp_path / "half", dtype=dtype)
    stored = load_file(folder / "model.safetensors")
    assert {t.dtype for t in stored.values()} == {dtype}
    again = pretrained.load(folder)
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    assert all(torch.equal(t.float(), again.state_dict()[k]) for k, t in stored.items())
    assert pretrained.model_hash(again) != pretrained.model_hash(model)
    twice = pretrained.load(pretrained.save(again, tmp_path / "twice", dtype=dtype))
    assert pretrained.model_hash(twice) == pretrained.model_hash(again)


def test_the_hash_follows_the_weights_and_the_configuration(model):
    first = pretrained.model_hash(model)
    assert len(first) == 64 and pretrained.model_hash(model) == first
    with torch.no_grad():
        weight = next(model.parameters())
        weight[0] += 1
        assert pretrained.model_hash(model) != first
        weight[0] -= 1
    torch.manual_seed(0)
    same = TOY.build()
    torch.manual_seed(0)
    other = dataclasses.replace(TOY, sigma_q=3.0).build()
    assert all(torch.equal(a, b) for a, b in zip(same.parameters(), other.parameters(), strict=True))
    assert pretrained.model_hash(same) == first != pretrained.model_hash(other)
    assert pretrained.model_hash(same.double()) == first  # the same numbers, wherever and however they lie


def test_the_hash_is_computed_once_for_unchanged_weights(model, monkeypatch):
    first = pretrained.model_hash(model)
    monkeypatch.setattr(pretrained, "describe", lambda model: pytest.fail("hashed again"))
    assert pretrained.model_hash(model) == first


def test_whole_numbers_in_a_configuration_do_not_change_the_identity(tmp_path):
    torch.manual_seed(0)
    model = dataclasses.replace(TOY, sigmas=(8.0, 4.0)).build()
    object.__setattr__(model.config, "sigma_q", 2)  # as a recipe may write it
    assert pretrained.model_hash(pretrained.load(pretrained.save(model, tmp_path / "m"))) == pretrained.model_hash(
        model
    )


def test_loading_draws_no_random_number(folder):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    pretrained.load(folder)
    assert torch.equal(torch.rand(3), expected)


def test_packaged_models_are_found_by_name(folder, monkeypatch):
    monkeypatch.setattr("tokenfield.models.folder.PACKAGED", folder.parent)
    assert pretrained.list_models() == ["m"]
    assert pretrained.load("m").origin == "m"
    with pytest.raises(UserError, match=r"neither packaged \(m\) nor a folder; .* hf:owner/name"):
        pretrained.load("n")


def test_saving_again_replaces_the_files_and_nothing_else(model, folder):
    (folder / "metrics.jsonl").write_text("{}\n")
    with torch.no_grad():
        next(model.parameters()).mul_(2)
    pretrained.save(model, folder)
    assert pretrained.model_hash(pretrained.load(folder)) == pretrained.model_hash(model)
    assert (folder / "metrics.jsonl").exists() and (folder / "README.md").read_text() == "# A card\n"
    assert len(list(folder.iterdir())) == 5


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_names_that_no_disk_takes_are_one_line(name, model):
    for call in (lambda: pretrained.load(name), lambda: pretrained.save(model, name), lambda: Field.load(name),
                 lambda: Lainr.from_pretrained(name), lambda: Field.of(model, torch.rand(3, 9, 9)).save(name)):
        with pytest.raises(UserError):
            call()


def test_a_model_that_was_loaded_in_inference_mode_can_be_trained(folder):
    with torch.inference_mode():
        model = pretrained.load(folder)
    model.decode(model.encode(torch.rand(1, 3, 16, 16)), torch.rand(4, 2)).sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())


def test_two_that_save_into_one_folder_take_turns(model, folder):
    """Else the card of one would stand beside the weights of the other."""
    other = dataclasses.replace(TOY, latent_dim=6).build()
    for _ in range(10):
        with ThreadPoolExecutor(2) as pool:
            pool.map(lambda one: pretrained.save(one, folder, card=f"{one.config.latent_dim}"), (model, other))
        assert (folder / "README.md").read_text() == f"{pretrained.load(folder).config.latent_dim}"
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "eval.json", "model.safetensors"]


def test_a_full_disk_leaves_no_folder(model, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(UserError, match="cannot write"):
            pretrained.save(model, tmp_path / "deep" / "m")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.glob("deep/*")) and not list(tmp_path.glob("deep/.*"))


def test_weights_that_are_not_finite_or_do_not_fit_are_not_saved(model, tmp_path):
    with torch.no_grad():
        next(model.parameters()).fill_(1e6)
    with pytest.raises(UserError, match=r"not finite as torch\.float16"):
        pretrained.save(model, tmp_path / "m", dtype=torch.float16)
    assert not list(tmp_path.iterdir())


def edit(folder, **changes):
    description = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**description, **changes}))


def weights(folder, change):
    """The weights changed, saved by another library: without our metadata."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def first(tensors):
    return next(iter(tensors))


DAMAGE = {
    "no config": (lambda f: (f / "config.json").unlink(), "has no config.json"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has no model.safetensors"),
    "no folder": (lambda f: f.rename(f.with_name("n")), "neither packaged"),
    "config is no json": (lambda f: (f / "config.json").write_text("{"), "no JSON"),
    "config is no text": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe"), "no JSON"),
    "config of other weights": (lambda f: edit(f, sigma_q=9.0), "not the configuration"),
    "unknown system": (lambda f: (weights(f, len), edit(f, model="siren")), "'siren'; known systems are"),
    "config is a list": (lambda f: (weights(f, len), (f / "config.json").write_text("[]")), "known systems are"),
    "unknown field": (lambda f: (weights(f, len), edit(f, headz=2)), "did you mean 'heads'?"),
    "wrong type": (lambda f: (weights(f, len), edit(f, heads="two")), "heads: 'two' is not int"),
    "impossible": (lambda f: (weights(f, len), edit(f, feature_dim=1)), "feature_dim"),
    "empty weights": (lambda f: (f / "model.safetensors").write_bytes(b""), "damaged or cut short"),
    "cut weights": (
        lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:-1]),
        "cut",
    ),
    "a pickle": (lambda f: torch.save({}, f / "model.safetensors"), "no safetensors file"),
    "one lacks": (lambda f: weights(f, lambda t: t.pop(first(t))), "lacks "),
    "one more": (lambda f: weights(f, lambda t: t.update(more=torch.zeros(2))), "holds unknown more"),
    "other shapes": (lambda f: (weights(f, len), edit(f, latent_dim=11)), "has other shapes for"),
    "not finite": (lambda f: weights(f, lambda t: t[first(t)].fill_(float("nan"))), "not finite in"),
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda name: name.replace(" ", "-"))
def test_damaged_folders_are_named(damage, folder):
    spoil, message = DAMAGE[damage]
    spoil(folder)
    with pytest.raises(UserError) as error:
        pretrained.load(folder)
    assert message in str(error.value) and str(folder) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["photos-x", "owner/name", "runs/typo", "", "hf:not a name", "hf:"])
def test_unknown_names_never_reach_for_the_network(name):
    with pytest.raises(UserError):
        pretrained.load(name)


def test_only_the_prefix_contacts_the_hub(folder, monkeypatch):
    import huggingface_hub

    calls = []

    def download(repository, revision, allow_patterns):
        calls.append((repository, revision, allow_patterns))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert pretrained.load("hf:owner/name@v1").origin == "hf:owner/name@v1"
    assert calls == [("owner/name", "v1", ["config.json", "model.safetensors", "codec.safetensors"])]

"""The .field file: bits come back, and anything else gets one clear line."""

import json
import resource
import struct

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tokenfield import __version__
from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.fields.field_file import ModelId, read_field, write_field
from tokenfield.io.atomic import written_aside
from tokenfield.models import pretrained
from tokenfield.models.lainr import LainrConfig

TOY = LainrConfig(
    size=(16, 16), patch=4, padding=0, num_latents=5, latent_dim=7, encoder_dim=16, encoder_depth=1, encoder_heads=2,
    dim=16, feature_dim=16, sigma_q=2.0, sigmas=(8.0, 4.0), heads=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return TOY.build().eval()


@pytest.fixture
def field(model):
    return Field.of(model, torch.rand(3, 23, 37, generator=torch.Generator().manual_seed(0)))


@pytest.fixture
def path(field, tmp_path):
    field.save(tmp_path / "a.field")
    return tmp_path / "a.field"


def test_bits_come_back(field, path, model):
    again = Field.load(path, model)
    assert torch.equal(again.tokens, field.tokens) and again.domain == field.domain
    assert torch.equal(again.render(19, 31), field.render(19, 31))
    again.save(path.with_name("b.field"))
    assert path.read_bytes() == path.with_name("b.field").read_bytes()
    assert sorted(p.name for p in path.parent.iterdir()) == ["a.field", "b.field"]  # nothing left aside


def test_half_precision_halves_the_file(field, path, model):
    half = path.with_name("half.field")
    field.save(half, dtype=torch.float16)
    saved = field.tokens.numel() * 2
    assert path.stat().st_size - half.stat().st_size == saved
    again = Field.load(half, model)
    assert again.tokens.dtype == torch.float32
    assert torch.equal(again.tokens, field.tokens.half().float())


def test_a_description_is_read_without_the_tokens(field, path, model):
    file = read_field(path, tokens=False)
    assert file.tokens is None and file.shape == (2, 3, 5, 7) and file.dtype == "F32"
    assert file.model == ModelId("lainr", None, pretrained.model_hash(model)) and file.library == __version__
    assert file.domain == {"kind": "tiles", "size": [23, 37], "tile": [16, 16], "overlap": 0.125}


def test_the_model_is_found_by_what_it_was_loaded_from(field, tmp_path):
    pretrained.save(field.model, tmp_path / "model")
    loaded = pretrained.load(tmp_path / "model")
    other = Field(loaded, field.tokens, field.domain)
    other.save(tmp_path / "b.field")
    assert torch.equal(Field.load(tmp_path / "b.field").render(5, 7), field.render(5, 7))
    (tmp_path / "model").rename(tmp_path / "gone")
    with pytest.raises(UserError, match=r"not at hand; give it: Field.load"):
        Field.load(tmp_path / "b.field")
    assert Field.load(tmp_path / "b.field", pretrained.load(tmp_path / "gone")).values_stored == 210


def test_another_model_is_refused(path):
    other = TOY.build()
    with pytest.raises(UserError, match=r"was made by lainr \(.{12}\), not by lainr \(.{12}\)"):
        Field.load(path, other)


def test_opening_a_file_never_contacts_the_hub(field, path):
    foreign = path.with_name("hub.field")
    write_field(foreign, field.tokens, domain=field.domain.to_dict(), model=ModelId("lainr", "hf:some/body", "0" * 64))
    with pytest.raises(UserError, match="not at hand"):
        Field.load(foreign)


def rewrite(path, **changes):
    """The file with its description changed, without entries that are None."""
    data = path.read_bytes()
    (n,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + n])
    about = {**json.loads(header["__metadata__"]["tokenfield.field"]), **changes}
    about = {key: value for key, value in about.items() if value is not None}
    header["__metadata__"]["tokenfield.field"] = json.dumps(about)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + n :])


def tensors(path, stored):
    """A file of ours in all but the tensors."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file(stored, path, metadata)


DAMAGE = {
    "missing": (lambda p: p.unlink(), "no file"),
    "folder": (lambda p: (p.unlink(), p.mkdir()), "is a folder"),
    "empty": (lambda p: p.write_bytes(b""), "damaged or cut short"),
    "cut in the header": (lambda p: p.write_bytes(p.read_bytes()[:50]), "damaged or cut short"),
    "cut in the tokens": (lambda p: p.write_bytes(p.read_bytes()[:-9]), "damaged or cut short"),
    "longer": (lambda p: p.write_bytes(p.read_bytes() + b"x"), "damaged or cut short"),
    "a picture": (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99)), "no .field file"),
    "text": (lambda p: p.write_text("photo\n" * 9), "no .field file"),
    "other safetensors": (lambda p: save_file({"tokens": torch.zeros(3)}, p), "tokenfield encode"),
    "newer": (
        lambda p: rewrite(p, version=2, library="9.0", tiles=[]),
        "by tokenfield 9.0; this tokenfield reads up to 1",
    ),
    "version": (lambda p: rewrite(p, version="new"), "version: 'new' is not int"),
    "no model": (lambda p: rewrite(p, model=None), "lacks model"),
    "model": (lambda p: rewrite(p, model={"name": 3}), "damaged"),
    "domain list": (lambda p: rewrite(p, domain=[]), "domain: [] is not dict"),
    "domain": (lambda p: rewrite(p, domain={"kind": "torus"}), "damaged: domain 'torus'"),
    "domain size": (lambda p: rewrite(p, domain={"kind": "tiles", "size": [90, 37], "tile": [16, 16]}), "is damaged"),
    "domain kind": (lambda p: rewrite(p, domain={"kind": "lattice", "size": [23, 37], "cell": 4}), "is damaged"),
    "json": (lambda p: save_file({"tokens": torch.zeros(3)}, p, {"tokenfield.field": "{"}), "description is damaged"),
    "more tensors": (lambda p: tensors(p, {"tokens": torch.zeros(3), "more": torch.zeros(3)}), "holds one, 'tokens'"),
    "whole numbers": (lambda p: tensors(p, {"tokens": torch.zeros(3).int()}), "F32 or F16"),
    "not numbers": (lambda p: tensors(p, {"tokens": torch.full((2, 3, 5, 7), float("nan"))}), "not finite"),
    "shape": (lambda p: tensors(p, {"tokens": torch.zeros(2, 2, 5, 7)}), "is damaged"),
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda name: name.replace(" ", "-"))
def test_damaged_and_foreign_files_are_named(damage, path, model):
    spoil, message = DAMAGE[damage]
    spoil(path)
    with pytest.raises(UserError) as error:
        Field.load(path, model)
    assert message in str(error.value) and str(path) in str(error.value) and "\n" not in str(error.value)


def test_every_byte_of_the_header_may_be_wrong(path, model):
    """Whatever a flipped byte does, it ends in a field or in a `UserError`."""
    data = path.read_bytes()
    for i in range(0, 8 + struct.unpack("<Q", data[:8])[0], 3):
        path.write_bytes(data[:i] + bytes([data[i] ^ 0x15]) + data[i + 1 :])
        try:
            Field.load(path, model)
        except UserError as error:
            assert "\n" not in str(error)


def test_a_full_disk_leaves_the_old_file(path, field):
    """The limit on file sizes stands for the disk: the write fails half way with an operating system's error."""
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(UserError, match=r"cannot write .*larger than is allowed here"):
            field.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_one_line(field, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="a part of the path is a file"):
        field.save(tmp_path / "file" / "a.field")
    with pytest.raises(UserError, match=r"torch.bfloat16; torch.float32"):
        field.save(tmp_path / "a.field", dtype=torch.bfloat16)
    large = Field(field.model, field.tokens * 1e6, field.domain)
    with pytest.raises(UserError, match=r"do not fit torch\.float16"):
        large.save(tmp_path / "a.field", dtype=torch.float16)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_interrupted_write_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), written_aside(tmp_path / "a") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())

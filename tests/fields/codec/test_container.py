"""Files of version 2: what is written is read, in parts too; whatever is changed or cut is one clean line."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from tokenfield import __version__
from tokenfield.errors import UserError
from tokenfield.fields.archive import FieldArchive, write_archive
from tokenfield.fields.codec import container
from tokenfield.fields.codec.container import Header, opened, pack, packed
from tokenfield.fields.domains import domain_from_dict
from tokenfield.fields.field import Field
from tokenfield.fields.field_file import read_field
from tokenfield.models import pretrained
from tokenfield.models.folder import ModelId

MUTATIONS = int(os.environ.get("MUTATIONS", "100000"))
"""Damaged files; `MUTATIONS=1000000 pytest tests/fields/codec/test_container.py -k damaged` takes a minute."""


@pytest.fixture(scope="module")
def model():
    return pretrained.load("photos-codec")


@pytest.fixture(scope="module")
def picture():
    """Tall enough for two stripes."""
    draw = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 70, 9, generator=draw), size=(560, 70), mode="bicubic")
    return (smooth[0] + 0.02 * torch.randn(3, 560, 70, generator=draw)).clamp(0, 1)


@pytest.fixture(scope="module")
def field(model, picture):
    return Field.of(model, picture)


@pytest.fixture
def path(field, tmp_path):
    field.save(tmp_path / "a.field", quality=50)
    return tmp_path / "a.field"


def error(field, picture):
    return (field.render(*picture.shape[1:]) - picture).square().mean()


def test_headers_come_back():
    domain = {"kind": "tiles", "size": [5, 7], "tile": [4, 4], "overlap": 0.125}
    header = Header(ModelId("lainr", None, "ab" * 32), b"1234", 700, "1.2", (300, 7, 11, 13), 128, 2, domain)
    streams = [[b"a" * 300, b""], [b"bc", b"d"], [b"", b""]]
    with opened(pack(header, streams)) as file:
        assert file.header == header
        file.check_whole()
        assert [file.streams(i) for i in range(3)] == streams
    assert packed(0) == b"\0" and packed(300) == b"\xac\x02"


def test_a_file_is_small_and_says_what_it_is(field, path, model):
    assert path.stat().st_size < 560 * 70 * 3 / 5
    file = read_field(path)
    assert file.version == 2 and file.tokens is None and file.dtype == "coded" and file.library == __version__
    assert file.shape == tuple(field.tokens.shape) and domain_from_dict(file.domain) == field.domain
    assert pretrained.model_hash(model).startswith(file.model.hash) and file.model.origin == "photos-codec"
    with opened(path) as coded:
        assert coded.places[0][0] < 120  # the header
    field.save(path.with_name("b.field"), quality=50)
    assert path.read_bytes() == path.with_name("b.field").read_bytes()


def test_a_file_gives_what_its_quality_promises(field, path, picture):
    assert torch.equal(Field.load(path).tokens, field.quantised(50).tokens)
    errors = [error(field.quantised(q), picture) for q in (20, 50, 80)]
    sizes = [len(field.coded(q)) for q in (20, 50, 80)]
    assert errors[0] > errors[1] > errors[2] and sizes[0] < sizes[1] < sizes[2]


def test_what_a_file_claims_is_compared_with_its_bytes(field, path, model, monkeypatch):
    """A blank picture, of which bytes say next to nothing, has zeros at the end of a stream."""
    blank = Field.of(model, torch.ones(3, 900, 1300))
    data = blank.coded(0)
    assert len(data) > (blank.tokens.numel() - container.BLANK) / container.DENSEST > 500
    path.with_name("blank.field").write_bytes(data)
    assert torch.equal(Field.load(path.with_name("blank.field"), model).tokens, blank.quantised(0).tokens)
    with opened(path) as coded:
        header, streams = coded.header, [coded.streams(i) for i in range(coded.header.stripes)]
    monkeypatch.setattr(container, "plausible", lambda shape, length: True)
    monkeypatch.setattr(container, "BLANK", 1 << 40)
    monkeypatch.setattr(container, "SHEET", 1 << 40)
    claim = container.pack(replace(header, shape=(256, 341, header.shape[-1]), stripe=256), streams[:1])
    monkeypatch.undo()
    path.with_name("claim.field").write_bytes(claim)
    with pytest.raises(UserError, match=r"claim.field is damaged or cut short: \d+ bytes for tokens \(256, 341"):
        Field.load(path.with_name("claim.field"), model)


def test_what_is_larger_than_a_sheet_of_paper_has_the_bytes_of_a_photograph():
    assert container.plausible((container.SHEET,), (container.SHEET - container.BLANK) // container.DENSEST)
    assert not container.plausible((60_000_000,), 33_000) and container.plausible((60_000_000,), 52_000)
    domain = {"kind": "lattice", "size": [2, 2], "cell": 16, "block": 64}
    header = Header(ModelId("lapped", None, "ab" * 32), b"1234", 700, "1.2", (1, 60_000, 1000), 1, 1, domain)
    assert 51_000 < len(container.pack(header, [[b"a"]])) < 53_000


def test_a_region_needs_its_stripe_alone(field, path):
    whole = Field.load(path)
    box = field.pixel_box(530, 3, 555, 60)
    data = bytearray(path.read_bytes())
    with opened(path) as file:
        start, length, _ = file.places[0]
    data[start : start + length] = bytes(length)  # the other stripe is destroyed
    path.write_bytes(data)
    part = Field.load(path, box=box)
    assert torch.equal(part.crop(box, (25, 57)), whole.crop(box, (25, 57)))
    with pytest.raises(UserError, match="checksum"):
        Field.load(path)
    with pytest.raises(UserError, match="stripe 0"):
        Field.load(path, box=field.pixel_box(0, 0, 20, 20))


def test_a_prefix_is_a_coarser_field(field, path, picture):
    whole, data = error(Field.load(path), picture), path.read_bytes()
    layers = [error(Field.load(path, layers=n), picture) for n in (1, 2, 3)]
    assert layers[0] > layers[1] > layers[2] >= whole
    with opened(path) as file:
        ends = [file.places[2 * layer + 1][0] + file.places[2 * layer + 1][1] for layer in (0, 1, 2)]
    for end, expected in zip(ends, layers, strict=True):
        path.write_bytes(data[: end + 1])
        with pytest.raises(UserError, match=r"cut short: .* --partial"):
            Field.load(path)
        assert error(Field.load(path, partial=True), picture) == expected


def test_other_models_and_tables_are_refused(path, model):
    other = pretrained.load("photos-s")
    with pytest.raises(UserError, match="its tokens mean nothing"):
        Field.load(path, other)
    with opened(path) as file:
        header, streams = file.header, [file.streams(i) for i in range(2)]
    path.write_bytes(pack(Header(**{**vars(header), "tables": b"none"}), streams))
    with pytest.raises(UserError, match="other tables"):
        Field.load(path)


def test_no_more_is_decoded_at_once_than_a_model_codes_at_once(path, model):
    with opened(path) as file:
        header, streams = file.header, [file.streams(i) for i in range(2)]
    path.write_bytes(pack(replace(header, stripe=header.shape[0]), streams[:1]))
    with pytest.raises(UserError, match="stripes of 35 rows; the model's have 32"):
        Field.load(path, model)


def test_fields_without_tables_say_so(tmp_path):
    from tokenfield.models.lapped import LappedConfig

    model = LappedConfig(cell=4, prefixes=(48,)).build().eval()
    with pytest.raises(UserError, match=r"no codec.safetensors"):
        Field.of(model, torch.rand(3, 9, 9)).save(tmp_path / "a.field", quality=50)
    with pytest.raises(UserError, match="quality 101"):
        Field.of(pretrained.load("photos-codec"), torch.rand(3, 9, 9)).save(tmp_path / "a.field", quality=101)
    assert not list(tmp_path.iterdir())


def mutate(data: bytes, kind: int, at: int, count: int, noise: bytes) -> bytes:
    """A damaged copy: a bit flipped, bytes replaced, removed, repeated or cut off."""
    after = min(len(data), at + count)
    return (data[:at] + bytes([data[at] ^ (1 << count % 8)]) + data[at + 1 :],
            data[:at] + noise[: after - at] + data[after:], data[:at] + data[after:], data[:after] + data[at:],
            data[:at])[kind]


def test_a_hundred_thousand_damaged_files_are_clean_errors():
    """No crash, and no damage that passes: `check_whole` is what reading a whole file begins with."""
    data, draw = small(), np.random.default_rng(0)
    choices = zip(draw.integers(0, 5, MUTATIONS).tolist(), draw.integers(0, len(data), MUTATIONS).tolist(),
                  draw.integers(1, 9, MUTATIONS).tolist(), strict=True)
    noise, passed = draw.bytes(MUTATIONS + 8), []
    for i, (kind, at, count) in enumerate(choices):
        damaged = mutate(data, kind, at, count, noise[i : i + 8])
        try:
            check(damaged)
        except UserError:
            continue
        passed += [damaged] if damaged != data else []
    assert not passed


def check(data: bytes) -> None:
    with opened(data) as file:
        file.check_whole()


def small() -> bytes:
    """A small file, so that damage hits every part of it."""
    model = ModelId("lapped", "photos-codec", "0123456789abcdef")
    domain = {"kind": "lattice", "size": [90, 80], "cell": 16, "block": 64}
    header = Header(model, b"1234", 700, __version__, (6, 5, 768), 2, 4, domain)
    draw = np.random.default_rng(1)
    return pack(header, [[draw.bytes(int(n)) for n in draw.integers(0, 40, 4)] for _ in range(3)])


def test_archives_give_every_entry_in_any_order(field, picture, model, tmp_path):
    other = Field.of(model, picture[:, :33, :49])
    entries = [("a/one.jpg", field.coded(30)), ("b.png", other.coded(60)), ("c.png", field.coded(10))]
    path = tmp_path / "all.fields"
    assert write_archive(path, iter(entries)) == path.stat().st_size
    archive = FieldArchive(path)
    assert len(archive) == 3 and archive.names == ["a/one.jpg", "b.png", "c.png"]
    assert torch.equal(archive[1], other.quantised(60).tokens) and archive.field(1).native_size == (33, 49)
    assert torch.equal(archive[0], field.quantised(30).tokens)
    with pytest.raises(IndexError):
        archive[3]
    once = FieldArchive(path, unpacked=tmp_path / "raw")
    assert torch.equal(once[2], archive[2])
    (kept,) = (tmp_path / "raw").iterdir()
    again = FieldArchive(path, archive.model, unpacked=tmp_path / "raw")
    assert torch.equal(again[2], archive[2]) and torch.equal(again[0], archive[0]) and kept.stat().st_size % 4 == 0
    data = bytearray(path.read_bytes())
    for at, damage in ((-1, "no archive"), (-30, "no archive"), (len(entries[0][1]) + 200, "checksum")):
        data[at] ^= 1
        path.write_bytes(data)
        with pytest.raises(UserError, match=damage):
            FieldArchive(path)[1]
        data[at] ^= 1

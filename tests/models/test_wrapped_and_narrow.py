"""Models as programs have them: compiled, parallel, of another float type, under other defaults; unknown names."""

import socket
import time

import numpy as np
import pytest
import torch
from small_systems import CONFIGS, NAMES, images
from torch import nn

import tokenfield as tf
from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.metrics import ssim
from tokenfield.models import pretrained
from tokenfield.models.anchored import Anchored

PICTURE = nn.functional.interpolate(images(), (23, 37), mode="bicubic").clamp(0, 1)[0]


def system(name="lainr", dtype=torch.float32):
    torch.manual_seed(0)
    return CONFIGS[name].build().eval().to(dtype)


def part_compiled(model):
    model.decoder = torch.compile(model.decoder, backend="eager")
    return model


WRAPPERS = {
    "compiled": lambda model: torch.compile(model, backend="eager"),
    "parallel": nn.DataParallel,
    "compiled and parallel": lambda model: nn.DataParallel(torch.compile(model, backend="eager")),
    "a part compiled": part_compiled,
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapped_model_is_the_model(name, tmp_path):
    plain, wrapped = system(), WRAPPERS[name](system())
    tf.save(wrapped, tmp_path / "m")
    again = tf.load(tmp_path / "m")
    assert all(torch.equal(a, plain.state_dict()[key]) for key, a in again.state_dict().items())
    assert pretrained.model_hash(wrapped) == pretrained.model_hash(plain)
    if name == "a part compiled":  # which the checks of types under test do not take for a decoder
        return
    field = Field.of(wrapped, PICTURE)
    assert torch.equal(field.tokens, Field.of(plain, PICTURE).tokens)
    field.save(tmp_path / "a.field")
    for model in (wrapped, again):
        assert torch.equal(Field.load(tmp_path / "a.field", model).render(), field.render())


@pytest.mark.parametrize("name", NAMES)
def test_every_system_works_in_every_float_type(name):
    expected = Field.of(system(name), PICTURE).render()
    for dtype, decibels in ((torch.bfloat16, 35), (torch.float16, 40), (torch.float64, 100)):
        field = Field.of(system(name, dtype), PICTURE)
        values = field.render().float()
        assert tf.psnr(values[None], expected[None]).item() > decibels, dtype
        assert field(torch.zeros(3, 2)).isfinite().all() and field.render(7, 9).shape == (3, 7, 9)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_another_type_are_saved_and_loaded(dtype, tmp_path):
    model = system("anchored", dtype)
    tf.save(model, tmp_path / "m")
    again = tf.load(tmp_path / "m")
    assert {tensor.dtype for tensor in again.state_dict().values()} == {torch.float32}
    Field.of(model, PICTURE).save(tmp_path / "a.field")
    if dtype != torch.float64:  # whose weights float32 has no place for
        assert Field.load(tmp_path / "a.field", again).render().isfinite().all()
    assert Field.load(tmp_path / "a.field", model).render().isfinite().all()


@pytest.fixture
def changed_defaults():
    dtype = torch.get_default_dtype()
    yield
    torch.set_default_dtype(dtype)
    torch.set_default_device(None)


@pytest.mark.parametrize("name", ["lainr", "anchored", "switched"])
def test_defaults_of_the_program_around_change_nothing(name, changed_defaults, tmp_path):
    model = system(name)
    tf.save(model, tmp_path / "m")
    field = Field.of(model, PICTURE)
    expected, mean = field.render(), field.mean([(-1, -1, 1, 1)])
    attention = field.attention(torch.zeros(1, 2)) if name == "lainr" else None
    for change in (lambda: torch.set_default_dtype(torch.float64), lambda: torch.set_default_dtype(torch.float16),
                   lambda: torch.set_default_device("meta")):
        change()
        again = tf.load(tmp_path / "m")
        field = Field.of(again, PICTURE)
        assert torch.equal(field.render(), expected) and expected.device.type == "cpu"
        assert torch.equal(field.mean([(-1, -1, 1, 1)]), mean) and field.to_xarray(5, 7).shape == (3, 5, 7)
        assert tf.psnr(expected[None], expected[None]) > 100 and ssim(expected[None], expected[None]) > 0.99
        if name == "lainr":
            assert torch.equal(field.attention(torch.zeros(1, 2, device="cpu", dtype=torch.float32)), attention)
    for call in (lambda: field(tf.Grid.cells(3, 3)), lambda: Field.of(model.to("meta"), PICTURE)):
        with pytest.raises(UserError, match="device meta"):
            call()


def test_sizes_of_any_whole_number_and_none_at_all():
    field = Field.of(system(), PICTURE.numpy())
    size = np.array(field.native_size)
    assert field.render().shape == field.render(*size).shape == (3, 23, 37)
    assert field.render(height=46).shape == field.render(width=74).shape == (3, 46, 74)
    assert field.render(torch.tensor(5), np.uint8(7)).shape == (3, 5, 7)
    assert field.crop((-1, -1, 0, 0), np.array([8, 12])).shape == (3, 8, 12)
    for bad in ((True, 3), (0, 3), (np.int64(-1), 3)):
        with pytest.raises(UserError, match="whole numbers"):
            field.render(*bad)


def test_names_are_found_without_the_network_or_refused_at_once(monkeypatch):
    asked = []

    def refuse(*arguments, **_):
        asked.append(arguments)
        raise socket.gaierror("offline")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert Anchored.from_pretrained("photos-s").origin == "photos-s"
    begin = time.monotonic()
    for name, words in (("photos-z", "packaged"), ("./nowhere", "packaged"), ("a/b/c", "packaged")):
        with pytest.raises(UserError, match=words):
            Anchored.from_pretrained(name)
    with pytest.raises(UserError, match="holds a"):
        tf.Lainr.from_pretrained("photos-s")
    assert not asked and time.monotonic() - begin < 20

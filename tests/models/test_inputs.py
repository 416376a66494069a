"""What `encode` is given directly: bytes, other ranges, other things than batches; every system, and strangers'."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import start
from small_systems import CONFIGS, LAINR, NAMES, images

from tokenfield.errors import UserError
from tokenfield.models.base import FieldModel
from tokenfield.models.lainr import Lainr

HERE = Path(__file__).parent
GIVEN = {
    "0..255": lambda x: x * 255,
    "0..65535": lambda x: x * 65535,
    "uint8": lambda x: (x * 255).to(torch.uint8),
    "not finite": lambda x: x / 0,
    "NumPy": lambda x: x.numpy(),
    "one picture": lambda x: x[0],
    "other channels": lambda x: x[:, :1],
}
SAID = {"0..255": "give images / 255$", "0..65535": "give images / 65535$", "uint8": "torch.uint8; .* images / 255",
        "not finite": "finite", "NumPy": "ndarray; .*Field.of", "one picture": r"picture\[None\]",
        "other channels": r"give \(B, 3, H, W\)"}


@pytest.mark.parametrize("name", NAMES)
def test_every_system_says_what_it_does_not_take(name):
    if name == "autoencoder-kl":
        pytest.importorskip("diffusers")
    model = CONFIGS[name].build().eval()
    for what, change in GIVEN.items():
        with pytest.raises(UserError, match=rf"^{model.name}.encode got .*{SAID[what]}"):
            model.encode(change(images()))


@pytest.mark.parametrize("name", ["lainr", "anr", "switched"])
def test_what_may_be_meant_is_a_warning_and_what_resampling_does_is_nothing(name):
    model = CONFIGS[name].build().eval()
    with pytest.warns(UserWarning, match=r"takes \[0, 1\]: if they are in \[-1, 1\], give \(images \+ 1\) / 2"):
        model.encode(2 * images() - 1)
    with pytest.warns(UserWarning, match=r"takes \[0, 1\]$"):
        model.encode(torch.randn(2, 3, *images().shape[2:], generator=torch.Generator().manual_seed(1)) * 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.encode(images() * 1.4 - 0.2)
        model.encode(images().double())
        model.encode(images()[:0]) if name != "switched" else None


def test_while_a_model_trains_the_first_batch_alone_is_looked_at():
    model = LAINR.build().train()
    with pytest.raises(UserError, match="images / 255"):
        model.encode(images() * 255)
    model.encode(images())
    model.encode(images() * 255)
    with pytest.raises(UserError, match="images / 255"):
        model.eval().encode(images() * 255)


class Doubled(Lainr):
    """A stranger's system, whose pictures are in [0, 2] inside."""

    def encode(self, images):
        return super().encode(images * 2)


class Standardised(Doubled):
    in_unit = None


def test_a_stranger_s_system_is_looked_at_where_it_is_called_and_not_inside():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CONFIGS["lainr"].build()
        model = LAINR.build()
        model.__class__ = Doubled
        model.eval().encode(images())
        with pytest.raises(UserError, match="images / 255"):
            model.encode(images() * 255)
        model.__class__ = Standardised
        model.encode(images() * 255 - 100)


def test_transformed_functions_are_what_they_were():
    model, given = LAINR.build().eval(), images()
    expected = model.encode(given)
    torch.testing.assert_close(torch.func.vmap(lambda x: model.encode(x[None])[0])(given), expected)
    first = torch.func.jacrev(lambda x: model.encode(x)[0, 0, :2])(given[:1])
    again = torch.func.jacfwd(lambda s: model.encode(given[:1] * s)[0, 0, :2])(torch.tensor(1.0))
    torch.testing.assert_close((first * given[:1]).sum((1, 2, 3, 4)), again, rtol=1e-3, atol=1e-5)
    assert model.to("meta").encode(given.to("meta")).shape == expected.shape


COMPILED = """
import torch
from processes import start
from small_systems import LAINR, images
model, given = LAINR.build().eval(), images()
compiled = torch.compile(model.encode, backend="eager", fullgraph=True)
torch.testing.assert_close(compiled(given), model.encode(given))
"""


def test_a_compiled_encode_is_one_graph():
    """In a process of its own: the checks of shapes that tests make at every call are no graph."""
    path = os.pathsep.join(map(str, [HERE.parents[1], HERE]))
    start(f"-c {COMPILED}", PYTHONPATH=path)


def test_the_signature_and_the_docstring_stay():
    assert Lainr.encode.__doc__ and FieldModel.encode.__doc__ and Lainr.encode.__name__ == "encode"
    assert np.isfinite(LAINR.build().encode(images()).detach().numpy()).all()

"""The objective of zoom: Pillow's reduction, the same draw from the same generator, boxes that a model knows."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image

from tokenfield import Field
from tokenfield.errors import UserError
from tokenfield.metrics import psnr
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.liif import LiifConfig
from tokenfield.training.zoom import ZoomConfig, reduce

LIIF = LiifConfig(dim=4, depth=1, hidden=(6,), skip="bicubic")


class Squares:
    """Pictures of one size, as a source has them."""

    skipped = ()

    def __init__(self, side):
        self.side = side

    def __len__(self):
        return 1

    def sample(self, seed, step, slot):
        return torch.rand(3, self.side, self.side)

    def pictures(self):
        yield "one", torch.rand(3, self.side, self.side, generator=torch.Generator().manual_seed(0))


def test_reduction_is_pillow_s():
    pixels = np.random.default_rng(0).integers(0, 256, (53, 67, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((23, 19), Image.Resampling.BICUBIC))
    small = reduce(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255, 19, 23)
    assert (small[0].permute(1, 2, 0) * 255 - torch.from_numpy(expected.copy())).abs().max() <= 1 + 1e-3


def test_a_loss_is_a_function_of_the_generator():
    torch.manual_seed(0)
    loss = ZoomConfig(side=8).build(LIIF.build(), bf16=False)
    images = torch.rand(2, 3, 32, 32)
    first, again, other = (loss(images, torch.Generator().manual_seed(seed))[0] for seed in (1, 1, 2))
    assert first == again != other
    squared, errors = ZoomConfig(side=8, error="squared").build(loss.model, bf16=False)(
        images, torch.Generator().manual_seed(1))
    torch.testing.assert_close(squared, errors.mean())
    squared.backward()
    assert loss.model.layers[-1].weight.grad.abs().max() > 0


def test_a_picture_encoded_whole_comes_back():
    """At magnification 1 the model that begins as interpolation has nothing to learn but 8 bits."""
    loss, _ = ZoomConfig(side=8, largest=1.0).build(LIIF.build(), bf16=False)(torch.rand(2, 3, 8, 8), torch.Generator())
    assert loss < 0.5 / 255


def test_held_out_pictures_are_encoded_at_half_size():
    model = LIIF.build()
    value, count = ZoomConfig(side=8).evaluate(model, Squares(32), 5, Accelerator(cpu=True), lambda: False)
    (_, image), = Squares(32).pictures()
    with torch.no_grad():
        rendered = Field.of(model, reduce(image[None], 16, 16)[0]).render(32, 32)
    assert count == 1 and value == pytest.approx(psnr(rendered[None], image[None]).item(), abs=1e-3)


def test_other_systems_learn_from_it():
    model = AnchoredConfig(cell=4, latent_dim=9, encoder_dim=8, decoder_dim=8, head_dim=4, harmonics=8).build()
    assert model.box(0.25) == 1.0 and model.box(9.0) == 4.0
    loss, _ = ZoomConfig(side=8).build(model, bf16=False)(torch.rand(2, 3, 32, 32), torch.Generator())
    assert loss.isfinite()


def test_what_cannot_be_drawn_is_one_line():
    config = ZoomConfig(side=8, largest=4.0)
    with pytest.raises(UserError, match=r"data.size 31 is below .* give 32"):
        config.check(LIIF.build(), Squares(31), None, 0)
    config.check(LIIF.build(), Squares(32), None, 0)
    with pytest.raises(UserError, match="no multiple of the model's 3-pixel cells"):
        config.check(AnchoredConfig(cell=3).build(), Squares(32), None, 0)
    with pytest.raises(UserError, match="at least 1"):
        ZoomConfig(side=0)

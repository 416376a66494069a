"""The denoiser: its published size, what it is equivariant to, what conditions it, and what it carries along."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from tokenfield.errors import UserError
from tokenfield.generation.denoiser import SIZES, AdaptiveBlock, DenoiserConfig, SelfAttention
from tokenfield.models import pretrained
from tokenfield.models.base import FieldModel

CONFIG = DenoiserConfig(tokens=7, latent_dim=5, width=24, depth=3, heads=3, classes=4)


def denoiser(seed=0, checkpointing=False, **changes):
    """A small one whose zero-initialised parts are random, too, so that everything has an effect."""
    torch.manual_seed(seed)
    model = replace(CONFIG, **changes).build()
    model.checkpointing = checkpointing
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return model.eval()


def inputs(batch=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    noisy = torch.randn(batch, CONFIG.tokens, CONFIG.latent_dim, generator=generator)
    return noisy, torch.tensor([0.0, 400.0, 999.0])[:batch], torch.tensor([0, 3, 4])[:batch]


def test_the_paper_s_denoiser_has_458_million_parameters():
    with torch.device("meta"):
        model = DenoiserConfig(tokens=256, latent_dim=256, classes=1000, **SIZES["L"]).build()
        small = DenoiserConfig(tokens=256, latent_dim=256, classes=1000, **SIZES["S"]).build()
    assert abs(model.num_parameters - 458e6) < 2e6
    assert (model.config.depth, model.config.width, model.config.heads) == (24, 1024, 16)
    assert list(SIZES) == ["S", "B", "L", "XL"] and abs(small.num_parameters - 33e6) < 1e6


def test_a_fresh_block_is_the_identity_and_a_fresh_denoiser_says_nothing():
    block, x = AdaptiveBlock(24, SelfAttention(24, num_heads=3)), torch.randn(2, 7, 24)
    torch.nn.init.zeros_(block.adapt.weight), torch.nn.init.zeros_(block.adapt.bias)
    assert torch.equal(block(x, torch.randn(2, 24)), x)
    assert not CONFIG.build()(*inputs()).any()


def test_permuting_tokens_with_their_identities_permutes_the_answer():
    model, (noisy, time, label) = denoiser(), inputs()
    order = torch.tensor([3, 0, 6, 2, 5, 1, 4])
    answer = model(noisy, time, label)
    moved = denoiser()
    moved.identity.data = moved.identity.data[order]
    torch.testing.assert_close(moved(noisy[:, order], time, label), answer[:, order], atol=1e-5, rtol=1e-4)
    # The identities are what tells tokens apart: moved without them, tokens get other answers.
    assert (model(noisy[:, order], time, label) - answer[:, order]).abs().max() > 1e-2


def test_an_instance_does_not_depend_on_its_batch():
    model, (noisy, time, label) = denoiser(), inputs()
    together = model(noisy, time, label)
    for i in range(3):
        alone = model(noisy[i : i + 1], time[i : i + 1], label[i : i + 1])
        torch.testing.assert_close(alone[0], together[i], atol=1e-5, rtol=1e-4)


def test_time_and_label_change_the_answer():
    model, (noisy, time, label) = denoiser(), inputs()
    answer = model(noisy, time, label)
    assert (model(noisy, time + 1, label) - answer).abs().amax((1, 2)).min() > 1e-4  # neighbouring steps are told apart
    assert (model(noisy, time, (label + 1) % 5) - answer).abs().amax((1, 2)).min() > 1e-2


def test_flow_counts_time_from_0_to_1_and_diffusion_to_T():
    noisy, time, label = inputs()
    diffusion, flow = denoiser(), denoiser(prediction="velocity")
    assert (diffusion.horizon, flow.horizon) == (1000.0, 1.0)
    torch.testing.assert_close(flow(noisy, time / 1000, label), diffusion(noisy, time, label), atol=1e-4, rtol=1e-4)


def test_recomputed_blocks_give_the_same_gradient():
    gradients = []
    for checkpointing in (False, True):
        model = denoiser(checkpointing=checkpointing)
        model(*inputs()).square().mean().backward()
        gradients.append([p.grad for p in model.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(recomputed, plain, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_bfloat16_is_finite_and_near(checkpointing):
    model, (noisy, time, label) = denoiser(checkpointing=checkpointing), inputs()
    exact = model(noisy, time, label)
    with torch.autocast("cpu", torch.bfloat16):
        answer = model(100 * noisy, time, label)
        near = model(noisy, time, label)
    answer.float().square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
    assert (near.float() - exact).norm() < 0.1 * exact.norm()


def test_a_saved_denoiser_holds_all_that_sampling_needs(tmp_path):
    model = denoiser()
    mean, deviation = torch.randn(7, 5), torch.rand(7, 5) + 0.5
    origin = {"class_names": ("cat", "dog", "eel", "fox"), "field_model": "photos-s", "field_hash": "ab" * 32}
    model.adopt(mean, deviation, **origin, lattice=(7, 1), picture_size=(56, 8))
    loaded = pretrained.load_any(pretrained.save(model, tmp_path / "denoiser"))
    assert loaded.config == model.config and loaded.config.class_names == origin["class_names"]
    noisy, time, label = inputs()
    torch.testing.assert_close(loaded(noisy, time, label), model(noisy, time, label))
    assert torch.equal(loaded.standardize(mean), torch.zeros(7, 5))
    torch.testing.assert_close(loaded.restore(loaded.standardize(noisy)), noisy)
    assert loaded.config.classes == 4


def test_it_is_no_field_model(run, tmp_path):
    """It has neither verb; commands that need them name the one that takes it, and `info` says what it is."""
    model, folder = denoiser(), tmp_path / "denoiser"
    assert not isinstance(model, FieldModel) and not hasattr(model, "encode") and not hasattr(model, "decode")
    pretrained.save(model, folder)
    Image.new("RGB", (8, 8)).save(tmp_path / "p.png")
    for command in (("encode", tmp_path / "p.png", "-o", tmp_path / "p.field", "--model", folder),
                    ("evaluate", folder, "--data", tmp_path), ("latents", folder, tmp_path, "-o", tmp_path / "l"),
                    ("explain", tmp_path / "p.png", "--model", folder)):
        outcome = run(*command)
        assert outcome.code == 1 and "use it with tokenfield generate" in outcome.err, command
    outcome = run("train", "denoiser", "--data", tmp_path)
    assert outcome.code == 1 and "takes latents, not pictures" in outcome.err
    outcome = run("info", folder)
    assert outcome.code == 0 and "see tokenfield generate" in outcome.out


def test_muon_leaves_out_what_meets_latents_and_what_conditions():
    model = denoiser()
    excluded = model.muon_excluded()
    assert {"embed.weight", "out.weight", "time.0.weight", "blocks.2.adapt.weight"} <= excluded
    assert not {name for name in excluded if "attention" in name or "mlp" in name}


@pytest.mark.parametrize(
    ("field", "value"),
    [("heads", 0), ("width", 0), ("depth", -1), ("mlp_ratio", -1.0), ("steps", 0), ("latent_dim", 0), ("classes", -1)],
)
def test_sizes_that_cannot_work_name_the_field(field, value):
    with pytest.raises(UserError, match=f"{field} "):
        DenoiserConfig(**{field: value})


def test_heads_share_the_width():
    with pytest.raises(UserError, match="width 63 is no multiple of heads 2"):
        DenoiserConfig(width=63, heads=2)

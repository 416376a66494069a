"""The objective of a denoiser: exact losses, dropped labels, a run that learns, and one that is resumed."""

import json
from dataclasses import replace

import analytic
import latent_toys as toys
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from tokenfield.errors import UserError
from tokenfield.generation.denoiser import DenoiserConfig
from tokenfield.generation.latents import LatentsConfig
from tokenfield.generation.objective import DenoisingConfig, DenoisingObjective, denoising_errors
from tokenfield.models import pretrained
from tokenfield.training import OptimConfig, train
from tokenfield.training.journal import read
from tokenfield.training.recipe import from_json, to_json
from tokenfield.training.session import Session

PREDICTIONS = ("sample", "epsilon", "v_prediction", "velocity")


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    pictures = toys.write_pictures(tmp_path_factory.mktemp("pictures"))
    out = tmp_path_factory.mktemp("latents") / "toy"
    toys.encode(pictures, out)
    return out


def batch_of(clean, time, label=0):
    generator = torch.Generator().manual_seed(len(clean))
    count = len(clean)
    return {
        "clean": clean,
        "noise": torch.randn(clean.shape, generator=generator),
        "time": torch.full((count,), time),
        "drop": torch.full((count,), 0.5),
        "label": torch.full((count,), label),
    }


class Answers(torch.nn.Module):
    """Always answers the same, and remembers what it was asked."""

    def __init__(self, prediction, answer=0.0):
        super().__init__()
        self.config = DenoiserConfig(tokens=3, latent_dim=5, classes=2, prediction=prediction)
        self.shape, self.horizon, self.answer, self.arguments = (3, 5), 1000.0, answer, None

    def forward(self, noisy, time, label):
        self.arguments = noisy, time, label
        return torch.full_like(noisy, self.answer)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_loss_is_the_mean_squared_error_of_the_stated_target(prediction):
    batch = batch_of(torch.randn(4, 3, 5), 0.3)
    x, e = batch["clean"], batch["noise"]
    abar = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)[300].item()
    a, s = (0.7, 0.3) if prediction == "velocity" else (abar**0.5, (1 - abar) ** 0.5)
    target = {"sample": x, "epsilon": e, "v_prediction": a * e - s * x, "velocity": e - x}[prediction]
    model = Answers(prediction, 0.25)
    loss, errors = DenoisingObjective(model, DenoisingConfig())(batch, torch.Generator())
    torch.testing.assert_close(errors, (0.25 - target).square().mean((1, 2)), rtol=1e-5, atol=1e-6)
    assert loss.item() == pytest.approx(errors.mean().item())
    torch.testing.assert_close(model.arguments[0], a * x + s * e, rtol=1e-4, atol=1e-5)
    assert model.arguments[1].tolist() == pytest.approx([0.3 if prediction == "velocity" else 300.0] * 4)


def test_labels_are_withheld_by_their_own_draw():
    model = Answers("sample")
    batch = batch_of(torch.randn(4, 3, 5), 0.3, label=1) | {"drop": torch.tensor([0.0, 0.09, 0.1, 0.9])}
    denoising_errors(model, batch, 0.1)
    assert model.arguments[2].tolist() == [2, 2, 1, 1]
    denoising_errors(model, batch, 0.0)
    assert model.arguments[2].tolist() == [1, 1, 1, 1]
    model.config = replace(model.config, classes=0)  # unconditional: whatever the data say
    denoising_errors(model, batch, 0.0)
    assert model.arguments[2].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_exact_denoiser_s_loss_is_the_posterior_variance_and_nothing_gets_below(prediction):
    """x_0 ~ N(m, d^2): given x_t, x_0 has the variance d^2 s^2 / (a^2 d^2 + s^2), whatever x_t is."""
    mean, deviation = torch.linspace(-1, 1, 15).view(1, 3, 5), 0.7
    model = analytic.MixtureDenoiser(mean, deviation, prediction)
    clean = mean + deviation * torch.randn(6000, 3, 5, generator=torch.Generator().manual_seed(1))
    batch = batch_of(clean, 0.4)
    a, s = (n[0].item() for n in model.level(torch.tensor([0.4 * model.horizon])))
    variance = deviation**2 * s**2 / (a**2 * deviation**2 + s**2)
    factor = {"sample": 1.0, "epsilon": a / s, "v_prediction": 1 / s, "velocity": 1 / s}[prediction]  # of the target
    with torch.no_grad():
        loss = denoising_errors(model, batch, 0.0).mean().item()
        model.means.data += 0.1
        worse = denoising_errors(model, batch, 0.0).mean().item()
    assert loss == pytest.approx(variance * factor**2, rel=0.02)  # 90000 squares: deviation of their mean 0.5 %
    assert worse > loss


def test_a_run_takes_along_what_sampling_needs(latents, tmp_path):
    out = train(toys.RECIPE, latents, tmp_path / "run", session=Session(device="cpu", quiet=True, workers=0))
    folder, model = LatentsConfig().open(latents, "train"), pretrained.load_any(out)
    assert torch.equal(model.mean, folder.mean) and torch.equal(model.deviation, folder.deviation)
    assert (model.config.class_names, model.config.field_hash) == (("cat", "dog"), folder.model_hash)
    assert (model.config.picture_size, model.config.lattice, model.config.field_model) == ((13, 13), (), "toy")
    lines = read(out / "metrics.jsonl")
    assert [line["evaluation_latents"] for line in lines if "evaluation_loss" in line] == [3, 3]
    assert not any("psnr" in key for line in lines for key in line)  # no picture was compared with any
    assert json.loads((out / "recipe.json").read_text())["objective"]["kind"] == "denoising"


def test_resumed_equals_uninterrupted(latents, tmp_path):
    options = {"session": Session(device="cpu", quiet=True, workers=2)}
    whole = train(toys.RECIPE, latents, tmp_path / "whole", **options)
    train(replace(toys.RECIPE, steps=4), latents, tmp_path / "halves", **options)
    halves = train(toys.RECIPE, latents, tmp_path / "halves", resume=True, **options)
    for file in ("model.safetensors", "step-00000008/model.safetensors"):
        one, other = load_file(whole / file), load_file(halves / file)
        assert all(torch.equal(one[name], other[name]) for name in one), file


@pytest.mark.parametrize("prediction", ["sample", "velocity"])
def test_it_learns(prediction):
    """Two classes far apart: the loss falls well below that of the best answer without a look at x_t."""
    torch.manual_seed(0)
    model = DenoiserConfig(tokens=3, latent_dim=5, width=32, depth=1, heads=2, classes=2, prediction=prediction).build()
    objective = DenoisingConfig(checkpointing=True).build(model)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for step in range(30):
        generator = torch.Generator().manual_seed(step)
        label = torch.randint(0, 2, (16,), generator=generator)
        clean = (2.0 * label - 1)[:, None, None].expand(-1, 3, 5)
        batch = {"clean": clean.clone(), "noise": torch.randn(16, 3, 5, generator=generator), "label": label,
                 "time": torch.rand(16, generator=generator), "drop": torch.rand(16, generator=generator)}
        loss, _ = objective(batch, generator)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    start = 1.0 if prediction == "sample" else 2.0
    assert losses[0] == pytest.approx(start, rel=0.15)  # zero is the first answer
    assert sum(losses[-5:]) / 5 < 0.6 * start


def test_bfloat16_trains_as_float32_does(latents, tmp_path):
    """A run under autocast: finite everywhere, and within one percent of the float32 run's losses and weights."""
    recipe = replace(toys.RECIPE, steps=24, optim=OptimConfig(rate=3e-3), evaluate_every=24, checkpoint_every=24,
                     objective=DenoisingConfig(checkpointing=True), clip_norm=1.0)  # fmt: skip
    runs = [train(replace(recipe, precision=precision), latents, tmp_path / precision,
                  session=Session(device="cpu", quiet=True, workers=0)) for precision in ("fp32", "bf16")]  # fmt: skip
    exact, near = (read(out / "metrics.jsonl") for out in runs)
    for one, other in zip(exact, near, strict=True):
        for key in {"loss", "evaluation_loss"} & one.keys():
            assert other[key] == pytest.approx(one[key], rel=0.01), (one["step"], key)
    assert near[-1]["evaluation_loss"] < 0.99  # it has learned something: 1 is what zero gets
    one, other = (load_file(out / "model.safetensors") for out in runs)
    assert all(tensor.dtype == torch.float32 and tensor.isfinite().all() for tensor in other.values())
    apart = sum((one[name] - other[name]).square().sum() for name in one).sqrt()
    assert apart < 0.01 * sum(tensor.square().sum() for tensor in one.values()).sqrt()


def test_bfloat16_trains_with_a_float32_loss(latents):
    source = LatentsConfig().open(latents, "train")
    model = toys.RECIPE.model.build()
    DenoisingConfig().check(model, source, None, 0)
    samples = [source.sample(0, 0, slot) for slot in range(4)]
    batch = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
    loss, errors = DenoisingConfig(checkpointing=True).build(model, bf16=True)(batch, torch.Generator())
    loss.backward()
    assert loss.dtype == errors.dtype == torch.float32 and torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize(("changes", "part"), [
    ({"tokens": 8}, "7 x 11 latents of 2 classes, and the model --model.tokens 8; give --model.tokens 7"),
    ({"latent_dim": 10, "tokens": 8}, "give --model.tokens 7 --model.latent-dim 11$"),
    ({"classes": 3}, "--model.classes 3; give --model.classes 2"),
])
def test_latents_that_do_not_fit_are_refused(changes, part, latents):
    source = LatentsConfig().open(latents, "train")
    with pytest.raises(UserError, match=part):
        DenoisingConfig().check(replace(toys.RECIPE.model, **changes).build(), source, None, 0)
    model = replace(toys.RECIPE.model, classes=0).build()  # unconditional: labels are there and not used
    DenoisingConfig().check(model, source, None, 0)
    assert model.config.class_names == ()


def test_held_out_loss_is_the_same_in_any_batch_and_can_be_halted(latents):
    source, model = LatentsConfig().open(latents, "test"), toys.RECIPE.model.build()
    torch.nn.init.normal_(model.out.weight)
    accelerator, config = Accelerator(cpu=True), DenoisingConfig()
    loss, count = config.evaluate(model, source, 99, accelerator)
    entries = list(source.held_out(99))
    batch = {key: torch.stack([entry[key] for entry in entries]) for key in entries[0]}
    with torch.no_grad():
        together = denoising_errors(model, batch, 0.0).mean().item()
    assert count == 3 and together == pytest.approx(loss, rel=1e-4)
    assert config.evaluate(model, source, 99, accelerator, lambda: True)[1] == 0


def test_label_dropout_out_of_range_is_refused_and_a_recipe_survives_json():
    with pytest.raises(UserError, match=r"objective.label_dropout 1.5 is not in \[0, 1\]"):
        DenoisingConfig(label_dropout=1.5)
    assert from_json(to_json(toys.RECIPE)) == toys.RECIPE

"""Fields of time: segments are blended, a lattice may be shifted, and a file holds all that is needed."""

from dataclasses import replace

import pytest
import torch
from sound_files import CONFIGS, LENGTH, RATE, build, tones

from tokenfield import Field
from tokenfield.coords import Grid, centers
from tokenfield.errors import UserError
from tokenfield.fields.domains import domain_from_dict
from tokenfield.sound.objective import scores
from tokenfield.sound.recording import Recording, encode_recording

COUNTS = (1, 53, LENGTH, 78, 311)


@pytest.fixture(params=CONFIGS)
def model(request):
    return build(request.param)


@pytest.mark.parametrize("count", COUNTS)
def test_a_rendering_is_the_field_at_the_middles_of_samples(model, count):
    field = encode_recording(model, tones(count))
    values = field.render()
    assert values.shape == (1, count) and field.native_size == (count,)
    torch.testing.assert_close(field(centers(count)[:, None])[:, 0], values[0], atol=1e-5, rtol=0)


def test_one_segment_alone_is_the_model_s_own_field(model):
    samples = tones(LENGTH)
    own = model(samples[None, None], Grid.cells(LENGTH))[0, :, 0]
    torch.testing.assert_close(encode_recording(model, samples).render()[0], own, atol=1e-5, rtol=0)


def test_a_shifted_lattice_of_times_gives_shifted_values(model):
    field, n = encode_recording(model, tones(311)), 311
    later = Grid((centers(n, dtype=torch.float64)[:-1] + 0.35 * 2 / n,))  # sample i + 0.85 is fine sample 10 i + 8.5
    fine = field.render(10 * n, antialias=False)[0]
    torch.testing.assert_close(field(later)[:, 0], fine[8 : 10 * (n - 1) : 10], atol=1e-5, rtol=0)


def test_in_chunks_and_in_any_order_the_values_are_the_same(model):
    field, times = encode_recording(model, tones(311)), torch.rand(997, 1) * 2 - 1
    whole, order = field(times), torch.randperm(997)
    torch.testing.assert_close(field(times[order]), whole[order], atol=1e-5, rtol=0)
    model.chunk = 5
    torch.testing.assert_close(field(times), whole, atol=1e-5, rtol=0)


def test_neighbours_hand_over_by_weights_of_sum_one(model):
    """Each segment rules alone where the other does not reach, and both together give what both give alone."""
    domain = Recording((140,), RATE, LENGTH)
    low, high = (domain.encode(model, value * torch.ones(1, 140)) for value in (-0.5, 0.5))
    one, other, begin, end = (Field(model, torch.stack(pair), domain).render()[0] for pair in (
        (low[0], high[1]), (high[0], low[1]), (low[0], low[1]), (high[0], high[1])))
    start = domain.axes[0].starts[1]
    assert torch.equal(one[:start], begin[:start]) and torch.equal(one[LENGTH:], end[LENGTH:])
    torch.testing.assert_close(one + other, begin + end, atol=1e-5, rtol=0)


def test_a_saved_field_is_the_field(model, tmp_path):
    field = encode_recording(model, tones(311))
    field.save(tmp_path / "a.field")
    loaded = Field.load(tmp_path / "a.field", model)
    assert loaded.domain == field.domain == domain_from_dict(field.domain.to_dict())
    assert torch.equal(loaded.render(), field.render())


@pytest.mark.parametrize("change", [{"size": [0]}, {"size": [5, 5]}, {"rate": 3}, {"segment": 3}, {"overlap": 0.5}])
def test_a_damaged_domain_is_one_line(change):
    with pytest.raises(UserError):
        domain_from_dict(Recording((311,), RATE, LENGTH).to_dict() | change)


def test_a_field_of_another_length_or_model_is_refused(model):
    domain = Recording((311,), RATE, LENGTH)
    tokens = domain.encode(model, tones(311)[None])
    with pytest.raises(UserError, match="segments; the first sizes"):
        domain.check(model, tokens[:-1])
    with pytest.raises(UserError, match="use the model that encoded"):
        replace(domain, rate=RATE + 1).check(model, tokens)
    with pytest.raises(UserError, match="takes any size"):
        model.encode(torch.zeros(1, 1, LENGTH + 1))
    with pytest.raises(UserError, match="tokenfield sound"):
        Field.of(model, torch.zeros(1, 8, 8))


def test_a_lower_rate_is_the_mean_over_its_time(model):
    field = encode_recording(model, tones(312))
    torch.testing.assert_close(field.render(104)[0], field.render()[0].view(104, 3).mean(1), atol=1e-5, rtol=0)


def test_labels_are_seconds():
    labels = Recording((311,), RATE, LENGTH).labels(622)
    assert labels.names == ("channel", "time")
    assert labels.places["time"][0].item() == pytest.approx(0.25 / RATE)


def test_scores_are_decibels_of_peak_and_of_energy():
    truth = tones(311)
    assert scores(0.9 * truth, truth)["snr"] == pytest.approx(20)
    assert scores(truth + 0.02, truth)["psnr"] == pytest.approx(40, abs=1e-4)
    assert "snr" not in scores(truth, 0 * truth)


def test_the_local_start_gives_a_token_its_share_of_time():
    model = build("lainr")
    model.initialize(torch.stack([tones(LENGTH + i)[i:][None] for i in range(4)]))
    field = encode_recording(model, tones(LENGTH))
    weights = field.model.attention(field.tokens, centers(5)[:, None]).mean(0)  # (times, tokens)
    assert weights.argmax(1).tolist() == list(range(5))

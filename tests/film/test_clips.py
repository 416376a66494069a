"""Fields of time and place: clips are blended, lattices may be shifted, and a file holds all that is needed."""

from dataclasses import replace

import pytest
import torch
from small_films import CONFIGS, FRAMES, RATE, SIZE, build, waves

from tokenfield import Field
from tokenfield.coords import Grid, centers
from tokenfield.errors import UserError
from tokenfield.fields.domains import domain_from_dict
from tokenfield.film.clips import Film, encode_film
from tokenfield.nn.places import boxes

SIZES = ((1, 1, 1), (FRAMES, *SIZE), (3, 11, 5), (13, 5, 17))


@pytest.fixture(params=CONFIGS)
def model(request):
    return build(request.param)


def film(model, *size):
    return waves(*size or (13, 11, 17), channels=model.channels)


@pytest.mark.parametrize("size", SIZES)
def test_a_rendering_is_the_field_at_the_centres_of_samples(model, size):
    field = encode_film(model, film(model, *size), RATE)
    values = field.render()
    assert values.shape == (model.channels, *size) and field.native_size == size
    points = Grid.cells(*size).coords()
    torch.testing.assert_close(field(points).T, values.flatten(1), atol=1e-5, rtol=0)


def test_one_clip_alone_is_the_model_s_own_field(model):
    samples = film(model, FRAMES, *SIZE)
    own = model(samples[None], Grid.cells(FRAMES, *SIZE))[0].T
    torch.testing.assert_close(encode_film(model, samples, RATE).render().flatten(1), own, atol=1e-5, rtol=0)


def test_finer_renderings_contain_coarser_ones(model):
    field = encode_film(model, film(model), RATE)
    fine = field.render(3 * 13, 11, 17, antialias=False)
    torch.testing.assert_close(fine[:, 1::3], field.render(), atol=1e-5, rtol=0)


def test_fewer_frames_are_means_over_their_time(model):
    field = encode_film(model, film(model, 12, 7, 11), RATE)
    means = field.render().unflatten(1, (4, 3)).mean(2)
    torch.testing.assert_close(field.render(4, 7, 11), means, atol=1e-5, rtol=0)


def test_neighbours_hand_over_by_weights_of_sum_one(model):
    """Along time, of two clips each rules alone where the other does not reach; both together give what both give."""
    domain = Film((6, *SIZE), RATE, (FRAMES, *SIZE))
    low, high = (encode_film(model, value * torch.ones(model.channels, 6, *SIZE), RATE).tokens for value in (0.2, 0.8))
    assert low.shape[:3] == (2, 1, 1)
    one, other, begin, end = (Field(model, torch.stack(pair), domain).render() for pair in (
        (low[0], high[1]), (high[0], low[1]), (low[0], low[1]), (high[0], high[1])))
    start = domain.axes[0].starts[1]
    assert torch.equal(one[:, :start], begin[:, :start]) and torch.equal(one[:, FRAMES:], end[:, FRAMES:])
    torch.testing.assert_close(one + other, begin + end, atol=1e-5, rtol=0)


def test_points_in_any_order_have_their_own_values(model):
    field, points = encode_film(model, film(model), RATE), torch.rand(211, 3) * 2 - 1
    order = torch.randperm(211)
    torch.testing.assert_close(field(points[order]), field(points)[order], atol=1e-5, rtol=0)


def test_derivatives_are_those_of_differences():
    field = encode_film(build("lainr").double(), waves(channels=1).double(), RATE)
    point, step = torch.tensor([[0.11, -0.3, 0.47]], dtype=torch.float64), 1e-6
    gradient = field.gradient(point)[0, 0]
    for axis in range(3):
        move = torch.zeros_like(point).index_fill(1, torch.tensor(axis), step)
        slope = (field(point + move) - field(point - move))[0, 0] / (2 * step)
        assert gradient[axis].item() == pytest.approx(slope.item(), rel=1e-4, abs=1e-6)


def test_a_saved_field_is_the_field(model, tmp_path):
    field = encode_film(model, film(model), RATE)
    field.save(tmp_path / "a.field")
    loaded = Field.load(tmp_path / "a.field", model)
    assert loaded.domain == field.domain == domain_from_dict(field.domain.to_dict())
    assert torch.equal(loaded.render(), field.render())


@pytest.mark.parametrize("change", [{"size": [0, 1, 1]}, {"size": [5, 5]}, {"rate": 0}, {"rate": 1e9}, {"overlap": 0.5},
                                    {"clip": [3, 6, 9]}, {"rate": float("nan")}])  # fmt: skip
def test_a_damaged_domain_is_one_line(change):
    with pytest.raises(UserError):
        domain_from_dict(Film((13, 11, 17), RATE, (FRAMES, *SIZE)).to_dict() | change)


def test_a_field_of_another_size_or_model_is_refused(model):
    field = encode_film(model, film(model), RATE)
    with pytest.raises(UserError, match="clips; the first sizes"):
        field.domain.check(model, field.tokens[:-1])
    with pytest.raises(UserError, match="use the model that encoded"):
        replace(field.domain, clip=(5, 6, 9)).check(model, field.tokens)
    with pytest.raises(UserError, match="takes any size"):
        model.encode(torch.zeros(1, model.channels, FRAMES + 1, *SIZE))
    with pytest.raises(UserError, match="tokenfield film"):
        Field.of(model, torch.zeros(3, 8, 8))


def test_labels_are_seconds():
    labels = Film((13, 11, 17), RATE, (FRAMES, *SIZE)).labels(26, 11, 17)
    assert labels.names == ("channel", "time", "y", "x")
    assert labels.places["time"][0].item() == pytest.approx(0.25 / RATE)


def test_patches_are_boxes_of_the_clip():
    model = build("trans-inr")
    clip = torch.arange(3 * FRAMES * 54.0).view(1, 3, FRAMES, *SIZE) / 1000
    patches = model.cut(clip)
    assert patches.shape == (1, 2 * 2 * 3, 3 * 2 * 9)
    assert torch.equal(patches[0, 7], clip[0, :, 2:4, 0:3, 3:6].flatten())


def test_boxes_share_a_clip_out():
    even = boxes(12, (2, 2, 3))
    assert torch.equal(even.places, Grid.cells(2, 2, 3).coords()) and even.spacing == (1, 1, 2 / 3)
    assert torch.equal(boxes(5, (31,)).places[:, 0], centers(5))


def test_the_local_start_gives_a_token_its_share_of_the_clip():
    model = build("lainr")
    model.initialize(torch.stack([waves(FRAMES, *SIZE, channels=1) * (i + 1) / 4 for i in range(4)]))
    tokens = model.encode(waves(FRAMES, *SIZE, channels=1)[None])
    weights = model.attention(tokens, Grid.cells(2, 2, 3).coords()).mean(0)  # (places, tokens)
    assert weights.argmax(1).tolist() == list(range(12))

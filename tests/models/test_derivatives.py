"""Every system can be differentiated twice, by its coordinates and by its tokens, as autograd and `torch.func` do."""

from dataclasses import replace

import pytest
import torch
from small_systems import CONFIGS, NAMES, images
from torch.overrides import TorchFunctionMode

from tokenfield import Field
from tokenfield.metrics import mse
from tokenfield.nn.attention import attend, differentiated_once

POINTS = torch.rand(5, 2, generator=torch.Generator().manual_seed(3), dtype=torch.double) * 1.8 - 0.9


@pytest.fixture(params=NAMES)
def field(request):
    if request.param == "autoencoder-kl":
        pytest.importorskip("diffusers")
    torch.manual_seed(0)
    model = CONFIGS[request.param].build().eval()
    if model.initial_pictures:
        model.initialize(torch.rand(min(model.initial_pictures, 64), 3, 12, 20))
    tokens = Field.of(model, images()[0])
    model.double()
    return Field(model, tokens.tokens.double(), tokens.domain)


def directional(field, points, direction, step=1e-4):
    """Second differences along a direction, by the values alone."""
    with torch.no_grad():
        return (field(points + step * direction) - 2 * field(points) + field(points - step * direction)) / step**2


def test_hessian_vector_products_are_second_differences(field):
    direction = torch.tensor([0.6, -0.8], dtype=torch.double)

    def total(points):
        return field(points).sum()

    _, product = torch.autograd.functional.hvp(total, POINTS, direction.expand(5, 2).contiguous())
    expected = directional(field, POINTS, direction).sum(-1)
    scale = expected.abs().max().clamp(min=1.0)
    close = ((product @ direction - expected).abs() / scale) < 1e-3
    assert close.sum() >= 4  # a kink between two points of a difference is nobody's fault


def test_jacobians_of_functional_transforms(field):
    each = torch.func.vmap(torch.func.jacrev(lambda point: field(point[None])[0]))(POINTS)
    step = torch.eye(2, dtype=torch.double) * 1e-6
    with torch.no_grad():
        differences = torch.stack([(field(POINTS + e) - field(POINTS - e)) / 2e-6 for e in step], -1)
    assert each.shape == differences.shape == (5, 3, 2)
    assert ((each - differences).abs().amax((1, 2)) < 1e-3 * differences.abs().max()).sum() >= 4


def test_a_penalty_on_gradients_reaches_weights_and_tokens(field):
    points = POINTS.clone().requires_grad_()
    tokens = field.tokens.clone().requires_grad_()
    values = Field(field.model, tokens, field.domain)(points)
    (slope,) = torch.autograd.grad(values.sum(), points, create_graph=True)
    slope.square().mean().backward()
    assert tokens.grad is not None and tokens.grad.isfinite().all()


def test_tokens_learn_to_learn(field):
    """A step through a step: the loss after one step of the tokens, by the tokens before it."""
    target = torch.full((5, 3), 0.3, dtype=torch.double)

    def loss(tokens):
        return mse(Field(field.model, tokens, field.domain)(POINTS)[None], target[None]).mean()

    def after(tokens, create_graph=True):
        tokens = tokens if tokens.requires_grad else tokens.requires_grad_()
        (slope,) = torch.autograd.grad(loss(tokens), tokens, create_graph=create_graph)
        return loss(tokens - 0.1 * slope)

    tokens = field.tokens.clone().requires_grad_()
    (meta,) = torch.autograd.grad(after(tokens), tokens)
    direction = torch.randn(tokens.shape, generator=torch.Generator().manual_seed(4), dtype=torch.double)
    direction /= direction.norm()
    ahead, behind = (after(field.tokens + e * direction).detach() for e in (1e-5, -1e-5))
    torch.testing.assert_close((meta * direction).sum(), (ahead - behind) / 2e-5, rtol=1e-3, atol=1e-7)


def test_a_training_step_takes_the_fused_kernel():
    query = torch.rand(1, 2, 7, 4, requires_grad=True)
    with differentiated_once():
        fused = torch.nn.functional.scaled_dot_product_attention(query, query, query)
        within = attend(query, query, query)
    outside = attend(query, query, query)
    names = [type(result.grad_fn).__name__ for result in (within, outside)]
    assert ["ScaledDotProduct" in name for name in names] == [True, False]
    torch.testing.assert_close(within, outside)
    torch.testing.assert_close(within, fused)


class Signs(TorchFunctionMode):
    """Notes the sign of what every ReLU is given."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if getattr(function, "__name__", "") in ("relu", "relu_"):
            self.seen.append(args[0].detach() > 0)
        return function(*args, **(kwargs or {}))


def test_the_laplacian_is_that_of_the_piece_a_point_lies_in():
    """Differences of gradients agree with it wherever no ReLU of LAINR changes its sign between their two places.

    At a bandwidth of 128 one does at nearly every point for a step of 1e-4, and at one in fifty for 1e-6.
    """
    torch.manual_seed(5)
    config = replace(CONFIGS["lainr"], sigma_q=16.0, sigmas=(128.0, 32.0))
    model, step = config.build().double().eval(), 1e-6
    with torch.no_grad():
        tokens = model.encode(images()[:1].double())
    apart = []
    for point in torch.rand(12, 1, 2, dtype=torch.double) * 1.8 - 0.9:
        def slope(at):
            with Signs() as signs:
                value = model.decode(tokens, at)[0, 0, 0]
            return torch.autograd.grad(value, at, create_graph=True)[0], signs.seen

        at = point.clone().requires_grad_()
        exact = sum(torch.autograd.grad(slope(at)[0][0, axis], at)[0][0, axis] for axis in (0, 1))
        differences, crossed = 0.0, 0
        for axis in (0, 1):
            shift = step * torch.eye(2, dtype=torch.double)[axis : axis + 1]
            (up, above), (down, below) = (slope((point + side * shift).requires_grad_()) for side in (1, -1))
            differences = differences + (up - down)[0, axis] / (2 * step)
            assert above and len(above) == len(below)
            crossed += sum(int((one != other).sum()) for one, other in zip(above, below, strict=True))
        if not crossed:
            apart.append(abs(exact - differences) / abs(exact))
    assert len(apart) >= 9 and max(apart) < 1e-5

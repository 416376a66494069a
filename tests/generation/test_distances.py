"""FID of Gaussians in closed form, KID without bias, precision and recall of sets that are equal, apart or nested."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenfield.errors import UserError
from tokenfield.evaluation.features import PcaFeatures, RandomFeatures, find_features
from tokenfield.generation import metrics
from tokenfield.generation.metrics import (
    compare,
    features_of,
    figure,
    frechet_distance,
    inception_score,
    inside,
    kernel_distance,
    nearest,
    reference_features,
    set_hash,
    statistics_file,
    summary,
)


def with_moments(mean: torch.Tensor, covariance: torch.Tensor, count: int, seed: int = 0) -> torch.Tensor:
    """Points whose own mean and covariance are exactly those asked for."""
    x = torch.randn(count, len(mean), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = x - x.mean(0)
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T.cov()), x.T, upper=False).T
    return mean + whitened @ torch.linalg.cholesky(covariance).T


def draws(count, width, seed):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_fid_of_gaussians_that_commute_is_a_sum_over_axes():
    """Diagonal covariances: sum of (m - m')^2 + (d - d')^2."""
    means = torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.5, 2.5]], dtype=torch.float64)
    deviations = torch.tensor([[1.0, 0.5, 2.0], [1.5, 0.5, 0.1]], dtype=torch.float64)
    a, b = (with_moments(m, torch.diag(d**2), n, n) for m, d, n in zip(means, deviations, (40, 53), strict=True))
    expected = (means[0] - means[1]).square().sum() + (deviations[0] - deviations[1]).square().sum()
    assert frechet_distance(a, b) == pytest.approx(expected.item(), rel=1e-6)


def test_fid_of_gaussians_that_do_not_commute():
    """2 x 2: tr (C C')^(1/2) = sqrt(tr(C C') + 2 sqrt(det C det C')), by Cayley and Hamilton."""
    c = torch.tensor([[2.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
    other = torch.tensor([[0.5, -0.3], [-0.3, 1.7]], dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    root = math.sqrt((c @ other).trace() + 2 * math.sqrt(c.det() * other.det()))
    result = frechet_distance(with_moments(zero, c, 31), with_moments(zero + 1, other, 37, 1))
    assert result == pytest.approx(2 + (c.trace() + other.trace()).item() - 2 * root, rel=1e-6)


def test_fid_is_that_of_torchmetrics_and_holds_where_covariances_are_singular():
    """torchmetrics takes eigenvalues of C C', which fails or loses half of the digits where pictures are fewer than
    features; here singular values of the two factors do not."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    x, y = draws(50, 7, 0).double(), draws(61, 7, 1).double() * 1.5 + 0.2
    identity = torch.nn.Identity()  # features reach torchmetrics through a network whose answer is its input
    identity.num_features = 7
    peer = FrechetInceptionDistance(feature=identity)
    peer.set_dtype(torch.float64)
    peer.update(x, real=True)
    peer.update(y, real=False)
    assert frechet_distance(y, x) == pytest.approx(peer.compute().item(), rel=1e-9)
    few = draws(6, 64, 2) * torch.logspace(-8, 3, 64)
    assert frechet_distance(few, few.flip(0)) < 1e-6 < frechet_distance(few[:5], few[1:])


def test_a_set_has_no_distance_from_itself():
    x = draws(60, 7, 0)
    result = compare(x, x.flip(0), "test")
    assert result.fid < 1e-12 and result.precision == result.recall == 1
    assert result.generated == result.reference == 60 and result.features == "test"


def test_kid_is_the_unbiased_estimate_and_has_no_bias():
    """Against the double sum itself; and on average zero for sets of one distribution, where FID is above it."""
    x, y = draws(12, 3, 0).double(), draws(12, 3, 1).double()

    def kernel(a, b):
        return (a @ b.T / 3 + 1) ** 3

    off = 1 - torch.eye(12, dtype=torch.float64)
    expected = ((kernel(x, x) + kernel(y, y)) * off).sum() / (12 * 11) - 2 * kernel(x, y).mean()
    assert kernel_distance(x, y)[0] == pytest.approx(expected.item(), abs=1e-9)
    values = [kernel_distance(draws(20, 3, 2 * k).double(), draws(20, 3, 2 * k + 1).double())[0] for k in range(40)]
    mean, error = sum(values) / 40, torch.tensor(values).std().item() / 40**0.5
    assert abs(mean) < 3 * error and min(values) < 0 < max(values)
    assert frechet_distance(draws(20, 3, 0), draws(20, 3, 1)) > 0


def test_kid_draws_its_subsets_from_a_seed_and_leaves_the_global_generator_alone(monkeypatch):
    monkeypatch.setattr(metrics, "SUBSET_SIZE", 10)
    x, y = draws(40, 3, 0), draws(50, 3, 1) + 0.3
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    assert kernel_distance(x, y, seed=1) == kernel_distance(x, y, seed=1) != kernel_distance(x, y, seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_precision_is_quality_and_recall_is_coverage():
    real = torch.cat([draws(50, 2, 0) * 0.1, draws(50, 2, 1) * 0.1 + 10])
    one_of_two = draws(100, 2, 2) * 0.05  # good pictures of one kind alone
    both_and_more = torch.cat([real + 0.001, draws(100, 2, 3) * 0.1 - 10])
    narrow, wide = compare(one_of_two, real, "x"), compare(both_and_more, real, "x")
    assert narrow.precision > 0.95 and narrow.recall < 0.55
    assert wide.precision == pytest.approx(0.5) and wide.recall == 1
    assert compare(real + 100, real, "x").precision == 0


@settings(max_examples=15, deadline=None)
@given(st.integers(6, 20), st.integers(1, 5), st.integers(0, 1000))
def test_every_point_is_inside_its_own_set(count, width, seed):
    x = draws(count, width, seed)
    assert inside(x, x).all()
    assert frechet_distance(x + 3, x) == pytest.approx(9 * width, rel=1e-4, abs=1e-4)  # a shift alone


def test_few_pictures_are_refused():
    with pytest.raises(UserError, match="generated pictures: 4;"):
        compare(draws(4, 3, 0), draws(30, 3, 1), "x")


@pytest.mark.parametrize("spec", ["pca", "random:3", "photos-s"])
def test_features_depend_on_pictures_alone(spec):
    network = find_features(spec)
    pictures = torch.rand(5, 3, 32, 24, generator=torch.Generator().manual_seed(0))
    whole = features_of(network, pictures)
    assert whole.shape == (5, network.num_features) and whole.isfinite().all()
    torch.testing.assert_close(features_of(network, pictures, batch=2), whole, atol=1e-5, rtol=1e-5)
    assert find_features(spec).identity == network.identity
    assert features_of(network, []).shape == (0, network.num_features)
    with pytest.raises(UserError, match="at least 8 a side"):
        network(torch.rand(1, 3, 7, 9))


def test_networks_have_identities_of_their_own(tmp_path):
    assert len({RandomFeatures(0).identity, RandomFeatures(1).identity, PcaFeatures().identity}) == 3
    assert not torch.equal(RandomFeatures(0).weight0, RandomFeatures(1).weight0)


class Mean(torch.nn.Module):
    """A network to put into a file."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_network_in_a_file(tmp_path):
    torch.jit.script(Mean()).save(str(tmp_path / "mean.pt"))
    network = find_features(f"script:{tmp_path / 'mean.pt'}")
    assert network.num_features == 3 and network.name == "script:mean.pt"
    torch.testing.assert_close(features_of(network, torch.full((2, 3, 9, 9), 0.25)), torch.full((2, 3), 0.25))
    (tmp_path / "broken.pt").write_bytes(b"nothing")
    for spec, said in ((f"script:{tmp_path / 'broken.pt'}", "no TorchScript file"), ("inception:no.pth", "no file"),
                       ("vgg", "no features are called")):
        with pytest.raises(UserError, match=said):
            find_features(spec)


def test_statistics_of_a_reference_are_computed_once(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path))
    network, calls = RandomFeatures(0), []

    def compute():
        calls.append(1)
        return draws(9, 64, 0)

    (tmp_path / "a").write_bytes(b"a")
    key = set_hash([("a", tmp_path / "a")], "32")
    first, path, cached = reference_features(network, key, compute)
    again, same, reused = reference_features(network, key, compute)
    assert torch.equal(first, again) and path == same and (cached, reused, len(calls)) == (False, True, 1)
    path.write_bytes(path.read_bytes()[:50])  # a damaged file is made again
    assert not reference_features(network, key, compute)[2] and len(calls) == 2
    assert reference_features(network, key, compute)[2]
    (tmp_path / "a").write_bytes(b"b")
    others = {key, set_hash([("a", tmp_path / "a")], "32"), set_hash([("b", tmp_path / "a")], "32")}
    assert len({statistics_file(other, network) for other in others} | {statistics_file(key, RandomFeatures(1))}) == 4


def test_neighbours_find_copies_and_mirror_images():
    pool = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    result = nearest(torch.stack([pool[4], pool[2].flip(-1)]), pool, 2)
    assert result.index[:, 0].tolist() == [4, 2] and result.mirrored[:, 0].tolist() == [0, 1]
    assert result.distance[:, 0].max() < 1e-4 and (result.distance[:, 1] > 0.1).all()
    torch.testing.assert_close(nearest(pool[:1] + 0.5, pool[:1], 1).distance, torch.tensor([[0.5]]))
    said = summary(pool[:2] + 0.001, torch.rand(4, 3, 8, 8), pool)
    assert said["nearer_than_held_out"] == 1 and said["generated_median"] < 0.01 < said["held_out_smallest"]
    sheet = figure(pool[:3], pool, labels=["a", "b", "c"], k=2)
    assert sheet.width > 2 * 3 * 24 and sheet.height > 2 * 24


def test_the_inception_score_by_hand():
    """exp of the mean divergence of a picture's classes from those of its part; numpy, one part after the other."""
    features, classifier = draws(43, 5, 0), draws(7, 5, 1)
    order = torch.randperm(43, generator=torch.Generator().manual_seed(2)).numpy()
    logits = (features.double() @ classifier.double().T).numpy()[order]
    scores = []
    for part in np.split(logits[:40], 10):
        p = np.exp(part) / np.exp(part).sum(1, keepdims=True)
        scores.append(np.exp(np.mean([(row * (np.log(row) - np.log(p.mean(0)))).sum() for row in p])))
    assert inception_score(features, classifier, seed=2) == pytest.approx((np.mean(scores), np.std(scores)), rel=1e-12)
    apart = compare(features, draws(43, 5, 3), "x", classifier=classifier, seed=2)
    assert (apart.inception_score, apart.inception_deviation) == inception_score(features, classifier, seed=2)
    assert compare(features, draws(43, 5, 3), "x").inception_score is None


def test_the_inception_score_runs_from_one_to_the_number_of_classes():
    """Sure of one class each, all classes alike: their number. The same picture every time: 1."""
    classifier = 1e3 * torch.eye(4)
    sure = torch.eye(4).repeat(400, 1)
    assert inception_score(sure, classifier)[0] == pytest.approx(4, abs=0.1)
    assert inception_score(sure[:1].expand(50, -1), classifier) == pytest.approx((1, 0))

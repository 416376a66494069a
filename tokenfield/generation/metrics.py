"""How close a set of pictures is to another by any feature network, and whether pictures are copies.

FID (Heusel et al., 2017) is the Frechet distance of the two Gaussians that have the sets' means and covariances,

    |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)),

biased upwards in small sets, and more so the more features there are: compare numbers of equal counts only. KID
(Binkowski et al., 2018) is the squared maximum mean discrepancy under the kernel (x.y / F + 1)^3, without bias, so
that it can be negative; torchmetrics computes it. Precision and recall (Kynkaanniemi et al., 2019) are the
shares of generated pictures inside the neighbourhoods of real ones, and of real inside those of generated ones:
quality and coverage apart. The Inception Score (IS) looks at the generated pictures alone, and needs a network that
classifies.

Copying shows where generated pictures are nearer to the training pictures, in pixels, than held-out photographs are:
those are certainly no copies, and have nearest training pictures, too. A picture beside its nearest proves little.
"""

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.evaluation.features import FeatureNetwork, frechet_distance
from tokenfield.evaluation.figures import Panel, bicubic, sheet
from tokenfield.io.atomic import write_whole
from tokenfield.io.cache import cache_folder

NEIGHBOURS = 3
"""k of precision and recall, as published."""
SPLITS = 10
"""Parts of a set whose Inception Scores are averaged, as published; fewer where it has fewer pictures."""
SUBSETS, SUBSET_SIZE = 100, 1000
"""KID is the mean over so many subsets of so many pictures, fewer where a set is smaller."""


@dataclass(frozen=True)
class Distances:
    """How far a set of pictures is from a reference."""

    features: str
    """Name of the network; the numbers mean nothing without it."""
    generated: int
    """Pictures in the set."""
    reference: int
    """Pictures in the reference."""
    fid: float
    kid: float
    """Unbiased, may be negative."""
    kid_deviation: float
    """Over the subsets; 0 where a set has no more than 1000 pictures, all of which are in every subset."""
    precision: float
    """Share of the set inside the reference."""
    recall: float
    """Share of the reference inside the set."""
    inception_score: float | None = None
    """Of the set alone; None where the network does not classify."""
    inception_deviation: float | None = None
    """Over `SPLITS` parts of it."""


def compare(generated: Float[Tensor, "n f"], reference: Float[Tensor, "m f"], features: str, *,
            classifier: Float[Tensor, "c f"] | None = None, seed: int = 0) -> Distances:
    """All distances between two sets of features by the network called `features`, and its classifier's score.

    `seed` is of the subsets of KID and of the parts of IS.

    Raises:
        UserError: fewer than `NEIGHBOURS` + 2 pictures in a set, or torchmetrics is missing.
    """
    for name, values in (("generated", generated), ("reference", reference)):
        if len(values) < NEIGHBOURS + 2:
            where = ", or take all but the held-out ones (--split train)" if name == "reference" else ""
            raise UserError(f"{name} pictures: {len(values)}; give at least {NEIGHBOURS + 2}, and thousands for "
                            f"numbers that others can compare with{where}")
    kid, deviation = kernel_distance(generated, reference, seed=seed)
    score = (None, None) if classifier is None else inception_score(generated, classifier.cpu(), seed=seed)
    return Distances(features=features, generated=len(generated), reference=len(reference),
                     fid=frechet_distance(generated, reference), kid=kid, kid_deviation=deviation,
                     precision=inside(generated, reference).double().mean().item(),
                     recall=inside(reference, generated).double().mean().item(), inception_score=score[0],
                     inception_deviation=score[1])


def inception_score(features: Float[Tensor, "n f"], classifier: Float[Tensor, "c f"], *,
                    seed: int = 0) -> tuple[float, float]:
    """IS and its deviation over `SPLITS` parts of the pictures, shuffled by a seed; in float64.

        IS = exp( mean_x KL( p(y | x) || p(y) ) ),    p(y | x) = softmax(classifier features),  p(y) their mean

    (Salimans et al., 2016): high where every picture is surely of one class and all classes occur. The classifier has
    no bias, as in the programs that published scores come from. Parts are of one size; a rest is left out.
    """
    parts = min(SPLITS, len(features))
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
    rows = features.double()[order[: len(features) // parts * parts]]
    log_p = (rows @ classifier.double().T).log_softmax(1).unflatten(0, (parts, -1))      # (S, N / S, C)
    log_mean = log_p.logsumexp(1, keepdim=True) - math.log(log_p.shape[1])
    scores = (log_p.exp() * (log_p - log_mean)).sum(2).mean(1).exp()                     # (S,)
    return scores.mean().item(), scores.std(correction=0).item()


def kernel_distance(generated: Float[Tensor, "n f"], reference: Float[Tensor, "m f"], *,
                    seed: int = 0) -> tuple[float, float]:
    """KID and its deviation over random subsets, which are drawn from a seed."""
    try:
        from torchmetrics.image.kid import poly_mmd
    except ImportError as error:
        raise UserError("KID needs torchmetrics, which is missing: pip install 'tokenfield[generation]'") from error
    size, draws = min(SUBSET_SIZE, len(generated), len(reference)), torch.Generator().manual_seed(seed)

    def subset(values: Tensor) -> Tensor:
        return values.double()[torch.randperm(len(values), generator=draws)[:size]]

    estimates = torch.stack([poly_mmd(subset(reference), subset(generated)) for _ in range(SUBSETS)])
    return estimates.mean().item(), estimates.std(correction=0).item()


def inside(points: Float[Tensor, "n f"], others: Float[Tensor, "m f"]) -> Bool[Tensor, " n"]:
    """Which points lie within the manifold of the others: no further from one of them than its k-th neighbour is."""

    def distances(rows: Tensor) -> Iterator[Tensor]:
        """From the others, some rows at a time; by differences, so that equal points are at zero."""
        for part in rows.double().split(512):
            yield torch.cdist(part, others.double(), compute_mode="donot_use_mm_for_euclid_dist")

    nearest = [part.kthvalue(NEIGHBOURS + 1, 1).values for part in distances(others)]  # itself is the first
    radii = torch.cat(nearest) * (1 + 1e-9)
    return torch.cat([(part <= radii).any(1) for part in distances(points)])


@torch.no_grad()
def features_of(network: FeatureNetwork, pictures: Iterable[Float[Tensor, "3 h w"]], *, batch: int = 32,
                progress: Callable[[int], None] = lambda count: None) -> Float[Tensor, "n f"]:
    """Features of pictures in [0, 1] of one size; `progress` is called with how many are done."""
    remaining, parts, count = iter(pictures), [torch.zeros(0, network.num_features)], 0
    while part := list(islice(remaining, batch)):
        parts.append(network(torch.stack(part).clamp(0, 1)).float().cpu())
        progress(count := count + len(part))
    return torch.cat(parts)


def set_hash(files: Iterable[tuple[str, Path]], how: str) -> str:
    """SHA-256 over names and contents of a set's files, and how they are cut: the same set has the same features."""
    digest = hashlib.sha256(how.encode())
    for name, path in files:
        digest.update(name.encode("utf-8", "surrogateescape"))
        with contextlib.suppress(OSError):  # what cannot be read has no features either
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def statistics_file(set_hash: str, network: FeatureNetwork) -> Path:
    """Where the features of a reference set lie: one file per set and network."""
    return cache_folder() / "statistics" / f"{set_hash[:16]}-{network.identity[:16]}.safetensors"


def reference_features(network: FeatureNetwork, set_hash: str,
                       compute: Callable[[], Float[Tensor, "n f"]]) -> tuple[Float[Tensor, "n f"], Path, bool]:
    """The features of a reference set, their statistics file, and whether it was there; computed if it was not.

    The file holds the features themselves, which KID, precision and recall need, their mean and covariance, for other
    programs, and both hashes in full; a file that is damaged or of another set is made again.
    """
    path = statistics_file(set_hash, network)
    key = {"set": set_hash, "network": network.identity, "features": network.name}
    if path.is_file():
        try:
            with safe_open(path, "pt") as file:
                if file.metadata() == key:
                    return file.get_tensor("features"), path, True
        except (SafetensorError, OSError):  # cut short by a full disk or a copy: as good as none
            pass
    features = compute()
    tensors = {"features": features, "mean": features.double().mean(0)}
    if len(features) > 1:
        tensors["covariance"] = features.double().T.cov().reshape(features.shape[1], -1)
    write_whole(path, save({name: value.contiguous() for name, value in tensors.items()}, key))
    return features, path, False


@dataclass(frozen=True)
class Nearest:
    """The nearest pictures of a pool, nearest first."""

    distance: Float[Tensor, "n k"]
    """Root of the mean squared difference of pixel values."""
    index: Int[Tensor, "n k"]
    mirrored: Int[Tensor, "n k"]
    """1 where the mirror image was the nearer one."""


def nearest(pictures: Float[Tensor, "n c h w"], pool: Float[Tensor, "m c h w"], k: int = 3) -> Nearest:
    """The k nearest of a pool (all, if it has fewer) to each picture of the same size, in pixels, either way round."""
    flat = pictures.flatten(1)
    both = torch.stack([torch.cdist(flat, other.flatten(1)) for other in (pool, pool.flip(-1))])  # (2, N, M)
    distance, way = both.min(0)
    near = distance.topk(min(k, len(pool)), largest=False)
    return Nearest(near.values / flat.shape[1] ** 0.5, near.indices, way.gather(1, near.indices))


def figure(pictures: Float[Tensor, "n c h w"], pool: Float[Tensor, "m c h w"], *, labels: Sequence[str] = (),
           k: int = 3, scale: int = 3) -> Image.Image:
    """Rows of two groups: a picture with its label, and its k nearest of the pool with their distances.

    Pictures are enlarged `scale` times (bicubic), since training pictures of miniatures are small.
    """
    near = nearest(pictures, pool, k)
    size = (pictures.shape[2] * scale, pictures.shape[3] * scale)
    groups = []
    for i, picture in enumerate(pictures):
        group = [Panel(bicubic(picture, *size), labels[i] if labels else "")]
        for distance, index, mirrored in zip(near.distance[i], near.index[i], near.mirrored[i], strict=True):
            image = pool[index].flip(-1) if mirrored else pool[index]
            group.append(Panel(bicubic(image, *size), "", f"{distance:.3f}"))
        groups.append(group)
    return sheet([list(chain(*groups[i : i + 2])) for i in range(0, len(groups), 2)])


def summary(generated: Float[Tensor, "n c h w"], held_out: Float[Tensor, "o c h w"],
            pool: Float[Tensor, "m c h w"]) -> dict[str, float]:
    """How near generated and held-out pictures are to the training pictures: smallest and median distance of each.

    `nearer_than_held_out` is the share of generated ones nearer to a training picture than any held-out picture is.
    """
    mine, theirs = (nearest(pictures, pool, 1).distance[:, 0] for pictures in (generated, held_out))
    return {
        "generated_smallest": mine.min().item(),
        "generated_median": mine.median().item(),
        "held_out_smallest": theirs.min().item(),
        "held_out_median": theirs.median().item(),
        "nearer_than_held_out": (mine < theirs.min()).double().mean().item(),
    }

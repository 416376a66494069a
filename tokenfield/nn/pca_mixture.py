"""A mixture of linear codes: K affine subspaces of cell space, each with its own principal components.

A cell is coded in the subspace that gives it back best, and which one that was is a number of its token like the
others. The codes are found as k-means finds centres, by turns of choosing and fitting (k-plane clustering, Bradley and
Mangasarian 2000; mixtures of principal components, Tipping and Bishop 1999).

Components are sorted by variance, so a prefix of the coefficients is a code of a lower rate in the same subspace. A
choice that has to serve all prefixes minimises the sum of their errors, each relative to what is usual at its length;
where the rate is known, only the error at that rate counts.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokenfield.io.progress import progress

SHRINKAGE = 32
"""How many cells of the global covariance a subspace's own is mixed with: few cells know few directions."""

CHUNK = 4096
"""Cells to compare at once: their distances fit a core's cache."""


class Subspaces(nn.Module):
    """K = `count` affine subspaces of dimension n = `rank` in a space of dimension p = `dim`. Fitted: buffers.

    `prefixes` are the numbers of coefficients whose errors decide the choice, rising, the last one n.
    """

    mean: Tensor
    components: Tensor
    usual: Tensor

    def __init__(self, count: int, dim: int, rank: int, prefixes: tuple[int, ...]):
        super().__init__()
        self.prefixes = prefixes
        self.register_buffer("mean", torch.zeros(count, dim))
        self.register_buffer("components", torch.eye(dim, rank).expand(count, -1, -1).contiguous())  # (K, p, n)
        self.register_buffer("usual", torch.ones(len(prefixes)))  # geometric mean error of a picture, per prefix
        self._basis: tuple[object, Tensor] | None = None

    @property
    def basis(self) -> Float[Tensor, "k p n"]:
        """The components, orthonormal to float32's precision, and in float32 where the weights are narrower.

        Errors are differences of squares, and components that were stored as float16 are not orthogonal enough for
        them. What is stored stays as it is, so that a model's hash does not depend on the machine.
        """
        state = self.components.data_ptr(), self.components._version, self.components.device
        if self._basis is None or self._basis[0] != state:
            q, r = torch.linalg.qr(self.components.double())
            wide = torch.promote_types(self.mean.dtype, torch.float32)
            self._basis = state, (q * r.diagonal(dim1=1, dim2=2).sign()[:, None]).to(wide)
        return self._basis[1]

    def errors(self, cells: Float[Tensor, "m p"]) -> Iterator[tuple[Float[Tensor, "m e"], Float[Tensor, "m n"]]]:
        """Per subspace: squared errors of the cells at every prefix, and their coefficients."""
        last = torch.tensor(self.prefixes, device=cells.device) - 1
        for mean, components in zip(self.mean, self.basis, strict=True):
            away = cells - mean
            coefficients = away @ components
            explained = coefficients.square().cumsum(1)[:, last]
            yield (away.square().sum(1, keepdim=True) - explained).clamp(min=0), coefficients

    @torch.no_grad()
    def choose(
        self, cells: Float[Tensor, "m p"], only: int | None = None
    ) -> tuple[Int[Tensor, " m"], Float[Tensor, "m n"], Float[Tensor, "m e"]]:
        """The best subspace of every cell, its coefficients there, and its errors at every prefix.

        `only` is the place in `prefixes` of the one that counts; None: all do.
        """
        cells = cells.to(self.basis.dtype)
        weight = 1 / self.usual if only is None else torch.arange(len(self.usual), device=cells.device) == only
        weight = weight.to(cells)
        parts = [self._choose(part, weight) for part in cells.split(CHUNK)]
        index, coefficients, errors = (torch.cat(column) for column in zip(*parts, strict=True))
        return index, coefficients, errors

    def _choose(self, cells: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        best = cells.new_full((len(cells),), torch.inf)
        index = torch.zeros(len(cells), dtype=torch.long, device=cells.device)
        coefficients = cells.new_zeros(len(cells), self.components.shape[-1])
        errors = cells.new_zeros(len(cells), len(self.usual))
        for k, (errors_here, coefficients_here) in enumerate(self.errors(cells)):
            score = errors_here @ weight
            better = (score < best).nonzero()[:, 0]
            best[better], index[better] = score[better], k
            coefficients[better], errors[better] = coefficients_here[better], errors_here[better]
        return index, coefficients, errors

    def restore(self, index: Int[Tensor, " m"], coefficients: Float[Tensor, "m e"]) -> Float[Tensor, "m p"]:
        """Cells from their subspace and their leading coefficients, any number of them."""
        basis, width = self.basis, coefficients.shape[1]
        cells, coefficients = self.mean[index].to(basis.dtype), coefficients.to(basis.dtype)
        order = index.argsort(stable=True)
        which, counts = index[order].unique_consecutive(return_counts=True)
        parts = coefficients[order].split(counts.tolist())
        spans = [part @ basis[k, :, :width].T for k, part in zip(which.tolist(), parts, strict=True)]
        return cells.index_add(0, order, torch.cat(spans)) if spans else cells

    @torch.no_grad()
    def fit(self, cells: Float[Tensor, "m p"], picture: Int[Tensor, " m"], *, rounds: int) -> None:
        """Find the subspaces of training cells, by rounds of choosing and fitting; all but two look at half of them.

        `picture` says which picture each is from, 0 .. N-1: pictures count by their PSNR, so a cell of an easy one
        weighs more than one of a hard one (the derivative of the logarithm of its picture's error).
        """
        draw = torch.Generator().manual_seed(0)
        weight = torch.ones(len(cells))
        center, spread, axes = principal(cells, weight)
        # At first by the direction of their leading coefficients: what kind of detail, however strong.
        directions = nn.functional.normalize((cells - center) @ axes[:, 1 : 1 + min(24, axes.shape[1] - 1)], dim=1)
        starts = directions[torch.randperm(len(cells), generator=draw)[: len(self.mean)]]
        index = (directions @ starts.T).abs().argmax(1)
        self._fit_all(cells, weight, index, spread, draw)
        for turn in progress(range(rounds), rounds, "fitting subspaces"):
            half = torch.randperm(len(cells), generator=draw)[: len(cells) // 2] if turn < rounds - 2 else slice(None)
            some, of = cells[half], picture[half]
            index, _, errors = self.choose(some)
            sums = torch.zeros(int(picture.max()) + 1, errors.shape[1]).index_add_(0, of, errors)
            sizes = torch.bincount(of, minlength=len(sums))[:, None]
            mean = (sums / sizes.clamp(min=1)).clamp(min=1e-6 * cells.shape[1])  # 60 dB, as far as a picture counts
            self.usual.copy_(mean[sizes[:, 0] > 0].log().mean(0).exp())
            weight = (self.usual / mean).mean(1).clamp(0.1, 10.0)[of]
            self._fit_all(some, weight, index, spread, draw)

    def _fit_all(self, cells: Tensor, weight: Tensor, index: Tensor, spread: Tensor, draw: torch.Generator) -> None:
        """Mean and components of every subspace from its cells; one with too few starts again from a random draw."""
        rank = self.components.shape[-1]
        for k in range(len(self.mean)):
            own = (index == k).nonzero()[:, 0]
            if len(own) < 2 * SHRINKAGE:
                own = torch.randperm(len(cells), generator=draw)[: max(4 * SHRINKAGE, len(cells) // len(self.mean))]
            mean, _, axes = principal(cells[own], weight[own], spread)
            self.mean[k], self.components[k] = mean, axes[:, :rank]


def principal(
    cells: Float[Tensor, "m p"], weight: Float[Tensor, " m"], prior: Float[Tensor, "p p"] | None = None
) -> tuple[Float[Tensor, " p"], Float[Tensor, "p p"], Float[Tensor, "p p"]]:
    """Weighted mean, covariance (mixed with `SHRINKAGE` cells of a prior one) and axes by falling variance."""
    share = weight / weight.sum()
    mean = share @ cells
    away = cells - mean
    covariance = (away * share[:, None]).T @ away
    if prior is not None:
        covariance = (len(cells) * covariance + SHRINKAGE * prior) / (len(cells) + SHRINKAGE)
    return mean, covariance, torch.linalg.eigh(covariance)[1].flip(1)

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

from tokenfield.coords import by_kind
from tokenfield.io.progress import progress

SHRINKAGE = 32
"""How many cells of the global covariance a subspace's own is mixed with: few cells know few directions."""

CHUNK = 4096
"""Cells to compare at once: their distances fit a core's cache."""

SHORT_CHUNK, COARSE_CHUNK = 16384, 512
"""The same where a cell meets a few subspaces, so that each still meets many cells; where it meets all at once."""

LEADING, PLANE = 16, 64
"""Leading components of a subspace by which a short list is made; dimensions that are common to all of these."""


class Subspaces(nn.Module):
    """K = `count` affine subspaces of dimension n = `rank` in a space of dimension p = `dim`. Fitted: buffers.

    `prefixes` are the numbers of coefficients whose errors decide the choice, rising, the last one n. `area` is how
    many of the p values in succession are one channel's.
    """

    mean: Tensor
    components: Tensor
    usual: Tensor

    def __init__(self, count: int, dim: int, rank: int, prefixes: tuple[int, ...], area: int = 1):
        super().__init__()
        self.prefixes, self.area = prefixes, area
        self.register_buffer("mean", torch.zeros(count, dim))
        self.register_buffer("components", torch.eye(dim, rank).expand(count, -1, -1).contiguous())  # (K, p, n)
        self.register_buffer("usual", torch.ones(len(prefixes)))  # geometric mean error of a picture, per prefix
        self._basis: tuple[object, Tensor] | None = None
        self._short: tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]] | None = None

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
    def choose(self, cells: Float[Tensor, "m p"], only: int | None = None, *,
               shortlist: int | None = None) -> tuple[Int[Tensor, " m"], Float[Tensor, "m n"], Float[Tensor, "m e"]]:
        """The best subspace of every cell, its coefficients there, and its errors at every prefix.

        `only` is the place in `prefixes` of the one that counts; None: all do. With a `shortlist` only so many
        subspaces are compared exactly, those that are best by their leading components (`shortlisted`); None: all.
        """
        cells = cells.to(self.basis.dtype)
        weight = 1 / self.usual if only is None else torch.arange(len(self.usual), device=cells.device) == only
        weight = weight.to(cells)
        if shortlist is None or shortlist >= len(self.mean):
            parts = [self._choose(part, weight) for part in cells.split(CHUNK)]
        else:
            parts = [self._choose_short(part, weight, shortlist) for part in cells.split(SHORT_CHUNK)]
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

    def _choose_short(self, cells: Tensor, weight: Tensor, shortlist: int) -> tuple[Tensor, Tensor, Tensor]:
        candidates = self.shortlisted(cells, weight, shortlist)
        place = torch.arange(len(cells), device=cells.device).repeat_interleave(shortlist)
        coefficients = cells.new_empty(len(place), self.components.shape[-1])
        size = cells.new_empty(len(place))
        for k, rows in by_kind(candidates.flatten()):
            away = cells[place[rows]] - self.mean[k]
            coefficients[rows], size[rows] = away @ self.basis[k], away.square().sum(1)
        score = weight.sum() * size - coefficients.square() @ self._gain(weight)
        best = score.view_as(candidates).argmin(1, keepdim=True)
        index = candidates.gather(1, best)[:, 0]
        chosen = best[:, 0] + shortlist * torch.arange(len(cells), device=cells.device)
        coefficients = coefficients[chosen]
        last = torch.tensor(self.prefixes, device=cells.device) - 1
        errors = size[chosen, None] - coefficients.square().cumsum(1)[:, last]
        return index, coefficients, errors.clamp(min=0)

    def _gain(self, weight: Tensor) -> Float[Tensor, " n"]:
        """What a squared coefficient takes from the sum of weighted errors: the weights of the prefixes it is in."""
        place = torch.arange(self.components.shape[-1], device=weight.device)
        return (weight * (place[:, None] < torch.tensor(self.prefixes, device=weight.device))).sum(1)

    def shortlisted(self, cells: Float[Tensor, "m p"], weight: Tensor, count: int) -> Int[Tensor, "m s"]:
        """The `count` subspaces that seem best for every cell, in one matrix product, in bfloat16 where that is fast.

        Errors after the leading components decide; what longer prefixes would say is taken from the last of them. Only
        the dimensions that components fill most are looked at. The cell's mean colour, which is in nearly every
        subspace and larger than all else, is left out: so eight bits are enough.
        """
        plane, readout, shift = self._leading(weight)
        best = []
        for part in cells.split(COARSE_CHUNK):
            read = torch.addmm(shift, (part @ plane).to(readout.dtype), readout).float().view(
                len(part), -1, len(self.mean))
            score = read[:, 0] - read[:, 1:].square_().sum(1)
            best.append(score.topk(count, largest=False).indices)
        return torch.cat(best)

    def _leading(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The plane (p, P); in it the means and leading components (P, (1 + few) K), and what is added, for scores

        |z - m|^2 - |z|^2 - sum_i gain_i (v_i . (z - m))^2.
        """
        basis = self.basis
        if self._short is None or self._short[0] is not basis or not torch.equal(self._short[1], weight):
            few, ends = min(LEADING, basis.shape[2]), torch.tensor(self.prefixes, device=basis.device)
            usual = self.usual.to(basis)
            scale = torch.where(ends <= few, weight, weight * usual / usual[sum(n <= few for n in self.prefixes[1:])])
            gain = (scale * (torch.arange(few, device=basis.device)[:, None] < ends.clamp(max=few))).sum(1)
            flat = torch.block_diag(*[basis.new_ones(1, self.area)] * (basis.shape[1] // self.area)).T
            flat = (flat / self.area**0.5).to(basis.device)
            leading, means = basis[..., :few], self.mean.to(basis.dtype)
            leading, means = leading - flat @ (flat.T @ leading), means - means @ flat @ flat.T
            lengths, drops = ends.diff(prepend=ends[:1] * 0), -usual.diff(prepend=4 * usual[:1])
            variance = (drops / lengths).repeat_interleave(lengths)[:few].clamp(min=1e-9)     # as errors usually fall
            plane = torch.linalg.eigh(torch.einsum("kpi,i,kqi->pq", leading, variance, leading))[1][:, -PLANE:]
            means = means @ plane
            leading = torch.einsum("pq,kpi->iqk", plane, leading) * gain.sqrt()[:, None, None]  # (few, P, K)
            readout = torch.cat([-2 * scale.sum() * means.T[None], leading])
            shift = torch.cat([scale.sum() * means.square().sum(1)[None], -torch.einsum("kq,iqk->ik", means, leading)])
            fast = basis.device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
            dtype = torch.bfloat16 if fast else basis.dtype
            readout = readout.transpose(0, 1).flatten(1)
            self._short = basis, weight, (plane, readout.to(dtype), shift.flatten().to(dtype))
        return self._short[2]

    def restore(self, index: Int[Tensor, " m"], coefficients: Float[Tensor, "m e"]) -> Float[Tensor, "m p"]:
        """Cells from their subspace and their leading coefficients, any number of them."""
        basis, width, kinds = self.basis, coefficients.shape[1], list(by_kind(index))
        cells, coefficients = self.mean[index].to(basis.dtype), coefficients.to(basis.dtype)
        spans = [coefficients[rows] @ basis[k, :, :width].T for k, rows in kinds]
        return cells.index_add(0, torch.cat([rows for _, rows in kinds]), torch.cat(spans)) if spans else cells

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

"""Muon (K. Jordan and others, 2024, https://kellerjordan.github.io/posts/muon): momentum, orthogonalised.

The update of a weight matrix is its Nesterov momentum with all singular values brought near 1, by five Newton-Schulz
iterations in place of a decomposition.

`torch.optim.Muon` computes the same update but always iterates in bfloat16. On a CPU without bfloat16 instructions that
is 30 to 40 times slower than float32 (157 against 4.2 ms for 192 x 192, one core), more than the rest of a training
step. Here the iteration runs in bfloat16 on accelerators and where the recipe trains in it, else in float32.
tests/training/test_optimisers.py compares the two.

The products are most of a small model's optimiser step, so there are as few as can be: matrices of one shape are one
batch, sums ride on products (`baddbmm`), and a matrix at least twice as wide as high is met twice only, before and
after five iterations among its Gram matrices. With G = X X^T and p(G) = a + b G + c G^2 an iteration is

    X <- p(G) X,    hence    G <- p(G) G p(G),    and after all of them    X_5 = p(G_4) ... p(G_0) X.

"""

from collections import defaultdict
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic, from the post: steepest at zero, and every singular value ends between about 0.7 and 1.2."""
ITERATIONS = 5


def orthogonalize(matrices: Float[Tensor, "n r c"], dtype: torch.dtype = torch.float32) -> Float[Tensor, "n r c"]:
    """Each matrix U S V^T as about U V^T; the zero matrix stays zero. Products are in `dtype`."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if tall else matrices).to(dtype)  # the smaller Gram matrix
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)  # spectral norm at most 1
    # Rounding of a narrow type, squared again and again, would grow among Gram matrices.
    wide = x.shape[-1] >= 2 * x.shape[-2] and dtype == torch.float32
    x = through_gram(x) if wide else iterated(x)
    return (x.mT if tall else x).to(matrices.dtype)


def iterated(x: Float[Tensor, "n r c"]) -> Float[Tensor, "n r c"]:
    """Newton-Schulz on the matrices: X <- a X + (b G + c G^2) X."""
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def through_gram(x: Float[Tensor, "n r c"]) -> Float[Tensor, "n r c"]:
    """The same among Gram matrices: four products of r x r in place of one, and two of r x c."""
    a, b, c = COEFFICIENTS
    gram, product = x @ x.mT, torch.eye(x.shape[-2], dtype=x.dtype, device=x.device)
    for _ in range(ITERATIONS):
        p = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        p.diagonal(dim1=-2, dim2=-1).add_(a)  # p(G)
        product = p @ product
        gram = p @ gram @ p
    return product @ x


class Muon(torch.optim.Optimizer):
    """Muon for weight matrices, out x in; weight decay is decoupled.

    The update of an r x c matrix is scaled by sqrt(max(1, r / c)), as in Jordan's code. `dtype` is that of the
    orthogonalisation's products.
    """

    def __init__(self, params: Iterable[nn.Parameter], *, lr: float = 0.02, momentum: float = 0.95,
                 weight_decay: float = 0.0, dtype: torch.dtype = torch.float32):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype
        assert all(p.ndim == 2 for group in self.param_groups for p in group["params"]), "Muon is for matrices"

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step; parameters without a gradient stay as they are. No closure is taken."""
        for group in self.param_groups:
            same_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    same_shape[p.shape].append(p)
            for params in same_shape.values():
                self._step(params, **{key: group[key] for key in ("lr", "momentum", "weight_decay")})

    def _step(self, params: list[Tensor], lr: float, momentum: float, weight_decay: float) -> None:
        gradients = [p.grad for p in params if p.grad is not None]
        for p in params:
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        buffers = [self.state[p]["momentum_buffer"] for p in params]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        nesterov = torch._foreach_lerp(gradients, buffers, momentum)
        updates = orthogonalize(torch.stack(nesterov), self.dtype)
        rows, columns = params[0].shape
        torch._foreach_mul_(params, 1 - lr * weight_decay)
        torch._foreach_add_(params, list(updates), alpha=-lr * max(1, rows / columns) ** 0.5)

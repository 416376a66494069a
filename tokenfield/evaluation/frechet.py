"""The Frechet distance of two sets of features: FID, of generated pictures, and rFID, of reconstructions."""

import torch
from jaxtyping import Float
from torch import Tensor


def frechet_distance(generated: Float[Tensor, "n f"], reference: Float[Tensor, "m f"]) -> float:
    """FID of two sets of features, in float64; rounding below zero is zero.

    With C = A^T A and C' = B^T B the eigenvalues of C C' are the squared singular values of A B^T, so tr (C C')^(1/2)
    is the sum of these. That holds where there are fewer pictures than features and C is singular; taking the
    eigenvalues of C C', as programs for FID do, then loses half of the digits, or does not converge.
    """
    means, factors = [], []
    for values in (generated.double(), reference.double()):
        means.append(values.mean(0))
        centred = (values - means[-1]) / (len(values) - 1) ** 0.5
        factors.append(torch.linalg.qr(centred, mode="r").R if len(values) > values.shape[1] else centred)
    a, b = factors
    traces = a.square().sum() + b.square().sum()
    shared = torch.linalg.svdvals(a @ b.T).sum()                                   # tr (C C')^(1/2)
    return max(0.0, float((means[0] - means[1]).square().sum() + traces - 2 * shared))

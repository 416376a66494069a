"""Tensors for tests of mathematics: double precision, the same ones for the same shape."""

import torch


def random(*shape):
    """Uniform in [0, 1)."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def normal(*shape):
    """Standard normal."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def same(a, b):
    """Equal up to rounding."""
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)

"""Statistics in parts: exactly those of all data at once."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenfield.generation.encoding import Moments


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 5), min_size=1, max_size=7), st.floats(-1e6, 1e6))
def test_parts_of_any_size_give_the_moments_of_the_whole(seed, sizes, offset):
    generator = torch.Generator().manual_seed(seed)
    parts = [offset + torch.randn(size, 3, 2, generator=generator, dtype=torch.float64) for size in sizes]
    whole = torch.cat(parts)
    total = sum(map(Moments.of, parts), Moments.none(3, 2))
    assert total.count == len(whole)
    if len(whole):
        torch.testing.assert_close(total.mean, whole.mean(0), rtol=1e-12, atol=1e-9)
        torch.testing.assert_close(total.deviation, whole.std(0, correction=0), rtol=1e-6, atol=1e-9)


def test_a_large_mean_costs_no_digits():
    values = 1e8 + torch.tensor([[-1.0], [1.0], [3.0], [-3.0]], dtype=torch.float64)
    total = sum((Moments.of(row[None]) for row in values), Moments.none(1))  # one by one: Welford's algorithm
    assert total.deviation.item() == 5**0.5


def test_of_narrow_types_moments_are_exact():
    values = torch.tensor([[1.0], [2.0], [6.0]], dtype=torch.float16)
    total = Moments.of(values[:1]) + Moments.of(values[1:])
    assert total.mean.dtype == torch.float64 and (total.mean.item(), total.squares.item()) == (3.0, 14.0)


def test_nothing_added_changes_nothing():
    some = Moments.of(torch.tensor([[1.0], [4.0]]))
    for total in (Moments.none(1) + some, some + Moments.none(1)):
        assert (total.count, total.mean.item(), total.squares.item()) == (2, 2.5, 4.5)
    assert Moments.none(1).deviation.item() == 0

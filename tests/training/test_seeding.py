"""Draws are functions of (seed, step, stream)."""

import torch

from tokenfield.training.seeding import generator, mix


def numbers(*place):
    return torch.rand(5, generator=generator(*place)).tolist()


def test_the_same_place_draws_the_same_numbers():
    assert numbers(3, 5, 7) == numbers(3, 5, 7)


def test_seed_step_and_stream_each_matter_and_do_not_trade_places():
    places = [(3, 5, 7), (4, 5, 7), (3, 6, 7), (3, 5, 8), (5, 3, 7), (3, 7, 5)]
    assert len({tuple(numbers(*place)) for place in places}) == len(places)


def test_global_randomness_is_left_alone():
    torch.manual_seed(11)
    before = torch.get_rng_state()
    generator(1, 2, 3)
    assert torch.equal(before, torch.get_rng_state())


def test_the_low_32_bits_that_cpu_generators_read_differ_for_neighbouring_steps():
    low = {mix(0, step, 1) & 0xFFFFFFFF for step in range(10_000)}
    assert len(low) > 9_990  # 10^4 draws out of 2^32 have about 0.01 collisions


def test_large_and_negative_seeds_are_taken():
    assert numbers(2**64 - 1, 2**40, 1) == numbers(-1, 2**40, 1)  # two's complement

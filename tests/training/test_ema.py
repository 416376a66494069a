"""The moving average of weights."""

import copy

import torch
from toys import LAINR

from tokenfield.training.optimisers import Ema


def test_it_follows_the_recurrence():
    model = LAINR.build()
    ema = Ema(model, 0.75)
    expected = model.encoder.embed.weight.detach().clone()
    for step in range(26, 29):  # from 26 on the average is old enough for this decay
        model.encoder.embed.weight.data += step
        ema.update(model, step)
        expected = 0.75 * expected + 0.25 * model.encoder.embed.weight.detach()
    torch.testing.assert_close(ema.model.encoder.embed.weight.detach(), expected)


def test_a_short_run_is_not_averaged_with_its_initial_weights():
    model = LAINR.build()
    ema = Ema(model, 0.9999)
    start = copy.deepcopy(model)
    for step in range(1, 101):
        for p in model.parameters():
            p.data += 0.01
        ema.update(model, step)
    distance = ema.model.encoder.embed.weight - start.encoder.embed.weight
    assert 0.85 < distance.mean() < 1.0  # of the 1.0 that the model has gone; without the warm-up it would be 0.005


def test_the_average_is_not_trained():
    assert not any(p.requires_grad for p in Ema(LAINR.build(), 0.9).model.parameters())

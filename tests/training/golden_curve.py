"""The loss curve of a toy LAINR over 20 steps, committed as golden_curve.json: python golden_curve.py writes it anew.

It changes only if what is computed changes: initial weights, coordinates, loss, optimiser, schedule. A change that is
meant comes with a new file and a reason in its commit.
"""

import json
from pathlib import Path

import torch
from toys import RECIPE, picture

from tokenfield.training import seeding
from tokenfield.training.objective import Reconstruction
from tokenfield.training.optimisers import build_optimizers, schedule, set_rate
from tokenfield.training.recipe import fresh_model

FILE = Path(__file__).with_name("golden_curve.json")


def curve() -> list[float]:
    """The loss of every step of the toy recipe, on four fixed pictures and without a data loader."""
    side = RECIPE.model.size[0]
    pictures = [torch.from_numpy(picture(number, side, side)).permute(2, 0, 1) / 255 for number in range(4)]
    images = torch.stack(pictures)
    model = fresh_model(RECIPE)
    objective, optimizers = Reconstruction(model, RECIPE.objective), build_optimizers(RECIPE.optim, model)
    losses = []
    for step in range(RECIPE.steps):
        set_rate(optimizers, schedule(RECIPE.optim, step, RECIPE.steps))
        loss, _ = objective(images, seeding.generator(RECIPE.seed, step, seeding.COORDINATES))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), RECIPE.clip_norm)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss.item())
    return losses


if __name__ == "__main__":
    FILE.write_text(json.dumps([round(loss, 7) for loss in curve()]) + "\n")

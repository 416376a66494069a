"""Loss and gradients of a toy step, as it is and compiled; saved to the file that is named.

A program of its own: the checks of shapes that tests run under are not made for the compiler's tracing.
"""

import sys

import torch
from toys import toy

from tokenfield.nn.attention import differentiated_once
from tokenfield.training.compiling import Backend, compile_loss
from tokenfield.training.recipe import fresh_model


def step(backend: Backend) -> dict[str, torch.Tensor]:
    """The loss and every parameter's gradient."""
    recipe = toy(compile=backend)
    model = fresh_model(recipe).train()
    loss = recipe.objective.build(model)
    compile_loss(loss, recipe.compile, torch.device("cpu"))
    images = torch.rand(2, 3, 13, 13, generator=torch.Generator().manual_seed(1))
    with differentiated_once():
        value, _ = loss(images, torch.Generator().manual_seed(2))
        value.backward()
    return {"loss": value.detach()} | {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


if __name__ == "__main__":
    torch.save([step("none"), step("aot_eager")], sys.argv[1])

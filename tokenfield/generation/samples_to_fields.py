"""From a denoiser's folder and its samples to fields: the other half of `encode`.

A denoiser knows which field model its latents came from, and their statistics, shape and picture size. Restored and
given back to that model a sample is a `Field` like any other: it renders at any resolution, crops, zooms and is saved.
"""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import torch
from jaxtyping import Float, Int
from PIL import Image, ImageOps
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.evaluation.figures import from_pil, to_pil
from tokenfield.fields.domains import domain_of
from tokenfield.fields.field import Field
from tokenfield.generation.denoiser import TokenDenoiser
from tokenfield.io.atomic import shown
from tokenfield.models import pretrained
from tokenfield.models.base import FieldModel
from tokenfield.models.folder import CONFIG, ModelId, inside
from tokenfield.nn.defaults import usual_defaults


def load_denoiser(name: str) -> TokenDenoiser:
    """A trained denoiser. Raises UserError for a folder that holds another model."""
    model = pretrained.load_any(name)
    if not isinstance(model, TokenDenoiser):
        raise UserError(f"{name} holds a {model.name} model, which draws nothing; give the folder of a denoiser "
                        "(tokenfield latents MODEL DATA -o LATENTS, then tokenfield train on them)")
    return model


def load_field_model(denoiser: TokenDenoiser, name: str | None = None) -> FieldModel:
    """The model that reads a denoiser's samples: where `name` says, else as `at_hand` finds the one of the latents.

    Raises UserError if it is not there, or is another model.
    """
    denoiser = inside(denoiser)
    own, config = Path(denoiser.origin or ".", CONFIG), denoiser.config
    name = name or pretrained.at_hand(own, ModelId("", config.field_model, config.field_hash))
    if name is None:
        raise UserError(f"the model of the latents, {shown(config.field_model)}, is neither packaged nor in the "
                        "denoiser's folder, nor did this machine make latents with it; say with --field where it is")
    try:
        model = pretrained.load(name)
    except UserError as error:
        raise UserError(f"the model of the latents: {error}; say with --field where it is") from error
    if pretrained.model_hash(model) != denoiser.config.field_hash:
        raise UserError(f"{name} is not the model that the latents came from ({denoiser.config.field_hash[:12]}): "
                        "its weights are others; say with --field where that one is")
    return model


@usual_defaults()
def labels_for(denoiser: TokenDenoiser, names: Sequence[str], count: int, first: int = 0) -> Int[Tensor, " n"]:
    """Classes of `count` samples from number `first` on: number i has the class names[i mod len(names)].

    "each" stands for all classes (balanced); no names leave every sample without a class. Raises UserError for a class
    that the denoiser was not trained on, with the nearest that it was.
    """
    denoiser = inside(denoiser)
    class_names = denoiser.config.names
    if names and not class_names:
        raise UserError("the denoiser knows no classes; leave out --class, or train one on latents with classes and "
                        "--model.classes, their number")
    if list(names) == ["each"]:
        names = class_names
    for name in names:
        if name not in class_names:
            lower = {k.lower(): k for k in class_names}
            near = [lower[k] for k in get_close_matches(name.lower(), lower, 3, 0.5)]
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(class_names)}"
            raise UserError(f"no class is called {name!r}; {hint}")
    numbers = [class_names.index(name) for name in names] or [denoiser.config.classes]
    return torch.tensor([numbers[number % len(numbers)] for number in range(first, first + count)])


def with_shape(denoiser: TokenDenoiser, shape: str | None) -> TokenDenoiser:
    """The denoiser for pictures of another shape than those that were encoded; None leaves it as it is.

    "7x3" are rows and columns of cells. By an aspect, "W:H", the shorter side has as many cells as that of the encoded
    pictures. Raises UserError for a shape that is neither, or tokens without places.
    """
    denoiser = inside(denoiser)
    if shape is None:
        return denoiser
    if cells := re.fullmatch(r"(\d+)x(\d+)", shape):
        return denoiser.on((int(cells[1]), int(cells[2])))
    aspect = re.fullmatch(r"(\d*\.?\d+):(\d*\.?\d+)", shape)
    sides = [float(side) for side in aspect.groups()] if aspect else [0.0]
    if min(sides) == 0:
        raise UserError(f"--shape {shape}: give width and height, such as 2:1, or rows and columns of cells, as 7x3")
    shorter = min(denoiser.config.lattice or (1,))
    width, height = (max(1, round(shorter * side / min(sides))) for side in sides)
    return denoiser.on((height, width))


def to_field(denoiser: TokenDenoiser, model: FieldModel, tokens: Float[Tensor, "*r d"]) -> Field:
    """A standardised sample as a field over a picture of the size that was encoded."""
    denoiser, model = inside(denoiser), inside(model)
    domain = domain_of(model, denoiser.config.picture_size)
    tokens = denoiser.restore(tokens.to(denoiser.mean))
    lattice = denoiser.config.lattice
    shaped = tokens.reshape(*lattice, -1) if lattice else tokens[None, None]  # (m, n, D), or one tile: (1, 1, R, D)
    domain.check(model, shaped)
    return Field(model, shaped, domain)


def to_tokens(denoiser: TokenDenoiser, field: Field) -> Float[Tensor, "*r d"]:
    """The reverse: standardised tokens of a field that was encoded at the denoiser's size."""
    denoiser = inside(denoiser)
    tokens = field.tokens if denoiser.on_lattice else field.tokens.flatten(0, -2)
    if tuple(tokens.shape) != denoiser.shape:
        raise UserError(f"a field of tokens {tuple(tokens.shape)}, and a denoiser of {denoiser.shape}; "
                        f"give a picture of {' x '.join(map(str, denoiser.config.picture_size))} pixels")
    return denoiser.standardize(tokens.to(denoiser.mean))


def cut_to_fit(denoiser: TokenDenoiser, picture: Float[Tensor, "c h w"]) -> Float[Tensor, "c k l"]:
    """A photograph of any size at the denoiser's: the largest middle part of that shape, resampled with Lanczos."""
    height, width = denoiser.config.picture_size
    return from_pil(ImageOps.fit(to_pil(picture.cpu()), (width, height), Image.Resampling.LANCZOS))

"""What `encode` is given, looked at before it is used: one seam for the systems of this library and of others.

A batch of bytes, or of [-1, 1], gives tokens as any other batch does, and fields that are noise. So `FieldModel` wraps
the `encode` of every system in `with_check`. Nothing is looked at where there is nothing to see: under `torch.compile`,
`torch.export` and tracing, inside transforms of functions, of tensors without memory; and while a model trains, only
the first batch is, since reading numbers stalls an accelerator.
"""

import functools
import warnings
from collections.abc import Callable
from math import isfinite
from typing import Protocol, TypeVar, cast, runtime_checkable

import torch
from torch import Tensor

from tokenfield.errors import UserError


@runtime_checkable
class Encoding(Protocol):
    """What is asked of a model here; `FieldModel` says what the attributes mean."""

    name: str
    channels: int
    in_unit: slice | None
    has_encoded: bool
    training: bool

    @property
    def coordinate_dim(self) -> int: ...

    def encode(self, images: Tensor, /) -> Tensor: ...


M = TypeVar("M", bound=Encoding)

OVERSHOOT = 0.5
"""How far beyond [0, 1] a picture may be: bicubic resampling and noise go there, bytes and [-1, 1] go further."""


def with_check(encode: Callable[[M, Tensor], Tensor]) -> Callable[[M, Tensor], Tensor]:
    """The same `encode`, of a model's own class; where a subclass calls it with numbers of its own, only that."""

    @functools.wraps(encode)
    def checked(self: M, images: object) -> Tensor:
        if not torch.compiler.is_compiling() and type(self).encode is checked and visible(images):
            check_batch(self, images)
        return encode(self, cast(Tensor, images))

    return checked


def visible(images: object) -> bool:
    """Whether numbers can be read from what was given, which may be no tensor at all."""
    hidden = torch._C._functorch.is_functorch_wrapped_tensor
    return not isinstance(images, Tensor) or (
        type(images) in (Tensor, torch.nn.Parameter) and not images.is_meta and not hidden(images)
        and not torch.jit.is_tracing())


def check_batch(model: Encoding, images: object) -> None:
    """Raises UserError for what is no batch of floating point or holds bytes; warns of other numbers than [0, 1]."""
    if not isinstance(images, Tensor) or not images.is_floating_point() or images.is_sparse:
        kind = f"a {type(images).__name__}"
        if isinstance(images, Tensor):
            kind = f"{'sparse ' * images.is_sparse}elements of type {images.dtype}"
        raise UserError(f"{model.name}.encode got {kind}; give a floating point tensor (B, C, H, W) in [0, 1], such "
                        "as images / 255, or use tokenfield.Field.of, which takes pictures of any kind")
    shape = tuple(images.shape)
    if model.in_unit == slice(None) and (len(shape) != 2 + model.coordinate_dim or shape[1] != model.channels):
        batch = "; of one picture, picture[None]" if len(shape) == 3 else ""
        axes = ", ".join("DHW"[-model.coordinate_dim :])
        raise UserError(f"{model.name}.encode got shape {shape}; give (B, {model.channels}, {axes}){batch}")
    if model.training and model.has_encoded:
        return
    model.has_encoded = True
    if model.in_unit is None or not (part := images.detach()[..., model.in_unit, :, :]).numel():
        return
    low, high = (bound.item() for bound in part.aminmax())
    if low >= -OVERSHOOT and high <= 1 + OVERSHOOT:
        return
    line = f"{model.name}.encode got values from {low:g} to {high:g}; it takes [0, 1]"
    if not low < 0 and not 1 < high < 8:  # bytes, or not finite; what is below 0 may be standardised on purpose
        raise UserError(f"{line}: give " + (f"images / {255 if high <= 255 else 65535}" if isfinite(high) else
                                            "finite numbers"))
    signed = ": if they are in [-1, 1], give (images + 1) / 2" if low > -1.5 and high <= 1.5 else ""
    warnings.warn(f"{line}{signed}", stacklevel=3)

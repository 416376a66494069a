"""What is measured on a trained model beside its PSNR: multiply-adds, locality."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from tokenfield.coords import Grid, centers, in_pieces
from tokenfield.evaluation.locality import influences, spread_tokens
from tokenfield.fields.field import Field
from tokenfield.models.base import FieldModel

LOCALITY_PICTURES, LOCALITY_TOKENS = 8, 8
"""Pictures, and tokens of each, whose area is averaged."""


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    """Of the fused attention of processors, which PyTorch's own list of formulas lacks."""
    return sdpa_flop_count(query.shape, key.shape, value.shape)


FORMULAS: dict[Any, Callable[..., Any]] = {
    **flop_registry,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
}
"""Operations of every kind of product."""


class Counter(TorchDispatchMode):
    """Floating-point operations by the formulas of `torch.utils.flop_counter`.

    Its own mode also follows modules by hooks, which do not allow a gradient inside: that of a model that adapts.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation, in the parts that the formulas know, and counts it."""
        kwargs, formula = kwargs or {}, FORMULAS.get(func._overloadpacket)
        if formula is None:
            with self:
                whole = func.decompose(*args, **kwargs)
            if whole is not NotImplemented:
                return whole
        result = func(*args, **kwargs)
        self.operations += formula(*args, **kwargs, out_val=result) if formula else 0
        return result


def multiply_adds(
    model: FieldModel, image: Float[Tensor, "1 c h w"], side: int | None = None
) -> tuple[float, float]:
    """Multiply-adds per pixel of encoding and of decoding one picture on its own grid.

    Matrix products and attention, counted as they are made; element-wise work is not counted. A system that adapts its
    tokens by gradient descent pays for it in encoding.

    Args:
        model: what is counted.
        image: the picture.
        side: where a picture is larger, what depends on coordinates is counted on so many rows and columns in its
            middle alone: minutes less at 1024 pixels.
    """
    height, width = image.shape[-2:]
    with torch.no_grad():
        tokens = model.encode(image)
        prepared = model.prepare(tokens)
    middle = [_middle(n, side or n).to(image.device) for n in (height, width)]
    grid, lattice = Grid((middle[0], middle[1])), tuple(tokens.shape[1:-1])

    def combine() -> Tensor:
        return in_pieces(lambda part: model.combine(model.locate(part, lattice), prepared), grid, model.chunk)

    encode, condition, combined = (
        counted(part) for part in (lambda: model.encode(image), lambda: model.prepare(tokens), combine)
    )
    return encode / (height * width), condition / (height * width) + combined / len(grid)


def counted(part: Callable[[], Any]) -> float:
    """Multiply-adds of a call."""
    with torch.no_grad(), Counter() as counter:
        part()
    return counter.operations / 2  # two operations to a multiply-add


def _middle(n: int, side: int) -> Float[Tensor, " m"]:
    """Centres of the middle `side` of n pixels."""
    start = max(0, n - side) // 2
    return centers(n)[start : start + side]


def locality(model: FieldModel, pictures: Iterable[Float[Tensor, "c h w"]]) -> float | None:
    """Mean share of the picture that holds 90 % of what a token does (Fig. 5); None if no token does anything.

    Tokens that change nothing are left out: nothing is not local.
    """
    areas = []
    for picture in pictures:
        field = Field.of(model, picture)
        found = influences(field, spread_tokens(field, LOCALITY_TOKENS), *picture.shape[-2:])
        areas += [influence.area for influence in found if influence.largest > 0]
    return sum(areas) / len(areas) if areas else None

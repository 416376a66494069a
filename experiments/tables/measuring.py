"""What the papers' tables measure of a run beside `tokenfield.comparison`: multiply-adds, locality, peak memory."""

from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from experiments.tables import memory
from tokenfield.comparison import running
from tokenfield.comparison.held_out import FINAL_SIDE, HeldOut, sampled_psnr
from tokenfield.comparison.running import Deadline, Measurement
from tokenfield.comparison.setting import Setting
from tokenfield.comparison.systems import describe
from tokenfield.coords import Grid, centers, in_pieces
from tokenfield.data import Pictures
from tokenfield.evaluation import evaluate
from tokenfield.fields.field import Field
from tokenfield.fields.locality import influences, spread_tokens
from tokenfield.io.record import Record
from tokenfield.models import pretrained
from tokenfield.models.base import FieldModel
from tokenfield.training.recipe import Recipe

LOCALITY_PICTURES, LOCALITY_TOKENS = 8, 8
"""Pictures, and tokens of each, whose area is averaged."""


def run(
    recipe: Recipe,
    setting: Setting,
    deadline: Deadline = lambda: None,
    *,
    held_out: HeldOut | None = None,
    measurement: Measurement | None = None,
) -> Record | None:
    """`running.run` with what is measured here, and the peak memory of its training."""
    measurement = measurement or partial(describe_run, held_out=held_out)
    result = running.run(recipe, setting, measurement, held_out=held_out, deadline=deadline)
    return result and result | {"peak_memory": memory.of_training(recipe, setting, deadline)}


def describe_run(recipe: Recipe, setting: Setting, folder: Path, held_out: HeldOut | None = None) -> Record:
    """Everything about a trained run but how long it took.

    On every pixel of the held-out pictures of the recipe's data; or on pictures of the table's own, at some pixels of
    each and without locality, which asks for every pixel once per token.
    """
    model = pretrained.load(folder).eval().to(setting.place)
    if held_out is None:
        source = recipe.data.open(setting.data, "test")
        assert isinstance(source, Pictures), "systems that are compared are trained on pictures"
        report = evaluate.evaluate(model, islice(source.pictures(), setting.pictures), "recipe", skipped=source.skipped)
        scores = {score.name: score.psnr for score in report.pictures}
        some = [picture for _, picture in islice(source.pictures(), LOCALITY_PICTURES)]
        area, side = locality(model, some), None
    else:
        pictures = held_out.read(setting.data, setting.pictures)
        scores = sampled_psnr(model, pictures, FINAL_SIDE)
        some, area, side = [pictures[0][1]], None, FINAL_SIDE
    costs = {"macs_per_pixel": macs_per_pixel(model, some[0], side), "locality": area}
    return describe(model, scores, some[0], folder) | costs


def macs_per_pixel(model: FieldModel, picture: Float[Tensor, "c h w"], side: int | None = None) -> dict[str, float]:
    """Rounded `multiply_adds` of the whole cells of a picture."""
    cell = model.cell if model.input_size is None else 1
    height, width = (n // cell * cell for n in picture.shape[1:])
    picture = picture[None, :, :height, :width].to(next(model.parameters()).device)
    encode, decode = multiply_adds(model, picture, side)
    return {"encode": round(encode, 1), "decode": round(decode, 1)}


FORMULAS: dict[object, Callable[..., int]] = {
    **flop_registry,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda query, key, value, *_, **__: sdpa_flop_count(
        query.shape, key.shape, value.shape),
}
"""Operations of every kind of product; the fused attention of processors is not in PyTorch's own list."""


class Counter(TorchDispatchMode):
    """Floating-point operations by the formulas of `torch.utils.flop_counter`.

    Its own mode also follows modules by hooks, which do not allow a gradient inside: that of a model that adapts.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: tuple[object, ...] = (), kwargs: Record | None = None
    ) -> object:
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


def multiply_adds(model: FieldModel, image: Float[Tensor, "1 c h w"], side: int | None = None) -> tuple[float, float]:
    """Multiply-adds per pixel of encoding and of decoding one picture on its own grid.

    Matrix products and attention, counted as they are made; element-wise work is not counted. A system that adapts its
    tokens by gradient descent pays for it in encoding. Where a picture is larger than `side`, what depends on
    coordinates is counted on so many rows and columns in its middle alone: minutes less at 1024 pixels.
    """
    height, width = image.shape[-2:]
    with torch.no_grad():
        tokens = model.encode(image)
        prepared = model.prepare(tokens)
    middle = [_middle(n, side or n).to(image.device) for n in (height, width)]
    grid, lattice = Grid((middle[0], middle[1])), tuple(tokens.shape[1:-1])

    def combine() -> Tensor:
        return in_pieces(lambda part: model.combine(model.locate(part, lattice), prepared), grid, model.chunk)

    encoding, preparing = count_macs(lambda: model.encode(image)), count_macs(lambda: model.prepare(tokens))
    return encoding / (height * width), preparing / (height * width) + count_macs(combine) / len(grid)


def count_macs(part: Callable[[], object]) -> float:
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
        regions = influences(field, spread_tokens(field, LOCALITY_TOKENS), *picture.shape[-2:])
        areas += [influence.area for influence in regions if influence.largest > 0]
    return sum(areas) / len(areas) if areas else None

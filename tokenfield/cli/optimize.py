"""`tokenfield optimize`: what a picture's field gains when it is fitted to that very picture."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tokenfield.cli.console import Out, Pixels
from tokenfield.cli.encode import plan
from tokenfield.cli.fit import MOST_PIXELS, USUAL, Course, new_folder, watch
from tokenfield.cli.options import DEFAULT, ModelName, check_at_least, load_model
from tokenfield.cli.types import Field, Optimization, Tensor
from tokenfield.errors import UserError

Rival = Literal["scratch", "ffnet", "siren"]
"""What is fitted beside: latents from zero, or an MLP."""
EXACT, SHARE = 1 << 20, 1 << 18
"""Pixels of a picture up to which a step takes all of them unless --pixels says otherwise; per step of a larger one."""


@dataclass(frozen=True)
class Moves:
    """What Adam moves, from where, and how fast."""

    what: Literal["latents", "decoder", "all"] = "latents"
    """Latents alone; all parameters of the decoder; or both."""
    start: Literal["predicted", "scratch"] = "predicted"
    """Predicted by the model, or from scratch: latents of zero."""
    rates: Annotated[tuple[float, ...], tyro.conf.arg(metavar="LATENTS [DECODER]")] = ()
    """Learning rates at the start of a cosine; by default 0.03 of latents, from scratch 0.5, and 0.003 of the
    decoder."""

    @property
    def learning_rates(self) -> dict[str, float]:
        """What `Optimization` takes."""
        from tokenfield.fields.optimization import RATES, SCRATCH_RATE

        usual = RATES | ({} if self.start == "predicted" else {"latents": SCRATCH_RATE})
        if len(self.rates) > 2:
            raise UserError(f"--rates {' '.join(map(str, self.rates))}: give that of latents, then that of the decoder")
        return usual | dict(zip(("latents", "decoder"), self.rates, strict=False))


def optimize(picture: tyro.conf.Positional[Path], *, output: Out = None,
             moves: tyro.conf.OmitArgPrefixes[Moves] = Moves(), course: tyro.conf.OmitArgPrefixes[Course] = USUAL,
             pixels: Pixels = None, beside: tuple[Rival, ...] = ("ffnet", "siren"), model: ModelName = DEFAULT) -> int:
    """Optimise the field of one picture at test time, beside MLPs that are fitted to it from scratch.

    The latents that the model predicts are the start; then Adam moves what --what names. Every competitor gets the same
    seconds on the same machine, one after the other. Ctrl-C ends the one that runs and leaves out the rest; the best
    field so far is kept and written.

    Optimised latents still belong to the model: the result is a .field file like any other. An optimised decoder is
    this picture's own: the result is a folder that holds the model and a .field file.

    Args:
        picture: a picture of any size.
        output: the .field file, or for decoder and all the folder, which must not exist yet. Default: beside the
            picture.
        pixels: per step, random rows times random columns. By default a step takes all pixels, of pictures above
            1 megapixel 262144.
        beside: what else to fit: scratch (the latents from zero), ffnet, siren; nothing after the option for none.
    """
    from tokenfield.data.pictures import read_picture
    from tokenfield.fields.field import Field
    from tokenfield.fields.optimization import Optimization, save_with_model, scratch

    check_at_least(1, pixels=pixels)
    image, limits, own = read_picture(picture), course.limits(30.0), moves.what != "latents"
    if own:
        target = new_folder(output, picture, "optimised")
    else:
        target, = plan(picture, [picture], output, [".field"])
    field_model = load_model(model, course.device)
    clock = time.perf_counter()
    field = Field.of(field_model, image)
    predicted = time.perf_counter() - clock
    pixels = SHARE if pixels is None and image[0].numel() > EXACT else pixels
    begin, name, head_start = (scratch(field), "scratch", 0.0) if moves.start == "scratch" else (
        field, moves.what, predicted)
    fitting = Optimization(begin, image, moves.what, rates=moves.learning_rates, pixels=pixels, seed=course.seed)
    curve, interrupted = watch(fitting, name, **limits, head_start=head_start)
    if own:
        target = save_with_model(fitting.best, target, picture.stem)
    else:
        fitting.best.save(target)
    curves = [curve]
    for rival in beside:
        if not interrupted:
            other, interrupted = watch(competitor(rival, field, image, pixels, course.seed), rival, **limits)
            curves.append(other)
    report = {"model": model, "what": moves.what, "start": moves.start, "rates": moves.learning_rates, "pixels": pixels,
              "field": str(target), "interrupted": interrupted}
    return course.finish("optimize", report, picture, image, curves, "test-time optimisation")


def competitor(name: Rival, field: Field, image: Tensor, pixels: int | None, seed: int,
               timer: Callable[[], float] | None = None) -> Optimization:
    """Another optimisation for the same picture: latents from zero, or an MLP from scratch."""
    from tokenfield.fields.optimization import MLP_RATES, SCRATCH_RATE, Optimization, scratch, untrained

    if name == "scratch":
        begin, rate = scratch(field), SCRATCH_RATE
    else:
        begin = untrained(name, (image.shape[1], image.shape[2]), seed=seed, device=field.tokens.device)
        rate, pixels = MLP_RATES[name], MOST_PIXELS
    return Optimization(begin, image, rates={"latents": rate}, pixels=pixels, seed=seed, timer=timer)

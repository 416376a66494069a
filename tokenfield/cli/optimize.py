"""`tokenfield optimize`: what a picture's field gains when it is fitted to that very picture."""

import time
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import File, Json, Out
from tokenfield.cli.fit import MOST_PIXELS, Pixels, Rate, Seconds, Steps, default_seconds, finish, new_folder, watch
from tokenfield.cli.models import DEFAULT, load_model
from tokenfield.errors import UserError

Rival = Literal["scratch", "ffnet", "siren"]
"""What is fitted beside: latents from zero, or an MLP."""
EXACT = 1 << 20
"""Pixels of a picture up to which a step takes all of them unless --pixels says otherwise."""
SHARE = 1 << 18
"""Pixels per step of a larger picture."""


def optimize(
    picture: tyro.conf.Positional[Path],
    *,
    output: Out = None,
    what: Literal["latents", "decoder", "all"] = "latents",
    start: Literal["predicted", "scratch"] = "predicted",
    seconds: Seconds = None,
    steps: Steps = None,
    rate: Rate = None,
    decoder_rate: Rate = None,
    pixels: Pixels = None,
    beside: tuple[Rival, ...] = ("ffnet", "siren"),
    model: Annotated[str, tyro.conf.arg(metavar="MODEL")] = DEFAULT,
    seed: int = 0,
    device: str = "auto",
    figure: File = None,
    json: Json = None,
) -> int:
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
        what: latents alone; all parameters of the decoder; or both.
        start: predicted by the model, or from scratch: latents of zero.
        seconds: to optimise for, each; measuring PSNR does not count. 30 unless --steps is given.
        steps: of Adam, in place of seconds or as another limit.
        rate: learning rate of the latents at the start of a cosine; by default 0.03, from scratch 0.5.
        decoder_rate: learning rate of the decoder; by default 0.003.
        pixels: per step, random rows times random columns. By default a step takes all pixels, of pictures above
            1 megapixel 262144.
        beside: what else to fit: scratch (the latents from zero), ffnet, siren; nothing after the option for none.
        model: a packaged model, a folder that holds one, a training run, or hf:owner/name.
        seed: of the MLPs' weights and of drawn pixels.
        device: auto (an accelerator where there is one), cpu, cuda, ...
        figure: also draw PSNR against seconds there, a PNG file.
        json: also write the results there, for machines.
    """
    from tokenfield.data.pictures import read_picture
    from tokenfield.fields.optimization import RATES, SCRATCH_RATE, Optimization, save_with_model, scratch

    image = read_picture(picture)
    budget: dict[str, Any] = {"seconds": default_seconds(seconds, steps, 30.0), "steps": steps}
    target = new_target(output, picture) if what == "latents" else new_folder(output, picture, "optimised")
    field, took = predict(load_model(model, device), image)
    latents = (RATES["latents"] if start == "predicted" else SCRATCH_RATE) if rate is None else rate
    rates = {"latents": latents, "decoder": RATES["decoder"] if decoder_rate is None else decoder_rate}
    pixels = SHARE if pixels is None and image[0].numel() > EXACT else pixels
    begin = field if start == "predicted" else scratch(field)
    fitting = Optimization(begin, image, what, rates=rates, pixels=pixels, seed=seed)
    name = what if start == "predicted" else "scratch"
    curve, interrupted = watch(fitting, name, **budget, head_start=took if start == "predicted" else 0.0)
    path = keep(fitting.best, target, what, picture, save_with_model)
    curves = [curve]
    for rival in beside:
        if not interrupted:
            other, interrupted = watch(competitor(rival, field, image, pixels, seed), rival, **budget)
            curves.append(other)
    report = {
        "command": "optimize", "picture": picture.name, "height": image.shape[1], "width": image.shape[2],
        "model": model, "what": what, "start": start, "rates": rates, "pixels": pixels, "seed": seed,
        "field": str(path), "interrupted": interrupted, "curves": [c.to_json() for c in curves],
    }
    finish(report, curves, path, figure=figure, json=json, title=f"{picture.name}: test-time optimisation")
    return console.INTERRUPTED if interrupted else console.OK


def new_target(output: Path | None, picture: Path) -> Path:
    """The .field file for optimised latents. Raises UserError for what is no such file, before any work."""
    if output is not None and (output.is_dir() or output.suffix.lower() != ".field"):
        raise UserError(f"{output}: optimised latents are written to a file ending in .field; give such a name")
    target = output or picture.with_suffix(".field")
    if output is None and target.exists():
        raise UserError(f"{target} exists already; name it with -o to replace it, or give another name")
    return target


def predict(model: Any, image: Any) -> tuple[Any, float]:
    """The field that the model predicts, and the seconds it took."""
    from tokenfield.fields.field import Field

    begun = time.perf_counter()
    return Field.of(model, image), time.perf_counter() - begun


def competitor(name: Rival, field: Any, image: Any, pixels: int | None, seed: int, **options: Any) -> Any:
    """Another `Optimization` for the same picture: latents from zero, or an MLP from scratch."""
    from tokenfield.fields.optimization import MLP_RATES, SCRATCH_RATE, Optimization, scratch, untrained

    if name == "scratch":
        return Optimization(scratch(field), image, rates={"latents": SCRATCH_RATE}, pixels=pixels, seed=seed, **options)
    fresh = untrained(name, tuple(image.shape[1:]), seed=seed, device=field.tokens.device)
    return Optimization(fresh, image, rates={"latents": MLP_RATES[name]}, pixels=MOST_PIXELS, seed=seed, **options)


def keep(best: Any, target: Path, what: str, picture: Path, save_with_model: Any) -> Path:
    """Write the best field: alone, or with the model that is its own."""
    if what != "latents":
        return save_with_model(best, target, picture.stem)
    best.save(target)
    return target

"""`tokenfield generate`: pictures that nobody took, from a denoiser of tokens."""

import time
from pathlib import Path
from typing import Annotated, Any

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import File, Json
from tokenfield.cli.decode import MAX_PIXELS
from tokenfield.cli.models import find_device
from tokenfield.errors import UserError

SHEET_SIDE = 128
"""Pixels of a picture on the contact sheet, on its longer side."""
SHEET_COLUMNS, SHEET_MOST = 8, 64

Box = Annotated[tuple[int, int, int, int] | None, tyro.conf.arg(metavar="TOP LEFT HEIGHT WIDTH")]


def generate(
    *,
    model: Annotated[str, tyro.conf.arg(metavar="FOLDER")],
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")],
    classes: Annotated[tuple[str, ...], tyro.conf.arg(name="class", metavar="NAME ...")] = (),
    count: int = 16,
    size: int = 512,
    aspect: Annotated[str | None, tyro.conf.arg(metavar="W:H")] = None,
    cells: Annotated[tuple[int, int] | None, tyro.conf.arg(metavar="ROWS COLUMNS")] = None,
    seed: int = 0,
    first: int = 0,
    scheduler: Annotated[str, tyro.conf.arg(metavar="NAME")] = "auto",
    steps: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None,
    guidance: float = 2.5,
    between: Annotated[tuple[str, str] | None, tyro.conf.arg(metavar="A B")] = None,
    frames: int = 24,
    fill: File = None,
    mask: File = None,
    box: Box = None,
    share: float = 0.5,
    repeats: int = 5,
    field: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None,
    batch: int = 16,
    device: str = "auto",
    json: Json = None,
) -> int:
    """Draw pictures from a denoiser: 0000.png, 0000.field, ..., and a contact sheet of them.

    A sample is a set of tokens, and so a field: --size draws the same sample at any number of pixels, and tokenfield
    decode renders the .field file again at any other. Tokens with anchors are drawn in any shape: --aspect 2:1, or
    --cells for an exact number of rows and columns. Tokens of a set have the shape of the pictures that were encoded.

    Sample number i is a function of --seed and i (and its class): neither --count nor --batch changes it, and
    --first 1000 continues where another call, or another machine, stops.

    Two more things a denoiser can do. --between A B writes an animation between two photographs (their tokens, in a
    straight line) or between two samples named by their numbers (their noise, along a great circle). --fill PICTURE
    keeps the tokens of a photograph that lie outside --mask or --box and draws the others, --count times.

    Args:
        model: folder of a denoiser that tokenfield train made from latents.
        output: folder for the results; files of the same names in it are replaced.
        classes: what to draw: sample i has class i mod the number of names; "each" is all classes in turn, equally
            often. Left out, no class is given.
        count: samples.
        size: pixels on the longer side.
        aspect: width to height, such as 2:1, for tokens with anchors; the shorter side has as many cells as the
            pictures that were encoded.
        cells: or rows and columns of cells.
        seed: of all samples.
        first: number of the first sample.
        scheduler: a solver of diffusers: DDIM, DDPM, DPMSolverMultistep, Euler, Heun, ...; auto is DDIM, and Euler for
            flow matching.
        steps: steps of the solver; 250 for diffusion and 50 for flow, unless given.
        guidance: how much the class is exaggerated: 1 not at all, 2.5 as in the paper.
        between: two pictures, or two sample numbers.
        frames: of that animation, one way.
        fill: a photograph.
        mask: a picture, white where that photograph is to be drawn anew.
        box: or a box in its pixels: rows above it, columns to its left, its height and width.
        share: a token is drawn anew if so much of what it governs lies inside.
        repeats: how often every step of --fill is taken; more fits better and takes longer.
        field: where the model of the latents is, if not where it was when they were made.
        batch: samples drawn at once.
        device: auto (an accelerator where there is one), cpu, cuda, ...
        json: also write the results there, for machines.
    """
    check_options(count=count, size=size, first=first, batch=batch, frames=frames, repeats=repeats, share=share,
                  between=between, fill=fill, mask=mask, box=box)
    from tokenfield.generation.samples_to_fields import load_denoiser, load_field_model, with_shape
    from tokenfield.generation.schedulers import Sampler

    target = find_device(device)
    denoiser = load_denoiser(model)
    reader = load_field_model(denoiser, field).to(target)
    denoiser = with_shape(denoiser.to(target), aspect, cells)
    sampler = Sampler(scheduler, steps, guidance).resolved(denoiser)
    height, width = pixels(denoiser.config.picture_size, size)
    facts: dict[str, Any] = {
        "command": "generate",
        "model": {"origin": model, "field": denoiser.config.field_model, "prediction": denoiser.config.prediction},
        "sampler": {"scheduler": sampler.scheduler, "steps": sampler.steps, "guidance": sampler.guidance},
        "seed": seed, "first": first, "classes": list(classes), "height": height, "width": width,
        "lattice": list(denoiser.config.lattice),
    }
    begun = time.perf_counter()
    if between is not None:
        made = animate(denoiser, reader, sampler, between, classes, frames, seed, batch, (height, width), output)
    elif fill is not None:
        made = refill(denoiser, reader, sampler, classes, count, seed, first, fill, mask, box, share, repeats,
                      (height, width), output)
    else:
        made = draw(denoiser, reader, sampler, classes, count, seed, first, batch, (height, width), output)
    facts |= made | {"seconds": round(time.perf_counter() - begun, 3)}
    console.say(f"{made['said']}: {width} x {height} pixels, {sampler.scheduler}, {sampler.steps} steps, guidance "
                f"{sampler.guidance:g}, seed {seed}, {facts['seconds']:.1f} s; in {output}")
    console.write_json(json, {key: value for key, value in facts.items() if key != "said"})
    return console.OK


def check_options(
    *, between: Any, fill: Path | None, mask: Path | None, box: Any, share: float, **counts: int
) -> None:
    """Raises UserError for numbers out of range and options that exclude or need each other."""
    for name, value in counts.items():
        if value < (0 if name == "first" else 1):
            raise UserError(f"--{name} {value}: give at least {0 if name == 'first' else 1}")
    if not 0 < share <= 1:
        raise UserError(f"--share {share:g}: give a part of what a token governs, above 0 and at most 1")
    if between is not None and fill is not None:
        raise UserError("--between and --fill are two different things; give one of them")
    if fill is not None and (mask is None) == (box is None):
        raise UserError("--fill needs to know where: give either --mask PICTURE or --box TOP LEFT HEIGHT WIDTH")
    if fill is None and (mask is not None or box is not None):
        raise UserError("--mask and --box say where a photograph is to be filled; name it with --fill")


def pixels(native: tuple[int, int], size: int) -> tuple[int, int]:
    """(height, width) with `size` pixels on the longer side and the shape of the encoded pictures."""
    height, width = (max(1, round(side * size / max(native))) for side in native)
    if height * width > MAX_PIXELS:
        raise UserError(f"--size {size}: {height} x {width} pixels are more than are drawn at once; give less")
    return height, width


def draw(
    denoiser: Any, reader: Any, sampler: Any, classes: tuple[str, ...], count: int, seed: int, first: int, batch: int,
    size: tuple[int, int], output: Path,
) -> dict[str, Any]:
    """Samples: a picture and a .field file of each, and the contact sheet."""
    from tokenfield.generation.samples_to_fields import class_name, labels_for, to_field
    from tokenfield.generation.sampling import sample

    labels = labels_for(denoiser, classes, count, first)
    with console.progress("drawing") as bar:
        tokens = sample(denoiser, labels, sampler, seed=seed, first=first, batch=batch, progress=bar.piece)
    names = [class_name(denoiser, label) for label in labels.tolist()]
    items, panels = [], []
    with console.progress("rendering", count) as bar:
        for k, name in enumerate(names):
            bar.file(k, f"{first + k:04d}")
            item, panel = keep(to_field(denoiser, reader, tokens[k]), first + k, name, size, output, bar)
            items.append(item)
            panels.append(panel)
    write_sheet(output / "sheet.png", panels[:SHEET_MOST])
    kinds = ", ".join(dict.fromkeys(name for name in names if name)) or "no class"
    return {"items": items, "sheet": str(output / "sheet.png"), "said": f"{count} samples ({kinds})"}


def animate(
    denoiser: Any, reader: Any, sampler: Any, between: tuple[str, str], classes: tuple[str, ...], frames: int,
    seed: int, batch: int, size: tuple[int, int], output: Path,
) -> dict[str, Any]:
    """between.webp, and its first and last picture as 0000.png and 0001.png."""
    from tokenfield.data.pictures import read_picture, write_picture
    from tokenfield.fields.field import Field
    from tokenfield.generation.interpolation import between_fields, between_samples, shares, write_animation
    from tokenfield.generation.samples_to_fields import fitted, labels_for, to_field

    shares(frames)
    numbered = all(name.isdecimal() and not Path(name).exists() for name in between)
    if numbered:
        import torch

        a, b = (int(name) for name in between)
        labels = torch.cat([labels_for(denoiser, classes, 1, number) for number in (a, b)])
        with console.progress("drawing") as bar:
            tokens = between_samples(denoiser, (a, b), labels, sampler, frames, seed=seed, batch=batch,
                                     progress=bar.piece)
        fields = [to_field(denoiser, reader, one) for one in tokens]
    else:
        ends = [Field.of(reader, fitted(denoiser, read_picture(name))) for name in between]
        fields = between_fields(ends[0], ends[1], frames)
    with console.progress("rendering", frames) as bar:
        pictures = []
        for k, made in enumerate(fields):
            bar.file(k, str(k))
            pictures.append(made.render(*size, progress=bar.piece).cpu())
    film = output / "between.webp"
    write_animation(film, pictures)
    for name, picture in (("0000.png", pictures[0]), ("0001.png", pictures[-1])):
        write_picture(output / name, picture)
    what = "samples" if numbered else "photographs"
    return {"animation": str(film), "frames": frames, "between": list(between), "of": what,
            "said": f"{frames} frames between {what} {between[0]} and {between[1]}"}


def refill(
    denoiser: Any, reader: Any, sampler: Any, classes: tuple[str, ...], count: int, seed: int, first: int,
    photograph: Path, mask: Path | None, box: tuple[int, int, int, int] | None, share: float, repeats: int,
    size: tuple[int, int], output: Path,
) -> dict[str, Any]:
    """A photograph with a part of its tokens drawn anew, `count` times, beside itself on the sheet."""
    from tokenfield.data.pictures import read_picture
    from tokenfield.evaluation.figures import Panel
    from tokenfield.fields.field import Field
    from tokenfield.generation import infill
    from tokenfield.generation.samples_to_fields import class_name, fitted, labels_for, to_field, to_tokens

    whole = read_picture(photograph)
    covered = read_mask(mask, box, tuple(whole.shape[1:]))
    picture, covered = fitted(denoiser, whole), fitted(denoiser, covered.expand(3, -1, -1))[0]
    made = Field.of(reader, picture)
    with console.progress("finding the tokens under the mask") as bar:
        chosen = infill.inside(made, covered, bar.piece) >= share
    if not chosen.any():
        raise UserError(f"no token has {share:.0%} of what it governs inside the mask; give a larger mask, or a "
                        "smaller --share")
    places = chosen if denoiser.config.lattice else chosen.flatten()
    console.say(f"drawing {infill.describe(places)} anew: those of which {share:.0%} or more of what they govern is "
                "inside")
    labels = labels_for(denoiser, classes, count, first)
    with console.progress("drawing") as bar:
        known = to_tokens(denoiser, made)
        tokens = infill.fill(denoiser, known, chosen.reshape(known.shape[:-1]), labels, sampler, repeats=repeats,
                             seed=seed, first=first, progress=bar.piece)
    seen = picture * (1 - covered) + 0.5 * covered
    small = pixels(denoiser.config.picture_size, SHEET_SIDE)
    panels = [Panel(resized(image, small), label) for image, label in ((picture, "photograph"), (seen, "kept"))]
    panels.append(Panel(made.render(*small).cpu(), "its tokens"))
    items = []
    for k, label in enumerate(labels.tolist()):
        item, panel = keep(to_field(denoiser, reader, tokens[k]), first + k, class_name(denoiser, label), size, output)
        items.append(item)
        panels.append(panel)
    write_sheet(output / "sheet.png", panels[:SHEET_MOST])
    return {"items": items, "sheet": str(output / "sheet.png"), "drawn": places.nonzero().tolist(),
            "of": places.numel(), "share": share, "repeats": repeats, "said": f"{count} fillings of {photograph}"}


def keep(
    made: Any, number: int, name: str | None, size: tuple[int, int], output: Path, bar: Any = None
) -> tuple[dict[str, Any], Any]:
    """Write the picture and the .field file of a sample; what to say of it, and its place on the sheet."""
    from tokenfield.data.pictures import write_picture
    from tokenfield.evaluation.figures import Panel

    output.mkdir(parents=True, exist_ok=True)
    picture, stored = output / f"{number:04d}.png", output / f"{number:04d}.field"
    write_picture(picture, made.render(*size, progress=None if bar is None else bar.piece).cpu())
    made.save(stored)
    small = made.render(*pixels(made.native_size, SHEET_SIDE)).cpu()
    item = {"number": number, "class": name, "picture": str(picture), "field": str(stored)}
    return item, Panel(small, f"{number:04d}", name or "")


def read_mask(mask: Path | None, box: tuple[int, int, int, int] | None, size: tuple[int, ...]) -> Any:
    """(1, H, W), 1 where a photograph of this size is to be drawn anew. Raises UserError for one that does not fit."""
    import torch

    from tokenfield.data.pictures import read_picture

    if box is not None:
        top, left, height, width = box
        if min(top, left) < 0 or min(height, width) < 1 or top + height > size[0] or left + width > size[1]:
            raise UserError(f"--box {top} {left} {height} {width} is not inside the picture of {size[0]} rows and "
                            f"{size[1]} columns; give top, left, height and width in its pixels")
        covered = torch.zeros(1, *size)
        covered[:, top : top + height, left : left + width] = 1
        return covered
    assert mask is not None, "either a mask or a box, as check_options makes sure"
    covered = (read_picture(mask).mean(0, keepdim=True) > 0.5).float()
    if tuple(covered.shape[1:]) != size:
        raise UserError(f"{mask} is {covered.shape[2]} x {covered.shape[1]} pixels and the photograph {size[1]} x "
                        f"{size[0]}; give a mask of the photograph's size")
    return covered


def resized(image: Any, size: tuple[int, int]) -> Any:
    """A picture (3, H, W) at (height, width), for the sheet."""
    from tokenfield.evaluation.figures import bicubic

    return bicubic(image, *size)


def write_sheet(path: Path, panels: list[Any]) -> None:
    """The contact sheet: small pictures in rows of eight."""
    from tokenfield.evaluation.figures import save_png, sheet

    save_png(path, sheet([panels[k : k + SHEET_COLUMNS] for k in range(0, len(panels), SHEET_COLUMNS)]))

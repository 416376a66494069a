"""`tokenfield views`: an object from where nobody stood, measured, as pictures, or on a page under the mouse."""

from pathlib import Path
from typing import Annotated, Any

import tyro

from tokenfield.cli import console
from tokenfield.cli.console import Folder, Json, Out
from tokenfield.cli.models import load_model
from tokenfield.errors import UserError

SHOWN = 24
"""Objects that the page offers at most, and objects that the table lists one by one."""


def views(
    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")],
    *,
    data: Folder = None,
    images: Folder = None,
    object: Annotated[str | None, tyro.conf.arg(name="object", metavar="NAME")] = None,
    category: str = "",
    split: Annotated[str, tyro.conf.arg(metavar="test|train")] = "test",
    support: Annotated[tuple[int, ...] | None, tyro.conf.arg(metavar="INT [INT ...]")] = None,
    count: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None,
    asked: int = 0,
    reserved: int = 0,
    pose: Annotated[tuple[float, float] | None, tyro.conf.arg(metavar="AZIMUTH ELEVATION")] = None,
    frames: int = 36,
    size: Annotated[int | None, tyro.conf.arg(metavar="PIXELS")] = None,
    points: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None,
    optimize: Annotated[int, tyro.conf.arg(metavar="STEPS")] = 0,
    serve: bool = False,
    port: int = 8765,
    out: Out = None,
    device: str = "auto",
    json: Json = None,
) -> int:
    """New views of objects from a few posed ones: measured for all, drawn for one, or on a page to turn them on.

    Without --object every object of --data is measured: PSNR (the papers', unclamped) and SSIM of views that were not
    given, for every number of support views; written as JSON and as the figure PSNR against number of views. With
    --object, or --images, one object is drawn as well: an orbit as PNG frames and as an animated WebP (and MP4 where
    ffmpeg is installed), its real views beside the model's, a .field file that any tokenfield decode renders. With
    --serve a page on this machine lets you drag it around.

    Args:
        model: a folder that holds a model of views, a training run, hf:owner/name; or a .field file that this command
            wrote, which needs no pictures any more.
        data: posed views in learnit's layout (CATEGORY/OBJECT/transforms.json, CATEGORY_splits.json) or that of
            NeRF-synthetic; tokenfield data views makes one from meshes.
        images: one object of your own: a folder with transforms.json, which names pictures and camera-to-world poses.
        object: draw this one; the end of a name is enough.
        category: of the data, such as chairs; empty: all.
        split: of the data, which objects to take.
        support: numbers of support views, the first ones of every object; default: all that the model takes, up to 5,
            and for drawing the largest.
        count: measure only so many objects, the first ones.
        asked: views to measure per object, evenly spread over those that are not given; 0: all.
        reserved: views at the beginning that are never asked for; give 5 to compare with other runs of up to 5.
        pose: draw one view from so many degrees around and above, and nothing else.
        frames: of the orbit.
        size: side of drawn views in pixels; default: that of the model's own.
        points: evaluations per ray of a radiance field; default: as it was trained.
        optimize: steps of test-time optimisation of the tokens on the support views.
        serve: open the page, until Ctrl-C.
        port: of the page; 0 takes a free one.
        out: folder for what is written; default: ./views.
        device: auto (an accelerator where there is one), cpu, cuda, ...
        json: also write the results there, for machines.
    """
    from tokenfield.views.light_field import sight_of
    from tokenfield.views.scores import Fitting, check_number, numbers_for

    check_options(data, images, split, frames, size, asked, reserved, optimize, count, model)
    folder = out if out is not None else Path("views")
    if model.endswith(".field"):
        report = draw_field(Path(model), folder, frames=frames, size=size, pose=pose)
        console.write_json(json, {"command": "views", **report})
        return console.OK
    loaded = load_model(model, device)
    sight_of(loaded)
    numbers = list(support) if support else numbers_for(loaded)
    for number in numbers:
        check_number(loaded, number)
    integral, fitting = integral_of(model, points), Fitting(steps=optimize)
    source = open_views(loaded, data, images, category, split, max(numbers))
    chosen = [name for name in source.names if object is None or name.endswith(object)]
    if not chosen:
        raise UserError(f"no object {object!r}; there are {', '.join(source.names[:8])}"
                        f"{', ...' if len(source) > 8 else ''}")
    if serve:
        return show_page(loaded, first_of(source, chosen, count or SHOWN), max(numbers), integral, fitting, port)
    if object is not None or images is not None:
        item = next(item for item in source.objects() if item.name == chosen[0])
        report = draw(loaded, item, max(numbers), integral, fitting, folder, frames=frames, size=size, pose=pose)
        console.write_json(json, {"command": "views", "model": loaded.name, **report})
        return console.OK
    scores = measure_all(loaded, source, numbers, count, asked, reserved, integral, fitting)
    report = {"command": "views", "model": loaded.name, "kind": sight_of(loaded).name, "asked": asked,
              "reserved": max(reserved, *numbers), "optimize": optimize, "points": integral.points, **scores}
    write_measured(folder, report)
    console.write_json(json, report | {"skipped": source.skipped.as_json()})
    return console.finish(source.skipped, len(source) + len(source.skipped))


def check_options(
    data: Path | None,
    images: Path | None,
    split: str,
    frames: int,
    size: int | None,
    asked: int,
    reserved: int,
    optimize: int,
    count: int | None,
    model: str,
) -> None:
    """Raises UserError for options that exclude each other or mean nothing."""
    if (data is None) == (images is None) and not model.endswith(".field"):
        raise UserError("give --data FOLDER with many objects, or --images FOLDER with the views of one")
    if split not in ("test", "train"):
        raise UserError(f"--split {split}; give test or train")
    for name, value, least in (("frames", frames, 1), ("size", size, 8), ("asked", asked, 0), ("count", count, 1),
                               ("reserved", reserved, 0), ("optimize", optimize, 0)):  # fmt: skip
        if value is not None and value < least:
            raise UserError(f"--{name} {value}; give at least {least}")


def integral_of(model: str, points: int | None) -> Any:
    """How a radiance field is rendered: as the run trained it, where the model is a run, in so many `points`."""
    from dataclasses import replace

    from tokenfield.training.recipe import read
    from tokenfield.views.light_field import Integral

    recipe = Path(model) / "recipe.json"
    integral = getattr(read(recipe).objective, "integral", Integral()) if recipe.is_file() else Integral()
    if points is not None and points < 2:
        raise UserError(f"--points {points}; give at least 2")
    return integral if points is None else replace(integral, points=points)


def open_views(
    loaded: Any, data: Path | None, images: Path | None, category: str, split: str, support: int
) -> Any:
    """The objects: of a data set in either layout, or the one in a folder of its own."""
    from tokenfield.views.cache import ViewCache
    from tokenfield.views.data import ViewsConfig, ViewsSource

    side = loaded.input_size[0]
    if images is not None:
        transforms = images if images.suffix == ".json" else images / "transforms.json"
        if not transforms.is_file():
            raise UserError(f"{images}: no transforms.json in it, which names the pictures and the camera-to-world "
                            "poses of their cameras")
        name = transforms.parent.resolve().name
        config = ViewsConfig(size=side, support=support, first_views=0)
        return ViewsSource(config, [(name, transforms)], ViewCache(side))
    assert data is not None, "one of them was given"
    if not data.is_dir():
        raise UserError(f"{data}: no such folder; give one with posed views")
    nerf = not any(data.glob("*_splits.json")) and (any(data.glob("transforms_*.json")) or
                                                    any(data.glob("*/transforms_*.json")))
    config = ViewsConfig(category=category, layout="nerf" if nerf else "learnit", size=side, support=support,
                         first_views=0)
    return config.open(data, split)  # type: ignore[arg-type]  # checked by check_options


def first_of(source: Any, names: list[str], count: int) -> list[Any]:
    """The first `count` of the objects with these names."""
    from itertools import islice

    return list(islice((item for item in source.objects() if item.name in set(names)), count))


def measure_all(
    loaded: Any,
    source: Any,
    numbers: list[int],
    count: int | None,
    asked: int,
    reserved: int,
    integral: Any,
    fitting: Any,
) -> dict[str, Any]:
    """Scores of all objects, with a table of their means and of the objects themselves if they are few."""
    from itertools import islice

    from tokenfield.views import scores as protocol

    total = min(count or len(source), len(source))
    with console.progress("measuring", total) as bar:
        scores = protocol.measure(
            loaded, islice(source.objects(), total), numbers, integral=integral, asked=asked, reserved=reserved,
            fitting=fitting, before=bar.file,
        )  # fmt: skip
    heading = ["", "views", "PSNR dB", "SSIM", "values", "encode s", "render s"]
    rows = [heading]
    if total <= SHOWN:
        rows += [[score.name, str(score.support), console.number(score.psnr), console.number(score.ssim, 4),
                  str(score.values_stored), console.number(score.encode_seconds, 3),
                  console.number(score.render_seconds, 3)] for score in scores]  # fmt: skip
    for line in protocol.means(scores):
        rows.append([f"mean of {line['objects']}", str(line["support"]), console.number(line["psnr"]),
                     console.number(line["ssim"], 4), str(line["values_stored"]),
                     console.number(line["encode_seconds"], 3), console.number(line["render_seconds"], 3)])  # fmt: skip
    console.say(console.table(rows))
    console.say("PSNR: per view, float32, unclamped, then the mean; seconds: the median, of one view.")
    return protocol.as_json(scores)


def write_measured(folder: Path, report: dict[str, Any]) -> None:
    """views.json and views.png."""
    from tokenfield.views.scores import figure_4a

    console.write_json(folder / "views.json", report)
    curve = [(line["support"], line["psnr"]) for line in report["means"]]
    figure_4a(folder / "views.png", {report["model"]: curve}, "Views that were not given, by the number that were")
    console.notice(f"views.json and views.png are in {folder}")


def draw(
    loaded: Any,
    item: Any,
    number: int,
    integral: Any,
    fitting: Any,
    folder: Path,
    *,
    frames: int,
    size: int | None,
    pose: tuple[float, float] | None,
) -> dict[str, Any]:
    """One object: a view from a pose, or an orbit, its real views beside the model's, and its field."""
    from tokenfield.evaluation.figures import save_png, to_pil
    from tokenfield.views import scores as protocol
    from tokenfield.views.viewer import orbits

    if number > len(item):
        raise UserError(f"{item.name} has {len(item)} views, fewer than {number} support views; give --support")
    field = protocol.field_of_views(loaded, item, range(number), integral, fitting)
    name, side = item.name.replace("/", "-"), size or loaded.input_size[0]
    report: dict[str, Any] = {"object": item.name, "support": number, "optimize": fitting.steps}
    folder.mkdir(parents=True, exist_ok=True)
    if pose is not None:
        camera = orbits.pose_at(pose[0], pose[1], orbits.distance_of(item.poses))
        seen = protocol.seen_from(field, camera).render(side, side)
        file = save_png(folder / f"{name}-{pose[0]:g}-{pose[1]:g}.png", to_pil(seen.cpu()))
        console.say(str(file))
        return report | {"files": [file.name]}
    with console.progress("orbit") as bar:
        turned = orbits.orbit_frames(field, item.poses, frames, (side, side), bar.piece)
    files = orbits.write_frames(folder, f"{name}-orbit", turned)
    files.append(orbits.write_animation(folder / f"{name}-orbit.webp", turned))
    movie = orbits.write_movie(folder / f"{name}-orbit.mp4", folder, f"{name}-orbit")
    files += [movie] if movie else []
    field.save(folder / f"{name}.field")
    files.append(folder / f"{name}.field")
    targets = list(range(number, len(item)))
    if targets:
        score = protocol.measure(loaded, [item], [number], integral=integral, fitting=fitting)[0]
        report |= {"psnr": score.psnr, "ssim": score.ssim, "asked": score.asked}
        few = targets[:: max(1, len(targets) // 6)][:6]
        files.append(save_png(folder / f"{name}-views.png", protocol.comparison(field, item, range(number), few)))
        files.append(orbits.write_animation(folder / f"{name}-beside.webp", orbits.beside(field, item, targets), 400))
        console.say(f"{item.name}, {number} support views: {score.psnr:.2f} dB, SSIM {score.ssim:.4f} on {score.asked} "
                    "views that were not given")
    for file in files[frames:]:
        console.say(str(file))
    console.notice(f"{frames} frames and {len(files) - frames} other files are in {folder}")
    return report | {"files": [file.name for file in files]}


def draw_field(
    path: Path, folder: Path, *, frames: int, size: int | None, pose: tuple[float, float] | None
) -> dict[str, Any]:
    """An object from its .field file: a view from a pose, or an orbit."""
    import torch

    from tokenfield.evaluation.figures import save_png, to_pil
    from tokenfield.fields.field import Field
    from tokenfield.views.light_field import LightField
    from tokenfield.views.scores import seen_from
    from tokenfield.views.viewer import orbits

    field = Field.load(path)
    if not isinstance(field.domain, LightField):
        raise UserError(f"{path} holds a {field.domain.kind} of a picture, not an object of views; "
                        "tokenfield decode renders it")
    home, side = torch.tensor(field.domain.pose).view(1, 4, 4), size or field.native_size[0]
    folder.mkdir(parents=True, exist_ok=True)
    if pose is not None:
        seen = seen_from(field, orbits.pose_at(pose[0], pose[1], orbits.distance_of(home))).render(side, side)
        files = [save_png(folder / f"{path.stem}-{pose[0]:g}-{pose[1]:g}.png", to_pil(seen))]
    else:
        with console.progress("orbit") as bar:
            turned = orbits.orbit_frames(field, home, frames, (side, side), bar.piece)
        files = orbits.write_frames(folder, f"{path.stem}-orbit", turned)
        files.append(orbits.write_animation(folder / f"{path.stem}-orbit.webp", turned))
    console.say(str(files[-1]))
    return {"field": path.name, "files": [file.name for file in files]}


def show_page(loaded: Any, objects: list[Any], support: int, integral: Any, fitting: Any, port: int) -> int:
    """Serve the page until Ctrl-C."""
    from tokenfield.views.viewer.server import Viewer, server_of

    with server_of(Viewer(loaded, objects, support, integral, fitting), port) as server:
        console.say(f"http://127.0.0.1:{server.server_port}/ shows {len(objects)} objects; Ctrl-C ends it")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.notice("ended")
    return console.OK

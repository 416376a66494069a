"""Figures of a trained light field, `views-lamps`: held-out objects, PSNR by number of views, what tokens govern.

    python -m experiments.views.packaged --data build/objects --out results/views

Writes curve.png (Fig. 4(a) of LAINR for this one model, from its eval.json), objects.png (given views, real views and
the model's from the same cameras), locality.png (its Fig. 5, over rays) and locality.json.
"""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

import tyro

from experiments.views import comparison
from tokenfield.evaluation.figures import Panel, repeat, save_png, sheet
from tokenfield.io.atomic import write_whole
from tokenfield.io.record import json_text
from tokenfield.models import pretrained
from tokenfield.models.folder import EVALUATION
from tokenfield.views.data import ViewsConfig
from tokenfield.views.light_field import render_from
from tokenfield.views.models.base import views_model
from tokenfield.views.scores import Fitting, field_of_views, figure_4a

SHOWN = [6, 9, 14, 18, 22]
"""Views that are compared."""


@dataclass(frozen=True)
class Options:
    """Of which model, on which objects."""

    data: Path
    """Folder of posed views in learnit's layout, 64 pixels."""
    model: str = "views-lamps"
    """A packaged model of views."""
    out: Path = Path("results/views")
    """Where the results go."""
    category: str = "lamps"
    """Whose objects are shown."""


def curve(options: Options) -> None:
    """PSNR by number of support views, of every category, beside the nearest of those views."""
    folder = pretrained.packaged(options.model)
    assert folder, f"{options.model} is not packaged"
    scores = json.loads((folder / EVALUATION).read_text())["objects"]
    curves = {}
    for category in sorted({score["name"].split("/")[0] for score in scores}, reverse=True):
        for key, name in (("psnr", category), ("nearest", f"nearest view, {category}")):
            curves[name] = [(v, statistics.fmean(s[key] for s in scores if s["support"] == v and
                                                 s["name"].startswith(category))) for v in range(1, 6)]  # fmt: skip
    figure_4a(options.out / "curve.png", curves, f"{options.model}, held-out objects, views that were not given")


def objects(options: Options, support: int = 3) -> None:
    """Of every held-out object of the category: given views, real ones, the model's, and those after optimisation."""
    model = views_model(pretrained.load(options.model))
    rows = []
    for item in ViewsConfig(category=options.category, size=64, support=5, first_views=0).open(
        options.data, "test").objects():  # fmt: skip
        fields = {name: field_of_views(model, item, range(support), fitting=Fitting(steps))
                  for name, steps in (("model", 0), ("after 40 steps", 40))}  # fmt: skip
        made = {name: render_from(field, item.poses[SHOWN]).clamp(0, 1) for name, field in fields.items()}
        given = [Panel(repeat(item.images[i], 2), item.name.split("/")[1] if not i else "") for i in range(support)]
        for name, pictures in (("real", item.images[SHOWN]), *made.items()):
            rows.append([*given, *(Panel(repeat(picture, 2), name if not i else "")
                                   for i, picture in enumerate(pictures))])  # fmt: skip
            given = [Panel(repeat(0 * picture + 1, 2)) for picture in item.images[:support]]
    save_png(options.out / "objects.png", sheet(rows))


def main(options: Options) -> None:
    """All of them."""
    options.out.mkdir(parents=True, exist_ok=True)
    curve(options)
    objects(options)
    report = comparison.locality(options.model, comparison.Options(data=options.data, out=options.out))
    write_whole(options.out / "locality.json", json_text(report, indent=2))
    print(json.dumps(report))


if __name__ == "__main__":
    main(tyro.cli(Options))

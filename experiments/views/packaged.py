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


def objects(options: Options, support: int = 3, steps: int = 40) -> None:
    """Held-out objects of the category in one row each: given views; other views, true and made."""
    model = views_model(pretrained.load(options.model))
    held_out = ViewsConfig(category=options.category, size=64, support=5, first_views=0)
    rows = []
    for item in held_out.open(options.data, "test").objects():
        predicted, fitted = (field_of_views(model, item, range(support), fitting=Fitting(n)) for n in (0, steps))
        row = [Panel(repeat(item.images[i], 2), f"given {i + 1}") for i in range(support)]
        for view in SHOWN[:2]:
            made = [render_from(field, item.poses[[view]])[0].clamp(0, 1) for field in (predicted, fitted)]
            labels = ("true view", "one pass", f"{steps} steps")
            row += [Panel(repeat(picture, 2), label)
                    for picture, label in zip((item.images[view], *made), labels, strict=True)]
        rows.append(row)
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

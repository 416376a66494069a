"""LAINR, IPC and anchored latents, drawn from denoisers of the same size and the same training: results/generation.

    python -m experiments.generation.scores --data build/cutouts --out results/generation \\
        --runs lainr-sample=runs/lainr/sample ipc-sample=runs/ipc/sample anchored-sample=runs/anchored/sample

For every denoiser: as many samples as there are held-out pictures, with the classes of the held-out pictures in their
order (so both sets have the same share of every class), from the same seed; their distances from the held-out pictures
by two feature networks; the same of the field model's own reconstructions (rFID, rPSNR), since what the decoder adds is
no fault of the denoiser; artefacts; how much of the picture one token governs; nearest training pictures. A denoiser of
tokens with places is also drawn from at twice the width. Every run is written as soon as it is measured, and one that
is written already is not measured again.

Artefacts are measured in four ways. `fine` is the root of the variance of native renderings at frequencies of 3/8
cycle per pixel and above, where cut-outs on white have little. `paper` is the root mean square difference from white of
the outermost two pixels, without the class `photographs`: that margin is white in nearly every cut-out. `between` is
the root of the variance of renderings four times as large at frequencies that a picture of the encoded size cannot
hold: what the field does between the pixels, of 21 pictures. `seams` is the root mean square step between pixels on
either side of a border between cells of 8 x 8, over that between all other neighbouring pixels: 1 is no seam.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from jaxtyping import Float
from torch import Tensor

from experiments.fields.spectra import power_beyond
from tokenfield.coords import Grid
from tokenfield.data import DataConfig
from tokenfield.evaluation import tables
from tokenfield.evaluation.environment import machine, versions
from tokenfield.evaluation.features import find_features
from tokenfield.evaluation.figures import Panel, save_png, sheet
from tokenfield.fields.field import Field
from tokenfield.fields.locality import influences
from tokenfield.generation.metrics import compare, features_of, figure, summary
from tokenfield.generation.samples_to_fields import load_denoiser, load_field_model
from tokenfield.generation.sampling import sample
from tokenfield.generation.schedulers import Sampler
from tokenfield.io.atomic import written_aside
from tokenfield.metrics import psnr
from tokenfield.models import pretrained
from tokenfield.training import journal
from tokenfield.training.recipe import read as read_recipe

NETWORKS = ("pca", "photos-s")
CELL = 8
"""Side of a cell of the anchored model, and of a patch of the others."""
FINE = 4 / 3
"""power_beyond(4 / 3) counts frequencies of 3 / 8 cycle per pixel and above."""
ENLARGED, SHOWN = 4, 21


@dataclass(frozen=True)
class Options:
    """Which denoisers, against which pictures."""

    data: Path
    """Labelled pictures, `train/<class>` and `val/<class>`."""
    runs: tuple[str, ...]
    """NAME=FOLDER of each denoiser."""
    out: Path = Path("results/generation")
    """Where the JSON files and the figures go."""
    steps: int = 50
    """Steps of the sampler, DDIM or Euler."""
    guidance: float = 2.5
    """Classifier-free guidance."""
    seed: int = 0
    """Of the samples; the same for every denoiser."""
    seconds: float = 600
    """No further denoiser is begun after so many."""


def main(options: Options) -> None:
    """Measure what is not measured yet, then print the table of everything that is."""
    begun = time.monotonic()
    config = None
    for run in options.runs:
        name, _, folder = run.partition("=")
        if (options.out / f"{name}.json").is_file() or time.monotonic() - begun > options.seconds:
            continue
        denoiser = load_denoiser(folder)
        config = config or DataConfig(layout="imagenette", size=denoiser.config.picture_size[0], crop="center")
        facts = assess(name, Path(folder), denoiser, config, options)
        with written_aside(options.out / f"{name}.json") as file:
            file.write((json.dumps(facts, indent=2) + "\n").encode())
        print(f"{name}: measured in {facts['seconds']:.0f} s", flush=True)
    print(score_table([json.loads(path.read_text()) for path in sorted(options.out.glob("*.json"))]))


def assess(name: str, folder: Path, denoiser: Any, config: DataConfig, options: Options) -> dict[str, Any]:
    """Everything about one denoiser, and its figures."""
    begun = time.monotonic()
    reader = load_field_model(denoiser)
    held_out, pool = (DataConfig.open(config, options.data, split) for split in ("test", "train"))
    real = torch.stack([picture for _, picture in held_out.pictures()])
    labels = torch.tensor(held_out.labels)
    sampler = Sampler(steps=options.steps, guidance=options.guidance)
    sampler = sampler.resolved(denoiser.config.prediction, denoiser.config.steps)
    tokens = sample(denoiser, labels, sampler, seed=options.seed, batch=len(labels))
    samples = render(reader, denoiser.restore(tokens), config.size)
    with torch.no_grad():
        again = render(reader, reader.encode(real), config.size)
    cut_out = torch.tensor([held_out.classes[label] != "photographs" for label in labels])
    training = torch.stack([picture for _, picture in pool.pictures()])

    examples = evenly(len(labels), SHOWN)
    large = render(reader, denoiser.restore(tokens[examples]), ENLARGED * config.size)
    with torch.no_grad():
        large_again = render(reader, reader.encode(real[examples]), ENLARGED * config.size)
    titles = [denoiser.config.class_names[labels[i]] for i in examples]
    panels = [Panel(image.clamp(0, 1), title) for image, title in zip(large, titles, strict=True)]
    given_back = [Panel(image.clamp(0, 1), "reconstruction") for image in large_again[:7]]
    save_png(options.out / f"{name}-samples.png", sheet([panels[:7], panels[7:14], panels[14:], given_back]))
    save_png(options.out / f"{name}-neighbours.png",
             figure(samples[examples[::2]].clamp(0, 1), training, labels=titles[::2]))
    wide = draw_wide(denoiser, reader, sampler, labels[examples[:14]], name, config.size, options)
    return {
        "name": name,
        "field_model": {"system": reader.name, "hash": pretrained.model_hash(reader),
                        "areas_holding_90_percent": areas(reader, real[:7]), **trained(Path(origin(reader)))},
        "denoiser": {"prediction": denoiser.config.prediction, "parameters": denoiser.num_parameters,
                     **trained(folder)},
        "sampler": {"scheduler": sampler.scheduler, "steps": sampler.steps, "guidance": sampler.guidance},
        "seed": options.seed, "samples": len(samples), "classes": "those of the held-out pictures, in their order",
        "distances": distances(samples, real),
        "reconstruction": {"rpsnr": psnr(again, real).mean().item(), "distances": distances(again, real)},
        "as_many_training_pictures": distances(training[evenly(len(training), len(real))], real),
        "artefacts": {kind: artefacts(images, cut_out) for kind, images in
                      (("held_out", real), ("reconstructions", again), ("samples", samples))},
        "between": {"reconstructions": between(large_again), "samples": between(large)},
        "neighbours": summary(samples.clamp(0, 1), real, training), **wide,
        "seconds": time.monotonic() - begun, "machine": machine(), "versions": versions(),
    }


@torch.no_grad()
def render(
    reader: Any, tokens: Float[Tensor, "b *r d"], size: int, width: int | None = None
) -> Float[Tensor, "b c h w"]:
    """Fields of tokens at size x size, or size x width, all at once."""
    width = size if width is None else width
    values = reader.decode(tokens, Grid.cells(size, width))                        # (B, size width, C)
    return values.mT.unflatten(2, (size, width))


def draw_wide(
    denoiser: Any, reader: Any, sampler: Sampler, labels: Tensor, name: str, size: int, options: Options
) -> dict[str, Any]:
    """A figure of samples twice as wide as what was encoded, and their power between the pixels; sets have none."""
    if not denoiser.on_lattice:
        return {}
    rows, columns = denoiser.config.lattice
    wider = denoiser.on((rows, 2 * columns))
    tokens = sample(wider, labels, sampler, seed=options.seed, batch=len(labels))
    large = render(reader, denoiser.restore(tokens), ENLARGED * size, 2 * ENLARGED * size)
    panels = [Panel(image.clamp(0, 1), denoiser.config.class_names[label])
              for image, label in zip(large, labels.tolist(), strict=True)]
    save_png(options.out / f"{name}-wide.png", sheet([panels[k : k + 4] for k in range(0, 12, 4)]))
    halves = torch.cat(large.chunk(2, 3))  # of the same size as the others, so that the numbers compare
    return {"wide": {"lattice": list(wider.config.lattice), "between": between(halves)}}


def distances(pictures: Float[Tensor, "n c h w"], real: Float[Tensor, "m c h w"]) -> list[dict[str, Any]]:
    """FID, KID, precision and recall by each network."""
    networks = [find_features(name) for name in NETWORKS]
    return [asdict(compare(features_of(n, pictures), features_of(n, real), n.name)) for n in networks]


def artefacts(images: Float[Tensor, "n c h w"], cut_out: Tensor) -> dict[str, float]:
    """`fine`, `paper` and `seams`, see above; values clamped as a picture's are."""
    images = images.clamp(0, 1)
    fine = torch.tensor([power_beyond(image, FINE) for image in images]).mean().sqrt()
    margin = torch.ones(images.shape[2:], dtype=torch.bool)
    margin[2:-2, 2:-2] = False
    paper = (images[cut_out][:, :, margin] - 1).square().mean().sqrt()
    return {"fine": fine.item(), "paper": paper.item(), "seams": seams(images)}


def seams(images: Float[Tensor, "n c h w"]) -> float:
    """`seams`, over both axes."""
    across, elsewhere = [], []
    for turned in (images, images.mT):
        steps = turned.diff(dim=3).square()
        border = torch.arange(1, turned.shape[3]) % CELL == 0
        across.append(steps[..., border].mean())
        elsewhere.append(steps[..., ~border].mean())
    return ((across[0] + across[1]) / (elsewhere[0] + elsewhere[1])).sqrt().item()


def between(enlarged: Float[Tensor, "n c h w"]) -> float:
    """Root of the variance that no picture of the encoded size could hold, see above."""
    power = [power_beyond(image.clamp(0, 1), ENLARGED) for image in enlarged]
    return (sum(power) / len(power)) ** 0.5


def areas(reader: Any, pictures: Float[Tensor, "n c h w"]) -> float:
    """Share of the area that holds 90 % of what one token changes, mean over all tokens of some pictures."""
    shares = []
    for picture in pictures:
        field = Field.of(reader, picture)
        places = [tuple(place) for place in torch.ones(field.tokens.shape[:-1]).nonzero().tolist()]
        shares += [influence.area for influence in influences(field, places, *picture.shape[1:])]
    return sum(shares) / len(shares)


def origin(reader: Any) -> str:
    """Where a model was loaded from."""
    return getattr(reader, "origin", "")


def trained(run: Path) -> dict[str, Any]:
    """What a run's own records say: recipe, steps, seconds, training loss, PSNR or loss on what was held out."""
    lines, recipe = journal.read(run / journal.METRICS), read_recipe(run / "recipe.json")
    last, measure = [line for line in lines if "loss" in line][-1], recipe.objective.measure
    last = measure.last(lines)
    return {"recipe": recipe.name, "steps": last["step"], "train_seconds": round(last["seconds"]),
            "batch": recipe.batch_size, "seed": recipe.seed, "training_loss": last["loss"],
            f"held_out_{measure.name}": last[0] if last else None}


def evenly(total: int, count: int) -> list[int]:
    """`count` numbers spread over 0 ... total - 1."""
    return [(2 * k + 1) * total // (2 * count) for k in range(count)]


def score_table(runs: list[dict[str, Any]]) -> str:
    """The numbers side by side, as Markdown."""
    heading = ["", "rPSNR dB", *(f"{what} {n}" for n in NETWORKS for what in ("rFID", "FID")), "KID x 1000 pca",
               "precision", "recall", "fine x 1000", "paper x 1000", "between x 1000", "area of a token",
               "nearest, median"]
    rows = [heading]
    for run in runs:
        mine, again, marks = run["distances"], run["reconstruction"], run["artefacts"]
        row = [run["name"], f"{again['rpsnr']:.2f}"]
        for k in range(len(NETWORKS)):
            row += [f"{again['distances'][k]['fid']:.3f}", f"{mine[k]['fid']:.3f}"]
        row += [f"{1000 * mine[0]['kid']:.1f}", f"{mine[0]['precision']:.2f}", f"{mine[0]['recall']:.2f}"]
        for what in ("fine", "paper"):
            row.append(" / ".join(f"{1000 * marks[kind][what]:.0f}" for kind in ("reconstructions", "samples")))
        row.append(" / ".join(f"{1000 * run['between'][kind]:.0f}" for kind in ("reconstructions", "samples")))
        near = run["neighbours"]
        row += [f"{run['field_model']['areas_holding_90_percent']:.2f}",
                f"{near['generated_median']:.3f} ({near['held_out_median']:.3f})"]
        rows.append(row)
    return tables.markdown(rows)


if __name__ == "__main__":
    main(tyro.cli(Options))

"""Garments drawn from denoisers of several kinds of latents: the tables and sheets of results/generation.

    python -m experiments.generation.garments --data build/fashion --runs lainr=runs/lainr-flow ipc=runs/ipc-flow \\
        --steps 25 --guidance 1 1.5 2 --count 10000

For every denoiser and guidance: `count` samples, classes in turn so that all are drawn equally often, from one seed;
FID, KID, precision, recall and IS against all test pictures by the classifier that `experiments.generation.classifier`
trains; the share of samples that it gives the class which was asked for; artefacts; nearest training pictures; seconds.
Of every field model: rPSNR, rFID and the same artefacts of its reconstructions of the test pictures, once.
Every JSON is written as soon as it is measured and never measured again, so the same command goes on where it stopped.
Beside that of samples are two sheets: 20 samples at four times the encoded size, and 10 with their nearest training
pictures.

Artefacts: `corners` is the root mean square of the four corners of 4 x 4 pixels, black in most pictures; `fine` and
`between` are those of `experiments.generation.scores`: power at 3/8 cycle per pixel and above, and, of 100 renderings
four times as large, beyond what a picture of the encoded size can hold.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import torch
import tyro
from jaxtyping import Float
from safetensors.torch import load_file, save
from torch import Tensor

from experiments.fields.spectra import power_beyond
from experiments.generation.classifier import read
from experiments.generation.scores import ENLARGED, FINE, areas, between, evenly, render, trained
from tokenfield.evaluation import tables
from tokenfield.evaluation.environment import machine, versions
from tokenfield.evaluation.features import FeatureNetwork, find_features, frechet_distance
from tokenfield.evaluation.figures import Panel, save_png, sheet
from tokenfield.generation.metrics import Nearest, compare, features_of, figure, nearest
from tokenfield.generation.samples_to_fields import labels_for, load_denoiser, load_field_model
from tokenfield.generation.sampling import sample
from tokenfield.generation.schedulers import Sampler
from tokenfield.io.atomic import write_whole
from tokenfield.metrics import psnr
from tokenfield.models import pretrained

BEGUN = time.monotonic()
CORNER, LARGE, SHOWN = 4, 100, 20
"""Pixels of a corner, pictures rendered large, and pictures of a sheet."""


@dataclass(frozen=True)
class Options:
    """Which denoisers, drawn how, against which pictures."""

    data: Path
    """Folder that experiments/pools/fashion.py wrote."""
    runs: tuple[str, ...]
    """NAME=FOLDER of each denoiser."""
    guidance: tuple[float, ...] = (1.5,)
    """Classifier-free guidance; 1 is none."""
    steps: tuple[int, ...] = (25,)
    """Of the sampler."""
    scheduler: str = "auto"
    """DDIM or Euler, unless given."""
    count: int = 10_000
    """Samples of each setting, a multiple of the classes' number."""
    batch: int = 250
    """Drawn at once."""
    seed: int = 0
    """Of the samples; the same for every denoiser."""
    classifier: Path = Path("results/generation/fashion-classifier.pt")
    """The feature network."""
    out: Path = Path("results/generation/garments")
    """Where the JSON files and the sheets go."""
    work: Path = Path("build/garments")
    """Where samples are kept, some hundred at a time, until all are drawn."""
    seconds: float = float("inf")
    """Nothing further is drawn after so many, and the exit status is 3; the same command goes on."""


class Real:
    """The pictures of the data set, and what the network sees in the test pictures."""

    def __init__(self, options: Options):
        self.network: FeatureNetwork = find_features(f"script:{options.classifier}")
        training, test = read(options.data, options.work / "pictures.safetensors")
        self.training, self.test, self.labels = training.pictures, test.pictures, test.labels
        self.features = self.seen(self.test)

    @torch.no_grad()
    def seen(self, pictures: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n f"]:
        """Features of grey pictures."""
        return features_of(self.network, pictures.expand(-1, 3, -1, -1), batch=500)


def main(options: Options) -> None:
    """Draw what is not drawn yet, measure what is not measured yet, then print the tables."""
    fields, settings = {}, []
    for run in options.runs:
        name, _, folder = run.partition("=")
        denoiser = load_denoiser(folder)
        reader = load_field_model(denoiser)
        fields[name] = folder, denoiser, reader
        for steps, guidance in product(options.steps, options.guidance):
            sampler = Sampler(options.scheduler, steps, guidance)
            sampler = sampler.resolved(denoiser.config.prediction, denoiser.config.steps)
            seed = f"-seed{options.seed}" if options.seed else ""
            how = f"{name}-{sampler.scheduler.lower()}-{steps}-{guidance:g}{seed}"
            stem = f"{how}-{options.count}"
            if not (options.out / f"{stem}.json").is_file():
                drawn = draw(options.work / how, denoiser, sampler, options)
                settings.append((stem, denoiser, reader, sampler, drawn))
    if any(drawn is None for *_, drawn in settings):
        sys.exit(3)
    real = cache(Real)
    for name, about_it in fields.items():
        if not (options.out / f"{name}.json").is_file():
            keep(options.out / f"{name}.json", about(name, *about_it, real(options)))
    for stem, denoiser, reader, sampler, drawn in settings:
        assert drawn is not None, "all are drawn"
        keep(options.out / f"{stem}.json", assess(stem, denoiser, reader, sampler, drawn, real(options), options))
    print(report(options.out))


def keep(path: Path, facts: dict[str, Any]) -> None:
    """Writes a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(facts | {"machine": machine(), "versions": versions()}, indent=1) + "\n")
    print(f"{path}: measured in {facts['seconds']:.0f} s", flush=True)


@torch.no_grad()
def pictures_of(reader: Any, tokens: Float[Tensor, "n *r d"], size: int) -> Float[Tensor, "n 1 s s"]:
    """Renderings, some at a time, clamped as a picture's values are."""
    return torch.cat([render(reader, part, size).clamp(0, 1) for part in tokens.split(200)])


def shaped(denoiser: Any, tokens: Float[Tensor, "n r d"]) -> Float[Tensor, "n *r d"]:
    """Samples as the field model takes them: on their lattice where it has one."""
    tokens, lattice = denoiser.restore(tokens), denoiser.config.lattice
    return tokens.unflatten(1, lattice) if lattice and tokens.ndim == 3 else tokens


@torch.no_grad()
def about(name: str, folder: str, denoiser: Any, reader: Any, real: Real) -> dict[str, Any]:
    """Of a field model and of the training of both: what does not depend on how samples are drawn."""
    begun = time.monotonic()
    tokens = torch.cat([reader.encode(part) for part in real.test.split(200)])
    again = pictures_of(reader, tokens, real.test.shape[-1])
    large = pictures_of(reader, tokens[evenly(len(tokens), LARGE)], ENLARGED * real.test.shape[-1])
    network = real.network
    return {
        "name": name,
        "field_model": {"system": reader.name, "hash": pretrained.model_hash(reader),
                        "values_stored": tokens[0].numel(),
                        "areas_holding_90_percent": areas(reader, real.test[evenly(len(tokens), 8)]),
                        **known(reader.origin)},
        "denoiser": {"prediction": denoiser.config.prediction, "parameters": denoiser.num_parameters, **known(folder)},
        "reconstruction": {"rpsnr": psnr(again, real.test).mean().item(),
                           "fid": frechet_distance(real.seen(again), real.features),
                           "artefacts": artefacts(again, large)},
        "test": {"artefacts": artefacts(real.test, None),
                 "accuracy": agreement(network, real.features, real.labels)},
        "seconds": time.monotonic() - begun,
    }


def known(folder: str) -> dict[str, Any]:
    """What a run's own records say; nothing of a packaged model, whose card does."""
    return trained(Path(folder)) if (Path(folder) / "metrics.jsonl").is_file() else {"origin": folder}


def agreement(network: FeatureNetwork, features: Float[Tensor, "n f"], labels: Tensor) -> float:
    """Share of the pictures that the classifier gives their label."""
    assert network.classifier is not None, "the features are those of a classifier"
    return ((features @ network.classifier.T).argmax(1) == labels).double().mean().item()


def artefacts(pictures: Float[Tensor, "n 1 h w"], large: Float[Tensor, "m 1 y x"] | None) -> dict[str, float]:
    """`corners`, `fine` and, where there are enlarged renderings, `between`."""
    rows = torch.arange(pictures.shape[-1])
    edge = (rows < CORNER) | (rows >= len(rows) - CORNER)
    corners = pictures[:, 0][:, edge][:, :, edge].square().mean().sqrt()
    fine = torch.tensor([power_beyond(picture, FINE) for picture in pictures[:1000]]).mean().sqrt()
    marks = {"corners": corners.item(), "fine": fine.item()}
    return marks if large is None else marks | {"between": between(large)}


def draw(folder: Path, denoiser: Any, sampler: Sampler, options: Options) -> tuple[Tensor, float] | None:
    """Standardised tokens of all samples and the processor seconds that they took; None while some are missing.

    Sample number i depends on seed, class and i alone, so that more samples begin with those that are there.
    """
    labels, parts, spent = labels_for(denoiser, ["each"], options.count), [], 0.0
    for first in range(0, options.count, options.batch):
        path = folder / f"{first:05d}.safetensors"
        if not path.is_file():
            if time.monotonic() - BEGUN > options.seconds:
                print(f"{folder}: {first} of {options.count} samples")
                return None
            begun, chosen = time.process_time(), labels[first : first + options.batch]
            tokens = sample(denoiser, chosen, sampler, seed=options.seed, first=first, batch=options.batch)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, save({"tokens": tokens, "seconds": torch.tensor(time.process_time() - begun)}))
        part = load_file(path)
        parts.append(part["tokens"])
        spent += part["seconds"].item()
    return torch.cat(parts), spent


def assess(
    stem: str, denoiser: Any, reader: Any, sampler: Sampler, drawn: tuple[Tensor, float], real: Real, options: Options
) -> dict[str, Any]:
    """Samples of one denoiser and setting, measured and shown."""
    side, classes = real.test.shape[-1], denoiser.config.names
    labels, tokens = labels_for(denoiser, ["each"], options.count), shaped(denoiser, drawn[0])
    begun, rendering = time.monotonic(), time.process_time()
    samples = pictures_of(reader, tokens, side)
    rendered = time.process_time() - rendering
    large = pictures_of(reader, tokens[:LARGE], ENLARGED * side)
    features, network = real.seen(samples), real.network
    near, far = (closest(pictures, real.training) for pictures in (samples[:1000], real.test[evenly(10_000, 1000)]))

    titles = [classes[label] for label in labels[:SHOWN].tolist()]
    panels = [Panel(picture, title) for picture, title in zip(large[:SHOWN], titles, strict=True)]
    save_png(options.out / f"{stem}.png", sheet([panels[:10], panels[10:]]))
    beside = figure(samples[: SHOWN // 2], real.training, labels=titles[: SHOWN // 2])
    save_png(options.out / f"{stem}-neighbours.png", beside)
    return {
        "name": stem, "count": options.count, "seed": options.seed,
        "sampler": {"scheduler": sampler.scheduler, "steps": sampler.steps, "guidance": sampler.guidance},
        "processor_seconds_per_sample": {"tokens": drawn[1] / options.count, "rendering": rendered / options.count},
        "distances": asdict(compare(features, real.features, network.name, classifier=network.classifier)),
        "class_as_asked": agreement(network, features, labels),
        "artefacts": artefacts(samples, large),
        "neighbours": {"samples": 1000, "generated_smallest": near.distance.min().item(),
                       "generated_median": near.distance.median().item(),
                       "held_out_smallest": far.distance.min().item(),
                       "held_out_median": far.distance.median().item(),
                       "nearer_than_held_out": (near.distance < far.distance.min()).double().mean().item()},
        "seconds": time.monotonic() - begun,
    }


def closest(pictures: Tensor, training: Tensor) -> Nearest:
    """The nearest training picture of each."""
    parts = [nearest(part, training, 1) for part in pictures.split(250)]
    return Nearest(*(torch.cat([getattr(part, key) for part in parts]) for key in ("distance", "index", "mirrored")))


def report(folder: Path) -> str:
    """Both tables, of all that is in the folder, as Markdown."""
    facts = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    fields = [["latents", "values", "rPSNR dB", "rFID", "area of a token", "corners x 1000", "fine x 1000",
               "between x 1000"]]
    drawn = [["samples", "count", "FID", "KID x 1000", "precision", "recall", "IS", "class as asked",
              "corners x 1000", "fine x 1000", "between x 1000", "ms of a core"]]
    for fact in facts:
        if "reconstruction" in fact:
            again, model = fact["reconstruction"], fact["field_model"]
            fields.append([fact["name"], str(model["values_stored"]), f"{again['rpsnr']:.2f}",
                           f"{again['fid']:.3f}", f"{model['areas_holding_90_percent']:.2f}",
                           *marks(again["artefacts"])])
        else:
            far = fact["distances"]
            drawn.append([fact["name"], str(fact["count"]), f"{far['fid']:.3f}", f"{1000 * far['kid']:.2f}",
                          f"{far['precision']:.3f}", f"{far['recall']:.3f}", f"{far['inception_score']:.2f}",
                          f"{fact['class_as_asked']:.1%}", *marks(fact["artefacts"]),
                          f"{1000 * sum(fact['processor_seconds_per_sample'].values()):.0f}"])
    return f"{tables.markdown(fields)}\n\n{tables.markdown(drawn)}"


def marks(artefacts: dict[str, float]) -> list[str]:
    """Cells of a table."""
    return [f"{1000 * artefacts[key]:.0f}" for key in ("corners", "fine", "between")]


if __name__ == "__main__":
    main(tyro.cli(Options))

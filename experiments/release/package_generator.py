"""Turn a field model of garments and a denoiser of its latents into packaged weights, cards and evaluations.

    python -m experiments.release.package_generator tokenizer runs/fashion/lainr --data build/fashion --machine "..."
    tokenfield latents fashion-lainr build/fashion --layout imagenette --no-flips -o runs/fashion/latents
    tokenfield train ldm-fashion-28-flow --data runs/fashion/latents --out runs/fashion/flow
    python -m experiments.release.package_generator denoiser runs/fashion/flow --machine "..."
    python -m experiments.generation.garments --data build/fashion --runs shipped=generate-fashion
    python -m experiments.release.package_generator denoiser runs/fashion/flow --machine "..." \\
        --scores results/generation/garments/shipped.json results/generation/garments/shipped-euler-25-1.5-10000.json

The field model comes first, since a denoiser's latents are those of the weights as they are stored: a denoiser knows
its field model by the hash of them. A denoiser is stored first without a card, so that the stored weights are measured.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from experiments.generation.classifier import read
from experiments.generation.garments import pictures_of
from tokenfield.generation.samples_to_fields import load_denoiser
from tokenfield.io.record import Record
from tokenfield.metrics import psnr
from tokenfield.models import pretrained
from tokenfield.models.base import Model
from tokenfield.training import journal
from tokenfield.training.recipe import read as read_recipe

MIB = 2**20

TRAINED = """\
- **Command**: `{command}`; seed {seed}; `recipe.json`.
- **Steps**: {steps:,} of {batch} {things}, {seconds:,.0f} s of training.
- **Machine**: {machine}.
"""
POOL = """\
- **Training pictures**: the 60,000 of Fashion-MNIST (Zalando SE, MIT), as `experiments/pools/fashion.py` lays them out.
"""
TOKENIZER = """\
# {name}

LAINR on grey garments of 28 x 28 pixels, the field model of `generate-fashion`.

    tokenfield.load("{name}")

- **System**: {system}, {parameters:,} trained numbers, {size:.1f} MiB of float16 weights.
- **Values stored**: {tokens} tokens of {width}, {rate:.3g} per pixel value.
{pool}{trained}- **Held-out pictures**: {psnr:.2f} dB, mean over the 10,000 test pictures.

Made for garments on black, in grey. It gives other pictures back badly, and colours not at all.

Licence: Apache-2.0, as the project.
"""
DENOISER = """\
# {name}

Draws garments: ten classes, as tokens of `{field}`, so that a sample renders at any resolution.

    tokenfield generate samples {name} --class "ankle boot" --count 16 -o boots

- **System**: {system} of {tokens} tokens of {width}, {prediction}; {parameters:,} trained numbers, {size:.1f} MiB of
  bfloat16 weights.
- **Classes**: {classes}.
{pool}{trained}- **Samples**: {count:,}, classes in turn, {sampler}, seed {draw_seed}: FID **{fid:.3f}**,
  KID x 1000 {kid:.2f}, precision {precision:.2f}, recall {recall:.2f}, IS {score:.2f}, against the 10,000 test
  pictures, by the classifier in `results/generation` (its features are not Inception's: compare with nothing else).
  {agree:.1%} are of the class that was asked for, by that classifier, which is right of {accuracy:.1%} of the test
  pictures.
- **Copies**: the nearest training picture is {near:.3f} away in the median, of test pictures {far:.3f} (root mean
  square, values in [0, 1]).

Garments as a shop of 2017 photographed them, grey and small. No people were in the pictures, and none are drawn.

Licence: Apache-2.0, as the project.
"""


@dataclass(frozen=True)
class Packaging:
    """What both have."""

    run: tyro.conf.Positional[Path]
    """Folder of a finished run."""
    machine: str
    """Where it was trained, in words."""
    out: Path = Path("tokenfield/models/weights")
    """Folder of packaged weights."""


@dataclass(frozen=True)
class Tokenizer(Packaging):
    """Package a field model."""

    data: Path = Path("build/fashion")
    """Folder that experiments/pools/fashion.py wrote."""
    name: str = "fashion-lainr"
    """What `tokenfield.load` will know it by."""


@dataclass(frozen=True)
class Denoiser(Packaging):
    """Package a denoiser, whose field model is packaged already."""

    scores: tuple[Path, Path] | None = None
    """Two JSON files of experiments.generation.garments: of the packaged denoiser, and of its samples."""
    name: str = "generate-fashion"
    """What `tokenfield generate` will know it by."""


def trained(options: Packaging, command: str, things: str) -> str:
    """Lines of a card about a run."""
    lines, recipe = journal.read(options.run / journal.METRICS), read_recipe(options.run / "recipe.json")
    last = [line for line in lines if "seconds" in line][-1]
    return TRAINED.format(command=command.format(recipe=recipe.name), seed=recipe.seed, steps=last["step"],
                          batch=recipe.batch_size, things=things, seconds=last["seconds"], machine=options.machine)


def facts_of(folder: Path, model: Model) -> Record:
    """What cards of all models say."""
    return {"name": folder.name, "system": model.name, "parameters": model.num_parameters, "pool": POOL,
            "size": (folder / pretrained.WEIGHTS).stat().st_size / MIB}


@torch.no_grad()
def package_tokenizer(options: Tokenizer) -> None:
    """Save, read back, measure, describe."""
    folder = pretrained.save(pretrained.load(options.run), options.out / options.name, dtype=torch.float16)
    model, (_, test) = pretrained.load(folder), read(options.data, Path("build/garments/pictures.safetensors"))
    pictures = test.pictures
    tokens = torch.cat([model.encode(part) for part in pictures.split(200)])
    again = pictures_of(model, tokens, pictures.shape[-1])
    scores = psnr(again, pictures)
    report: Record = {"pictures": "the 10,000 test pictures of Fashion-MNIST, values clamped to [0, 1]",
                      "count": len(scores), "psnr": scores.mean().item(), "psnr_deviation": scores.std().item(),
                      "values_stored": tokens[0].numel(), "hash": pretrained.model_hash(model)}
    card = TOKENIZER.format(
        **facts_of(folder, model), tokens=tokens.shape[1], width=tokens.shape[2], psnr=report["psnr"],
        rate=tokens[0].numel() / pictures[0].numel(),
        trained=trained(options, "tokenfield train {recipe} --data build/fashion --out runs/fashion/lainr", "pictures"),
    )
    finish(folder, model, card, report, options.run, torch.float16)


def package_denoiser(options: Denoiser) -> None:
    """Save, and describe where it was measured."""
    model = load_denoiser(str(options.run))
    folder = pretrained.save(model, options.out / options.name, dtype=torch.bfloat16)
    if options.scores is None:
        return
    about, drawn = (json.loads(path.read_text()) for path in options.scores)
    far: dict[str, Any] = drawn["distances"]
    sampler, near, config = drawn["sampler"], drawn["neighbours"], model.config
    card = DENOISER.format(
        **facts_of(folder, model), tokens=model.shape[0], width=config.latent_dim, field=config.field_model,
        prediction={"velocity": "flow matching", "sample": "diffusion, clean latents"}[config.prediction],
        classes=", ".join(config.names), count=drawn["count"], draw_seed=drawn["seed"], fid=far["fid"],
        kid=1000 * far["kid"], precision=far["precision"], recall=far["recall"], score=far["inception_score"],
        agree=drawn["class_as_asked"], accuracy=about["test"]["accuracy"], near=near["generated_median"],
        far=near["held_out_median"],
        sampler=f"{sampler['scheduler']}, {sampler['steps']} steps, guidance {sampler['guidance']:g}",
        trained=trained(options, "tokenfield train {recipe} --data runs/fashion/latents --out runs/fashion/flow",
                        "latents, encoded once by `tokenfield latents`"),
    )
    finish(folder, model, card, {"run": about, "samples": drawn}, options.run, torch.bfloat16)


def finish(folder: Path, model: Model, card: str, report: Record, run: Path, dtype: torch.dtype) -> None:
    """Card, evaluation and recipe beside the weights.

    A denoiser's are in bfloat16, which is as large as float16 in a folder and a quarter smaller in a wheel.
    """
    pretrained.save(model, folder, dtype=dtype, card=card, evaluation=report)
    shutil.copy(run / "recipe.json", folder)
    print(card)


def main(options: Annotated[Tokenizer, tyro.conf.subcommand("tokenizer")] |
         Annotated[Denoiser, tyro.conf.subcommand("denoiser")]) -> None:
    """Either of them."""
    package_tokenizer(options) if isinstance(options, Tokenizer) else package_denoiser(options)


if __name__ == "__main__":
    main(tyro.cli(Annotated[Tokenizer, tyro.conf.subcommand("tokenizer")] |
                  Annotated[Denoiser, tyro.conf.subcommand("denoiser")]))

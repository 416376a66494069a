"""Options that commands with a model share: which model, on which device, in which precision."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from tokenfield.cli.console import notice, warn
from tokenfield.cli.types import FieldModel, Model
from tokenfield.errors import UserError

if TYPE_CHECKING:
    import torch

DEFAULT = "photos-s"
"""The packaged model that commands use unless another one is named."""
WHICH = "a packaged model, a folder that holds one, a training run, or hf:owner/name."

ModelName = Annotated[str, tyro.conf.arg(metavar="MODEL", help=WHICH)]
Precision = Annotated[Literal["fp32", "bf16", "fp16"], tyro.conf.arg(
    help="arithmetic inside the model; what is measured and written stays float32.")]
Device = Annotated[str, tyro.conf.arg(help="auto (an accelerator where there is one), cpu, cuda, ...")]
Rate = Annotated[float | None, tyro.conf.arg(
    metavar="RATE",
    help="store at most so many values per pixel value, such as 0.125, with a model that knows several rates "
         "(photos-ladder).")]


def load_model(name: str, device: str) -> FieldModel:
    """The model that a user names (see `WHICH`), on the device that a user names (see `Device`).

    Of a training run that was interrupted, and so has exported no weights yet, the newest whole checkpoint is taken.
    Raises UserError for a model or device that there is not.
    """
    from tokenfield.models import pretrained
    from tokenfield.training import checkpoint

    target = find_device(device)
    folder = Path(name)
    exported = name in pretrained.list_models() or (folder / pretrained.WEIGHTS).exists()
    if not exported and checkpoint.folders(folder):
        return pretrained.check_field_model(from_checkpoint(folder), name).to(target)
    return pretrained.load(name).to(target)


def from_checkpoint(run: Path) -> Model:
    """The model of the newest whole checkpoint of a run: its moving average if it keeps one."""
    from tokenfield.io.limits import read_tensors
    from tokenfield.models.skeleton import check_fits
    from tokenfield.training import checkpoint
    from tokenfield.training.recipe import read

    for path in reversed(checkpoint.folders(run)):
        try:
            state = checkpoint.verify(path)
        except checkpoint.DamagedError as damage:
            warn(f"checkpoint {path} is damaged: {damage}; trying the one before")
            continue
        averaged, config = path / "ema.safetensors", read(path / "recipe.json").model
        tensors = read_tensors(averaged if averaged.exists() else path / "model.safetensors")
        check_fits(config.build, tensors)
        model = config.build()
        model.load_state_dict(tensors)
        notice(f"{run}: the run has not ended; using its checkpoint after step {state['step']}")
        return model.float().eval()
    raise UserError(f"every checkpoint in {run} is damaged; train again, or give another model")


def find_device(name: str) -> "torch.device":
    """A device that is there. Raises UserError for one that is not."""
    import torch

    from tokenfield.coords import present

    accelerator = torch.accelerator.current_accelerator(check_available=True) if name == "auto" else None
    return accelerator or present("cpu" if name == "auto" else name)


def find_precision(name: str) -> "torch.dtype | None":
    """What `Field` takes for fp32, bf16 or fp16; None for float32."""
    import torch

    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def check_at_least(least: int, **options: int | None) -> None:
    """Raises UserError for an option that is given and below a number."""
    for name, value in options.items():
        if value is not None and value < least:
            raise UserError(f"--{name} {value}: give at least {least}")


def labels(models: tuple[str, ...]) -> list[str]:
    """What to call each of several models: the last part of its path, or all of it where that would name two alike."""
    short = [Path(model).name or model for model in models]
    if len(set(short)) == len(short):
        return short
    if len(set(models)) < len(models):
        raise UserError(f"a model is given twice: {' '.join(models)}")
    return list(models)

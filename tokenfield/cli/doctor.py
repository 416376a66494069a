"""`tokenfield doctor`: what is installed, what is missing, and what to type."""

import os
import platform
import shutil
from collections.abc import Callable

from tokenfield.cli import console
from tokenfield.cli.console import Json
from tokenfield.errors import UserError
from tokenfield.evaluation.environment import PACKAGES, installed, machine
from tokenfield.io.record import Record

OPTIONAL = {
    "diffusers": ("tokenfield generate, latents", "generation"),
    "torchmetrics": ("FID and KID of generated pictures", "generation"),
    "xarray": ("netCDF and Zarr: tokenfield climate", "earth"),
    "h5netcdf": ("netCDF-4 files", "earth"),
    "h5py": ("netCDF-4 files", "earth"),
    "scipy": ("netCDF-3 files", "earth"),
    "zarr": ("Zarr stores", "earth"),
    "soundfile": ("FLAC, Ogg, MP3 and AIFF: tokenfield sound", "sound"),
    "trimesh": ("meshes: tokenfield views render", "meshes"),
    "embreex": ("rays through meshes: tokenfield views render", "meshes"),
    "pillow-heif": ("HEIC photographs of phones", "heif"),
    "pillow-jxl-plugin": ("JPEG XL", "jxl"),
    "rawpy": ("camera raw files", ""),
    "imagecodecs": ("TIFFs with rare compressions", ""),
    "tensorboard": ("tokenfield train --tensorboard", "tensorboard"),
    "onnx": ("tokenfield export; pages of models that are not packaged", "onnx"),
    "onnxscript": ("tokenfield export; pages of models that are not packaged", "onnx"),
    "pytest": ("the tests", "test"),
    "beartype": ("shape checks in the tests", "test"),
}
"""Package -> what it is needed for, and the extra of this package that brings it, if one does."""


def doctor(*, json: Json = None) -> int:
    """Say what this installation consists of, what is missing, and what to type to mend it.

    Checks versions, device and threads, the packaged weights, the held-out photographs and the free disk space. The
    exit code is 0 whatever is found: finding it is the job.
    """
    facts: Record = {"python": platform.python_version(), "system": platform.platform()}
    problems: list[str] = []
    for package in ("tokenfield", *PACKAGES):
        version = installed(package)
        facts[package] = version or "missing"
        if version is None:
            problems.append(f"{package} is missing; type: pip install {package}")
    for package, (purpose, extra) in OPTIONAL.items():
        wanted = f"'tokenfield[{extra}]'" if extra else package
        facts[package] = installed(package) or f"not installed (for {purpose}: pip install {wanted})"
    for name, check in CHECKS.items():
        try:
            facts[name] = check()
        except (UserError, OSError, ImportError) as error:
            facts[name] = "not usable"
            problems.append(f"{name}: {' '.join(str(error).split())}")
    width = max(map(len, facts))
    for name, value in facts.items():
        console.say(f"{name:<{width}}  {value}")
    console.say()
    for problem in problems:
        console.say(f"to mend: {problem}")
    console.say("Nothing is missing. Try: tokenfield demo" if not problems else f"{len(problems)} things to mend.")
    console.write_json(json, "doctor", {"facts": facts, "problems": problems})
    return console.OK


def device() -> str:
    """What models would run on."""
    import torch

    chip = torch.accelerator.current_accelerator(check_available=True)
    if chip is None:
        return "cpu (no accelerator that this torch can use)"
    return f"{chip.type}, {torch.accelerator.device_count()} of them; --device cpu leaves it alone"


def bfloat16() -> str:
    """Whether bfloat16 is worth choosing here."""
    import torch

    if torch.accelerator.is_available() or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported():
        return "fast here; --precision bf16 is worth trying"
    if platform.machine() not in ("x86_64", "AMD64"):
        return "not known for this processor; compare --precision bf16 with fp32 before a long run"
    return "emulated by this processor, many times slower than float32; keep --precision fp32"


def weights() -> str:
    """The packaged models, each loaded once."""
    from tokenfield.models import pretrained

    names = pretrained.list_models()
    if not names:
        raise UserError("none are packaged; get a complete copy of the repository, or give --model FOLDER")
    return ", ".join(f"{name} ({pretrained.load(name).num_parameters:,} parameters)" for name in names)


def floor() -> str:
    """The packaged PCA basis."""
    from tokenfield.evaluation.pca import Basis

    basis = Basis.load()
    return f"{basis.cell}x{basis.cell} cells, fitted on {basis.pictures} pictures"


def photographs() -> str:
    """The held-out photographs."""
    from tokenfield.data.demo_pictures import HELD_OUT, held_out

    for name in HELD_OUT:
        held_out(name)
    return f"{len(HELD_OUT)} in scikit-image"


def films() -> str:
    """The program that films are read and written by."""
    return shutil.which("ffmpeg") or "not installed (for tokenfield film with MP4 and others, and MP4 of views orbit)"


CHECKS: dict[str, Callable[[], str]] = {
    "device": device,
    "threads": lambda: f"{machine()['threads']} of {os.cpu_count()} processors; OMP_NUM_THREADS changes it",
    "bfloat16": bfloat16,
    "packaged models": weights,
    "PCA basis": floor,
    "held-out photographs": photographs,
    "ffmpeg": films,
    "disk": lambda: f"{console.size_of(shutil.disk_usage('.').free)} free here",
}

"""What a number was measured with: versions of what matters, device and threads."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from tokenfield._version import __version__
from tokenfield.io.record import Record

PACKAGES = ("torch", "numpy", "pillow", "safetensors", "huggingface_hub", "accelerate", "tyro", "rich", "matplotlib",
            "jinja2", "jaxtyping", "scikit-image")
"""What this package needs, by the names that pip knows."""


def installed(package: str) -> str | None:
    """Version of an installed package, without importing it; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """Versions that can change a measured number."""
    packages = {name: installed(name) for name in ("torch", "numpy", "pillow", "scikit-image")}
    return {"tokenfield": __version__, "python": platform.python_version(), **{k: v for k, v in packages.items() if v}}


def machine(device: object = "cpu") -> Record:
    """Where a number was measured: kind of device and its name, processors, and the threads that torch uses."""
    import torch

    device = torch.device(str(device))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {"device": device.type, "name": name, "processors": os.cpu_count(), "threads": torch.get_num_threads()}

"""Folders of diffusers' `AutoencoderKL`, as `save_pretrained` writes them: config.json and safetensors.

diffusers itself reads them, since it knows its older names of weights. Files that could run something (pickles) are not
opened, nothing is downloaded, and what is missing, unknown or of another shape is named.
"""

from pathlib import Path
from typing import cast

import torch

from tokenfield.configs import convert
from tokenfield.errors import UserError
from tokenfield.interop.project import Choices
from tokenfield.io.limits import read_json
from tokenfield.io.record import Record
from tokenfield.models.autoencoder_kl import AutoencoderKl, AutoencoderKlConfig, autoencoder_class


def read_folder(folder: Path, settings: Record, choices: Choices) -> AutoencoderKl:
    """The model with the weights of a folder, in evaluation mode, float32, on the CPU.

    `settings` may have `size`, height and width of the pictures it will encode; else it is the caller's choice. Raises
    UserError for another kind of folder or setting, weights that do not fit, or no diffusers.
    """
    if unknown := set(settings) - {"size"}:
        raise UserError(f"a setting {min(unknown)!r}; for an AutoencoderKL there is size, [height, width]")
    size = cast(tuple[int, int] | None, convert(tuple[int, int] | None, settings.get("size"), "size"))
    size = size or choices.size_or(AutoencoderKlConfig.size)
    choices.check_size(size)
    network = _network_config(folder)
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are replaced
        model = AutoencoderKlConfig(size, network.get("in_channels", 3), network).build()
    try:
        loaded, info = autoencoder_class().from_pretrained(folder, local_files_only=True, use_safetensors=True,
                                                           low_cpu_mem_usage=False, output_loading_info=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{folder}: weights that cannot be read ({' '.join(str(error).split())[:200]})") from error
    for what, verb in (("missing_keys", "lack"), ("unexpected_keys", "hold unknown"), ("mismatched_keys", "misshape")):
        if info.get(what):
            raise UserError(f"{folder}: its weights {verb} {', '.join(map(str, list(info[what])[:3]))}")
    model.network.load_state_dict(choices.state(loaded.state_dict()))
    return model.float().eval()


def _network_config(folder: Path) -> Record:
    """The network's configuration, without diffusers' own notes."""
    path = folder / "config.json"
    if not path.is_file():
        raise UserError(f"{folder} has no config.json; give a folder that AutoencoderKL.save_pretrained wrote")
    network = read_json(path)
    kind = network.get("_class_name") if isinstance(network, dict) else None
    if not isinstance(network, dict) or kind != "AutoencoderKL":
        raise UserError(f"{folder} holds a {kind}, not an AutoencoderKL")
    return {key: value for key, value in network.items() if not key.startswith("_")}

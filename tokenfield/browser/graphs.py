"""The graphs of a model's `networks`, without its weights, which lie in a file beside them.

A graph serves every model of one configuration. Those of the packaged models are packaged, so that their fields open
without the packages that write ONNX. Others are made when they are first needed, which takes a minute, and stay in the
cache.

    python -m tokenfield.browser.graphs      # makes the packaged ones anew, when a decoder was changed
"""

import hashlib
import json
from pathlib import Path

from torch import Tensor

from tokenfield.browser.networks import networks_of
from tokenfield.configs import identity
from tokenfield.errors import UserError
from tokenfield.interop.networks import WEIGHTS, put_beside, tensor_file, to_onnx
from tokenfield.io.atomic import folder_aside, write_whole
from tokenfield.io.cache import cache_folder
from tokenfield.io.record import json_text
from tokenfield.models import pretrained
from tokenfield.models.base import FieldModel
from tokenfield.models.folder import describe
from tokenfield.views.radiance_field import PUBLISHED, Integral

PACKAGED = Path(__file__).parent / "packaged"
NAMES = "weights.json"
"""Beside the graphs: names of the tensors in the file of weights."""
VERSION = 1
"""Of what networks take and give; another one makes cached graphs anew."""


def graphs_of(model: FieldModel, integral: Integral = PUBLISHED) -> Path:
    """The folder of a model's graphs, packaged, from the cache, or made now.

    Raises UserError where they must be made and the packages for that are missing, or no graph holds the decoder.
    """
    name = name_of(model, integral)
    packaged, cached = PACKAGED / name, cache_folder() / "graphs" / name
    if not packaged.exists() and not cached.exists():
        write_graphs(model, integral, cached)
    return packaged if packaged.exists() else cached


def name_of(model: FieldModel, integral: Integral = PUBLISHED) -> str:
    """What tells the graphs of one configuration from those of another."""
    text = json.dumps([VERSION, describe(model, identity), vars(integral)], sort_keys=True)
    return f"{model.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def write_graphs(model: FieldModel, integral: Integral, folder: Path) -> None:
    """Writes a graph per network, and the names of the weights that they share."""
    networks = networks_of(model, integral)
    graphs = {name: to_onnx(network, optimize=False) for name, network in networks.items()}
    used = {tensor.name for graph in graphs.values() for tensor in graph.graph.initializer}
    tensors = {name: tensor for name, tensor in tensors_of(model, integral).items() if name in used}
    with folder_aside(folder) as aside:
        for name, graph in graphs.items():
            put_beside(graph.graph, tensors)
            write_whole(aside / f"{name}.onnx", graph.SerializeToString())
        write_whole(aside / NAMES, json_text(sorted(tensors), indent=1))


def tensors_of(model: FieldModel, integral: Integral = PUBLISHED) -> dict[str, Tensor]:
    """Tensors of the networks that hold a model, by their names there."""
    first = next(iter(networks_of(model, integral).values()))
    return {name: tensor for name, tensor in first.module.state_dict().items() if tensor.is_floating_point()}


def weights_of(model: FieldModel, graphs: Path, integral: Integral = PUBLISHED) -> bytes:
    """The content of the file `WEIGHTS` that belongs beside these graphs."""
    tensors = tensors_of(model, integral)
    return tensor_file({name: tensors[name] for name in json.loads((graphs / NAMES).read_text())})


def main() -> None:
    """Make the graphs of every packaged model."""
    for name in pretrained.list_models():
        model = pretrained.load(name)
        folder = PACKAGED / name_of(model)
        try:
            if not folder.exists():
                write_graphs(model, PUBLISHED, folder)
        except UserError as error:
            print(f"{name}: {error}")
            continue
        print(f"{name}: {folder.name}, {', '.join(sorted(file.name for file in folder.iterdir()))} and {WEIGHTS}")


if __name__ == "__main__":
    main()

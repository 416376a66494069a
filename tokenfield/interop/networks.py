"""Networks as graphs that other programs run: ONNX, and the format of `torch.export`.

A `Network` is a module, an example of its inputs, and the axes of these that may have any length. ONNX graphs are made
by torch's own exporter, which needs the packages `onnx` and `onnxscript`; what runs the graphs does not need torch.

Weights may lie beside a graph, in a file that only the names and shapes of a model's tensors lay out
(`tensor_file`): then one graph serves every model of the same configuration.
"""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tokenfield.errors import UserError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

OPSET = 20
"""The version of ONNX' operators that graphs are written in."""
INSTALL = "pip install 'tokenfield[onnx]'"
SMALL = 64
"""Numbers below which a tensor stays in float32 where weights are stored in float16."""


@dataclass(frozen=True)
class Network:
    """What becomes a graph."""

    module: nn.Module
    inputs: Mapping[str, Tensor]
    """An example of every input; free axes have lengths that differ from each other and from 1."""
    outputs: tuple[str, ...]
    free: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """Per input the axes that may have any length, with names for people."""


def trace(network: Network) -> torch.export.ExportedProgram:
    """The network as torch.export has it. Raises UserError for a computation that depends on values, not on shapes."""
    dynamic = {name: {axis: torch.export.Dim.DYNAMIC for axis in network.free.get(name, {})} for name in network.inputs}
    shapes = tuple(axes or None for axes in dynamic.values())
    try:
        with torch.no_grad():
            return torch.export.export(network.module.eval(), tuple(network.inputs.values()), dynamic_shapes=shapes)
    except Exception as error:  # torch raises a dozen kinds, and the graph so far is part of what they say
        reason = str(error).strip().splitlines()[0][:200]
        raise UserError(f"no graph holds this computation ({type(error).__name__}: {reason})") from error


def to_onnx(network: Network, *, half: bool = False, optimize: bool = True) -> "ModelProto":
    """The network as an ONNX model.

    Args:
        half: store weights as float16; arithmetic stays float32, so that every runtime gives the same values.
        optimize: fold what depends on weights alone. Off: weights keep the names that they have in the module.
    """
    require_onnx()
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):  # they list what they skip, such as torchvision's operators
        logging.getLogger(name).setLevel(logging.ERROR)
    program = trace(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.onnx.export(program, (), dynamo=True, verbose=False, optimize=optimize, opset_version=OPSET,
                                     input_names=list(network.inputs), output_names=list(network.outputs))
    assert exported is not None, "the exporter returns a program where it is given no file"
    model: ModelProto = exported.model_proto
    strip(model)
    for value in model.graph.input:
        for axis, name in network.free.get(value.name, {}).items():
            value.type.tensor_type.shape.dim[axis].dim_param = name
    if half:
        halve(model.graph)
    return model


def require_onnx() -> None:
    """Raises UserError where the packages that write graphs are missing."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"ONNX graphs are written by onnx and onnxscript, which are missing; {INSTALL}") from error


def strip(model: "ModelProto") -> None:
    """Takes away where in the source each operator comes from, and intermediate shapes: most of a small file."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""
    del model.graph.value_info[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]


def halve(graph: "GraphProto") -> None:
    """Stores weights as float16 with a cast behind each, under the name that they had."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type == TensorProto.FLOAT and values.size >= SMALL:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(values.astype("float16"), f"{name}.half"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


# Weights beside a graph.

WEIGHTS = "weights.bin"
"""Name of the file that graphs look for beside themselves."""


def layout(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
    """Offset and length in bytes of every float32 tensor in a file of all of them, in the order of their names."""
    places, end = {}, 0
    for name in sorted(tensors):
        size = 4 * tensors[name].numel()
        places[name] = end, size
        end += size
    return places


def tensor_file(tensors: Mapping[str, Tensor]) -> bytes:
    """All tensors as float32, little-endian, one after the other in the order of their names."""
    return b"".join(tensors[name].detach().cpu().float().contiguous().numpy().astype("<f4").tobytes()
                    for name in sorted(tensors))


def put_beside(graph: "GraphProto", tensors: Mapping[str, Tensor]) -> None:
    """Replaces the content of initializers by their place in `tensor_file`."""
    from onnx.external_data_helper import set_external_data

    places = layout(tensors)
    for tensor in graph.initializer:
        if tensor.name in places:
            assert list(tensor.dims) == list(tensors[tensor.name].shape), f"{tensor.name} was changed by the exporter"
            set_external_data(tensor, WEIGHTS, *places[tensor.name])
            tensor.ClearField("raw_data")

"""What `tokenfield export` writes of a model: its two verbs as graphs, and a page of JSON that says what they take."""

import io
from copy import deepcopy
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from tokenfield._version import __version__
from tokenfield.errors import UserError
from tokenfield.interop.networks import OPSET, Network, to_onnx, trace
from tokenfield.io.atomic import folder_aside, write_whole
from tokenfield.io.record import Record, json_text
from tokenfield.models.base import FieldModel
from tokenfield.models.folder import inside
from tokenfield.models.pca_mixture import PcaMixture
from tokenfield.models.pretrained import describe, model_hash
from tokenfield.nn.defaults import usual_defaults
from tokenfield.nn.pca_mixture import Subspaces

Format = Literal["onnx", "torch"]
ENDINGS: dict[str, str] = {"onnx": ".onnx", "torch": ".pt2"}
POINTS = 37
"""Coordinates of an example; any number may be given."""


class Encoder(nn.Module):
    """Pictures -> tokens."""

    def __init__(self, model: FieldModel):
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model.encode(images)


class Decoder(nn.Module):
    """Tokens and coordinates that all instances share -> values, at all coordinates at once."""

    def __init__(self, model: FieldModel):
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, coords: Tensor) -> Tensor:
        located = self.model.locate(coords, tuple(tokens.shape[1:-1]))
        return self.model.combine(located, self.model.prepare(tokens))


class PlainSubspaces(Subspaces):
    """The same subspaces, every cell by itself: sorting cells by their subspace is faster, and no graph holds it.

    Nor does a graph hold how components become orthonormal, so here they are already.
    """

    @classmethod
    def of(cls, subspaces: Subspaces) -> "PlainSubspaces":
        """With the tensors of another."""
        codes, dim, rank = subspaces.components.shape
        plain = cls(codes, dim, rank, subspaces.prefixes)
        plain.load_state_dict(subspaces.state_dict() | {"components": subspaces.basis})
        return plain

    @property
    def basis(self) -> Tensor:
        return self.components

    def restore(self, index: Tensor, coefficients: Tensor) -> Tensor:
        basis = self.basis[index][..., : coefficients.shape[1]]  # (M, P, e)
        return self.mean[index] + (basis @ coefficients.unsqueeze(-1)).squeeze(-1)

    def choose(
        self, cells: Tensor, only: int | None = None, *, shortlist: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:  # all are compared
        weight = 1 / self.usual if only is None else (torch.arange(len(self.usual)) == only).to(self.usual)
        columns = [torch.stack(column, 1) for column in zip(*self.errors(cells), strict=True)]  # (M, K, ...)
        index = (columns[0] @ weight).argmin(1)
        place = index[:, None, None]
        errors, coefficients = (c.gather(1, place.expand(-1, 1, c.shape[-1]))[:, 0] for c in columns)
        return index, coefficients, errors


def for_graphs(model: FieldModel) -> FieldModel:
    """The same function, made of what graphs can hold."""
    if not isinstance(model, PcaMixture):
        return model
    plain = deepcopy(model)
    plain.subspaces = PlainSubspaces.of(model.subspaces)
    return plain


def encoder_network(model: FieldModel) -> Network:
    """`encode` of any number of pictures, for a model of any size of any size."""
    images, free = model.example()
    return Network(Encoder(for_graphs(model)), {"images": images}, ("tokens",), {"images": free})


def decoder_network(model: FieldModel) -> Network:
    """`decode` at any number of coordinates, of any number of instances, on a lattice of any size."""
    tokens = model.encode(model.example()[0]).detach()
    free = {0: "batch"} if model.input_size else {0: "batch", 1: "rows", 2: "columns"}
    coords = torch.rand(POINTS, model.coordinate_dim) * 2 - 1
    return Network(Decoder(for_graphs(model)), {"tokens": tokens, "coords": coords}, ("values",),
                   {"tokens": free, "coords": {0: "points"}})


@usual_defaults()
def export(model: FieldModel, folder: Path | str, form: Format, *, half: bool = False) -> Record:
    """Writes encoder, decoder and `export.json` into a new folder, and returns what the latter says.

    Raises UserError for a folder that exists, packages that are missing, and a decoder that no graph holds. An encoder
    that no graph holds, such as one that takes gradient steps, is left out, and the record says so.
    """
    folder = Path(folder)
    if folder.exists():
        raise UserError(f"{folder} exists already; name a new folder with -o")
    model = inside(model).float().cpu().eval()
    about: Record = {"tokenfield": __version__, "format": form, "opset": OPSET if form == "onnx" else None,
                     "weights": "float16" if half else "float32", "config": describe(model), "hash": model_hash(model)}
    with folder_aside(folder) as aside:
        about["decoder"] = write_network(decoder_network(model), aside / f"decoder{ENDINGS[form]}", form, half)
        try:
            about["encoder"] = write_network(encoder_network(model), aside / f"encoder{ENDINGS[form]}", form, half)
        except UserError as error:
            if not str(error).startswith("no graph"):
                raise
            about["encoder"] = None
        write_whole(aside / "export.json", json_text(about, indent=2))
    return about


def write_network(network: Network, path: Path, form: Format, half: bool) -> Record:
    """Writes one graph; what it takes and gives, shapes with names for free axes."""
    if form == "onnx":
        write_whole(path, to_onnx(network, half=half).SerializeToString())
    else:
        content = io.BytesIO()  # torch's own writer ends the process where the disk is full
        torch.export.save(trace(network), content)
        write_whole(path, content.getvalue())
    inputs = {name: [network.free.get(name, {}).get(axis, n) for axis, n in enumerate(tensor.shape)]
              for name, tensor in network.inputs.items()}
    return {"file": path.name, "inputs": inputs, "outputs": list(network.outputs)}

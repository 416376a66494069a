"""A field as the page reads it: an entry of `fields.json`, and the files that this names.

Every kind of domain has a function here that says where its coordinates are. Tokens are stored as float16 where that
loses nothing, else as float32.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from tokenfield.browser.networks import RAYS, sharpness_of
from tokenfield.coords import Grid
from tokenfield.earth.globe import Globe, unpack
from tokenfield.earth.models import earth_model
from tokenfield.errors import UserError
from tokenfield.evaluation.figures import save_png, to_pil
from tokenfield.fields.field import Field
from tokenfield.fields.lattice import Lattice
from tokenfield.fields.tiles import Tiles
from tokenfield.io.atomic import write_whole
from tokenfield.io.record import Record
from tokenfield.models.anchored import AnchorField
from tokenfield.models.lapped import Lapped
from tokenfield.views.light_field import LightField
from tokenfield.views.radiance_field import PUBLISHED, Integral
from tokenfield.views.viewer.orbits import distance_of, elevation_of

NODES = 24
"""Places per axis of a tile at which attention is computed to find where tokens act."""
WINDOW = 128
"""Samples a side of a tile where every tile is decoded from the tokens around it."""
MOST_PLACES = 20_000
"""Tokens above which their places are left out: a page that lists so many is slow."""


@dataclass(frozen=True)
class Subject:
    """What the page shows."""

    name: str
    field: Field
    photograph: Float[Tensor, "3 h w"] | None = None
    """What was encoded, in [0, 1], to compare with."""


def integral_of(field: Field) -> Integral:
    """How its model is integrated along rays; the published way for fields that are not."""
    return field.domain.integral if isinstance(field.domain, LightField) else PUBLISHED


def write_scene(subject: Subject, number: int, model: str, root: Path) -> Record:
    """Writes a field's files below a page's folder, and returns its entry.

    Raises UserError for a domain that the page does not know.
    """
    field, channels = subject.field, subject.field.model.channels
    describe = KINDS.get(type(field.domain))
    if describe is None:
        raise UserError(f"{subject.name}: the page shows no fields of the kind {field.domain.kind!r}")
    entry: Record = {"name": subject.name, "description": f"{field.domain}, {field.values_stored} numbers",
                     "kind": field.domain.kind, "model": model, "size": list(field.native_size), "channels": channels,
                     "tokens": write_tokens(whole_tokens(field), root, f"fields/{number}.tokens")}
    if subject.photograph is not None:
        save_png(root / f"fields/{number}.png", to_pil(subject.photograph))
        entry["photograph"] = f"fields/{number}.png"
    return entry | describe(field, number, root)


def whole_tokens(field: Field) -> Tensor:
    """Tokens as wide as graphs take them: a prefix decodes as the whole token with zeros behind it."""
    missing = (field.model.prefixes or (0,))[-1] - field.tokens.shape[-1]
    return torch.nn.functional.pad(field.tokens, (0, max(0, missing)))


def write_tokens(tokens: Tensor, root: Path, file: str) -> Record:
    """Tokens, little-endian, in as few bytes as hold them exactly."""
    values = tokens.detach().cpu().float().contiguous()
    half = values.half()
    exact = bool((half.float() == values).all())
    write_whole(root / file, (half if exact else values).numpy().tobytes())
    return {"file": file, "dtype": "float16" if exact else "float32", "shape": list(tokens.shape)}


def lattice(field: Field, number: int, root: Path) -> Record:
    """A picture whose tokens stand on a lattice."""
    model = field.model
    about: Record = {"cell": model.cell, "reach": model.reach}
    if isinstance(model, AnchorField):
        return about | {"sharpness": sharpness_of(model, field.tokens)}
    return about if isinstance(model, Lapped) else about | {"tile": WINDOW}


def tiles(field: Field, number: int, root: Path) -> Record:
    """A picture of overlapping tiles, and where its tokens act."""
    domain = field.domain
    assert isinstance(domain, Tiles), "a field of tiles"
    axes = [{"starts": list(axis.starts), "tile": axis.tile, "shared": axis.shared} for axis in domain.axes]
    return {"axes": axes, "places": places_of(field, domain)}


def places_of(field: Field, domain: Tiles) -> list[list[float]] | None:
    """Centre (y, x) and radius in pixels of what every token is attended to from; None where nothing attends."""
    rows, columns = domain.shape
    if field.tokens[..., 0].numel() > MOST_PLACES:
        return None
    coords = Grid.cells(NODES, NODES).coords()
    half = torch.tensor([[side / 2 for side in domain.tile]])
    places: list[list[float]] = []
    for row in range(rows):
        for column in range(columns):
            with torch.no_grad():
                weights = field.model.attention(field.tokens[row, column][None], coords)
            if weights is None:
                return None
            mean = weights.mean(0).square()  # (Q, R); squared: where a token matters most
            share = mean / mean.sum(0, keepdim=True).clamp(min=1e-12)
            centre = share.T @ coords  # (R, 2)
            spread = (share.T @ coords.square() - centre.square()).sum(-1).clamp(min=0).sqrt()
            start = torch.tensor([[domain.axes[0].starts[row], domain.axes[1].starts[column]]])
            at = torch.cat([start + (centre + 1) * half, spread[:, None] * half.min()], 1)
            places += [[round(number, 2) for number in place] for place in at.tolist()]
    return places


def light_field(field: Field, number: int, root: Path) -> Record:
    """An object, seen at first from where its camera stands."""
    domain = field.domain
    assert isinstance(domain, LightField), "a field of views"
    pose = torch.tensor(domain.pose, dtype=torch.float64).view(1, 4, 4)
    azimuth = torch.atan2(pose[0, 1, 3], pose[0, 0, 3]).rad2deg().item()
    elevation = torch.tensor(elevation_of(pose)).rad2deg().item()
    return {"distance": distance_of(pose), "angle": domain.angle_x, "azimuth": azimuth, "elevation": elevation,
            "rays": RAYS}


def globe(field: Field, number: int, root: Path) -> Record:
    """A field on the sphere: units, standards, range of colours, and which cells had a value."""
    domain = field.domain
    assert isinstance(domain, Globe), "a field on the sphere"
    values, valid = domain.native(field).flatten(1), unpack(domain.missing, (field.model.channels, *domain.size))
    ranges = [torch.quantile(v[k.flatten()].double(), torch.tensor([0.01, 0.99], dtype=torch.float64)).tolist()
              for v, k in zip(values, valid, strict=True)]
    entry: Record = {
        "sphere": earth_model(field.model).config.coordinates == "sphere",
        "variables": list(domain.variables), "units": list(domain.units),
        "offset": list(domain.offset), "scale": list(domain.scale),
        "low": [low for low, _ in ranges], "high": [max(high, low + 1e-9) for low, high in ranges],
        "latitudes": [domain.grid.latitudes[0].item(), domain.grid.latitudes[-1].item()],
        "longitudes": [domain.grid.longitudes[0].item(), domain.grid.longitudes[-1].item()],
    }
    if domain.missing:
        write_whole(root / f"fields/{number}.mask", valid.to(torch.uint8).numpy().tobytes())
        entry["maskFile"] = f"fields/{number}.mask"
    return entry


KINDS: dict[type, Callable[[Field, int, Path], Record]] = {Lattice: lattice, Tiles: tiles, LightField: light_field,
                                                           Globe: globe}
"""What is said of fields of every domain."""

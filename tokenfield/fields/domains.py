"""Which domain a model needs, and domains from files."""

import reprlib
from typing import cast

from tokenfield.configs import from_dict
from tokenfield.errors import UserError
from tokenfield.fields.domain import Domain
from tokenfield.fields.lattice import Lattice as Lattice
from tokenfield.fields.tiles import Tiles as Tiles
from tokenfield.models.base import FieldModel, Model
from tokenfield.registry import DOMAINS


def for_pictures(model: Model | type[Model]) -> None:
    """Raises UserError for a model that encodes something else, and says which command does."""
    if model.command != "encode":
        raise UserError(f"the {model.name} model takes {model.takes}, not pictures; use tokenfield {model.command}")


def domain_of(model: FieldModel, size: tuple[int, int]) -> Domain:
    """The domain of a model for a picture of (height, width): tiles for a fixed input, a lattice for any size."""
    return (Lattice if model.input_size is None else Tiles).fit(model, size)


def domain_from_dict(data: object) -> Domain:
    """The domain that `Domain.to_dict` described. Raises UserError for what describes none."""
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(kind, str) or kind not in DOMAINS:
        raise UserError(f"domain {reprlib.repr(kind)}; known are {', '.join(DOMAINS)}")
    return cast(Domain, from_dict(DOMAINS[kind], {key: value for key, value in data.items() if key != "kind"}))

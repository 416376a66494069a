"""Signals: how something of any size becomes inputs of a model, and coordinates on it coordinates of the model."""

from typing import Any

from tokenfield.configs import from_dict
from tokenfield.errors import UserError
from tokenfield.signals.domain import Domain as Domain
from tokenfield.signals.globe import Globe as Globe
from tokenfield.signals.lattice import Lattice as Lattice
from tokenfield.signals.light_field import LightField as LightField
from tokenfield.signals.tiles import Tiles as Tiles

DOMAINS: dict[str, type[Domain]] = {domain.kind: domain for domain in (Tiles, Lattice, Globe, LightField)}
"""Every domain by the name it has in files."""


COMMANDS = {"views": "views", "maps": "climate", "latents": "generate"}
"""What `FieldModel.takes` where it is not pictures -> the command that handles it."""


def for_pictures(model: Any) -> None:
    """Raises UserError for a model that encodes something else, and says which command does."""
    if model.takes != "pictures":
        command = COMMANDS[model.takes]
        raise UserError(f"a {model.name} model takes {model.takes}, not pictures; use tokenfield {command}")


def domain_of(model: Any, size: tuple[int, int]) -> Domain:
    """The domain of a model for a picture of (height, width): tiles for a fixed input, a lattice for any size."""
    return (Lattice if model.input_size is None else Tiles).fit(model, size)


def domain_from_dict(data: Any) -> Domain:
    """The domain that `Domain.to_dict` described.

    Raises:
        UserError: the description names no known domain, or lacks or misuses a field.
    """
    kind = data.get("kind") if isinstance(data, dict) else None
    if kind not in DOMAINS:
        raise UserError(f"domain {kind!r}; known are {', '.join(DOMAINS)}")
    return from_dict(DOMAINS[kind], {key: value for key, value in data.items() if key != "kind"})

"""One file per system, each with `encode` and `decode`."""

from tokenfield.models.anchored import Anchored as Anchored
from tokenfield.models.anr import Anr as Anr
from tokenfield.models.base import FieldModel as FieldModel
from tokenfield.models.lainr import Lainr as Lainr
from tokenfield.models.lainr_localized import LocalizedLainr as LocalizedLainr

MODELS: dict[str, type[FieldModel]] = {model.name: model for model in (Lainr, Anchored, Anr, LocalizedLainr)}
"""Every system by the name its configuration carries."""

"""tokenfield: a signal becomes a set of tokens; the tokens are a field with a value at any coordinate.

    model = tokenfield.load("photos-s")
    field = tokenfield.Field.of(model, tokenfield.read_picture("photo.jpg"))
    picture = field.render(2160, 3840)

The names below are imported when they are first used, so that `tokenfield --help` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tokenfield._version import __version__

if TYPE_CHECKING:
    from tokenfield.coords import Grid as Grid
    from tokenfield.data import read_picture as read_picture
    from tokenfield.data import write_picture as write_picture
    from tokenfield.errors import UserError as UserError
    from tokenfield.fields.field import Field as Field
    from tokenfield.metrics import psnr as psnr
    from tokenfield.models.anchored import Anchored as Anchored
    from tokenfield.models.lainr import Lainr as Lainr
    from tokenfield.models.pretrained import list_models as list_models
    from tokenfield.models.pretrained import load as load
    from tokenfield.models.pretrained import save as save

_HOME = {
    "Grid": "tokenfield.coords",
    "read_picture": "tokenfield.data",
    "write_picture": "tokenfield.data",
    "UserError": "tokenfield.errors",
    "Field": "tokenfield.fields.field",
    "psnr": "tokenfield.metrics",
    "Anchored": "tokenfield.models.anchored",
    "Lainr": "tokenfield.models.lainr",
    "list_models": "tokenfield.models.pretrained",
    "load": "tokenfield.models.pretrained",
    "save": "tokenfield.models.pretrained",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tokenfield' has no attribute {name!r}; it exports {', '.join(_HOME)}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""tokenfield: a signal becomes a set of tokens; the tokens are a field you can ask anywhere.

    model = tokenfield.load("photos-s")
    field = tokenfield.Field.of(model, tokenfield.read_picture("photo.jpg"))
    picture = field.render(2160, 3840)

The names below are imported when they are first used, so that `tokenfield --help` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenfield.coords import Grid as Grid
    from tokenfield.data import read_picture as read_picture
    from tokenfield.data import write_picture as write_picture
    from tokenfield.errors import UserError as UserError
    from tokenfield.field import Field as Field
    from tokenfield.metrics import psnr as psnr
    from tokenfield.models import Anchored as Anchored
    from tokenfield.models import Lainr as Lainr
    from tokenfield.pretrained import load as load
    from tokenfield.pretrained import save as save

__version__ = "0.1.0"

_HOME = {
    "Grid": "tokenfield.coords",
    "read_picture": "tokenfield.data",
    "write_picture": "tokenfield.data",
    "UserError": "tokenfield.errors",
    "Field": "tokenfield.field",
    "psnr": "tokenfield.metrics",
    "Anchored": "tokenfield.models",
    "Lainr": "tokenfield.models",
    "load": "tokenfield.pretrained",
    "save": "tokenfield.pretrained",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'tokenfield' has no attribute {name!r}; it exports {', '.join(_HOME)}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""A field for other libraries: as a picture of Pillow, an array of NumPy, a labelled array of xarray."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.fields.domain import Domain

if TYPE_CHECKING:
    from xarray import DataArray


def to_pil(values: Float[Tensor, "c h w"]) -> Image.Image:
    """One, three or four channels, clamped to [0, 1] and rounded to 8 bits: grey, RGB or RGBA."""
    channels = len(values)
    if channels not in (1, 3, 4):
        raise UserError(f"a field of {channels} channels; pictures have 1, 3 or 4: take some of field.numpy()")
    pixels = (values.detach().cpu().float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[..., 0] if channels == 1 else np.ascontiguousarray(pixels))


def to_xarray(values: Float[Tensor, "c *n"], domain: Domain) -> "DataArray":
    """Values with the names and places of their axes, (y, x) in [-1, 1] or what the domain has, such as latitudes."""
    try:
        from xarray import DataArray
    except ImportError as error:
        raise UserError("to_xarray needs xarray; type: pip install 'tokenfield[earth]'") from error
    labels = domain.labels(*values.shape[1:])
    places: dict[str, Any] = {name: np.asarray(place) for name, place in labels.places.items()}
    attributes = {"units": labels.units[0]} if len(set(labels.units)) == 1 else {}
    if len(set(labels.units)) > 1:
        places["units"] = (labels.names[0], list(labels.units))
    return DataArray(values.detach().cpu().numpy(), places, labels.names, name="field", attrs=attributes)

"""Field: what a user holds. Tokens, the model that reads them, and the picture they cover.

    model = tokenfield.load("photos-s")
    field = Field.of(model, read_picture("photo.jpg"))   # (C, H, W) of any size -> tokens
    field(coords)                                        # values at any coordinates
    field.render(2160, 3840)                             # the whole picture at any size
    field.crop((-0.1, -0.1, 0.1, 0.1), (512, 512))       # a part of it at any zoom
    field.save("photo.field"); Field.load("photo.field")

Coordinates are (y, x) in [-1, 1] over the picture: (-1, -1) is its top left corner, and pixel (i, j) of an H x W
picture has its centre at (-1 + 2 (i + 0.5) / H, -1 + 2 (j + 0.5) / W).
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor, nn

from tokenfield.coords import Grid, present, whole
from tokenfield.data.arrays import check_picture
from tokenfield.data.pictures import to_pil
from tokenfield.errors import UserError, explain_calls
from tokenfield.fields import calculus, coded_field
from tokenfield.fields.domain import Domain, Progress
from tokenfield.fields.domains import domain_from_dict, domain_of, for_pictures
from tokenfield.fields.field_file import read_field, write_field
from tokenfield.fields.locality import Influence, influences, spread_tokens
from tokenfield.fields.rendering import (
    BAND_POINTS,
    Box,
    check_boxes,
    check_memory,
    check_points,
    grid_over,
    on_grid,
    precision,
    recording,
    whole_sizes,
)
from tokenfield.io.atomic import shown, write_whole
from tokenfield.io.cache import remember_model
from tokenfield.models import pretrained
from tokenfield.models.base import FieldModel
from tokenfield.models.folder import ModelId, unwrapped
from tokenfield.nn.defaults import recordable, usual_defaults

if TYPE_CHECKING:
    from xarray import DataArray


@dataclass(frozen=True, eq=False, repr=False)
class Field:
    """A picture as a continuous function of its coordinates.

    Values are neither clamped nor rounded. The picture's size and shape do not matter: `domain` cuts it into what
    the model takes. Nothing is remembered between calls, and memory beyond the result is bounded.

    Gradients flow to coordinates or tokens that require them; otherwise none are recorded.

    Attributes:
        model: shared, never changed.
        tokens: of the picture; the first two axes are rows and columns of tiles or cells.
        domain: how coordinates on the picture become coordinates of the model.
    """

    model: FieldModel
    tokens: Tensor
    domain: Domain

    def __post_init__(self) -> None:
        if isinstance(self.tokens, Tensor):
            object.__setattr__(self, "tokens", recordable(self.tokens))

    @classmethod
    def of(cls, model: nn.Module | str | os.PathLike[str], picture: object, *, domain: Domain | None = None,
           rate: float | None = None, dtype: torch.dtype | None = None, progress: Progress | None = None) -> "Field":
        """Encodes a picture of any size.

        Args:
            model: a field model, also one that was compiled or is parallel, or what `load` takes: a name, a folder.
            picture: (C, H, W), a tensor on any device or an array, or anything else that `check_picture` takes: a
                Pillow image, a path, channels last, uint8 or uint16.
            domain: another way of cutting it up, for example `Tiles.fit(model, (H, W), overlap=1/4)`.
            rate: store at most so many values per pixel value, with a model of several rates (`photos-ladder`); padding
                to whole cells comes on top. None: all that the model stores.
            dtype: torch.bfloat16 or torch.float16 encodes under autocast: faster, some 60 dB exact.
            progress: called with (pieces done, pieces in all).
        """
        own: FieldModel = pretrained.load(model) if isinstance(model, str | os.PathLike) else unwrapped(model)
        if domain is None:
            for_pictures(own)
        picture = check_picture(picture, own.channels)
        size = (picture.shape[1], picture.shape[2])
        domain = domain or domain_of(own, size)
        if tuple(domain.size) != size:
            raise UserError(f"a domain for {tuple(domain.size)} and a picture of {size}; make one for this size")
        with torch.no_grad(), precision(own, dtype):
            encoder = own if rate is None else own.at(own.width_at(rate))
            return cls(own, domain.encode(encoder, picture, progress), domain)

    def __call__(self, coords: object, *, dtype: torch.dtype | None = None) -> Tensor:
        """Values at coordinates.

        Args:
            coords: (Q, 2) of (y, x) in [-1, 1], any number in any order, or a `Grid` of Q points; (Q, X) for a signal
                of X axes.
            dtype: torch.bfloat16 or torch.float16 decodes under autocast; see `of`.
        Returns:
            (Q, C) in the order of the coordinates (a grid row-major), on the tokens' device.
        """
        if isinstance(coords, Grid):
            check_memory(self, coords.shape)
            return on_grid(self, coords, dtype).flatten(1).T
        coords = check_points(coords, len(self.domain.size))
        with recording(self.tokens, coords), precision(self.model, dtype):
            return self.domain.at_points(self.model, self.tokens, coords)

    def coarse(self, nodes: int) -> "Field":
        """The same field, decoded faster and not quite exactly: attention on nodes x nodes points (`coarse.py`)."""
        return replace(self, model=self.model.coarse(nodes))

    def fused(self) -> "Field":
        """The same field, decoded in bfloat16 by a compiled kernel where there is AMX (`tokenfield.nn.fused`)."""
        return replace(self, model=self.model.fused())

    def render(self, height: SupportsIndex | None = None, width: SupportsIndex | None = None, *more: SupportsIndex,
               antialias: bool = True, dtype: torch.dtype | None = None, progress: Progress | None = None) -> Tensor:
        """The whole picture as (C, height, width), at any size; a signal of X axes as (C, ...) of X given sizes.

        Without a size it has the encoded picture's own; of one side, the other keeps its shape. Values are those at the
        centres of so many pixels; below the picture's own size, means over the pixels, unless
        `antialias` is off (see `crop`).
        """
        sides, own = [side for side in (height, width, *more) if side is not None], self.native_size
        if not sides:
            size: Sequence[SupportsIndex] = own
        elif len(sides) == 1 and len(own) == 2:
            known = 1 if height is None else 0
            scale = whole(sides[0]) / own[known]
            size = [sides[0] if i == known else max(1, round(n * scale)) for i, n in enumerate(own)]
        else:
            size = sides
        return self.crop((-1.0,) * len(own) + (1.0,) * len(own), size, antialias=antialias, dtype=dtype,
                         progress=progress)

    def crop(self, box: Box, size: Sequence[SupportsIndex] | np.ndarray, *, antialias: bool = True,
             dtype: torch.dtype | None = None, progress: Progress | None = None) -> Tensor:
        """A part of the picture at any zoom, at the cost of that part alone.

        Args:
            box: (top, left, bottom, right) in [-1, 1] over the picture; `pixel_box` makes one from pixels. Of a signal
                of X axes, where each begins and then where each ends.
            size: (height, width) of the result, or X sizes.
            antialias: where a pixel of the result covers several of the picture's, give the mean over it, as a camera
                with larger pixels would: an integral where the model has one, else the mean of points one pixel of the
                picture apart. Off: the value at its centre.
        Returns:
            (C, height, width).
        """
        check_memory(self, size := whole_sizes(size, len(self.native_size)))
        return on_grid(self, grid_over(self, box, size, antialias), dtype, progress)

    def rows(self, height: SupportsIndex, width: SupportsIndex, *, points: SupportsIndex = BAND_POINTS,
             antialias: bool = True, dtype: torch.dtype | None = None) -> Iterator[Tensor]:
        """`render` from top to bottom in bands (C, n, width) of at most `points` points, at least one row each.

        For pictures larger than the memory: only one band exists at a time.
        """
        check_memory(self, (1, whole(width)))
        bands = grid_over(self, (-1.0, -1.0, 1.0, 1.0), (height, width), antialias).split(points)
        return (on_grid(self, band, dtype) for band in bands)

    def gradient(self, coords: Tensor) -> Tensor:
        """First derivatives (Q, C, 2) by (y, x) at points (Q, 2) in [-1, 1]: of values per half the picture's side.

        They can be differentiated again where `coords` require gradients.
        """
        return calculus.gradient(self, check_points(coords, len(self.domain.size)))

    def laplacian(self, coords: Tensor) -> Tensor:
        """The sum of second derivatives (Q, C) by y and by x at points (Q, 2)."""
        return calculus.laplacian(self, check_points(coords, len(self.domain.size)))

    @usual_defaults()
    def mean(self, boxes: Sequence[Box] | Tensor) -> Tensor:
        """Mean values (N, C) over boxes (top, left, bottom, right): two Gauss nodes per half pixel and axis.

        That is exact where values are cubic within half a pixel, else as near as the field is smooth there.
        """
        return calculus.mean(partial(on_grid, self), boxes, self.native_size)

    def pixel_box(self, top: float | int, left: float | int, bottom: float | int, right: float | int) -> Box:
        """Pixels of the original picture, edges counted from 0 at the top left, as a box for `crop`."""
        height, width = self.native_size
        return 2 * top / height - 1, 2 * left / width - 1, 2 * bottom / height - 1, 2 * right / width - 1

    def prefix(self, width: int) -> "Field":
        """The same picture from the leading `width` values of every token, one of its model's prefixes."""
        return self.with_tokens(self.tokens[..., : self.model.at(width).width].contiguous())

    def with_tokens(self, tokens: Tensor) -> "Field":
        """The same picture's model and domain with other tokens: edited, averaged, generated."""
        if isinstance(tokens, Tensor) and not tokens.is_sparse and tokens.is_floating_point():
            self.domain.check(self.model, tokens)
            return replace(self, tokens=tokens)
        kind = tokens.dtype if isinstance(tokens, Tensor) else type(tokens).__name__
        raise UserError(f"tokens of type {kind}; give a dense tensor in floating point, shaped as field.tokens")

    @usual_defaults()
    def attention(self, coords: Tensor) -> Tensor:
        """How much points (Q, 2) take from every token: (H, Q, R), R all tokens row-major, rows of sum 1 per head.

        In overlapping tiles a point's weights are shared as its value is. Raises UserError for a system whose
        coordinates attend to no tokens.
        """
        points = check_points(coords, len(self.domain.size))
        with recording(self.tokens, points):
            weights = self.domain.attention(self.model, self.tokens, points)
        if weights is None:
            raise UserError(f"{self.model.name} has no attention from coordinates to tokens; each of its tokens is "
                            f"{self.model.token}. field.locality() measures what a token changes")
        return weights

    def locality(self, count: SupportsIndex = 64, size: Sequence[SupportsIndex] = (64, 64)) -> list[Influence]:
        """What each of `count` tokens, spread over the picture, changes when it is removed: a map, an area, a maximum.

        Every token costs a rendering of `size`; the mean of the areas is the locality of tables (`locality.py`).
        """
        height, width = whole_sizes(size)
        return influences(self, spread_tokens(self, whole(count, "count")), height, width)

    def numpy(self, *size: int) -> NDArray[np.float32]:
        """`render` as an array (C, height, width), at the picture's own size or another."""
        return self.render(*size).detach().float().cpu().numpy()

    def to_pil(self, *size: int) -> Image:
        """`render` as a Pillow image of 8 bits, at the picture's own size or another (height, width)."""
        if self.model.channels not in (1, 3, 4):
            raise UserError(f"a field of {self.model.channels} channels; pictures have 1, 3 or 4: take some of "
                            "field.numpy()")
        return to_pil(self.render(*size))

    @usual_defaults()
    def to_xarray(self, *size: int) -> "DataArray":
        """`render` with labelled axes, of a globe latitudes, longitudes and units; needs the extra `earth`."""
        values = self.render(*size)
        return self.domain.labels(*values.shape[1:]).to_xarray(values)

    @property
    def native_size(self) -> tuple[int, ...]:
        """(height, width) of the encoded picture; of another signal, how many samples each of its axes has."""
        return self.domain.size

    @property
    def values_stored(self) -> int:
        """Numbers the tokens hold."""
        return self.model.stored(self.tokens)

    @property
    def bytes_stored(self) -> int:
        """Bytes of the tokens as they are, as a lossless file has them beside its header; coded they are fewer."""
        return self.tokens.numel() * self.tokens.element_size()

    def to(self, device: torch.device | str) -> "Field":
        """This field with its tokens on a device; the model is moved, as modules are, in place."""
        device = present(device)
        return replace(self, model=self.model.to(device), tokens=self.tokens.to(device))

    def save(self, path: str | os.PathLike[str], *, dtype: torch.dtype = torch.float32,
             quality: float | int | None = None) -> None:
        """Writes a `.field` file (`fields.field_file`). The model itself is not in it.

        Without a quality tokens are stored as they are; float16 halves the file. With one, from 0 to 100, they are
        quantised and coded (`fields.codec`): a file smaller than a JPEG of the same error, with a model that has tables
        for it.
        """
        model = model_id(self.model)
        if quality is None:
            write_field(path, self.tokens, domain=self.domain.to_dict(), model=model, dtype=dtype)
        else:
            write_whole(path, self.coded(quality))
        if model.origin is not None and Path(model.origin).is_dir():
            remember_model(model.hash, Path(model.origin).resolve())

    def coded(self, quality: float | int) -> bytes:
        """The bytes of a coded file, see `save`."""
        return coded_field.pack(self.model, model_id(self.model), self.tokens, self.domain, quality)

    def quantised(self, quality: float | int) -> "Field":
        """This field as it comes back from a coded file of this quality."""
        part, data = coded_field.Part(), self.coded(quality)
        return replace(self, tokens=coded_field.unpack(data, self.model, self.domain, part).to(self.tokens))

    @classmethod
    @usual_defaults()
    def load(cls, path: str | os.PathLike[str], model: nn.Module | None = None, *, box: Box | None = None,
             layers: int | None = None, partial: bool = False) -> "Field":
        """Reads a `.field` file.

        Args:
            model: the one that made it; None loads the one the file names, from this package or a folder.
            box: of a coded file decode no more than this part needs; elsewhere the field then says nothing.
            layers: of a coded file the first so many layers alone, a coarser field.
            partial: take of a coded file that is cut short what is there.

        Raises:
            UserError: a file that is foreign, damaged or too new, and a model that is missing or another one.
        """
        file = read_field(path)
        model = unwrapped(model) if model is not None else pretrained.find_model(path, file.model)
        identity = model_id(model)
        if not identity.hash.startswith(file.model.hash):
            raise UserError(f"{shown(path)} was made by {file.model}, not by {identity}; its tokens mean nothing to "
                            "another model")
        try:
            domain = domain_from_dict(file.domain)
            domain.check(model, torch.empty(file.shape, device="meta"))
        except UserError as error:
            raise UserError(f"{shown(path)} is damaged: {error}") from error
        tokens = file.tokens
        if tokens is not None and layers is not None:
            raise UserError(f"{shown(path)} holds its tokens as they are, which have no layers; leave layers out")
        if tokens is None:
            rows = None if box is None else itemgetter(0, 2)(check_boxes(box)[0])
            layers = layers if layers is None else whole(layers, "layers")
            part = coded_field.Part(rows, layers, partial)
            tokens = coded_field.unpack(Path(path), model, domain, part)
        field = cls(model, tokens.to(next(model.parameters()).device, torch.float32), domain)
        try:  # domains know how many tokens there are; what one of them looks like, the model shows by a value
            field(torch.zeros(1, len(domain.size), device="cpu", dtype=torch.float32))
        except (RuntimeError, TypeError, ValueError, LookupError) as error:
            raise UserError(f"{shown(path)} is damaged: tokens {file.shape} are none of {identity}") from error
        return field

    def __repr__(self) -> str:
        size, channels, stored = self.native_size, self.model.channels, self.values_stored
        signal, sample = ("picture", "pixel") if len(size) == 2 else ("signal", "sample")
        return (f"Field({' x '.join(map(str, size))} {signal}, {channels} channels; {self.domain}, {stored} values "
                f"stored, {stored / (prod(size) * channels):.3g} per {sample} value; model "
                f"{self.model.origin or self.model.name})")


explain_calls(Field)


def model_id(model: FieldModel) -> ModelId:
    """What a file says of the model that reads its tokens."""
    return ModelId(model.name, model.origin, pretrained.model_hash(model))

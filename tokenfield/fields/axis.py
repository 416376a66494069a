"""One axis of a picture, cut into pieces that a model handles one at a time.

A picture of any size is the product of two such axes. Along each, a point belongs to one piece, or to two neighbours
in the ramp between them; the two weights sum to 1, so the products over both axes sum to 1 as well: a partition of
unity. Positions are in pixels of the picture, 0 at the first pixel's outer edge and `length` at the last one's (a
pixel centre is at i + 0.5), in float64, so that the 50000th pixel is as exact as the first.
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil

import torch
from jaxtyping import Float, Int
from torch import Tensor


def smoothstep(t: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """3 t^2 - 2 t^3 on [0, 1], 0 before and 1 after: the lowest polynomial ramp with a continuous derivative."""
    t = t.clamp(0, 1)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True)
class TileAxis:
    """An axis covered by overlapping tiles of one fixed length.

    Tiles start at whole pixels, evenly spread, the first at 0 and the last ending with the axis, so that an axis of at
    least one tile needs no padding. Neighbours share at least `shared` pixels and are blended over a ramp in the
    *middle* of what they share, from the centre of one tile's first shared pixel to that of the other's last: the rim
    of a tile, where a model sees least context, is used only at the edge of the picture. With a third of a tile
    shared at most, no point lies in two ramps.

    A shorter axis is one tile, continued by its last pixel (edge padding). Resizing it instead would change the
    frequencies the model sees and put every pixel between two of the tile's; padded, a pixel stays a pixel.

    `length` (at least 1) and `tile` (at least 4) are in pixels; `overlap` is the smallest shared fraction of a tile.
    """

    length: int
    tile: int
    overlap: float

    @cached_property
    def shared(self) -> int:
        """Pixels that neighbours share, or more."""
        return max(2, min(ceil(self.overlap * self.tile), (self.tile + 2) // 3))

    @property
    def ramp(self) -> int:
        """Pixels over which one tile hands over to the next."""
        return self.shared - 1

    @property
    def pieces(self) -> int:
        """Number of tiles; a number alone, so that sizes from a file can be compared before there are any."""
        stride = self.tile - self.shared  # at most
        return 1 if self.length <= self.tile else -(-(self.length - self.shared) // stride)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """First pixel of every tile."""
        n = self.pieces
        return tuple(i * (self.length - self.tile) // (n - 1) for i in range(n)) if n > 1 else (0,)

    places = pieces
    """Of tokens: one per tile."""

    def cover(self, at: Float[Tensor, " n"]) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"]]:
        """The first tile of each position, and its weight in [0, 1]; the next tile has the rest."""
        starts = torch.tensor(self.starts, dtype=torch.float64)
        middle = (starts[:-1] + self.tile + starts[1:]) / 2  # of each overlap: (tiles - 1,)
        first = torch.searchsorted(middle + self.ramp / 2, at.detach().contiguous(), right=True)  # ramps passed
        last = first == self.pieces - 1
        begin = torch.cat([middle, middle.new_tensor([torch.inf])])[first] - self.ramp / 2
        weight = 1 - smoothstep((at - begin.where(~last, at)) / self.ramp)
        return first, weight.where(~last, torch.ones_like(weight))

    def indices(self, piece: int) -> Int[Tensor, " tile"]:
        """Pixels of the axis that fill a tile, the last one repeated beyond the end."""
        return (self.starts[piece] + torch.arange(self.tile)).clamp(max=self.length - 1)

    def local(self, at: Float[Tensor, " n"], piece: int) -> Float[Tensor, " n"]:
        """Positions as coordinates of a tile: its outer edges are -1 and 1."""
        return (at - self.starts[piece]) * (2 / self.tile) - 1

    def window(self, at: Float[Tensor, " n"], piece: int, reach: int) -> tuple[int, Float[Tensor, " n"]]:
        """The tile whose tokens decode positions in it, and the positions as its coordinates."""
        return piece, self.local(at, piece)


@dataclass(frozen=True)
class BlockAxis:
    """An axis of `length` pixels in square cells of `cell` pixels, handled in blocks of `block` cells.

    Blocks share the lattice of cells they are cut from, so a point belongs to exactly one, with weight 1, and nothing
    needs blending. The last pixel is repeated up to a whole number of cells.
    """

    length: int
    cell: int
    block: int

    @property
    def cells(self) -> int:
        """Number of cells, the last one perhaps partly padding."""
        return -(-self.length // self.cell)

    places = cells
    """Of tokens: one per cell."""

    @property
    def pieces(self) -> int:
        """Number of blocks."""
        return -(-self.cells // self.block)

    def cover(self, at: Float[Tensor, " n"]) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"]]:
        """The block of each position, and weight 1."""
        block = (at.detach() / (self.cell * self.block)).floor().long().clamp(0, self.pieces - 1)
        return block, torch.ones_like(at)

    def cells_of(self, piece: int) -> tuple[int, int]:
        """First cell of a block, and the first after it."""
        return piece * self.block, min((piece + 1) * self.block, self.cells)

    def widen(self, first: int, after: int, by: int) -> tuple[int, int]:
        """A range of cells with `by` more on each side, as far as there are any."""
        return max(0, first - by), min(self.cells, after + by)

    def cells_near(self, at: Float[Tensor, " n"], reach: int) -> tuple[int, int]:
        """The range of cells within `reach` of any of the positions."""
        lo, hi = (int(v // self.cell) for v in torch.stack([at.detach().amin(), at.detach().amax()]).tolist())
        return self.widen(min(max(lo, 0), self.cells - 1), min(max(hi, 0), self.cells - 1) + 1, reach)

    def indices(self, first: int, after: int) -> Int[Tensor, " n"]:
        """Pixels of the axis that fill a range of cells, the last one repeated beyond the end."""
        return torch.arange(first * self.cell, after * self.cell).clamp(max=self.length - 1)

    def local(self, at: Float[Tensor, " n"], first: int, after: int) -> Float[Tensor, " n"]:
        """Positions as coordinates of a range of cells: its outer edges are -1 and 1."""
        return (at / self.cell - first) * (2 / (after - first)) - 1

    def window(self, at: Float[Tensor, " n"], piece: int, reach: int) -> tuple[slice, Float[Tensor, " n"]]:
        """The cells whose tokens decode positions, and the positions as coordinates of these."""
        cells = self.cells_near(at, reach)
        return slice(*cells), self.local(at, *cells)


Axis = TileAxis | BlockAxis


def shares(axis: Axis, at: Float[Tensor, " n"]) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"], Float[Tensor, " m"]]:
    """Who takes part where along one axis, n <= m <= 2 n entries: (piece, position in `at`, weight above 0)."""
    first, weight = axis.cover(at)
    position = torch.arange(len(at))
    also = weight < 1  # inside a ramp the next piece takes part too
    here = weight > 0
    return (torch.cat([first[here], first[also] + 1]), torch.cat([position[here], position[also]]),
            torch.cat([weight[here], 1 - weight[also]]))

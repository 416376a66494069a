"""Reading a lattice: weights add up to 1, cubics are exact for quadratics, and points read what grids read."""

import pytest
import torch

from tokenfield.coords import Grid, centers
from tokenfield.nn.lattice_reading import cubic, linear, nearest, read_grid, read_points

READERS = {"nearest": nearest, "linear": linear, "cubic": cubic}


def coords(n):
    return torch.rand(n, dtype=torch.double, generator=torch.Generator().manual_seed(n)) * 2 - 1


@pytest.mark.parametrize("name", READERS)
def test_weights_add_up_to_one(name):
    read = READERS[name](coords(101), 7)
    torch.testing.assert_close(read.weights.sum(-1), torch.ones(101, dtype=torch.double))
    assert read.cells.min() == 0 and read.cells.max() == 6


@pytest.mark.parametrize("name", READERS)
def test_points_read_what_a_grid_reads(name):
    lattice = torch.rand(2, 5, 7, 3, dtype=torch.double)
    y, x = coords(11), coords(13)
    grid = read_grid(lattice, READERS[name](y, 5), READERS[name](x, 7))
    down, right = Grid((y, x)).coords().unbind(-1)
    points = read_points(lattice, READERS[name](down, 5), READERS[name](right, 7))
    torch.testing.assert_close(points, grid)
    twice = torch.stack([down, down]), torch.stack([right, right])
    own = read_points(lattice, READERS[name](twice[0], 5), READERS[name](twice[1], 7))
    torch.testing.assert_close(own, grid)


@pytest.mark.parametrize(("name", "degree"), [("linear", 1), ("cubic", 2)])
def test_polynomials_are_read_exactly_inside(name, degree):
    places = coords(50) * 0.6  # two cells from the border
    values = centers(9, dtype=torch.double) ** degree
    read = READERS[name](places, 9)
    torch.testing.assert_close((values[read.cells] * read.weights).sum(-1), places**degree)

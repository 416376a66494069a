"""Principal components: an orthonormal basis, optimal for what it was fitted on, that survives being stored."""

from itertools import pairwise

import pytest
import torch
from safetensors.torch import save_file

from experiments.release.pca_basis import fit, floor, random_cells, save
from tokenfield.data.demo_pictures import held_out_pictures
from tokenfield.errors import UserError
from tokenfield.evaluation.pca import (
    Basis,
    floor_of,
    from_cells,
    orthonormal,
    reconstruct,
    to_cells,
    values_per_cell,
)

CELL = 3


def smooth(height, width, seed=0):
    """A random picture whose neighbouring pixels are alike, as in photographs."""
    coarse = torch.rand(1, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[0].clamp(0, 1)


@pytest.fixture(scope="module")
def basis():
    return fit((smooth(31, 37, seed) for seed in range(5)), cell=CELL, cells_per_picture=211)


@pytest.mark.parametrize("size", [(6, 9), (7, 11), (1, 1), (2, 13)])
def test_cells_and_back_is_the_identity(size):
    picture = smooth(*size)
    cells = to_cells(picture, CELL)
    assert cells.shape == (-(-size[0] // CELL) * -(-size[1] // CELL), 3 * CELL**2)
    assert torch.equal(from_cells(cells, *size, CELL), picture)


def test_a_cell_is_a_square_of_the_picture():
    picture = smooth(6, 9)
    assert torch.equal(to_cells(picture, CELL)[4].unflatten(0, (3, CELL, CELL)), picture[:, 3:6, 3:6])


def test_random_cells_are_squares_of_the_picture_and_repeat_with_the_seed():
    picture = torch.arange(3 * 7 * 11.0).view(3, 7, 11)
    cells = random_cells(picture, 53, CELL, seed=1)
    assert torch.equal(cells, random_cells(picture, 53, CELL, seed=1))
    assert not torch.equal(cells, random_cells(picture, 53, CELL, seed=2))
    first = cells[0].unflatten(0, (3, CELL, CELL))
    top, left = divmod(int(first[0, 0, 0]), 11)
    assert torch.equal(first, picture[:, top : top + CELL, left : left + CELL])


def test_basis_is_orthonormal_and_sorted_by_variance(basis):
    torch.testing.assert_close(basis.components @ basis.components.T, torch.eye(27), atol=1e-5, rtol=0)
    cells = torch.cat([random_cells(smooth(31, 37, s), 211, CELL, s) for s in range(5)]) - basis.mean
    variance = (cells @ basis.components.T).var(0)
    assert (variance[:-1] >= variance[1:] - 1e-6).all()
    assert (basis.cells, basis.pictures) == (5 * 211, 5)


def test_all_components_give_the_picture_and_more_are_never_worse(basis):
    picture = smooth(13, 17, seed=11)
    torch.testing.assert_close(reconstruct(basis, picture, 27), picture, atol=1e-5, rtol=0)
    errors = [(reconstruct(basis, picture, n) - picture).square().mean() for n in (0, 1, 3, 9, 27)]
    # Cells past the edge are padded, so the visible error is not strictly that of whole cells; smooth pictures obey.
    assert all(more <= fewer + 1e-9 for fewer, more in pairwise(errors))


def test_no_linear_code_of_the_same_size_does_better_on_what_was_fitted():
    pictures = [smooth(30, 36, seed) for seed in range(3)]
    cells = torch.cat([to_cells(picture, CELL) for picture in pictures])
    mean = cells.mean(0)
    _, _, rows = torch.linalg.svd(cells - mean, full_matrices=True)
    best = Basis(mean, rows.contiguous(), cell=CELL)                     # the optimum, by Eckart and Young
    draw = torch.Generator().manual_seed(3)
    other = Basis(mean, orthonormal(torch.randn(27, 27, generator=draw)), cell=CELL)
    basis = fit(pictures, cell=CELL, cells_per_picture=4001)            # nearly all of their cells
    scores = [floor(b, pictures, 1 / 9).mean() for b in (best, basis, other)]
    assert scores[0] >= scores[1] - 1e-3 > scores[2]
    assert scores[1] > scores[0] - 0.3


def test_first_n_components_survive_storage_in_half_precision(basis, tmp_path):
    path = tmp_path / "basis.safetensors"
    save(basis, path)
    loaded = Basis.load(path)
    assert (loaded.cell, loaded.cells, loaded.pictures, loaded.seed) == (CELL, 1055, 5, 0)
    picture = smooth(12, 18, seed=7)
    for n in (1, 5, 13):
        assert abs((reconstruct(loaded, picture, n) - reconstruct(basis, picture, n)).max()) < 2e-3
    torch.testing.assert_close(reconstruct(loaded, picture, 27), picture, atol=1e-5, rtol=0)


def test_a_budget_is_never_exceeded():
    for shape in ((3, 8, 8), (3, 9, 8), (3, 256, 256), (3, 1, 1), (3, 61, 67)):
        cells = -(-shape[1] // 8) * -(-shape[2] // 8)
        for budget in (1, 7.5, 96, 10_000):
            count = values_per_cell(shape, 8, budget)
            assert count * cells <= budget + 1e-3 and 0 <= count <= 192
    assert values_per_cell((3, 256, 256), 8, 0.5 * 3 * 256 * 256) == 96


def test_floor_falls_with_the_rate(basis):
    picture = smooth(31, 37, seed=9)
    scores = [floor(basis, [picture], rate).item() for rate in (1.0, 1 / 3, 1 / 9)]
    assert scores[0] > scores[1] > scores[2]
    assert floor_of(basis, picture, picture.numel() / 9) == pytest.approx(scores[2])


def test_small_pictures_are_left_out_of_a_fit_and_too_few_cells_are_refused():
    pictures = [smooth(2, 37), smooth(31, 37)]
    assert fit(pictures, cell=CELL, cells_per_picture=211).pictures == 1
    with pytest.raises(UserError, match="more cells than it has components"):
        fit(pictures[:1], cell=CELL)
    with pytest.raises(UserError, match="more cells"):
        fit(pictures, cell=CELL, cells_per_picture=5)


@pytest.mark.parametrize("content", ["missing", "foreign", "damaged", "folder"])
def test_files_that_hold_no_basis(content, tmp_path):
    path = tmp_path / "basis.safetensors"
    if content == "foreign":
        save_file({"mean": torch.zeros(3)}, path)
    elif content == "damaged":
        path.write_bytes(b"x" * 100)
    elif content == "folder":
        path.mkdir()
    with pytest.raises(UserError, match="PCA basis") as raised:
        Basis.load(path)
    assert "\n" not in str(raised.value)


def test_other_channels_are_refused(basis):
    with pytest.raises(UserError, match="3 channels"):
        reconstruct(basis, torch.rand(1, 9, 9), 5)


def test_the_packaged_basis_gives_what_its_description_says():
    """45.97 dB at one value per two pixel values on the held-out photographs; 33.45 at one per eight."""
    basis, pictures = Basis.load(), [picture for _, picture in held_out_pictures(256)]
    assert len(basis.mean) == 192
    assert floor(basis, pictures, 1 / 2).mean().item() == pytest.approx(45.97, abs=0.02)
    assert floor(basis, pictures, 1 / 8).mean().item() == pytest.approx(33.45, abs=0.02)

"""LAINR's decoder as one kernel: how its matrices are packed, and that it answers as the exact decoder does."""

import shutil
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenfield import Field, psnr
from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.io import native
from tokenfield.models.anr import AnrConfig
from tokenfield.models.lainr import LainrConfig
from tokenfield.nn import fused
from tokenfield.nn.fused import BLOCK, pack, shares

AMX = torch.cpu.get_capabilities().get("amx_bf16", False) and shutil.which("g++")
here = pytest.mark.skipif(not AMX, reason="no AMX, or no C++ compiler")
SMALL = LainrConfig(size=(14, 14), patch=7, padding=0, num_latents=13, latent_dim=6, encoder_dim=12, encoder_depth=1,
                    encoder_heads=3, dim=64, feature_dim=24, sigma_q=2.0, sigmas=(8.0, 4.0, 2.0), heads=2)


def build(config: LainrConfig = SMALL, count: int = 2):
    torch.manual_seed(0)
    return config.build().eval(), torch.randn(count, config.num_latents, config.latent_dim)


@given(st.integers(1, 70), st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_tiles_hold_every_number_once_and_zeros_around(inputs, outputs):
    matrix = torch.arange(1.0, inputs * outputs + 1).remainder(251).view(inputs, outputs)  # exact in bfloat16
    tiles = pack(matrix)
    n, k = tiles.shape[:2]
    again = tiles.permute(1, 2, 4, 0, 3).reshape(32 * k, 16 * n).float()  # row 32 k + 2 r + pair, column 16 n + c
    torch.testing.assert_close(again[:inputs, :outputs], matrix, rtol=0, atol=0)
    assert again.sum() == matrix.sum()


@given(st.integers(1, 1000), st.integers(1, 7))
def test_threads_share_all_points_in_whole_blocks(points, threads):
    parts = list(shares(points, threads))
    assert [at for first, last in parts for at in range(first, last)] == list(range(points))
    assert len(parts) <= threads and all(first % BLOCK == 0 for first, _ in parts)


@here
@pytest.mark.parametrize("change", [
    {}, {"heads": 4}, {"num_latents": 64, "dim": 96, "heads": 3}, {"channels": 1}, {"channels": 16}, {"sigmas": (4.0,)},
    {"dim": 96, "heads": 2}, {"dim": 32, "heads": 1, "num_latents": 1},
])
def test_the_kernel_is_within_55_db_of_the_exact_decoder(change):
    model, tokens = build(replace(SMALL, **change))
    quick, grid = model.fused(), Grid.cells(11, 23)
    points = torch.rand(2, 17, 2) * 2 - 1
    with torch.no_grad():
        for coords in (grid, points[0], points, points[0, :0]):  # a grid, points of all, points of each, none
            exact, found = model.decode(tokens, coords), quick.decode(tokens, coords)
            assert found.shape == exact.shape and found.dtype == torch.float32
            assert not found.numel() or psnr(found[None], exact[None]).item() > 55


@here
def test_chunks_and_threads_change_no_bit():
    model, tokens = build()
    quick, grid, threads = model.fused(), Grid.cells(37, 41), torch.get_num_threads()
    whole = quick.decode(tokens, grid)
    torch.testing.assert_close(quick.decode(tokens, grid, chunk=97), whole, rtol=0, atol=0)
    try:
        torch.set_num_threads(3)
        torch.testing.assert_close(quick.decode(tokens, grid), whole, rtol=0, atol=0)
    finally:
        torch.set_num_threads(threads)


@here
def test_scores_of_any_size_leave_shares():
    """The largest score is subtracted first: nothing overflows; rounding may decide near ties."""
    model, tokens = build()
    with torch.no_grad():
        exact, found = (one.decode(1000 * tokens, Grid.cells(5, 7)) for one in (model, model.fused()))
    assert found.isfinite().all() and (found - exact).abs().mean() < 0.02 * exact.abs().mean()


@here
def test_a_field_renders_by_it_and_under_autocast_too():
    model, _ = build()
    field = Field.of(model, torch.rand(3, 19, 17))
    exact, quick = field.render(31, 29), field.fused().render(31, 29)
    assert psnr(quick[None], exact[None]).item() > 55
    torch.testing.assert_close(field.fused().render(31, 29, dtype=torch.bfloat16), quick, rtol=0, atol=1e-2)


@here
def test_what_it_cannot_do_is_one_line():
    model, tokens = build()
    with pytest.raises(UserError, match="no gradient"):
        model.fused().decode(tokens.requires_grad_(), Grid.cells(3, 3))
    with pytest.raises(UserError, match="no gradient"):
        model.fused().decode(tokens.detach(), torch.zeros(3, 2, requires_grad=True))
    with pytest.raises(UserError, match="17 values per coordinate"):
        build(replace(SMALL, channels=17))[0].fused()
    for change in ({"dim": 40}, {"heads": 8}):
        with pytest.raises(UserError, match="heads in a width of"):
            build(replace(SMALL, **change))[0].fused()
    with pytest.raises(UserError, match=r"Eq. 6 and 7"):
        build(replace(SMALL, linear_modulation=False))[0].fused()
    with pytest.raises(UserError, match="LAINR's own"):
        AnrConfig(size=(14, 14), patch=7, padding=0, num_latents=4).build().fused()


def test_without_amx_it_says_so(monkeypatch):
    fused.kernel.cache_clear()
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    with pytest.raises(UserError, match="AMX"):
        build()[0].fused()


def test_without_a_compiler_it_names_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("TOKENFIELD_CACHE", str(tmp_path))
    source = tmp_path / "wrong.cpp"
    source.write_text("no such language", encoding="utf-8")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match=r"wrong.cpp needs a C\+\+ compiler"):
        native.library(source)
    if shutil.which("g++"):
        monkeypatch.setenv("CXX", "g++")
        with pytest.raises(UserError, match=r"cannot compile wrong.cpp: .*error"):
            native.library(source)

"""What is computed for more accelerators follows from sizes."""

import pytest

from benchmarks import scale


def test_a_ring_moves_every_gradient_twice_and_one_accelerator_none():
    rows = {(row["what"], row["accelerators"]): row for row in scale.computed(scale.Options(gbytes=1.0))}
    lainr = [rows["LAINR, 178 px", count] for count in (1, 8, 64)]
    assert [row["moved_mb"] for row in lainr] == pytest.approx([0, 7 / 8 * 2 * 4 * 44.076294, 63 / 64 * 8 * 44.076294])
    assert lainr[0]["instances_per_s"] == pytest.approx(16e3 / lainr[0]["compute_ms"])
    assert lainr[2]["instances_per_s"] == pytest.approx(1024e3 / lainr[2]["exchange_ms"])  # a slow link decides


def test_tokens_of_imagenet():
    assert scale.latents(scale.Options())["terabytes_fp16"] == pytest.approx(2 * 256 * 256 * 1_281_167 / 1e12)

"""The ladder of rates: rows per prefix, gains as differences, a table that a person reads."""

import pytest
import torch

from experiments.ladder.measure import beside, draw, rate_table, score_rates
from tokenfield.evaluation.pca import Basis, floor_of
from tokenfield.fields.field import Field
from tokenfield.metrics import psnr
from tokenfield.models.pca_mixture import PcaMixtureConfig


def test_rows_are_prefixes_and_gains_are_means_of_differences(tmp_path):
    torch.manual_seed(0)
    config = PcaMixtureConfig(codes=3, prefixes=(24, 96))
    model = config.build().eval()
    model.subspaces.components.copy_(torch.linalg.qr(torch.randn(3, 192, 95))[0])
    pictures = [("a", torch.rand(3, 16, 24)), ("b", torch.rand(3, 17, 9))]
    basis = Basis.load()
    rows = score_rates(model, pictures, basis)
    assert [row["prefix"] for row in rows] == [24, 96]
    assert [row["values_per_pixel_value"] for row in rows] == [1 / 8, 1 / 2]
    name, picture = pictures[1]
    nested = Field.of(model, picture).prefix(24).render(17, 9)
    assert rows[0]["pictures"][name]["prefix_psnr"] == pytest.approx(psnr(nested[None], picture[None]).item(), abs=1e-4)
    prefix = Field.of(model, picture, rate=1 / 8)
    ours = psnr(prefix.render(17, 9)[None], picture[None]).item()
    assert rows[0]["pictures"][name]["psnr"] == pytest.approx(ours, abs=1e-4)
    assert rows[0]["pictures"][name]["pca_psnr"] == pytest.approx(floor_of(basis, picture, 24 * 6), abs=1e-4)
    gains = [p["psnr"] - p["pca_psnr"] for p in rows[1]["pictures"].values()]
    assert rows[1]["gain"] == pytest.approx(sum(gains) / 2)
    assert "| 1/8 |" in rate_table("toy", rows) and "(2 pictures)" in rate_table("toy", rows)
    draw({"toy": rows}, tmp_path / "ladder.png")
    assert (tmp_path / "ladder.png").stat().st_size > 1000


def test_other_models_stand_beside_the_rows():
    def rows(gain: float, prefixes=(24, 96)) -> list[dict]:
        numbers = {"psnr": 30 + gain, "pca_psnr": 30.0, "prefix_psnr": 29.0, "gain": gain, "gain_deviation": 0.5}
        return [{"prefix": n, "values_per_pixel_value": n / 192, "pictures": {"a": {}}, **numbers} for n in prefixes]

    ours = rows(2.0)
    beside(ours, [rows(3.0), rows(4.0)], [rows(2.5, (24,))])
    assert [row["seeds_gain"] for row in ours] == [3.0, 3.0]
    assert [row["seeds_deviation"] for row in ours] == [1.0, 1.0]
    text = rate_table("toy", ours).splitlines()
    assert text[2].endswith("| gain, 3 seeds | a model of this rate alone, dB |")
    assert text[4].endswith("| +3.00 ± 1.00 | 32.50 |") and text[5].endswith("| +3.00 ± 1.00 | - |")
    assert len({line.count("|") for line in text[2:]}) == 1

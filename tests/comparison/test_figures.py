"""Curves: every system is in the figure, over steps or over seconds, whichever the budget is."""

from contextlib import contextmanager
from unittest.mock import MagicMock

import pytest

from tokenfield.comparison import report


def run(seed: int, psnr: float) -> dict:
    """What `running.run` returns, as far as a figure needs it."""
    curve = [{"step": step, "seconds": step * (1.5 + seed), "psnr": psnr - 8 + step} for step in (2, 4, 8)]
    return {"seed": seed, "psnr": psnr, "curve": curve}


@pytest.mark.parametrize(("budget", "axis", "lines"), [("steps=8", "step", 3), ("seconds=20", "seconds", 2)])
def test_curves_show_every_system(budget, axis, lines, monkeypatch, tmp_path):
    """Eight, which are more than there are colours; over steps two seeds and their mean, over seconds two seeds."""
    axes, labels = MagicMock(), {}

    @contextmanager
    def plot(path, **options):
        labels.update(options)
        yield axes

    monkeypatch.setattr(report, "plot", plot)
    rows = [{"label": f"{k}", "psnr": 20.0 + k, "values_stored": 576, "runs": [run(0, 20.0 + k), run(1, 20.0 + k)]}
            for k in range(8)]
    report.curves({"title": "t", "budget": budget, "rows": rows}, tmp_path / "figure.png")
    calls = axes.plot.call_args_list
    assert labels["xlabel"] == axis and len(calls) == lines * 8
    assert len({call.kwargs["label"] for call in calls if call.kwargs.get("label")}) == 8
    assert len({(call.kwargs["color"], call.args[2]) for call in calls}) == 8  # told apart by colour and line

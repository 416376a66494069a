"""The factorial as a table: its rows, and what their results say about every change.

Beside the sixteen runs of the design and the eight without content: every change by itself added to LAINR, every change
by itself taken from all of them, and all of them with no block in the encoder.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from operator import itemgetter
from typing import Any

from experiments.factorial import recipes as factorial
from experiments.factorial.recipes import FACTORS
from experiments.tables.rows import Row, Table
from tokenfield.comparison.held_out import HeldOut
from tokenfield.errors import UserError
from tokenfield.evaluation import tables
from tokenfield.training.recipe import Recipe

SHAPES = {"miniature": "16-pixel crops, 16 tokens of 36 values (experiments/factorial/recipes.py); one thread"}
NAMES = {"muon": "Muon", "shallow": "one block, not two", "skip": "linear skip", "relative": "relative head",
         "multiplicative": "multiplicative", "distance": "distance term", "anchors": "anchors"}
"""What tables and figures call the changes."""


@dataclass(frozen=True)
class FactorRow(Row):
    """LAINR with the changes that `changes` names."""

    def at(self, scale: str, seed: int) -> Recipe:
        """The run of this row."""
        if scale not in SHAPES:
            raise UserError(f"row {self.label}: the factorial exists in miniature alone; leave out --scale {scale}")
        return factorial.factorial(self.changes, seed)

    def held_out(self, scale: str) -> HeldOut:
        """Every test picture at every scale, all of its pixels."""
        return HeldOut(factorial.held_out())


def _row(label: str, *, extra: bool = False, **changes: Any) -> FactorRow:
    full = {name: bool(changes.get(name)) for name in FACTORS}
    others = {name: value for name, value in changes.items() if name not in FACTORS}
    return FactorRow(label, "factorial", changes=full | others, extra=extra)


def _named(run: dict[str, bool]) -> str:
    on = [NAMES[name] for name in FACTORS if run[name]]
    return "LAINR" if not on else "all changes" if len(on) == len(FACTORS) else "LAINR + " + ", ".join(on)


def rows() -> tuple[FactorRow, ...]:
    """LAINR and all changes first, and what is nested last, so that a table that is stopped early has the design."""
    everything = dict.fromkeys(FACTORS, True)
    design = sorted(factorial.design(), key=lambda run: 0 < sum(run.values()) < len(FACTORS))
    designed = [_row(_named(run), **run) for run in design]
    by_distance = [run for run in design if run["distance"]]
    without = [_row(_named(run) + "; no content", extra=True, **run, content=False) for run in by_distance]
    ablations = [_row(f"all but {NAMES[name]}", **everything | {name: False}) for name in FACTORS]
    added = [_row(f"LAINR + {NAMES[name]}", **{name: True}) for name in FACTORS]
    return (*designed, *ablations, *added, *without, _row("all changes; 0 blocks", extra=True, **everything, depth=0))


def factorial_table() -> Table:
    """The study."""
    return Table(
        "Which change to LAINR carries the gain",
        rows(),
        "nowhere: the changes are this project's own",
        figure="factorial",
        expected="locality (anchors, distance, relative head) and Muon carry it",
        shapes=SHAPES,
        measured_on="held-out pictures: the middle of every test picture at every scale, 16 x 16 pixels, unclamped",
    )


def analysis(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Effects in dB with their standard errors, from the rows of a table's JSON.

    The standard error of a run's mean comes from the differences between seeds, pooled over all runs. An effect of the
    design is the mean of eight runs less the mean of eight others.

    Returns:
        `main`, `aliased` (sums of interactions of two), `content`, `taken`, `added`: lists of {name, effect, error};
        `error` is None with one seed. What is not measured yet is left out.
    """
    measured = [row for row in rows if row["psnr"] is not None]
    psnr = {_key(row["changes"]): row["psnr"] for row in measured}
    spreads = [statistics.variance([run["psnr"] for run in row["runs"]]) for row in measured if row["seeds"] > 1]
    seeds = min((row["seeds"] for row in measured), default=0)
    error = math.sqrt(statistics.fmean(spreads) / seeds) if spreads else None  # of the mean of one run

    def effect_of(name: str, effect: float, runs: int) -> dict[str, Any]:
        """Of `runs` means on each side."""
        return {"name": name, "effect": round(effect, 3), "error": error and round(error * math.sqrt(2 / runs), 3)}

    design = factorial.design()
    effects: dict[str, Any] = {key: [] for key in ("main", "aliased", "content", "taken", "added")}
    effects["error_of_a_row"] = error
    if all(_key(run) in psnr for run in design):
        values = [psnr[_key(run)] for run in design]

        def contrast(sign: Callable[[dict[str, bool]], bool]) -> float:
            return sum(v if sign(run) else -v for v, run in zip(values, design, strict=True)) / 8

        effects["main"] = [effect_of(NAMES[f], contrast(itemgetter(f)), 8) for f in FACTORS]
        for group in aliases():
            name = " + ".join(f"{NAMES[a]} x {NAMES[b]}" for a, b in group)
            effects["aliased"].append(effect_of(name, contrast(partial(_agree, group[0])), 8))
    pairs = [(psnr[_key(run)], psnr[_key(run | {"content": False})]) for run in design
             if run["distance"] and {_key(run), _key(run | {"content": False})} <= set(psnr)]
    if len(pairs) == 8:
        gain = statistics.fmean(a - b for a, b in pairs)
        effects["content"] = [effect_of("content, where there is distance", gain, 8)]
    everything, nothing = dict.fromkeys(FACTORS, True), dict.fromkeys(FACTORS, False)
    whole, lainr = psnr.get(_key(everything)), psnr.get(_key(nothing))
    others: dict[str, dict[str, Any]] = {NAMES[f]: everything | {f: False} for f in FACTORS}
    others |= {"content": everything | {"content": False}, "the last block (0 left)": everything | {"depth": 0}}
    for name, run in others.items():
        if whole is not None and _key(run) in psnr:
            effects["taken"].append(effect_of(name, psnr[_key(run)] - whole, 1))
    for f in FACTORS:
        if lainr is not None and _key(run := nothing | {f: True}) in psnr:
            effects["added"].append(effect_of(NAMES[f], psnr[_key(run)] - lainr, 1))
    return effects


def _agree(pair: tuple[str, str], run: dict[str, bool]) -> bool:
    """The sign of their product."""
    return run[pair[0]] == run[pair[1]]


def _key(changes: dict[str, Any]) -> tuple:
    return (*(bool(changes[name]) for name in FACTORS), changes.get("content", True), changes.get("depth"))


def aliases() -> list[list[tuple[str, str]]]:
    """Pairs of changes whose interactions the design cannot tell apart, as they fall together in its columns."""
    design, groups = factorial.design(), defaultdict(list)
    for a, b in combinations(FACTORS, 2):
        groups[tuple(run[a] == run[b] for run in design)].append((a, b))
    return list(groups.values())


def findings(effects: dict[str, Any]) -> list[str]:
    """The analysis as Markdown."""
    titles = {"main": "main effect (8 runs with, 8 without)", "content": "nested effect (8 pairs)",
              "taken": "taken from all changes", "added": "added to LAINR",
              "aliased": "interactions of two, as far as the design tells them apart"}
    lines = []
    for key, title in titles.items():
        items = sorted(effects[key], key=lambda item: -abs(item["effect"]))
        rows = [[item["name"], f"{item['effect']:+.2f}", tables.number(item["error"])] for item in items]
        lines += ["", tables.markdown([[title, "dB", "standard error"], *rows])] if rows else []
    return lines

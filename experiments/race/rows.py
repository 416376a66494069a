"""The race as a table: rows are systems at a size, measured on the same pictures whatever they are trained on."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from experiments.race import recipes as race
from experiments.tables.rows import Row, Table
from tokenfield.comparison.held_out import FINAL_SIDE, SIDE, HeldOut
from tokenfield.comparison.report import reached
from tokenfield.errors import UserError
from tokenfield.evaluation import tables
from tokenfield.training.recipe import Recipe

SHAPES = {
    "miniature": "networks that a core trains in minutes (experiments/race/recipes.py), pictures of 64 to 1024 pixels",
    "photos": "the papers' sizes, in bfloat16; for an accelerator",
}


@dataclass(frozen=True)
class RaceRow(Row):
    """A system at a size; `recipe` names both."""

    system: str = ""
    size: int = 0

    def at(self, scale: str, seed: int) -> Recipe:
        """The run of this row: for a core (miniature), or in the papers' sizes (photos)."""
        if scale not in SHAPES:
            raise UserError(f"row {self.label}: the race is run on photographs; give --scale photos or miniature")
        return race.race(self.system, self.size, full=scale == "photos", seed=seed)

    def held_out(self, scale: str) -> HeldOut:
        """The middle of every test picture, for all systems alike."""
        return HeldOut(race.held_out(self.size))


def rows(*sizes: int) -> tuple[RaceRow, ...]:
    """All systems at the sizes."""
    return tuple(
        RaceRow(f"{label}, {size}", f"race-{system}-{size}", extra=system in race.EXTRA, system=system, size=size)
        for size in sizes
        for system, (label, _) in race.SYSTEMS.items()
    )


def race_table(*sizes: int) -> Table:
    """The race at the sizes."""
    return Table(
        "Same pictures, same stored values, same processor seconds",
        rows(*sizes),
        "nowhere: equal budgets are this project's own",
        figure="race",
        expected="LAINR (local start) at IPC's final PSNR in at most a tenth of its steps, anchored in a twentieth",
        shapes=SHAPES,
        measured_on="held-out pictures: the middle of every test picture at every scale that holds it, at 512 and "
        f"1024 pixels at full scale alone; at most {FINAL_SIDE} x {FINAL_SIDE} evenly spread pixels of each ({SIDE} x "
        f"{SIDE} along the curves), at their centres, unclamped; the same ones for all systems",
    )


def analysis(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """When LAINR and the anchored systems reach IPC's final PSNR, from the rows of a table's JSON.

    Means over the seeds, of each against IPC with the same seed; steps and seconds are interpolated between the
    measurements of a curve, and are those of the first one where that is above already.

    Returns:
        Per system and size: `goal` (IPC's PSNR), its `ipc_steps` and `ipc_seconds`, and the anchored system's `steps`
        and `seconds`, None where a seed does not reach it.
    """
    by_name = {row["recipe"]: row for row in rows if row["psnr"] is not None}
    crossings = []
    for size in race.SIZES:
        for system in ("lainr-published", "lainr", "anchored-random", "anchored"):
            ipc, other = by_name.get(f"race-ipc-{size}"), by_name.get(f"race-{system}-{size}")
            if ipc is None or other is None:
                continue
            goals = {run["seed"]: run for run in ipc["runs"] if run.get("curve")}
            pairs = [(goals[run["seed"]], run) for run in other["runs"] if run.get("curve") and run["seed"] in goals]
            if not pairs:
                continue
            when = {
                key: [reached([(point[key], point["psnr"]) for point in run["curve"]], goal["curve"][-1]["psnr"])
                      for goal, run in pairs]
                for key in ("step", "seconds")
            }
            means = {key: mean_if_all(at) for key, at in when.items()}
            crossings.append({
                "size": size, "system": race.SYSTEMS[system][0], "goal": statistics.fmean(g["psnr"] for g, _ in pairs),
                "ipc_steps": round(statistics.fmean(g["steps"] for g, _ in pairs)),
                "ipc_seconds": round(statistics.fmean(g["seconds"] for g, _ in pairs), 1),
                "steps": means["step"], "seconds": means["seconds"],
            })  # fmt: skip
    return crossings


def mean_if_all(values: list[float | None]) -> float | None:
    """Their mean to a tenth; None if one of them is None."""
    numbers = [value for value in values if value is not None]
    return round(statistics.fmean(numbers), 1) if len(numbers) == len(values) else None


def findings(crossings: list[dict[str, Any]]) -> list[str]:
    """The analysis as Markdown."""
    if not crossings:
        return []
    when = "after steps, seconds"
    rows = [["size", "IPC ends at, dB", when, "reached by", when, "share of steps"]]
    for item in crossings:
        place, share = "not reached", "-"
        if item["steps"] is not None:
            place, share = f"{item['steps']:g}, {item['seconds']:g}", f"1/{item['ipc_steps'] / item['steps']:.0f}"
        rows.append([str(item["size"]), f"{item['goal']:.2f}", f"{item['ipc_steps']}, {item['ipc_seconds']:g}",
                     item["system"], place, share])
    return ["", tables.markdown(rows)]

"""All runs of a table -> one JSON file, a Markdown table and a figure, in a folder named after the table."""

import json
import statistics
from pathlib import Path
from typing import Any

from experiments.factorial import figure as factorial_figure
from experiments.factorial import rows as factorial
from experiments.race import figure as race_figure
from experiments.race import rows as race
from experiments.tables.rows import Table
from tokenfield.comparison.figures import FIGURES
from tokenfield.evaluation.protocols import PROTOCOLS
from tokenfield.io.atomic import written_aside

HEADING = (
    "system", "PSNR, dB", "seeds", "published", "values stored", "per pixel value", "parameters",
    "MACs / pixel, encode", "MACs / pixel, decode", "peak memory, MB", "steps", "seconds", "locality",
)  # fmt: skip


DRAWN = FIGURES | {"race": race_figure.race, "factorial": factorial_figure.effects}
"""Every figure by what `Table.figure` calls it."""

ANALYSES: dict[str, Any] = {"race": race, "factorial": factorial}
"""Modules with `analysis(rows)` and `said(found)`, for tables whose rows say something together."""


def gather(name: str, table: Table, results: dict[str, list[dict]], circumstances: dict[str, Any]) -> dict[str, Any]:
    """What the JSON file holds.

    Args:
        name: of the table.
        table: its rows.
        results: by the label of a row, the results of its seeds so far.
        circumstances: command, budget, scale, seeds.
    """
    rows = []
    for row in table.rows:
        runs = sorted(results.get(row.label, []), key=lambda run: run["seed"])
        rows.append({"label": row.label, "recipe": row.recipe, "changes": dict(row.changes), "extra": row.extra,
                     "published": row.published, **summary(runs), "runs": runs})
        rows[-1] |= difference(runs, results.get(table.reference, []))
    return {
        "table": name,
        "title": table.title,
        "source": table.source,
        "expected": table.expected,
        "reference": table.reference,
        "shape": table.shapes[circumstances["scale"]],
        "protocol": PROTOCOLS["recipe"].describe("recipe"),
        "measured_on": table.measured_on,
        **circumstances,
        **({"analysis": ANALYSES[table.figure].analysis(rows)} if table.figure in ANALYSES else {}),
        "rows": rows,
    }


def summary(runs: list[dict]) -> dict[str, Any]:
    """Means over the seeds of a row, and the standard deviation of PSNR between them."""
    good = [run for run in runs if not run.get("failure")]
    facts: dict[str, Any] = {"seeds": len(good), "failed": len(runs) - len(good)}
    if not good:
        return facts | {"psnr": None, "deviation": None}
    values = [run["psnr"] for run in good]
    memory = good[0].get("peak_memory")  # measured once for all seeds
    areas = [run["locality"] for run in good if run["locality"] is not None]
    first = good[0]
    return facts | {
        "psnr": round(statistics.fmean(values), 3),
        "deviation": round(statistics.stdev(values), 3) if len(values) > 1 else None,
        "values_stored": first["values_stored"],
        "values_per_pixel_value": round(first["values_per_pixel_value"], 4),
        "parameters": first["parameters"],
        "macs_per_pixel": first["macs_per_pixel"],
        "peak_memory": memory,
        "steps": round(statistics.fmean(run["steps"] for run in good)),
        "seconds": round(statistics.fmean(run["seconds"] for run in good), 1),
        "locality": round(statistics.fmean(areas), 4) if areas else None,
    }


def difference(runs: list[dict], others: list[dict]) -> dict[str, Any]:
    """By how much a row is above another, seed by seed: what a seed does to both of them cancels."""
    by_seed = {run["seed"]: run["psnr"] for run in others if not run.get("failure")}
    values = [run["psnr"] - by_seed[run["seed"]] for run in runs if not run.get("failure") and run["seed"] in by_seed]
    if not values:
        return {"above_reference": None, "above_reference_deviation": None}
    spread = round(statistics.stdev(values), 3) if len(values) > 1 else None
    return {"above_reference": round(statistics.fmean(values), 3), "above_reference_deviation": spread}


def above(row: dict[str, Any], reference: str) -> list[str]:
    """A cell for that, where a table has a reference."""
    if not reference:
        return []
    mean, spread = row["above_reference"], row["above_reference_deviation"]
    if mean is None or row["label"] == reference:
        return ["-"]
    return [f"{mean:+.2f}" + (f" ± {spread:.2f}" if spread is not None else "")]


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the Markdown table."""
    published = "-" if row["published"] is None else f"{row['published']:.2f}"
    if row["psnr"] is None:
        return [row["label"], "diverged" if row["failed"] else "-", str(row["seeds"]), published, *["-"] * 9]
    spread = "" if row["deviation"] is None else f" ± {row['deviation']:.2f}"
    memory, area, macs = row["peak_memory"], row["locality"], row["macs_per_pixel"]
    return [
        row["label"],
        f"{row['psnr']:.2f}{spread}",
        f"{row['seeds']}" + (f" ({row['failed']} diverged)" if row["failed"] else ""),
        published,
        str(row["values_stored"]),
        f"{row['values_per_pixel_value']:.2f}",
        str(row["parameters"]),
        *("-" if count is None else f"{count:.0f}" for count in (macs["encode"], macs["decode"])),
        "-" if memory is None else f"{memory / 1e6:.0f}",
        str(row["steps"]),
        f"{row['seconds']:.0f}",
        "-" if area is None else f"{area:.3f}",
    ]


def markdown(data: dict[str, Any]) -> str:
    """The table for people, with all that is needed to read it."""
    reference = data.get("reference", "")
    heading = [*HEADING[:2], *([f"above {reference}, same seeds"] if reference else []), *HEADING[2:]]
    told = [(row, cells(row)) for row in data["rows"]]
    body = [line[:2] + above(row, reference) + line[2:] for row, line in told]
    lines = ["| " + " | ".join(line) + " |" for line in (heading, ["---"] * len(heading), *body)]
    pictures = next((len(run["pictures"]) for row in data["rows"] for run in row["runs"] if "pictures" in run), 0)
    machines = [run["machine"] for row in data["rows"] for run in row["runs"] if "machine" in run]
    machine: dict[str, Any] = machines[0] if machines else {}
    where = f"{machine.get('device', '-')} ({machine.get('name', '-')}), {machine.get('threads', '-')} threads"
    notes = [
        f"# {data['title']}",
        "",
        f"`{data['command']}`",
        "",
        *lines,
        *(ANALYSES[data["figure"]].said(data["analysis"]) if "analysis" in data else []),
        "",
        f"- published: {data['source']}. At the published scale, so the order of rows compares, not the decibels.",
        f"- expected: {data['expected']}." if data["expected"] else "",
        f"- scale: {data['scale']}, {data['shape']}.",
        f"- budget of every row: {data['budget']}; seeds: {', '.join(map(str, data['seed_list']))}.",
        f"- {data['measured_on']}." if data.get("measured_on") else
        f"- {pictures} held-out pictures, the same for all rows: {data['protocol']['pictures']}; "
        f"{said(data['protocol'])}.",
        "- Means over pictures, then mean ± standard deviation over seeds"
        + (", also of the difference between two rows with the same seed." if reference else "."),
        "- MACs: multiply-adds of matrix products and attention, per pixel of one picture. Peak memory: of two steps "
        "of training in a process of their own, beyond what it held before them. Seconds: of training alone. Locality: "
        "mean share of a picture that holds 90 % of what zeroing a token changes; small is local.",
        f"- measured on {where}; {data['date']}.",
    ]  # fmt: skip
    return "\n".join(note for i, note in enumerate(notes) if note or i < 6 or notes[i - 1].startswith("|")) + "\n"


def said(protocol: dict[str, str]) -> str:
    """A protocol in one line."""
    parts = (f"{key}: {value}" for key, value in protocol.items() if key not in ("name", "pictures"))
    return "; ".join(parts)


def write(data: dict[str, Any], folder: Path, *, figure: bool) -> list[Path]:
    """The files of a table; each is whole or absent.

    Args:
        data: from `gather`.
        folder: where.
        figure: whether to draw, which takes seconds.
    """
    files = [folder / "table.json", folder / "table.md"]
    for path, text in zip(files, (json.dumps(data, indent=1, allow_nan=False) + "\n", markdown(data)), strict=True):
        with written_aside(path) as file:
            file.write(text.encode())
    if figure and any(row["psnr"] is not None for row in data["rows"]):
        files.append(folder / "figure.png")
        DRAWN[data["figure"]](data, files[-1])
    return files

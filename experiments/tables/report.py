"""All runs of a table of the papers -> its JSON, with the published numbers and what its rows say together."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from experiments.factorial import rows as factorial
from experiments.race import rows as race
from experiments.tables.figures import FIGURES
from experiments.tables.rows import Table
from tokenfield.comparison import report
from tokenfield.comparison.report import Results, mean_and_deviation, spread
from tokenfield.evaluation.protocols import PROTOCOLS
from tokenfield.evaluation.tables import number
from tokenfield.io.record import Record

ANALYSES: dict[str, ModuleType] = {"race": race, "factorial": factorial}
"""Modules with `analysis(rows)` and `findings(found)`, for tables whose rows say something together."""
NOTES = {
    "macs_per_pixel": "MACs: multiply-adds of matrix products and attention, per pixel of one picture.",
    "peak_memory": "Peak memory: of two steps of training in a process of their own, beyond what it held before them.",
    "locality": "Locality: mean share of a picture that holds 90 % of what zeroing a token changes; small is local.",
}
"""What the columns mean that stand for these numbers of a row."""


def gather(name: str, table: Table, results: Results, circumstances: Record) -> Record:
    """What the JSON file holds.

    Args:
        name: of the table.
        table: its rows.
        results: by the label of a row, the results of its seeds so far.
        circumstances: command, budget, scale, seeds, date.
    """
    rows = report.gather([row.facts() for row in table.rows], results)
    others = results.get(table.reference, [])
    for row in rows:
        row |= measured(row["runs"]) | difference(row["runs"], others)
    cells = [texts(row, table.reference) for row in rows]
    columns = [heading for heading in cells[0] if heading.startswith("above ") or any(c[heading] != "-" for c in cells)]
    rows = [row | {heading: cell[heading] for heading in columns} for row, cell in zip(rows, cells, strict=True)]
    data = {
        "table": name,
        "title": table.title,
        "source": table.source,
        "expected": table.expected,
        "reference": table.reference,
        "columns": columns,
        "figure": table.figure,
        "shape": table.shapes[circumstances["scale"]],
        "protocol": PROTOCOLS["recipe"].describe("recipe"),
        "measured_on": table.measured_on,
        **circumstances,
        "rows": rows,
    }
    if table.figure in ANALYSES:
        analysis = ANALYSES[table.figure]
        data["analysis"] = analysis.analysis(rows)
        data["findings"] = analysis.findings(data["analysis"])
    return data | {"notes": notes(data)}


def measured(runs: Sequence[Record]) -> Record:
    """What a row's runs measured beside every comparison: what is the same for all seeds, and the mean of locality."""
    good = [run for run in runs if not run.get("failure")]
    areas = [run["locality"] for run in good if run.get("locality") is not None]
    same = {key: good[0][key] for key in ("macs_per_pixel", "peak_memory") if good and key in good[0]}
    return same | {"locality": round(statistics.fmean(areas), 4) if areas else None}


def texts(row: Record, reference: str) -> dict[str, str]:
    """The columns that a table of the papers has beside every comparison's; "-" where a row has no number."""
    macs, memory = row.get("macs_per_pixel", {}), row.get("peak_memory")
    return ({f"above {reference}, same seeds": above(row, reference)} if reference else {}) | {
        "published, dB": number(row["published"]),
        **{f"MACs / pixel, {which}": number(macs.get(which), 0) for which in ("encode", "decode")},
        "peak memory, MB": number(None if memory is None else memory / 1e6, 0),
        "locality, share": number(row["locality"], 3),
    }


def difference(runs: Sequence[Record], others: Sequence[Record]) -> Record:
    """By how much a row is above another, seed by seed: what a seed does to both of them cancels."""
    by_seed = {run["seed"]: run["psnr"] for run in others if not run.get("failure")}
    values = [run["psnr"] - by_seed[run["seed"]] for run in runs if not run.get("failure") and run["seed"] in by_seed]
    return mean_and_deviation(values, "above_reference", "above_reference_deviation")


def above(row: Record, reference: str) -> str:
    """The difference as text."""
    mean = None if row["label"] == reference else row["above_reference"]
    return "-" if mean is None else spread(mean, row["above_reference_deviation"], "+")


def notes(data: Record) -> list[str]:
    """What has to be known to read the table."""
    pictures = next((len(run["pictures"]) for row in data["rows"] for run in row["runs"] if "pictures" in run), 0)
    protocol = data["protocol"]
    how = "; ".join(f"{key}: {value}" for key, value in protocol.items() if key not in ("name", "pictures"))
    return [
        f"published: {data['source']}. At the published scale, so the order of rows compares, not the decibels.",
        *([f"expected: {data['expected']}."] if data["expected"] else []),
        f"scale: {data['scale']}, {data['shape']}.",
        f"{data['measured_on']}." if data["measured_on"] else
        f"{pictures} held-out pictures, the same for all rows: {protocol['pictures']}; {how}.",
        *(f"{heading}: mean ± standard deviation of the differences." for heading in data["columns"]
          if heading.startswith("above ")),
        *(note for key, note in NOTES.items() if any(row.get(key) is not None for row in data["rows"])),
    ]  # fmt: skip


def write(data: Record, folder: Path) -> list[Path]:
    """The files of a table, figure included."""
    return report.write(data, folder, FIGURES[data["figure"]])

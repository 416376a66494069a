"""How well a model gives fields on the sphere back: RMSE in their own units beside PSNR, and beside simpler codes.

Every field is encoded by itself and asked at the centres of its own cells. Squared errors are weighted by the cells'
areas and taken over cells with a value; RMSE and PSNR are those of one field, and means are over fields. The peak of
PSNR is the field's largest minus its smallest value.
"""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from tokenfield.earth.data import Prepared
from tokenfield.earth.globe import Globe, compare, encode_field
from tokenfield.earth.harmonics import FLOORS
from tokenfield.earth.units import canonical
from tokenfield.errors import UserError
from tokenfield.evaluation.environment import machine, versions
from tokenfield.evaluation.evaluate import describe_model, seconds


@dataclass(frozen=True)
class FieldScore:
    """What was measured on one variable of one field."""

    field: str
    """Which moment and level of which file."""
    series: str
    """File and variable."""
    unit: str
    cells: int
    """With a value."""
    rmse: float
    """In the unit, weighted by area."""
    psnr: float
    """dB."""
    deviation: float
    """The field's own standard deviation over its area: what answering its mean everywhere would be wrong by."""
    values_stored: int
    """Tokens, offsets and scales of all variables of the field; the mask of missing cells is not counted."""
    encode_seconds: float
    decode_seconds: float
    floors: dict[str, tuple[float, float]]
    """RMSE and PSNR of codes without training, of no more values than the tokens."""


@dataclass(frozen=True)
class EarthReport:
    """Scores of all fields and how they came about."""

    scores: tuple[FieldScore, ...]
    model: dict[str, Any]
    settings: dict[str, Any]
    machine: dict[str, Any]
    versions: dict[str, str]

    def table(self) -> list[dict[str, Any]]:
        """One row per series: means over its fields."""
        groups: dict[tuple[str, str], list[FieldScore]] = defaultdict(list)
        for score in self.scores:
            groups[score.series, score.unit].append(score)
        return [{"series": series, "unit": unit, **means(group)} for (series, unit), group in groups.items()]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries and lists, summary first."""
        mixed = ("rmse", "deviation")  # of several units: a mean over them means nothing
        every = {key: value for key, value in means(list(self.scores)).items() if not key.endswith(mixed)}
        return {
            "protocol": "each field on its own grid, squared errors weighted by cell area over cells with a value; the "
            "peak of PSNR is the field's largest minus smallest value; then means over fields",
            **every,
            "series": self.table(),
            "settings": self.settings,
            "model": self.model,
            "machine": self.machine,
            "versions": self.versions,
            "scores": [asdict(score) for score in self.scores],
        }


def means(scores: list[FieldScore]) -> dict[str, Any]:
    """Means over fields; seconds are medians."""
    row: dict[str, Any] = {"fields": len(scores)}
    for name in ("rmse", "deviation", "psnr", "values_stored"):
        row[name] = round(statistics.fmean(getattr(score, name) for score in scores), 4)
    for i, what in enumerate(("rmse", "psnr")):
        for floor in scores[0].floors:
            row[f"{floor}_{what}"] = round(statistics.fmean(score.floors[floor][i] for score in scores), 4)
    for name in ("encode_seconds", "decode_seconds"):
        row[name] = round(statistics.median(getattr(score, name) for score in scores), 5)
    return row


def evaluate_fields(
    model: Any,
    fields: Iterable[Prepared],
    *,
    against: tuple[str, ...] = (),
    settings: dict[str, Any] | None = None,
    before: Callable[[int, str], None] | None = None,
) -> EarthReport:
    """Measure a model on fields.

    Args:
        model: one of the gridded models, on the device to work on.
        fields: prepared for its grid.
        against: names of `FLOORS` to measure beside it.
        settings: what to remember beside the results.
        before: told index and name of every field before it is encoded.
    Raises:
        UserError: no fields, or fields of other variables.
    """
    floors: dict[str, Any] = {}
    scores: list[FieldScore] = []
    for i, field in enumerate(fields):
        if before is not None:
            before(i, field.snapshot.name)
        device = next(model.parameters()).device
        begun = seconds(device)
        made = encode_field(model, field)
        encoded = seconds(device)
        domain = made.domain
        assert isinstance(domain, Globe), "fields on the sphere have a globe"
        native = domain.native(made).cpu()
        decoded = seconds(device)
        if not torch.isfinite(native).all():
            raise UserError(f"{field.snapshot.name}: the model's values are not finite")
        floors = floors or {name: FLOORS[name](made.values_stored) for name in against}
        found = {name: compare(code(field.snapshot), field.snapshot) for name, code in floors.items()}
        mine = compare(native, field.snapshot)
        for c, variable in enumerate(field.snapshot.variables):
            scores.append(
                FieldScore(
                    field=field.snapshot.name,
                    series=f"{field.snapshot.name.split(' ')[0]} {variable}",
                    unit=canonical(field.snapshot.units[c]),
                    cells=int(field.snapshot.seen[c].sum()),
                    rmse=mine.rmse[c],
                    psnr=mine.psnr[c],
                    deviation=field.deviation[c].item(),
                    values_stored=made.values_stored + model.own_standards,
                    encode_seconds=encoded - begun,
                    decode_seconds=decoded - encoded,
                    floors={name: (other.rmse[c], other.psnr[c]) for name, other in found.items()},
                )
            )
    if not scores:
        raise UserError("no fields to evaluate: the split is empty; give other data, or --split all")
    stored = {f"{name}_values": code.values for name, code in floors.items()}
    device = next(model.parameters()).device
    return EarthReport(tuple(scores), describe_model(model), (settings or {}) | stored, machine(device), versions())

"""How well a model represents fields on the sphere: RMSE in their own units beside PSNR.

Every field is encoded by itself and decoded at the centres of its own cells; `PROTOCOL` says the rest.
"""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import torch

from tokenfield.earth.conventions import canonical
from tokenfield.earth.data import GridSample
from tokenfield.earth.files import Snapshot
from tokenfield.earth.globe import compare, encode_field, globe_of
from tokenfield.earth.models import EarthModel
from tokenfield.errors import UserError
from tokenfield.evaluation.environment import machine, versions
from tokenfield.evaluation.evaluate import describe_model
from tokenfield.io.clock import seconds
from tokenfield.io.record import Record

PROTOCOL = ("each field on its own grid, squared errors weighted by cell area over cells with a value; the peak of "
            "PSNR is the field's largest minus smallest value; then means over fields")


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
    psnr: float
    deviation: float
    """The field's own standard deviation over its area: what answering its mean everywhere would be wrong by."""
    values_stored: int
    """Tokens, offsets and scales of all variables of the field; the mask of missing cells is not counted."""
    encode_seconds: float
    decode_seconds: float


def series_of(snapshot: Snapshot) -> list[tuple[str, str]]:
    """File and variable, and unit, of every channel."""
    file = snapshot.name.split(" ")[0]
    return [(f"{file} {name}", canonical(unit)) for name, unit in zip(snapshot.variables, snapshot.units, strict=True)]


def means(scores: list[FieldScore]) -> Record:
    """Means over fields; seconds are medians."""
    row: Record = {"fields": len(scores)}
    for name in ("rmse", "deviation", "psnr", "values_stored"):
        row[name] = round(statistics.fmean(getattr(score, name) for score in scores), 4)
    for name in ("encode_seconds", "decode_seconds"):
        row[name] = round(statistics.median(getattr(score, name) for score in scores), 5)
    return row


def evaluate_fields(model: EarthModel, fields: Iterable[GridSample], *, settings: Record,
                    before: Callable[[int, str], None]) -> Record:
    """Measure a model, on its device, on fields of its grid; `before` is called with index and name of every field.

    Returns:
        `means` over all fields, those of every series, the circumstances with `settings`, and all scores, as JSON.
    Raises:
        UserError: no fields, or fields of other variables.
    """
    scores: list[FieldScore] = []
    device = next(model.parameters()).device
    for i, sample in enumerate(fields):
        snapshot = sample.snapshot
        before(i, snapshot.name)
        begin = seconds(device)
        field = encode_field(model, sample)
        middle = seconds(device)
        native = globe_of(field).native(field).cpu()
        end = seconds(device)
        if not torch.isfinite(native).all():
            raise UserError(f"{snapshot.name}: the model's values are not finite")
        ours = compare(native, snapshot)
        scores += [
            FieldScore(field=snapshot.name, series=series, unit=unit, cells=int(snapshot.valid[c].sum()),
                       rmse=ours.rmse[c], psnr=ours.psnr[c], deviation=sample.deviation[c].item(),
                       values_stored=field.values_stored + model.own_standards, encode_seconds=middle - begin,
                       decode_seconds=end - middle)
            for c, (series, unit) in enumerate(series_of(snapshot))
        ]
    if not scores:
        raise UserError("no fields to evaluate: the split is empty; give other data, or --split all")
    groups: dict[tuple[str, str], list[FieldScore]] = defaultdict(list)
    for score in scores:
        groups[score.series, score.unit].append(score)
    mixed = ("rmse", "deviation")  # of several units: a mean over them means nothing
    return {
        "protocol": PROTOCOL,
        **{key: value for key, value in means(scores).items() if key not in mixed},
        "series": [{"series": series, "unit": unit, **means(group)} for (series, unit), group in groups.items()],
        "settings": settings,
        "model": describe_model(model),
        "machine": machine(device),
        "versions": versions(),
        "scores": [asdict(score) for score in scores],
    }

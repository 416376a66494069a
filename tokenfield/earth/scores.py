"""How well a model represents fields on the sphere: RMSE in their own units beside PSNR, and beside simpler codes.

Every field is encoded by itself and decoded at the centres of its own cells; `PROTOCOL` says the rest.
"""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import torch

from tokenfield.earth.data import GridSample
from tokenfield.earth.globe import compare, encode_field, globe_of
from tokenfield.earth.harmonics import CODES, CoarseGrid, Harmonics
from tokenfield.earth.models import EarthModel
from tokenfield.earth.units import canonical
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
    codes: dict[str, tuple[float, float]]
    """RMSE and PSNR of codes without training, of no more values than the tokens."""


def means(scores: list[FieldScore]) -> Record:
    """Means over fields; seconds are medians."""
    row: Record = {"fields": len(scores)}
    for name in ("rmse", "deviation", "psnr", "values_stored"):
        row[name] = round(statistics.fmean(getattr(score, name) for score in scores), 4)
    for i, what in enumerate(("rmse", "psnr")):
        for code in scores[0].codes:
            row[f"{code}_{what}"] = round(statistics.fmean(score.codes[code][i] for score in scores), 4)
    for name in ("encode_seconds", "decode_seconds"):
        row[name] = round(statistics.median(getattr(score, name) for score in scores), 5)
    return row


def evaluate_fields(
    model: EarthModel, fields: Iterable[GridSample], *, against: tuple[str, ...] = (), settings: Record | None = None,
    before: Callable[[int, str], None] | None = None
) -> Record:
    """Measure a model, on its device, on fields of its grid.

    `against` names `CODES` to measure beside it; `before` is called with index and name of every field.

    Returns:
        `means` over all fields, those of every series, the circumstances with `settings`, and all scores, as JSON.
    Raises:
        UserError: no fields, or fields of other variables.
    """
    codes: dict[str, Harmonics | CoarseGrid] = {}
    scores: list[FieldScore] = []
    device = next(model.parameters()).device
    for i, sample in enumerate(fields):
        snapshot = sample.snapshot
        if before is not None:
            before(i, snapshot.name)
        begin = seconds(device)
        field = encode_field(model, sample)
        middle = seconds(device)
        native = globe_of(field).native(field).cpu()
        end = seconds(device)
        if not torch.isfinite(native).all():
            raise UserError(f"{snapshot.name}: the model's values are not finite")
        codes = codes or {name: CODES[name](field.values_stored) for name in against}
        ours = compare(native, snapshot)
        others = {name: compare(code(snapshot), snapshot) for name, code in codes.items()}
        scores += [
            FieldScore(field=snapshot.name, series=f"{snapshot.name.split(' ')[0]} {variable}",
                       unit=canonical(snapshot.units[c]), cells=int(snapshot.valid[c].sum()), rmse=ours.rmse[c],
                       psnr=ours.psnr[c], deviation=sample.deviation[c].item(),
                       values_stored=field.values_stored + model.own_standards, encode_seconds=middle - begin,
                       decode_seconds=end - middle,
                       codes={name: (other.rmse[c], other.psnr[c]) for name, other in others.items()})
            for c, variable in enumerate(snapshot.variables)
        ]
    if not scores:
        raise UserError("no fields to evaluate: the split is empty; give other data, or --split all")
    groups: dict[tuple[str, str], list[FieldScore]] = defaultdict(list)
    for score in scores:
        groups[score.series, score.unit].append(score)
    mixed = ("rmse", "deviation")  # of several units: a mean over them means nothing
    return {
        "protocol": PROTOCOL,
        **{key: value for key, value in means(scores).items() if not key.endswith(mixed)},
        "series": [{"series": series, "unit": unit, **means(group)} for (series, unit), group in groups.items()],
        "settings": (settings or {}) | {f"{name}_values": code.values for name, code in codes.items()},
        "model": describe_model(model),
        "machine": machine(device),
        "versions": versions(),
        "scores": [asdict(score) for score in scores],
    }

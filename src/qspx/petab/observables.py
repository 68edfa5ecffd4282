"""The observable table: formulas of predictions and of noise, for the measurements that they belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qspx._errors import closest
from qspx.calibrate.assigned import Assigned
from qspx.calibrate.noise import (
    AbstractNoise,
    LaplaceNoise,
    Log10LaplaceNoise,
    Log10NormalNoise,
    LogLaplaceNoise,
    LogNormalNoise,
    NormalNoise,
)
from qspx.calibrate.objective import Formula, Group
from qspx.interchange.errors import InterchangeError
from qspx.interchange.expression import Expr, number, refolded
from qspx.interchange.sbml import SbmlModel
from qspx.petab.conditions import Conditions
from qspx.petab.formula import compiled, read_formula
from qspx.petab.tables import Row

_NOISE: dict[tuple[str, str], type[AbstractNoise]] = {
    ("lin", "normal"): NormalNoise,
    ("log", "normal"): LogNormalNoise,
    ("log10", "normal"): Log10NormalNoise,
    ("lin", "laplace"): LaplaceNoise,
    ("log", "laplace"): LogLaplaceNoise,
    ("log10", "laplace"): Log10LaplaceNoise,
}
_PLACEHOLDER = re.compile(r"(observable|noise)Parameter(\d+)_(\w+)")


def groups_of(observables: Mapping[str, Row], measurements: Sequence[Row], conditions: Conditions) -> tuple[Group, ...]:
    """One group of measurements for each observable that was measured.

    Raises `InterchangeError` naming file, line and column, for formulas that cannot be read, names that nothing has,
    and overrides that do not fit the placeholders."""
    found = []
    for key in dict.fromkeys(row["observableId"] for row in measurements):
        if key not in observables:
            first = next(row for row in measurements if row["observableId"] == key)
            raise first.error("observableId", f"there is no observable `{key}`", closest(key, observables))
        rows = np.array([i for i, row in enumerate(measurements) if row["observableId"] == key])
        found.append(_group(key, observables, rows, [measurements[i] for i in rows], conditions))
    return tuple(found)


def _group(
    key: str, observables: Mapping[str, Row], rows: np.ndarray, measured: Sequence[Row], conditions: Conditions
) -> Group:
    row, outputs = observables[key], conditions.sbml.outputs
    noise = _noise(row)
    for r in measured:
        if noise.scale != "lin" and not r.number("measurement") > 0:
            reason = f"it must be > 0, because `{key}` is on a logarithm (`observableTransformation`)"
            raise r.error("measurement", f"{reason}, but is {r['measurement']}")
    prediction = formula_in(row, "observableFormula", conditions)
    sd = formula_in(row, "noiseFormula", conditions)
    if others := sd.names() & (set(observables) - set(outputs)):  # noise that grows with what is observed
        sd = sd.with_names({k: formula_in(observables[k], "observableFormula", conditions) for k in others})
    names = sorted(prediction.names() | sd.names())
    local = [n for n in names if n not in outputs]
    count = {kind: _most(kind, key, names) for kind in ("observable", "noise")}
    values = [_local_values(local, key, count, r, row, conditions) for r in measured]
    _require_scatter(sd, local, values, measured, row)
    formula = _evaluated(conditions.sbml, prediction, sd, [n for n in names if n in outputs], local)
    return Group(rows, formula, Assigned.of(values, conditions.table.names, len(local)), noise)


def _require_scatter(
    sd: Expr, local: Sequence[str], values: Sequence[Sequence[float | str]], measured: Sequence[Row], row: Row
) -> None:
    """Raise `InterchangeError` for a standard deviation that is not positive, where it is known before any run."""
    for r, given in zip(measured, values, strict=True):
        numbers = {n: number(v) for n, v in zip(local, given, strict=True) if not isinstance(v, str)}
        known = refolded(sd.with_names(numbers)).known
        if known is not None and not known > 0:
            place = (r, "noiseParameters") if r.get("noiseParameters") else (row, "noiseFormula")
            raise place[0].error(place[1], f"the standard deviation must be > 0, but is {known:g}")


def formula_in(row: Row, column: str, conditions: Conditions) -> Expr:
    """The formula in a cell. Raises `InterchangeError` with its place where it cannot be read."""
    text = row[column]

    def known(n: str) -> bool:
        return n in conditions.sbml.outputs or n in conditions.sbml.numbers or n in conditions.table

    try:
        return read_formula(text, known)
    except InterchangeError as error:
        raise row.error(column, str(error)) from None


def _noise(row: Row) -> AbstractNoise:
    scale, family = row.get("observableTransformation") or "lin", row.get("noiseDistribution") or "normal"
    if scale not in ("lin", "log", "log10"):
        raise row.error("observableTransformation", f'it must be "lin", "log" or "log10", but is {scale!r}')
    if (scale, family) not in _NOISE:
        raise row.error("noiseDistribution", f'it must be "normal" or "laplace", but is {family!r}')
    return _NOISE[scale, family]()


def _evaluated(sbml: SbmlModel, prediction: Expr, sd: Expr, names: Sequence[str], local: Sequence[str]) -> Formula:
    """The two formulas as a function of time, states, parameters and local parameters."""
    model = sbml.model
    of = {n: sbml.outputs[n] for n in names}
    states = {n: model.species_index(p) for n, p in of.items() if p in model.species}
    parameters = {n: model.parameter_index(p) for n, p in of.items() if p in model.parameters}
    computed = {n: p for n, p in of.items() if n not in states and n not in parameters}
    first, second = compiled(prediction), compiled(sd)

    def formula(t: Any, y: Any, theta: Any, of_row: Any) -> tuple[Any, Any]:
        v = {n: of_row[i] for i, n in enumerate(local)}
        v |= {n: y[i] for n, i in states.items()} | {n: theta[i] for n, i in parameters.items()}
        if computed:
            found = model.observables_vector(t, y, theta, tuple(computed.values()))
            v |= {n: found[i] for i, n in enumerate(computed)}
        return first(v, t), second(v, t)

    return formula


# local parameters -------------------------------------------------------------------------------------------------


def _most(kind: str, key: str, names: Sequence[str]) -> int:
    """The highest number of a placeholder of the observable `key`."""
    found = [_PLACEHOLDER.fullmatch(n) for n in names]
    return max([0, *(int(m[2]) for m in found if m and m[1] == kind and m[3] == key)])


def _local_values(
    local: Sequence[str], key: str, count: Mapping[str, int], measured: Row, row: Row, conditions: Conditions
) -> list[float | str]:
    given = {kind: _overrides(kind, key, most, measured, conditions) for kind, most in count.items()}
    found: list[float | str] = []
    for n in local:
        match = _PLACEHOLDER.fullmatch(n)
        if match and match[3] == key:
            found.append(given[match[1]][int(match[2]) - 1])
            continue
        value = conditions.value(n, measured["simulationConditionId"])
        if value is None:
            options = [*conditions.sbml.outputs, *conditions.sbml.numbers, *conditions.table.names]
            reason = f"neither the model nor a table has the name `{n}`"
            raise row.error("observableFormula", reason, closest(n, options))
        found.append(value)
    return found


def _overrides(kind: str, key: str, most: int, measured: Row, conditions: Conditions) -> list[float | str]:
    column = f"{kind}Parameters"
    text = measured.get(column)
    entries = [part.strip() for part in text.split(";")] if text else []
    if len(entries) != most:
        raise measured.error(
            column,
            f"observable `{key}` has {most} placeholders `{kind}Parameter1_{key}`, ..., but {len(entries)} are given",
        )
    return [conditions.entry(entry, measured, column) for entry in entries]

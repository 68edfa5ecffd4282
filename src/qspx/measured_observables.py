"""Observables of a table of measurements: what of the model each of them is, and in which unit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from qspx._errors import CalibrationError, UnitError, closest
from qspx.measured_table import MeasuredTable
from qspx.model import AbstractModel
from qspx.units import conversion, unit


@dataclasses.dataclass(frozen=True)
class Observed:
    """How an observable of the data comes from the model: offset + scaling * output.

    Args:
        output: observable or species of the model.
        scaling: a number, or the name of one (estimated, fixed, or different between arms or studies). Where it is a
            name, the data may be in a unit of their own (arbitrary units, say), which they keep.
        offset: in the unit of the data.
    """

    output: str
    scaling: float | str = 1.0
    offset: float | str = 0.0


def read_observables(
    table: MeasuredTable, model: AbstractModel, given: Mapping[str, str | Observed] | str | None
) -> tuple[np.ndarray, dict[str, Observed]]:
    """(name of each row's observable, what each of them is)."""
    meaning = {given: given} if isinstance(given, str) else dict(given or {})
    if "observable" in table.columns:
        names = table.text("observable", None)
    elif len(meaning) == 1:
        names = np.full(len(table), next(iter(meaning)), dtype=object)
    else:
        raise CalibrationError(
            "the table of measurements has no column `observable`, so `observables` must name the one that was "
            'measured, e.g. observables="C".'
        )
    observed = {}
    for i, name in enumerate(names):
        if name in observed:
            continue
        said = meaning.get(str(name), str(name))
        means = Observed(said) if isinstance(said, str) else said
        if means.output not in model.outputs:
            options = [*model.outputs, *meaning]
            about = f", which `observables` says is `{means.output}`" if means.output != name else ""
            table.fail(
                i,
                "observable",
                f"an observable or species of {model.name} was expected",
                f"{about}{closest(means.output, options)} Say what it means with "
                f"observables={{{name!r}: 'THE OBSERVABLE'}}; {model.name} has {', '.join(model.outputs)}.",
            )
        observed[name] = means
    return names, observed


def read_factors(
    table: MeasuredTable,
    model: AbstractModel,
    observable: np.ndarray,
    observed: Mapping[str, Observed],
    units: Mapping[str, str] | str | None,
) -> tuple[np.ndarray, dict[str, str]]:
    """(what each row's value is multiplied by, unit of each observable after that)."""
    given = units if isinstance(units, Mapping) else dict.fromkeys(observed, units or None)
    if unknown := [name for name in given if name not in observed]:
        raise CalibrationError(
            f"Argument `units` names `{unknown[0]}`, which is not in the table.{closest(unknown[0], observed)}"
        )
    said, has_column = table.text("unit"), "unit" in table.columns
    mass = None
    if model.molar_mass is not None:
        declared = model.parameters[model.molar_mass]
        mass = declared.value * conversion(declared.unit, "g/mol")
    own: dict[str, str] = {}
    factors: dict[tuple[str, str], float] = {}
    for i, (name, cell) in enumerate(zip(observable, said, strict=True)):
        if (name, cell) in factors:
            continue
        text = cell or given.get(name)
        if text is None and not has_column:
            raise CalibrationError(
                f'the unit of `{name}` is not said: add a column `unit`, or units={{"{name}": '
                f'"{model.outputs[observed[name].output].unit}"}} if that is it.'
            )
        text, wanted = text or "", own.get(name, model.outputs[observed[name].output].unit)
        if isinstance(observed[name].scaling, str) and name not in own and not _converts(text, wanted, mass):
            wanted = text
        own[name] = wanted
        try:
            factors[name, cell] = conversion(text, wanted, molar_mass=mass)
        except UnitError as error:
            raise UnitError(
                f"measurements, row {table.rows[i]}: `{name}` is measured in `{text}`. {error} For arbitrary units, "
                f"estimate a scaling: observables={{{name!r}: Observed({observed[name].output!r}, scaling='...')}}."
            ) from error
    return np.array([factors[pair] for pair in zip(observable, said, strict=True)]), own


def _converts(one: str, other: str, molar_mass: float | None) -> bool:
    unit(one)
    try:
        conversion(one, other, molar_mass=molar_mass)
    except UnitError:
        return False
    return True

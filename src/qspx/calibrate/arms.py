"""What is given in each arm of a calibration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from qspx._checks import shown
from qspx._errors import CalibrationError
from qspx.dosing import Regimen
from qspx.event_table import EventTable
from qspx.measurements import SINGLE_ARM
from qspx.model import AbstractModel
from qspx.protocol import Arm, Protocol


class Given(NamedTuple):
    """regimen: what is given, None for nothing. covariates: parameters with a value of their own in this arm."""

    regimen: Regimen | None
    covariates: Mapping[str, float]


Arms = Mapping[str, Regimen | Arm | Given | None] | Sequence[Arm] | Protocol | EventTable | Regimen


def arms_by_name(arms: Any, model: AbstractModel) -> dict[str, Given]:
    """Every arm by name, of `Arms`. Sampling times and observables of an `Arm` play no part: the measurements say
    those. Raises `CalibrationError` for anything else, and for names that occur twice."""
    if isinstance(arms, Regimen):
        return {SINGLE_ARM: Given(arms, {})}
    if isinstance(arms, EventTable):
        return _subjects(arms, model)
    if isinstance(arms, Mapping):
        found = {name: _given(name, each) for name, each in arms.items()}
    else:
        if isinstance(arms, str) or not isinstance(arms, Iterable | Protocol):
            raise CalibrationError(
                'Argument `arms` must map names of arms to what is given there, as in {"iv": regimen}, '
                f"or be a Protocol, a sequence of Arm or a Regimen, but {shown(arms)} was given."
            )
        several = arms.arms if isinstance(arms, Protocol) else tuple(arms)
        for each in several:
            if not isinstance(each, Arm):
                raise CalibrationError(
                    f"Argument `arms` must hold Arm objects, or map names to them, but holds {shown(each)}."
                )
        names = [a.name for a in several]
        if twice := [n for n in names if names.count(n) > 1]:
            raise CalibrationError(f"Argument `arms` holds `{twice[0]}` more than once; names must be unique.")
        found = {a.name: _given(a.name, a) for a in several}
    for given in found.values():
        for parameter in given.covariates:
            model.parameter_index(parameter)  # raises where there is none
    return found


def _given(name: str, each: Any) -> Given:
    if isinstance(each, Given):
        return each
    if isinstance(each, Arm):
        return Given(each.regimen, dict(each.covariates))
    if each is None or isinstance(each, Regimen):
        return Given(each, {})
    raise CalibrationError(
        f"Argument `arms` must give a Regimen, an Arm, or None (nothing is given) for `{name}`, but {shown(each)} was "
        "given."
    )


def _subjects(table: EventTable, model: AbstractModel) -> dict[str, Given]:
    """One arm per subject of an event table, with its covariates. It starts at the subject's first record."""
    if table.model != model:
        raise CalibrationError(
            f"the event table was read for {table.model!r}, not for {model!r}; read it for this model."
        )
    columns = [name for name in table.columns.values() if name in model.parameters]
    found = {}
    for s, subject in enumerate(table.ids):
        theta = {name: float(table.theta[s, model.parameter_index(name)]) for name in columns}
        found[str(subject)] = Given(table.regimen_from_zero(s), theta)
    return found

"""Amounts, rates and times of doses in the units of a model."""

from __future__ import annotations

import functools

from qspx._errors import DoseError, UnitError
from qspx.declarations import Species
from qspx.dosing import Dose
from qspx.model import AbstractModel
from qspx.units import Unit, conversion, split_per_kg, unit


def in_model_time(t: float, time_unit: str, model: AbstractModel) -> float:
    """Rounded once, so that 168 h is day 7 and not the number beside it."""
    factor, inverse = _time_factors(time_unit, model.time_unit)
    return t * factor if factor >= 1 else t / inverse


@functools.cache
def _time_factors(one: str, other: str) -> tuple[float, float]:
    return conversion(one, other), conversion(other, one)


def constant_or_parameter(
    role: str, dose: Dose, declared: Species, model: AbstractModel, where: str
) -> tuple[float, int]:
    """What the dose says, else the species: (number, -1), or (factor or unused number, parameter index)."""
    default = {"bioavailability": 1.0, "lag": 0.0, "duration": 0.0, "rate": 0.0}[role]
    value = getattr(dose, role)
    if value is None and role in ("bioavailability", "lag"):
        value = getattr(declared, role)
    if not isinstance(value, str):
        return (default if value is None else float(value)), -1
    index = model.parameter_index(value)
    model.check_role(role, value, where)
    if role == "rate":
        return _rate_factor(value, dose.into, model, where), index
    return default, index


def _rate_factor(name: str, species: str, model: AbstractModel, where: str) -> float:
    """From the unit of a parameter to the species' amount per time."""
    given, wanted = unit(model.parameters[name].unit), amount_unit(model, species) / unit(model.time_unit)
    if not given.same_dimension(wanted):
        raise UnitError(
            f"{where}: `rate` names parameter `{name}` in {given}, but it must be in {wanted} or a multiple of it."
        )
    return given.factor / wanted.factor


def amount_unit(model: AbstractModel, species: str) -> Unit:
    """Unit of an amount in the species: its own unit, times that of its volume where it is a concentration."""
    s = model.species[species]
    return unit(s.unit) * unit(model.parameters[s.volume].unit) if s.volume else unit(s.unit)


def _is_per_weight(model: AbstractModel, species: str, amount: Unit) -> bool:
    """Whether the species counts amounts per kg of body weight. Mass per mass has no dimension, so the text decides."""
    if amount.same_dimension(unit("g/kg")):
        return bool(model.species[species].volume) or split_per_kg(model.species[species].unit)[1]
    return amount.same_dimension(unit("mol/kg"))


def amount_factor(dose: Dose, model: AbstractModel, where: str) -> tuple[float, float, float]:
    """(factor, power of body weight, power of molar mass) from the dose's unit to the species' amount unit."""
    text, per_kg = split_per_kg(dose.unit)
    given, wanted = unit(text), amount_unit(model, dose.into)
    mole, gram, kg = unit("mol"), unit("g"), unit("kg")
    per_weight = _is_per_weight(model, dose.into, wanted)
    base = wanted * kg if per_weight else wanted
    if per_weight:
        weight_power = 0.0 if per_kg else -1.0
    else:
        weight_power = 1.0 if per_kg else 0.0
    if given.same_dimension(base):
        mass_power, factor = 0.0, given.factor / base.factor
    elif given.same_dimension(gram) and base.same_dimension(mole):
        mass_power, factor = -1.0, given.factor / gram.factor * mole.factor / base.factor
    elif given.same_dimension(mole) and base.same_dimension(gram):
        mass_power, factor = 1.0, given.factor / mole.factor * gram.factor / base.factor
    else:
        hint = "" if model.species[dose.into].volume else " If the species is a concentration, declare its `volume`."
        raise UnitError(
            f"{where}: a dose in {dose.unit} cannot be converted to {wanted}, the amount unit of `{dose.into}`.{hint}"
        )
    if weight_power and model.body_weight is None:
        raise DoseError(
            f"{where}: a dose per kg needs the body weight, but {model.name} declares no `body_weight` "
            'parameter. Declare one (BW = Parameter(70.0, "kg") and body_weight = "BW"), or, where doses are not '
            "compared or escalated per kg, give the dose as a flat amount."
        )
    if mass_power and model.molar_mass is None:
        raise DoseError(
            f"{where}: converting mass to amount needs the molar mass, but {model.name} declares no "
            f"`molar_mass` parameter. Declare one (g/mol), or give the dose in nmol."
        )
    if weight_power:
        factor *= conversion(model.parameters[model.body_weight].unit, "kg") ** weight_power  # type: ignore[index]
    if mass_power:
        factor *= conversion(model.parameters[model.molar_mass].unit, "g/mol") ** mass_power  # type: ignore[index]
    return factor, weight_power, mass_power

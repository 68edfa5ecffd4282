"""Doses and regimens, and their conversion to arrays in the units of a model.

A regimen is what a protocol says: amounts with units, times, the species that receives them. `dose_events` turns it
into padded arrays whose amounts still depend on the subject (body weight, molar mass, volume, bioavailability, lag),
so that one compiled program serves every subject, arm and dose level.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from qspx._errors import DoseError, UnitError
from qspx.model import AbstractModel
from qspx.units import Unit, conversion, split_per_kg, unit


def _require(condition: bool | np.bool_, message: str) -> None:
    if not condition:
        raise DoseError(message)


@dataclasses.dataclass(frozen=True)
class Dose:
    """One administration.

    Args:
        amount: >= 0, in `unit` (mass or amount; append `/kg` for a dose per body weight: "ug/kg").
        into: species that receives it.
        at: time, in the regimen's time unit.
        duration: of a zero-order infusion; None is a bolus.
        bioavailability, lag: a number or a parameter name; None uses what the species declares (else 1 and 0).
    """

    amount: float
    unit: str
    into: str
    at: float = 0.0
    duration: float | None = None
    bioavailability: float | str | None = None
    lag: float | str | None = None

    def __post_init__(self):
        _require(
            math.isfinite(self.amount) and self.amount >= 0,
            f"Argument `amount` of a Dose must be a number >= 0, but {self.amount} was given.",
        )
        _require(math.isfinite(self.at), f"Argument `at` of a Dose must be finite, but {self.at} was given.")
        _require(
            self.duration is None or 0 < self.duration < math.inf,
            f"Argument `duration` must be > 0 and finite (None is a bolus), but {self.duration} was given.",
        )
        for role in ("bioavailability", "lag"):
            value = getattr(self, role)
            _require(
                value is None or isinstance(value, str) or 0 <= value < math.inf,
                f"Argument `{role}` must be a number >= 0 or a parameter name, but {value} was given.",
            )
        unit(split_per_kg(self.unit)[0])


@dataclasses.dataclass(frozen=True)
class Regimen:
    """Doses in the order of time. `first` and `target` are the first and the largest amount."""

    doses: tuple[Dose, ...]
    time_unit: str = "day"

    def __post_init__(self):
        object.__setattr__(self, "doses", tuple(self.doses))
        _require(len(self.doses) > 0, "Argument `doses` must hold at least one Dose, but it is empty.")
        times = [d.at for d in self.doses]
        if times != sorted(times):
            late = next(i for i in range(1, len(times)) if times[i] < times[i - 1])
            raise DoseError(
                f"Argument `doses` must be sorted by time, but dose {late} is at {times[late]:g}, before dose "
                f"{late - 1} at {times[late - 1]:g}. Sort them, or use sorted(doses, key=lambda d: d.at)."
            )
        unit(self.time_unit)

    @classmethod
    def single(cls, amount: float, unit: str, into: str, at: float = 0.0, **dose) -> Regimen:
        """One dose."""
        return cls((Dose(amount, unit, into, at, **dose),))

    @classmethod
    def repeated(cls, amount: float, unit: str, into: str, every: float, n: int, start: float = 0.0, **dose) -> Regimen:
        """`n` equal doses, `every` apart."""
        _require(n >= 1, f"Argument `n` must be >= 1, but {n} was given.")
        _require(every > 0, f"Argument `every` must be > 0, but {every} was given.")
        return cls(tuple(Dose(amount, unit, into, start + i * every, **dose) for i in range(n)))

    @classmethod
    def step_up(
        cls,
        target: float,
        unit: str,
        into: str,
        fractions: Sequence[float] = (0.1, 0.3, 1.0),
        at: Sequence[float] = (0.0, 3.0, 7.0),
        every: float = 7.0,
        n: int = 1,
        **dose,
    ) -> Regimen:
        """A fractionated start: `fractions` of the target at the times `at`, then the last fraction again every
        `every` until it has been given `n` times."""
        _require(
            len(fractions) == len(at) and len(at) > 0,
            f"Arguments `fractions` and `at` must have the same length, but have {len(fractions)} and {len(at)}.",
        )
        _require(n >= 1, f"Argument `n` must be >= 1, but {n} was given.")
        times = [*at, *(at[-1] + every * i for i in range(1, n))]
        shares = [*fractions, *[fractions[-1]] * (n - 1)]
        return cls(tuple(Dose(f * target, unit, into, float(t), **dose) for f, t in zip(shares, times, strict=True)))

    @property
    def unit(self) -> str:
        units = {d.unit for d in self.doses}
        _require(len(units) == 1, f"the regimen mixes dose units {sorted(units)}; it has no single `unit`.")
        return units.pop()

    @property
    def first(self) -> float:
        return self.doses[0].amount

    @property
    def target(self) -> float:
        return max(d.amount for d in self.doses)

    def scaled_to(self, target: float) -> Regimen:
        """The same schedule with every amount scaled so that the largest is `target`."""
        _require(math.isfinite(target) and target > 0, f"Argument `target` must be > 0, but {target} was given.")
        _require(self.target > 0, "a regimen without drug cannot be scaled")
        doses = tuple(dataclasses.replace(d, amount=d.amount / self.target * target) for d in self.doses)
        return Regimen(doses, self.time_unit)

    def __str__(self) -> str:
        amounts = ", ".join(f"{d.amount:.3g}" for d in self.doses)
        days = ", ".join(f"{d.at:g}" for d in self.doses)
        return f"{amounts} {self.doses[0].unit} into {self.doses[0].into} at {self.time_unit} {days}"


class DoseEvents(NamedTuple):
    """Doses as arrays of shape (events,). What a subject receives is
    amount * F * weight**weight_power * molar_mass**mass_power / volume(species), in the species' unit.
    A parameter index of -1 means that the constant beside it holds. Padding has time = inf and amount = 0."""

    time: Any
    duration: Any
    species: Any
    amount: Any
    weight_power: Any
    mass_power: Any
    bioavailability: Any
    bioavailability_index: Any
    lag: Any
    lag_index: Any


PADDING = (np.inf, 0.0, 0, 0.0, 0.0, 0.0, 1.0, -1, 0.0, -1)


def dose_events(regimen: Regimen, model: AbstractModel, size: int | None = None) -> DoseEvents:
    """The regimen in the model's units, padded to `size` events. Raises `DoseError` or `UnitError` naming the dose."""
    rows = [
        _event_row(d, model, regimen.time_unit, f"dose {i} ({d.amount:g} {d.unit} into `{d.into}`)")
        for i, d in enumerate(regimen.doses)
    ]
    rows += [PADDING] * ((size or len(rows)) - len(rows))
    integers = {"species", "bioavailability_index", "lag_index"}
    return DoseEvents(
        *(
            np.array(column, dtype=int if field in integers else float)
            for field, column in zip(DoseEvents._fields, zip(*rows, strict=True), strict=True)
        )
    )


def _in_model_time(t: float, time_unit: str, model: AbstractModel) -> float:
    """Rounded once, so that 168 h is day 7 and not the number beside it."""
    factor = conversion(time_unit, model.time_unit)
    return t * factor if factor >= 1 else t / conversion(model.time_unit, time_unit)


def _event_row(dose: Dose, model: AbstractModel, time_unit: str, where: str) -> tuple:
    index = model.species_index(dose.into)
    declared = model.species[dose.into]
    factor, weight_power, mass_power = _amount_factor(dose, model, where)
    f, f_index = _constant_or_parameter("bioavailability", dose, declared, model, where)
    lag, lag_index = _constant_or_parameter("lag", dose, declared, model, where)
    at, duration, lag = (_in_model_time(t, time_unit, model) for t in (dose.at, dose.duration or 0.0, lag))
    return at, duration, index, dose.amount * factor, weight_power, mass_power, f, f_index, lag, lag_index


def _constant_or_parameter(role: str, dose: Dose, declared, model: AbstractModel, where: str) -> tuple[float, int]:
    """What the dose says, else the species: (number, -1), or (unused number, parameter index)."""
    default = {"bioavailability": 1.0, "lag": 0.0}[role]
    value = getattr(dose, role) if getattr(dose, role) is not None else getattr(declared, role)
    if isinstance(value, str):
        index = model.parameter_index(value)
        model.check_role(role, value, where)
        return default, index
    return (default if value is None else float(value)), -1


def amount_unit(model: AbstractModel, species: str) -> Unit:
    """Unit of an amount in the species: its own unit, times that of its volume where it is a concentration."""
    s = model.species[species]
    return unit(s.unit) * unit(model.parameters[s.volume].unit) if s.volume else unit(s.unit)


def _is_per_weight(model: AbstractModel, species: str, amount: Unit) -> bool:
    """Whether the species counts amounts per kg of body weight. Mass per mass has no dimension, so the text decides."""
    if amount.same_dimension(unit("g/kg")):
        return bool(model.species[species].volume) or split_per_kg(model.species[species].unit)[1]
    return amount.same_dimension(unit("mol/kg"))


def _amount_factor(dose: Dose, model: AbstractModel, where: str) -> tuple[float, float, float]:
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
            f"parameter. Declare one, or give the dose as a flat amount."
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


class SubjectDoses(NamedTuple):
    """Doses of one subject in the species' own units, arrays of shape (events,)."""

    start: jnp.ndarray
    end: jnp.ndarray
    species: jnp.ndarray
    jump: jnp.ndarray
    rate: jnp.ndarray


def subject_doses(model: AbstractModel, theta, events: DoseEvents) -> SubjectDoses:
    """What one subject with parameters `theta` receives and when (lag and bioavailability applied). Differentiable."""
    p = model.values_of(theta)
    volumes = jnp.stack([jnp.asarray(p[s.volume] if s.volume else 1.0, theta.dtype) for s in model.species.values()])
    weight = p[model.body_weight] if model.body_weight else 1.0
    mass = p[model.molar_mass] if model.molar_mass else 1.0
    f = jnp.where(events.bioavailability_index >= 0, theta[events.bioavailability_index], events.bioavailability)
    lag = jnp.where(events.lag_index >= 0, theta[events.lag_index], events.lag)
    amount = events.amount * f * weight**events.weight_power * mass**events.mass_power / volumes[events.species]
    infused = events.duration > 0
    duration = jnp.where(infused, events.duration, 1.0)
    start = events.time + lag
    end = jnp.where(infused, start + duration, jnp.inf)
    return SubjectDoses(
        start, end, events.species, jnp.where(infused, 0.0, amount), jnp.where(infused, amount / duration, 0.0)
    )

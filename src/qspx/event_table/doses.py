"""The doses of an event table: what dose records say, checked, as `Dose`s."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from qspx._dose_units import amount_factor, constant_or_parameter, in_model_time
from qspx._errors import DoseError, UnitError, closest
from qspx.dosing import Dose
from qspx.event_table.records import plain
from qspx.event_table.sheet import Sheet
from qspx.model import AbstractModel
from qspx.units import conversion, split_per_kg


@dataclasses.dataclass(frozen=True)
class Given:
    """What AMT, RATE, DUR, II, ADDL and SS say, each (records,), after all checks; zero where there is no dose."""

    amount: np.ndarray
    rate: np.ndarray
    duration: np.ndarray
    every: np.ndarray
    additional: np.ndarray
    steady: np.ndarray

    @classmethod
    def of(cls, sheet: Sheet, gives: np.ndarray) -> Given:
        """`gives`: which records give a dose, (records,)."""

        def require(condition: np.ndarray, item: str, expected: str, fix: str = "") -> None:
            sheet.require(~gives | condition, sheet.column(item), expected, fix)

        amount, rate, duration = sheet.item("AMT", np.nan), sheet.item("RATE"), sheet.item("DUR")
        every, additional, steady = sheet.item("II"), sheet.item("ADDL"), sheet.item("SS")
        constant = (np.nan_to_num(amount) == 0) & ((rate > 0) | (rate == -1)) & (steady != 0)
        dur = sheet.column("DUR")
        require(constant | np.isfinite(amount), "AMT", "an amount was expected in a dose record")
        amount = np.nan_to_num(amount)
        require(amount >= 0, "AMT", "an amount >= 0 was expected")
        fix = " -1 takes the rate, -2 the duration from the parameter that the species declares."
        require((rate >= 0) | np.isin(rate, (-1, -2)), "RATE", "a rate >= 0, -1 or -2 was expected", fix)
        require(duration >= 0, "DUR", "a duration >= 0 was expected")
        fix = f" Leave RATE or {dur} out; RATE -1 and -2 take theirs from the model."
        require((rate == 0) | (duration == 0), "RATE", f"0 was expected beside {dur}", fix)
        fix = " An infusion at steady state that never stops has AMT 0, RATE > 0, SS 1 and II 0."
        require((amount > 0) | (rate <= 0) | (steady != 0), "AMT", "an amount > 0 was expected beside RATE", fix)
        require(np.isin(steady, (0, 1, 2)), "SS", "0, 1 or 2 was expected")
        whole = (additional >= 0) & (additional == np.floor(additional))
        require(whole, "ADDL", "a whole number >= 0 was expected")
        require(every >= 0, "II", "a time between doses >= 0 was expected")
        fix = " Say how far apart the doses are, or set ADDL to 0."
        require((additional == 0) | (every > 0), "II", "a time between doses > 0 was expected beside ADDL", fix)
        fix = " Only a constant infusion (AMT 0, RATE > 0) has none."
        require((steady == 0) | constant | (every > 0), "II", "a time between doses > 0 was expected beside SS", fix)
        fix = " AMT 0 with RATE and SS is an infusion that has always run."
        require(~constant | (every == 0), "II", "0 was expected for a constant infusion", fix)
        return cls(*(np.where(gives, x, 0.0) for x in (amount, rate, duration, every, additional, steady)))


def refuse_unused_durations(
    sheet: Sheet, model: AbstractModel, gives: np.ndarray, given: Given, told: Mapping[str, str | None]
) -> None:
    """Raise `DoseError` where a column DUR is taken as the model's parameter of that name, so that a dose beside it
    would be a bolus, unless `told` what the column is."""
    column = sheet.parameters.get("DUR")
    if column is None or column in told:
        return
    bolus = gives & (given.rate == 0) & (given.amount > 0) & (sheet.numbers(column, 0.0) > 0)
    fix = (
        f" {model.name} has a parameter DUR, so the column is not the duration of the dose, and the dose would be a "
        "bolus. For an infusion over the parameter, declare Species(..., duration='DUR') and set RATE to -2; for the "
        f"duration of each dose, rename the parameter; if a bolus is meant, say columns={{{column!r}: 'DUR'}}."
    )
    sheet.require(~bolus, column, "RATE -2 was expected beside it", fix)


def compartments_of(model: AbstractModel, given: Mapping[int | str, str] | None) -> dict[int | str, str]:
    """Species by what CMT may say: 1, 2, ... in the order of the model, or as `given`."""
    if given is None:
        return dict(enumerate(model.species, start=1))
    for key, name in given.items():
        if name not in model.species:
            raise DoseError(
                f"Argument `compartments` maps {key!r} to `{name}`, which is not a species of {model.name}."
                f"{closest(name, model.species)}"
            )
    return {plain(key): name for key, name in given.items()}  # type: ignore[misc]  # no compartment is a fraction


def read_species(
    sheet: Sheet, model: AbstractModel, gives: np.ndarray, compartments: Mapping[int | str, str]
) -> list[str]:
    """The species that each dose record doses into; empty where there is no dose. No CMT, or 0, is the first
    compartment (NONMEM's default)."""
    found, column = [""] * len(sheet), sheet.column("CMT")
    first = min((k for k in compartments if isinstance(k, int)), default=1)
    cells = sheet.frame[column].where(~sheet.is_missing(column), 0) if "CMT" in sheet.items else [0] * len(sheet)
    for i, cell in enumerate(cells):
        key = plain(cell)
        if not isinstance(key, str) and key < 0:
            sheet.fail(i, column, "a compartment was expected", " One cannot be turned off with a negative number.")
        if gives[i]:
            found[i] = _species(sheet, model, i, key or first, compartments)
    return found


def _species(
    sheet: Sheet, model: AbstractModel, record: int, key: int | float | str, compartments: Mapping[int | str, str]
) -> str:
    if key in compartments:
        return compartments[key]  # type: ignore[index]
    if key in model.species:
        return str(key)
    known = ", ".join(f"{k} is {v}" for k, v in compartments.items())
    likely = closest(str(key), model.species)
    fix = f"{likely} Or say what it is with compartments={{{key!r}: 'the species'}}."
    expected = f"a compartment of {model.name} was expected ({known}, or the name of a species)"
    sheet.fail(record, sheet.column("CMT"), expected, fix)


@dataclasses.dataclass(frozen=True)
class DoseReader:
    """Makes a `Dose` of a dose record. own: see `TableParameters`; into: see `read_species`; weights: see
    `Covariates.weights`."""

    sheet: Sheet
    model: AbstractModel
    unit: str
    time_unit: str
    given: Given
    own: Mapping[str, np.ndarray]
    into: list[str]
    time: np.ndarray
    weights: np.ndarray | None

    def dose(self, i: int) -> Dose:
        """The dose of record i. Raises `DoseError` or `UnitError` naming the record."""
        g, (unit, times) = self.given, self._unit(i)
        rate = self._modelled("rate", i) if g.rate[i] == -1 else float(g.rate[i]) * times if g.rate[i] > 0 else None
        duration = self._modelled("duration", i) if g.rate[i] == -2 else float(g.duration[i]) or None
        return Dose(
            float(g.amount[i]) * times,
            unit,
            self.into[i],
            float(self.time[i]),
            duration=duration,
            bioavailability=self._own("bioavailability", i),
            lag=self._own("lag", i),
            rate=rate,
            additional=int(g.additional[i]),
            every=float(g.every[i]) or None,
            steady_state=int(g.steady[i]),
        )

    def _unit(self, i: int) -> tuple[str, float]:
        """Unit of the dose, and what to multiply its amount by: a dose per kg is for the weight in its own record."""
        unit, per_kg = split_per_kg(self.unit)
        if not per_kg or self.weights is None or np.isnan(self.weights[i]):
            return self.unit, 1.0
        return unit, float(self.weights[i])

    def check_units(self) -> None:
        """Raise `UnitError` or `DoseError`, naming a record, unless amounts can be given to each species."""
        for i in sorted({self.into.index(name) for name in self.into if name}):
            amount_factor(self._bare(i), self.model, self.sheet.where(i, self.sheet.column("AMT")))

    def _bare(self, i: int, **what) -> Dose:
        return Dose(float(self.given.amount[i]), self.unit, self.into[i], **what)

    def _modelled(self, role: str, i: int) -> float | str:
        """The parameter that the species declares for the role, or its value in this record."""
        declared = getattr(self.model.species[self.into[i]], role)
        if declared is None:
            self.sheet.fail(
                i,
                self.sheet.column("RATE"),
                f"a species that declares its `{role}` was expected ({self.into[i]} of {self.model.name} does not)",
                f" Declare it: Species(..., {role}='a parameter').",
            )
        own = self._own(role, i)
        return declared if own is None else own

    def _own(self, role: str, i: int) -> float | None:
        """The record's own value of a parameter that changes within the subject, in the units of the table."""
        name = getattr(self.model.species[self.into[i]], role)
        if name not in self.own or np.isnan(self.own[name][i]):
            return None
        value = float(self.own[name][i])
        positive = role in ("rate", "duration")
        if value < 0 or (positive and value == 0):
            self.sheet.fail(i, self.sheet.parameters[name], f"a {role} {'> 0' if positive else '>= 0'} was expected")
        if role == "bioavailability":
            return value
        if role == "rate":
            return value * self._rate_factor(name, i)
        return value * conversion(self.model.time_unit, self.time_unit)

    def _rate_factor(self, name: str, i: int) -> float:
        """From the unit of parameter `name` to `unit` per `time_unit`."""
        where = self.sheet.where(i, self.sheet.parameters[name])
        dose = self._bare(i, rate=name)
        in_species, _ = constant_or_parameter("rate", dose, self.model.species[dose.into], self.model, where)
        factor, weight_power, mass_power = amount_factor(dose, self.model, where)
        if weight_power or mass_power:
            raise UnitError(
                f"{where}: `{name}` in {self.model.parameters[name].unit} changes within this subject, and cannot be "
                f"told in {self.unit} without its body weight or molar mass. Give AMT in the unit of `{dose.into}`."
            )
        return in_species / factor * in_model_time(1.0, self.time_unit, self.model)

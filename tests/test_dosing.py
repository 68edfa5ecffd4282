"""Doses in the units of protocols into states in the units of models; every mistake is named with its repair."""

from __future__ import annotations

import math

import numpy as np
import pytest
from systems import OneCompartment

from qspx import AbstractModel, Dose, Parameter, Regimen, Species
from qspx._errors import DoseError, ModelError, UnitError
from qspx.dose_events import dose_events, subject_doses


class Human(AbstractModel):
    """Amounts and concentrations, molar and by mass; 150 kDa, 70 kg, 3 L."""

    molar_mass = "MW"
    body_weight = "BW"
    time_unit = "h"
    moles = Species("nmol")
    C = Species("nM", volume="V")
    grams = Species("mg")
    rho = Species("ug/mL", volume="V_mL")
    MW = Parameter(150.0, "kDa")
    BW = Parameter(70_000.0, "g")
    V = Parameter(3.0, "L")
    V_mL = Parameter(3000.0, "mL")
    F = Parameter(0.6, "")

    def rates(self, t, y, p):
        return {}


class PerKg(AbstractModel):
    """A published model per kg of body weight: volume in mL/kg, an amount in nmol/kg."""

    molar_mass = "MW"
    body_weight = "BW"
    C = Species("nM", volume="V")
    depot = Species("nmol/kg")
    mass = Species("ug/kg")
    MW = Parameter(150_000.0, "g/mol")
    BW = Parameter(70.0, "kg")
    V = Parameter(45.0, "mL/kg")

    def rates(self, t, y, p):
        return {}


class Bare(AbstractModel):
    """Neither weight nor molar mass."""

    moles = Species("nmol")
    C = Species("nM")

    def rates(self, t, y, p):
        return {}


def received(model, amount: float, unit: str, into: str, theta=None, **dose) -> float:
    """What a subject's state jumps by."""
    import jax.numpy as jnp

    events = dose_events(Regimen.single(amount, unit, into, **dose), model)
    return float(subject_doses(model, jnp.asarray(model.theta if theta is None else theta), events, jnp).jump[0])


# 1 mg of 150 kDa is 1e6 / 150 ng / (ng/nmol) = 6.6667 nmol
MG_IN_NMOL = 1e6 / 150_000


@pytest.mark.parametrize(
    "amount, unit, into, expected",
    [
        (5, "nmol", "moles", 5.0),
        (5, "pmol", "moles", 5e-3),
        (1, "mg", "moles", MG_IN_NMOL),
        (3, "mg", "C", MG_IN_NMOL),
        (10, "ug/kg", "moles", 0.7 * MG_IN_NMOL),
        (10, "ug/kg", "C", 0.7 * MG_IN_NMOL / 3),
        (2, "nmol/kg", "moles", 140.0),
        (2, "g", "grams", 2000.0),
        (MG_IN_NMOL, "nmol", "grams", 1.0),
        (10, "ug/kg", "grams", 0.7),
        (30, "mg", "rho", 10.0),
        (1, "mg/kg", "rho", 70 / 3),
    ],
)
def test_units_into_a_model_of_one_person(amount, unit, into, expected):
    assert received(Human(), amount, unit, into) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "amount, unit, into, expected",
    [
        (10, "ug/kg", "C", 10 * 1e-3 * MG_IN_NMOL / 0.045),
        (7, "mg", "C", 0.1 * MG_IN_NMOL / 0.045),
        (7, "nmol", "depot", 0.1),
        (2, "nmol/kg", "depot", 2.0),
        (10, "ug/kg", "depot", 1e-2 * MG_IN_NMOL),
        (10, "ug/kg", "mass", 10.0),
        (7, "mg", "mass", 100.0),
    ],
)
def test_units_into_a_model_per_kg(amount, unit, into, expected):
    assert received(PerKg(), amount, unit, into) == pytest.approx(expected, rel=1e-12)


def test_every_subject_has_its_own_weight_mass_and_volume():
    m = Human()
    theta = m.theta_with({"BW": 35_000.0, "V": 6.0, "MW": 300.0})
    assert received(m, 10, "ug/kg", "C", theta) == pytest.approx(received(m, 10, "ug/kg", "C") / 8)


def test_bioavailability_of_a_dose_is_a_number_a_parameter_or_that_of_the_species():
    m = OneCompartment()
    assert received(m, 10, "nmol", "depot") == pytest.approx(7.0)
    assert received(m, 10, "nmol", "depot", bioavailability=0.5) == pytest.approx(5.0)
    assert received(Human(), 10, "nmol", "moles", bioavailability="F") == pytest.approx(6.0)


def test_times_durations_and_lags_are_in_the_time_of_the_regimen_and_parameters_in_that_of_the_model():
    days = Regimen((Dose(1, "nmol", "moles", at=7, duration=0.5, lag=0.25),))
    events = dose_events(days, Human())
    assert (events.time[0], events.duration[0], events.lag[0]) == (168.0, 12.0, 6.0)
    hours = Regimen((Dose(1, "nmol", "C", at=168, duration=12),), time_unit="h")
    assert dose_events(hours, PerKg()).time[0] == 7.0
    assert dose_events(Regimen.single(1, "nmol", "depot"), OneCompartment()).lag_index[0] == 4


def test_padding_gives_nothing_and_never():
    import jax.numpy as jnp

    m = OneCompartment()
    events = dose_events(Regimen.single(3, "nmol", "C"), m, size=3)
    doses = subject_doses(m, jnp.asarray(m.theta), events, jnp)
    np.testing.assert_allclose(doses.jump, [1.0, 0.0, 0.0])
    np.testing.assert_array_equal(doses.start, [0.0, np.inf, np.inf])
    np.testing.assert_array_equal(doses.end, np.inf)
    np.testing.assert_array_equal(doses.rate, 0.0)


def test_regimens():
    assert [d.at for d in Regimen.repeated(1, "mg", "C", every=7, n=3, start=2).doses] == [2, 9, 16]
    steps = Regimen.step_up(5, "ug/kg", "C", n=3)
    assert [(d.amount, d.at) for d in steps.doses] == [(0.5, 0), (1.5, 3), (5, 7), (5, 14), (5, 21)]
    assert (steps.first, steps.target, steps.unit) == (0.5, 5.0, "ug/kg")
    half = steps.scaled_to(2.5)
    assert [d.amount for d in half.doses] == [0.25, 0.75, 2.5, 2.5, 2.5]
    assert [d.at for d in half.doses] == [d.at for d in steps.doses]
    assert str(Regimen.step_up(5, "ug/kg", "C")) == "0.5, 1.5, 5 ug/kg into C at day 0, 3, 7"


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Dose(-1, "mg", "C"), ("`amount`", ">= 0", "-1")),
        (lambda: Dose(math.nan, "mg", "C"), ("`amount`", "nan")),
        (lambda: Dose(1, "mg", "C", at=math.inf), ("`at`", "finite", "inf")),
        (lambda: Dose(1, "mg", "C", duration=0), ("`duration`", "> 0", "bolus", "0")),
        (lambda: Dose(1, "mg", "C", duration=math.inf), ("`duration`", "finite", "inf")),
        (lambda: Dose(1, "mg", "C", lag=-1), ("`lag`", ">= 0", "-1")),
        (lambda: Dose(1, "mg", "C", bioavailability=math.nan), ("`bioavailability`", "nan")),
        (lambda: Dose(1, "mgg/kg", "C"), ("mgg",)),
        (lambda: Regimen(()), ("`doses`", "at least one")),
        (lambda: Regimen((Dose(1, "mg", "C", 3), Dose(1, "mg", "C", 1))), ("sorted", "dose 1", "dose 0")),
        (lambda: Regimen.repeated(1, "mg", "C", every=0, n=2), ("`every`", "> 0")),
        (lambda: Regimen.repeated(1, "mg", "C", every=1, n=0), ("`n`", ">= 1", "0")),
        (lambda: Regimen.step_up(1, "mg", "C", fractions=(0.1,)), ("same length", "1 and 3")),
        (lambda: Regimen.single(1, "mg", "C").scaled_to(0), ("`target`", "> 0", "0")),
        (lambda: Regimen.single(0, "mg", "C").scaled_to(1), ("amounts are all 0", "target")),
        (lambda: Regimen((Dose(1, "mg", "C"), Dose(1, "nmol", "C"))).unit, ("mixes", "mg", "nmol")),
    ],
)  # fmt: skip
def test_mistakes_in_a_regimen(make, words):
    with pytest.raises((DoseError, UnitError)) as error:
        make()
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    "model, amount, unit, into, kind, words",
    [
        (Human(), 1, "mg", "Moles", ModelError, ("`Moles`", "Did you mean `moles`?")),
        (Human(), 1, "IU", "moles", UnitError, ("dose 0", "IU", "nmol", "`moles`")),
        (Bare(), 1, "nmol", "C", UnitError, ("dose 0", "`C`", "declare its `volume`")),
        (Bare(), 1, "nmol/kg", "moles", DoseError, ("dose 0", "`body_weight`", "escalated per kg", "flat amount")),
        (Bare(), 1, "mg", "moles", DoseError, ("dose 0", "molar mass", "`molar_mass`", "in nmol")),
    ],
)
def test_mistakes_between_dose_and_model(model, amount, unit, into, kind, words):
    with pytest.raises(kind) as error:
        dose_events(Regimen.single(amount, unit, into), model)
    for word in words:
        assert word in str(error.value)


def test_a_dose_that_names_an_unknown_or_unfit_parameter():
    with pytest.raises(ModelError, match="no parameter `f`.*Did you mean `F`"):
        dose_events(Regimen.single(1, "nmol", "moles", bioavailability="f"), Human())
    with pytest.raises(UnitError, match="dose 0 .*`lag` names parameter `V` in L, but it must be in h"):
        dose_events(Regimen.single(1, "nmol", "moles", lag="V"), Human())


def test_roles_of_parameters_need_units_that_are_not_converted_later():
    """A lag in hours read as days is 24 times too long, a bioavailability in percent 100 times too large."""

    def define(lag: str, f: str):
        class Wrong(AbstractModel):
            depot = Species("nmol", lag="tlag", bioavailability="F")
            tlag = Parameter(6.0, lag)
            F = Parameter(60.0, f)

            def rates(self, t, y, p):
                return {}

        return Wrong()

    assert define("day", "").lints() == []
    with pytest.raises(UnitError, match="species `depot`: `lag` names parameter `tlag` in h, but it must be in day"):
        define("h", "")
    with pytest.raises(UnitError, match="`bioavailability` names parameter `F` in %, but it must be in 1"):
        define("day", "%")


def test_weight_and_molar_mass_need_their_dimension():
    class Wrong(AbstractModel):
        body_weight = "BW"
        C = Species("nM")
        BW = Parameter(70.0, "L")

        def rates(self, t, y, p):
            return {}

    with pytest.raises(UnitError, match="`body_weight` names parameter `BW` in L, but it must be in kg or a multiple"):
        Wrong()

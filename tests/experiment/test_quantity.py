"""Quantities as text."""

import pytest

from qspx._errors import UnitError
from qspx.experiment.quantity import Quantity


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [("1.9 nM", 1.9, "nM"), ("1e9cell/L", 1e9, "cell/L"), (" .5  1/day ", 0.5, "1/day"), ("75 %", 75.0, "%"),
     (3, 3.0, ""),     ("-2", -2.0, ""), ("5 µg/kg", 5.0, "µg/kg"), ("1E-3 mg", 1e-3, "mg")],
)  # fmt: skip
def test_parse(text, value, unit):
    assert Quantity.parse(text) == Quantity(value, unit)


@pytest.mark.parametrize("text", ["", "nM", "1.9.2 nM", "1.9 2 nM", None, True, [1], float("nan"), "1 nope"])
def test_what_is_no_quantity(text):
    with pytest.raises(UnitError):
        Quantity.parse(text)


def test_conversion():
    assert Quantity.parse("75 %").to("") == pytest.approx(0.75)
    assert Quantity.parse("1 week").to("day") == pytest.approx(7)
    assert Quantity.parse("0.005 mg/kg").ug_per_kg() == pytest.approx(5)


@pytest.mark.parametrize(
    ("text", "message"), [("5 mg", "per body weight"), ("5 nmol/kg", "mass per body weight"), (5, "per body weight")]
)
def test_a_dose_must_be_a_mass_per_body_weight(text, message):
    with pytest.raises(UnitError, match=message):
        Quantity.parse(text).ug_per_kg()

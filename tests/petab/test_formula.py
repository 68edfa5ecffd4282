"""Formulas as PEtab writes them."""

import math

import pytest

from qspx.interchange import InterchangeError
from qspx.petab.formula import compiled, read_formula


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-x^2", -9.0),
        ("2^3^2", 512.0),
        ("2**-1", 0.5),
        ("1e-3 * 1.5E+2 + .5", 0.65),
        ("log(exp(2)) + ln(1) + log10(1000) + log2(8) + log(9, x)", 2 + 0 + 3 + 3 + 2),
        ("sqrt(16) + pow(x, 2) + min(3, 1, 2) + max(x, 5) + abs(-2)", 4 + 9 + 1 + 5 + 2),
        ("piecewise(1, x < 2, 10, x <= 3 && !(lambda == 1), 20)", 10.0),
        ("piecewise(1, x > 5 || lambda != 2, 20)", 20.0),
        ("time / 4 + pi * 0 + E", 2.5 + 7.0),
        ("sign(-x) + heaviside(x) + floor(2.5) + ceil(2.5)", -1 + 1 + 2 + 3),
        ("1 < x < 5", 1.0),
    ],
)
def test_values(text, value):
    v = {"x": 3.0, "lambda": 2.0, "E": 7.0}
    assert float(compiled(read_formula(text, v.__contains__))(v, 10.0)) == pytest.approx(value)


def test_names_go_before_constants():
    assert float(compiled(read_formula("pi", {"pi"}.__contains__))({"pi": 1.0}, 0.0)) == 1.0
    assert float(compiled(read_formula("pi"))({}, 0.0)) == math.pi


@pytest.mark.parametrize("text", ["", "x +", "x[0]", "f(x)", "x.y", "'a'", "lambda: 1", "2x", "sqrt(1, 2)", "x = 1"])
def test_what_is_no_formula(text):
    with pytest.raises(InterchangeError, match="the formula"):
        read_formula(text)

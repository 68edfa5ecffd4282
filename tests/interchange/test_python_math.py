"""Formulas as Python: every function of MathML against Python's own `math`."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qspx.interchange.expression import Expr, name, number
from qspx.interchange.python_math import Printer

X = 0.4


def value(e: Expr, **names: float) -> float:
    printer = Printer(lambda leaf: f"p_{leaf.value}")
    scope = {"jnp": jnp, "gammaln": jax.scipy.special.gammaln, "t": jnp.asarray(3.0)}
    return float(eval(printer.number(e), scope | {f"p_{k}": jnp.asarray(v) for k, v in names.items()}))


ONE_ARGUMENT = {
    "abs": abs,
    "exp": math.exp,
    "ln": math.log,
    "floor": math.floor,
    "ceiling": math.ceil,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "sec": lambda x: 1 / math.cos(x),
    "csc": lambda x: 1 / math.sin(x),
    "cot": lambda x: 1 / math.tan(x),
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
    "sech": lambda x: 1 / math.cosh(x),
    "csch": lambda x: 1 / math.sinh(x),
    "coth": lambda x: 1 / math.tanh(x),
    "arcsin": math.asin,
    "arccos": math.acos,
    "arctan": math.atan,
    "arccot": lambda x: math.atan(1 / x),
    "arcsinh": math.asinh,
    "arctanh": math.atanh,
    "arccsch": lambda x: math.asinh(1 / x),
    "arcsech": lambda x: math.acosh(1 / x),
    "factorial": lambda x: math.gamma(x + 1),
    "minus": lambda x: -x,
}
LARGE = {
    "arccosh": math.acosh,
    "arcsec": lambda x: math.acos(1 / x),
    "arccsc": lambda x: math.asin(1 / x),
    "arccoth": lambda x: math.atanh(1 / x),
}


@pytest.mark.parametrize("op", ONE_ARGUMENT)
def test_functions_of_one_argument(op):
    assert value(Expr(op, (name("x"),)), x=X) == pytest.approx(ONE_ARGUMENT[op](X), rel=1e-13)


@pytest.mark.parametrize("op", LARGE)
def test_functions_of_arguments_above_one(op):
    assert value(Expr(op, (name("x"),)), x=1 + X) == pytest.approx(LARGE[op](1 + X), rel=1e-13)


@pytest.mark.parametrize(("a", "b"), [(7.5, 2.0), (-7.5, 2.0), (7.5, -2.0)])
def test_functions_of_two_arguments(a, b):
    def two(op):
        return value(Expr(op, (name("a"), name("b"))), a=a, b=b)

    assert two("quotient") == math.trunc(a / b)
    assert two("rem") == math.fmod(a, b)
    assert two("max") == max(a, b) and two("min") == min(a, b)
    assert two("minus") == a - b and two("divide") == a / b


def test_powers_roots_and_logarithms():
    x = name("x")
    assert value(Expr("power", (x, number(3))), x=-2.0) == -8
    assert value(Expr("power", (x, number(-2))), x=-2.0) == 0.25
    assert value(Expr("power", (x, number(0.5))), x=9.0) == pytest.approx(3.0)
    assert value(Expr("power", (number(2), x)), x=3.0) == 8
    assert value(Expr("root", (number(2), x)), x=9.0) == 3
    assert value(Expr("root", (number(3), x)), x=8.0) == pytest.approx(2.0)
    assert value(Expr("root", (number(4), x)), x=16.0) == pytest.approx(2.0)
    assert value(Expr("log", (number(10), x)), x=1000.0) == pytest.approx(3.0)
    assert value(Expr("log", (number(2), x)), x=8.0) == pytest.approx(3.0)
    assert value(Expr("factorial", (number(5),))) == 120


def test_signs_and_parentheses():
    x, y, z = name("x"), name("y"), name("z")
    values = {"x": 2.0, "y": 3.0, "z": 5.0}

    def of(op, *args):
        return Expr(op, args)

    assert value(of("minus", x, of("minus", y, z)), **values) == 4
    assert value(of("minus", x, of("plus", y, z)), **values) == -6
    assert value(of("divide", x, of("divide", y, z)), **values) == pytest.approx(10 / 3)
    assert value(of("divide", x, of("times", y, z)), **values) == pytest.approx(2 / 15)
    assert value(of("times", x, of("minus", y)), **values) == -6
    assert value(of("times", x, of("plus", y, z)), **values) == 16
    assert value(of("minus", of("plus", x, y)), **values) == -5
    assert value(of("power", of("minus", x), number(2)), **values) == 4
    assert value(of("minus", of("power", x, number(2))), **values) == -4
    assert value(of("power", x, of("power", y, number(2))), **values) == 512
    assert value(of("power", of("power", x, y), number(2)), **values) == 64
    assert value(of("minus", x, of("minus", y)), **values) == 5
    assert value(of("plus"), **values) == 0 and value(of("times"), **values) == 1


def test_truth_values_as_numbers_and_numbers_as_truth_values():
    yes, no = Expr("boolean", value=True), Expr("boolean", value=False)
    less = Expr("lt", (name("x"), number(1)))
    assert value(Expr("plus", (less, number(1), yes)), x=0.0) == 3
    assert value(Expr("and", (name("x"), yes)), x=2.0) == 1
    assert value(Expr("not", (name("x"),)), x=2.0) == 0
    assert value(Expr("implies", (yes, no))) == 0 and value(Expr("implies", (no, no))) == 1
    assert value(Expr("xor", (yes, yes, yes))) == 1 and value(Expr("xor")) == 0
    assert value(Expr("and")) == 1 and value(Expr("or")) == 0
    assert value(Expr("lt", (number(1), name("x"), number(3))), x=2.0) == 1
    assert value(Expr("lt", (number(1), name("x"), number(3))), x=4.0) == 0


def test_piecewise():
    x = name("x")
    e = Expr("piecewise", (number(1), Expr("lt", (x, number(1))), number(2), Expr("lt", (x, number(2))), number(3)))
    assert [value(e, x=v) for v in (0.5, 1.5, 2.5)] == [1, 2, 3]
    open_end = Expr("piecewise", (number(1), Expr("lt", (x, number(1)))))
    assert value(open_end, x=0.0) == 1 and math.isnan(value(open_end, x=2.0))


def test_numbers_that_python_would_refuse():
    assert value(Expr("divide", (number(1), number(0)))) == math.inf
    assert math.isnan(value(Expr("divide", (number(0), number(0)))))
    assert value(Expr("power", (number(0), number(-1)))) == math.inf
    assert value(number(-math.inf)) == -math.inf and np.isnan(value(number(math.nan)))

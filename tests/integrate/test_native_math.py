"""Functions of all lanes at once, against mpmath at 160 bits and, for special arguments, against numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import pytest
from compiled import applied
from scipy import special

from qspx.integrate import native_erf, native_math, native_trigonometry

RNG = np.random.default_rng(0)


def both_signs(largest: float, n: int = 400) -> np.ndarray:
    """Numbers up to `largest` in size: spread evenly, and by order of magnitude down to 1e-20."""
    small = np.exp(RNG.uniform(np.log(1e-20), np.log(largest), n))
    return np.concatenate([RNG.uniform(-largest, largest, n), small, -small])


# next to the zeros of sin and cos, where the reduction has to keep the digits; and numbers beyond it
ZEROS = np.arange(1, 636_000, 1999) * np.pi / 2
TURNS = np.concatenate([both_signs(10), both_signs(1e6), ZEROS, both_signs(1e300, 50)])


@dataclass(frozen=True)
class Case:
    """A function, those of mpmath and numpy, arguments, and how far off it may be in units in the last place."""

    native: Any
    exact: Any
    numpy: Any
    arguments: np.ndarray
    ulp: float = 1.0


EXPONENTS = np.concatenate([RNG.uniform(-708, 709, 400), both_signs(2)])
POSITIVE = np.concatenate([np.exp(RNG.uniform(-745, 709, 400)), RNG.uniform(0.5, 2, 400)])
ABOVE_MINUS_ONE = np.concatenate([both_signs(0.999), np.exp(RNG.uniform(0, 709, 200)), np.geomspace(1e-16, 1, 99) - 1])
CASES = {
    "exp": Case(native_math.exp, mpmath.exp, np.exp, EXPONENTS),
    "expm1": Case(native_math.expm1, mpmath.expm1, np.expm1, np.concatenate([EXPONENTS, both_signs(60)])),
    "log": Case(native_math.log, mpmath.log, np.log, POSITIVE),
    "log1p": Case(native_math.log1p, mpmath.log1p, np.log1p, ABOVE_MINUS_ONE[ABOVE_MINUS_ONE > -1]),
    "tanh": Case(native_math.tanh, mpmath.tanh, np.tanh, np.concatenate([both_signs(25), both_signs(2)]), 1.5),
    "sin": Case(native_trigonometry.sin, mpmath.sin, np.sin, TURNS),
    "cos": Case(native_trigonometry.cos, mpmath.cos, np.cos, TURNS),
    "atan": Case(native_trigonometry.atan, mpmath.atan, np.arctan, np.concatenate([both_signs(4), both_signs(1e20)])),
    "erf": Case(native_erf.erf, mpmath.erf, special.erf, np.concatenate([both_signs(7), both_signs(2)])),
}
# zeros and subnormal numbers of both signs, ends of the range, and beyond what exp can do
SPECIAL = np.array([0.0, 5e-324, 1e-310, 2.3e-308, 1e-17, 1.0, 709.7, 709.79, 746, 1.7e308, np.inf, np.nan])
SPECIAL = np.concatenate([SPECIAL, -SPECIAL])
SPECIAL_FLOATS = np.array([0.0, 1e-45, 1e-40, 1e-20, 1.0, 88.7, 88.73, 104.0, 3e38, np.inf, np.nan], np.float32)
SPECIAL_FLOATS = np.concatenate([SPECIAL_FLOATS, -SPECIAL_FLOATS])


@pytest.mark.parametrize("name", CASES)
def test_functions_are_right_to_the_last_place(name):
    """The bounds hold for fused and for separate products and sums."""
    case = CASES[name]
    with mpmath.workprec(160):
        exact = [case.exact(mpmath.mpf(float(x))) for x in case.arguments]
        found = applied(case.native, case.arguments)
        off = [abs(mpmath.mpf(float(a)) - b) / np.spacing(abs(float(b))) for a, b in zip(found, exact, strict=True)]
    worst = int(np.argmax(off))
    assert off[worst] <= case.ulp, f"{name}({case.arguments[worst]!r}) is {float(off[worst]):.2f} ulp off"


@pytest.mark.parametrize("name", CASES)
def test_special_arguments_are_treated_as_in_c(name):
    """Also the sign of zero, and subnormal results, which may be off by the smallest number."""
    case = CASES[name]
    found = applied(case.native, SPECIAL)
    with np.errstate(all="ignore"):
        expected = case.numpy(SPECIAL)
    np.testing.assert_allclose(found, expected, rtol=5e-16, atol=5e-324)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(expected[numbers]))


@pytest.mark.parametrize("name", CASES)
def test_functions_of_floats_are_right_to_two_units(name):
    """numpy's doubles are exact at this precision."""
    case, largest = CASES[name], float(np.finfo(np.float32).max)
    x = case.arguments[np.abs(case.arguments) < (87 if name in ("exp", "expm1") else largest)].astype(np.float32)
    x = np.concatenate([x[(x > -1) | (name != "log1p")], SPECIAL_FLOATS])
    found = applied(case.native, x)
    with np.errstate(all="ignore"):
        exact = case.numpy(x.astype(float))
        rounded = exact.astype(np.float32)
    numbers = np.isfinite(rounded)
    np.testing.assert_array_equal(found[~numbers], rounded[~numbers])
    off = np.abs(found[numbers] - exact[numbers]) / np.spacing(np.abs(rounded[numbers])).astype(float)
    assert off.max() <= 1.5
    np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(exact[numbers]))


@pytest.mark.parametrize("name", ["sin", "cos", "erf"])
def test_a_hard_neighbour_changes_no_bit(name):
    """A large number sends the vector to the C library, or to another formula, in its own lane only."""
    case, easy = CASES[name], np.array([0.3, 0.5, 0.7, 0.1])
    alone = applied(case.native, easy)
    for hard in (1e9, np.inf, np.nan, 1.1, 3.0):
        mixed = applied(case.native, np.array([0.3, hard, 0.7, hard]))
        np.testing.assert_array_equal(mixed[[0, 2]], alone[[0, 2]])


def test_powers_of_every_kind_of_number():
    """Within |y log x| roundings; signs, zeros and infinities as in C."""
    x, y = (a.reshape(-1) for a in np.meshgrid(SPECIAL, [0.0, 1.0, -1.0, 2.0, 3.0, 0.5, -2.5, np.inf, np.nan]))
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(applied(native_math.power, x, y), x**y, rtol=1e-12)
    rng = np.random.default_rng(1)
    x, y = np.exp(rng.uniform(-30, 30, 4000)), rng.uniform(-5, 5, 4000)
    np.testing.assert_allclose(applied(native_math.power, x, y), x**y, rtol=5e-14)
    x, y = (a[np.abs(y * np.log(x)) < 80].astype(np.float32) for a in (x, y))
    np.testing.assert_allclose(applied(native_math.power, x, y), x.astype(float) ** y, rtol=2e-5)

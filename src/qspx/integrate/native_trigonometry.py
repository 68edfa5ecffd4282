"""sin, cos and atan of all lanes at once, as LLVM code; within one unit in the last place.

Reduction to |r| <= pi / 4 after Cody and Waite with pi / 2 in four parts, polynomials of fdlibm (Sun Microsystems,
1993). sin and cos of numbers above a million go to the C library.
"""

from __future__ import annotations

import math

import numpy as np

from qspx.integrate.native_code import DOUBLE, Function, Value
from qspx.integrate.native_math import bits, from_bits, polynomial, rounded_to_words, shifted, sign_bit, with_sign_of

# pi / 2; the first three parts have 33 bits, so that their products with whole numbers up to 2**20 are exact
_QUARTER = (
    1.57079632673412561417e00,
    6.07710050630396597660e-11,
    2.02226624871116645580e-21,
    8.47842766036889956997e-32,
)
_LARGEST = 1e6
_SIN = (
    -1.66666666666666324348e-01,
    8.33333333332248946124e-03,
    -1.98412698298579493134e-04,
    2.75573137070700676789e-06,
    -2.50507602534068634195e-08,
    1.58969099521155010221e-10,
)
_COS = (
    4.16666666666666019037e-02,
    -1.38888888888741095749e-03,
    2.48015872894767294178e-05,
    -2.75573143513906633035e-07,
    2.08757232129817482790e-09,
    -1.13596475577881948265e-11,
)


# atan(x) = end + atan((x - middle) / (1 + middle x)) for x below a bound: (bound, middle, end in two parts)
_INTERVALS = (
    (7 / 16, 0.0, 0.0, 0.0),
    (11 / 16, 0.5, 4.63647609000806093515e-01, 2.26987774529616870924e-17),
    (19 / 16, 1.0, 7.85398163397448278999e-01, 3.06161699786838301793e-17),
    (39 / 16, 1.5, 9.82793723247329054082e-01, 1.39033110312309984516e-17),
)
_RIGHT_ANGLE = (1.57079632679489655800e00, 6.12323399573676603587e-17)
_ATAN = (
    3.33333333333329318027e-01,
    -1.99999999998764832476e-01,
    1.42857142725034663711e-01,
    -1.11111104054623557880e-01,
    9.09088713343650656196e-02,
    -7.69187620504482999495e-02,
    6.66107313738753120669e-02,
    -5.83357013379057348645e-02,
    4.97687799461593236017e-02,
    -3.65315727442169155270e-02,
    1.62858201153657823623e-02,
)


def sin(f: Function, x: Value) -> Value:
    turned = _sin_of_turned(f, f.unary("fabs", x), 0)
    return _hard_ones(f, "sin", x, from_bits(bits(turned) ^ (bits(x) & sign_bit(f))))


def cos(f: Function, x: Value) -> Value:
    return _hard_ones(f, "cos", x, _sin_of_turned(f, f.unary("fabs", x), 1))


def _hard_ones(f: Function, name: str, x: Value, easy: Value) -> Value:
    """`easy`, but for large numbers, infinities and NaN."""
    size = f.unary("fabs", x)
    result = f.variable(f.vector, 0.0)
    result[0] = (size <= _LARGEST).where(easy, x - x)
    hard = (size > _LARGEST) & x.is_finite()
    with f.when(hard.any()):
        result[0] = hard.where(f.apply(f"each_{name}", x), result[0])
    return result[0]


def _sin_of_turned(f: Function, size: Value, quarters: int) -> Value:
    """sin(size + quarters pi / 2) for 0 <= size <= _LARGEST, anything elsewhere."""
    easy = (size <= _LARGEST).where(size, f.number(0.0))
    wide = easy.to(DOUBLE)
    k = f.unary("rint", wide * (2 / math.pi))
    high, low = _reduced(f, wide, k)
    turns = rounded_to_words(k) + quarters
    value = (turns & 1).equals(1).where(_cos(high, low), _sin(high, low))
    return from_bits(bits(value) ^ shifted(turns & 2, f.info.bits - 2))


def _reduced(f: Function, x: Value, k: Value) -> tuple[Value, Value]:
    """x - k pi / 2 in two parts. Every difference but the last is exact or has its loss in `lost`. A double has all
    the digits that a float needs."""
    first, second, third, fourth = _QUARTER
    a = x - k * first
    b = a - k * second
    if f.real != DOUBLE:
        high = b.to(f.real)
        return high, (b - high).to(f.real)
    lost = (a - b) - k * second
    c = b - k * third
    lost = lost + ((b - c) - k * third)
    rest = k * fourth - lost
    high = c - rest
    return high, (c - high) - rest


def _terms(r: Value) -> int:
    return 6 if r.code.real == DOUBLE else 4


def _sin(r: Value, low: Value) -> Value:
    """sin(r + low) as r + low + r**3 S(r**2) - low r**2 / 2."""
    z = r * r
    v = z * r
    series = polynomial(_SIN[1 : _terms(r)], z)
    return r - ((z * (0.5 * low - v * series) - low) - v * _SIN[0])


def _cos(r: Value, low: Value) -> Value:
    """cos(r + low) as 1 - r**2 / 2 + r**4 C(r**2) - r low, with what 1 - r**2 / 2 lost."""
    z = r * r
    half = 0.5 * z
    head = 1.0 - half
    return head + (((1.0 - head) - half) + (z * (z * polynomial(_COS[: _terms(r)], z)) - r * low))


def atan(f: Function, x: Value) -> Value:
    size = f.unary("fabs", x)
    above, below = f.number(-1.0), size
    high, low = (f.number(part) for part in _parts(f, *_RIGHT_ANGLE))
    for bound, middle, *end in reversed(_INTERVALS):
        lies = size < bound
        above = lies.where(size - middle, above)
        below = lies.where(1.0 + middle * size, below)
        high, low = (lies.where(part, old) for part, old in zip(_parts(f, *end), (high, low), strict=True))
    u = above / below
    z = u * u
    return with_sign_of(x, high - ((u * (z * polynomial(_ATAN, z)) - low) - u))


def _parts(f: Function, high: float, low: float) -> tuple[float, float]:
    """A sum of two doubles as one of two numbers of the function's format."""
    first = float(np.array(high, f.info.dtype))
    return first, (high - first) + low

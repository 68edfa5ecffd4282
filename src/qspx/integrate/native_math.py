"""Exponentials, logarithms, powers and tanh of all lanes at once, as LLVM code.

Exponentials: Cody and Waite's reduction to |r| <= log(2) / 2 and Taylor's polynomial. Logarithms: the polynomial of
fdlibm (Sun Microsystems, 1993), from the mantissa between sqrt(1/2) and sqrt(2). tanh: Lambert's continued fraction
near zero. All are within two units in the last place, but pow(x, y), which is exp(y log x) where x is positive and
both are finite, with a relative error of about |y log x| units; its rest goes to the C library.

Products may be contracted into the sums that follow, so that no formula here may need a rounded product: what is
subtracted to recover a rounding error is a sum, or a product that is exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.polynomial import Polynomial

from qspx.integrate.native_code import DOUBLE, FLOAT, Function, Value

# log(2) in two parts; the first has 33 bits (9 for floats), so that its product with an exponent is exact
_LN2 = {
    DOUBLE: (6.93147180369123816490e-01, 1.90821492927058770002e-10),
    FLOAT: (0.693359375, -2.12194440054690583e-4),
}
_FDLIBM = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)
_RANGE = {DOUBLE: (-745.2, 709.8), FLOAT: (-104.0, 88.73)}  # exp is zero below and overflows above


def bits(x: Value) -> Value:
    """The same bits as words."""
    f = x.code
    return f.emit(f"bitcast {f.vector} {x.name} to {f.words}", f.words)


def from_bits(x: Value) -> Value:
    f = x.code
    return f.emit(f"bitcast {f.words} {x.name} to {f.vector}", f.vector)


def rounded_to_words(x: Value) -> Value:
    """Towards zero; x must be a number within their range."""
    f = x.code
    return f.emit(f"fptosi {x.type} {x.name} to {f.words}", f.words)


def from_words(x: Value) -> Value:
    """Whole numbers as real ones, rounded."""
    f = x.code
    return f.emit(f"sitofp {f.words} {x.name} to {f.vector}", f.vector)


def words_of(f: Function, x: float) -> int:
    """The bits of a constant."""
    return int(np.array(x, f.info.dtype).view(f"i{f.info.bits // 8}"))


def sign_bit(f: Function) -> int:
    """The word that has no other bit."""
    return -(1 << (f.info.bits - 1))


def shifted(x: Value, by: int) -> Value:
    """Integers moved to the left, or to the right where `by` is negative; zeros move in."""
    op = "shl" if by > 0 else "lshr"
    return x.code.emit(f"{op} {x.type} {x.name}, {x.code.constant(abs(by), x.type).name}", x.type)


def with_sign_of(x: Value, magnitude: Value) -> Value:
    """A number that is not negative, with the sign of `x`, also where both are zero."""
    return from_bits(bits(magnitude) | (bits(x) & sign_bit(x.code)))


def polynomial(coefficients: Sequence[float | Value], x: Value) -> Value:
    """c[0] + c[1] x + c[2] x**2 + ..., by Horner's scheme."""
    *rest, last = coefficients
    total = x.code.constant(last, x.type)
    for c in reversed(rest):
        total = total * x + c
    return total


def clamped(x: Value, low: float, high: float) -> Value:
    """x within [low, high], and `low` for NaN."""
    f = x.code
    return (x > low).where((x < high).where(x, f.number(high)), f.number(low))


def _power_of_two(k: Value) -> Value:
    """2**k for whole k from -1022 to 1023 (-126 to 127 for floats)."""
    info = k.code.info
    return from_bits(shifted(rounded_to_words(k) + (info.maxexp - 1), info.nmant))


def _second_order(r: Value) -> Value:
    """exp(r) - 1 - r, from Taylor's series."""
    terms = range(2, 14 if r.code.real == DOUBLE else 8)
    return r * r * polynomial([1 / math.factorial(i) for i in terms], r)


def exp(f: Function, x: Value) -> Value:
    smallest, largest = _RANGE[f.real]
    ln2_high, ln2_low = _LN2[f.real]
    inside = clamped(x, smallest, largest)
    k = f.unary("rint", inside * (1 / math.log(2)))
    r = (inside - k * ln2_high) - k * ln2_low
    series = 1.0 + (r + _second_order(r))
    half = f.unary("floor", k * 0.5)  # in two factors, so that neither overflows where the result does not
    result = series * _power_of_two(half) * _power_of_two(k - half)
    result = (x > largest).where(f.number(math.inf), (x < smallest).where(f.number(0.0), result))
    return x.is_nan().where(x, result)


def expm1(f: Function, x: Value) -> Value:
    """2 (2**(k-1) (exp(r) - 1) + (2**(k-1) - 1/2)); the larger two of its terms are added without loss."""
    ln2_high, ln2_low = _LN2[f.real]
    inside = clamped(x, -50.0, _RANGE[f.real][1])  # -1 below
    k = f.unary("rint", inside * (1 / math.log(2)))
    high = inside - k * ln2_high
    r = high - k * ln2_low
    lost = (high - r) - k * ln2_low
    half = _power_of_two(k - 1.0)
    rest = half - 0.5
    head = rest + half * r  # half is a power of two, the product exact
    tail = ((rest - head) + half * r) + half * (_second_order(r) + lost)
    result = 2.0 * (head + tail)
    as_it_is = (f.unary("fabs", x) < float(f.info.eps) / 4) | x.is_nan()
    return as_it_is.where(x, result)


def _split(x: Value) -> tuple[Value, Value]:
    """Whole exponents k, and m between sqrt(1/2) and sqrt(2), such that x = 2**k m for normal x > 0."""
    f, mantissa = x.code, x.code.info.nmant
    middle = words_of(f, math.sqrt(0.5))
    word = bits(x) - middle
    k = f.emit(f"ashr {f.words} {word.name}, {f.constant(mantissa, f.words).name}", f.words)
    return from_words(k), from_bits((word & ((1 << mantissa) - 1)) + middle)


def _logarithm(k: Value, m: Value, lost: Value) -> Value:
    """k log(2) + log(1 + m) + lost, where |lost| is of the size of a rounding."""
    ln2_high, ln2_low = _LN2[m.code.real]
    s = m / (2.0 + m)
    z = s * s
    half = 0.5 * m * m
    series = z * polynomial(_FDLIBM[: 7 if m.code.real == DOUBLE else 4], z)
    return k * ln2_high - ((half - (s * (half + series) + (k * ln2_low + lost))) - m)


def log(f: Function, x: Value) -> Value:
    tiny, more = float(f.info.smallest_normal), f.info.nmant + 2
    small = x < tiny
    scaled = small.where(x * 2.0**more, x)
    ordinary = (scaled >= tiny) & (scaled < math.inf)
    k, mantissa = _split(ordinary.where(scaled, f.number(1.0)))
    k = k - small.where(f.number(more), f.number(0.0))
    result = _logarithm(k, mantissa - 1.0, f.number(0.0))
    special = x.equals(0.0).where(f.number(-math.inf), (x < 0.0).where(f.number(math.nan), x))
    return ordinary.where(result, special)


def log1p(f: Function, x: Value) -> Value:
    """log of the rounded 1 + x, and what the rounding lost; x itself is the m of `_logarithm` near zero."""
    total = 1.0 + x
    ordinary = (total > 0.0) & (total < math.inf)
    more = total - 1.0
    lost = (1.0 - (total - more)) + (x - more)
    safe = ordinary.where(total, f.number(1.0))
    k, mantissa = _split(safe)
    near = (x > math.sqrt(0.5) - 1) & (x < math.sqrt(2) - 1)
    zero = f.number(0.0)
    k, m, lost = (near.where(a, b) for a, b in ((zero, k), (x, mantissa - 1.0), (zero, lost / safe)))
    special = total.equals(0.0).where(f.number(-math.inf), (total < 0.0).where(f.number(math.nan), total))
    return x.equals(0.0).where(x, ordinary.where(_logarithm(k, m, lost), special))


def power(f: Function, x: Value, y: Value) -> Value:
    result = f.variable(f.vector, 0.0)
    easy = (x > 0.0) & (x < math.inf) & y.is_finite()
    zero = x.equals(0.0) & (y > 0.0)
    product = y * f.apply("lanes_log", easy.where(x, f.number(1.0)))
    result[0] = easy.where(f.apply("lanes_exp", product), f.number(0.0))
    hard = ~(easy | zero)
    with f.when(hard.any()):
        result[0] = hard.where(f.apply("each_pow", x, y), result[0])
    return result[0]


def _lambert(levels: int) -> tuple[list[float], list[float]]:
    """Polynomials P, Q in z = x**2 with tanh(x) = x (1 - z P / Q), from x / (1 + z / (3 + z / (5 + ...)))."""
    z, above, below = Polynomial([0, 1]), Polynomial([0]), Polynomial([1])
    for odd in range(2 * levels - 1, 1, -2):
        above, below = z * below, odd * below + above
    return (above // z).coef.tolist(), (above + below).coef.tolist()


_TANH = {DOUBLE: _lambert(8), FLOAT: _lambert(5)}  # errors below 1e-17 and 1e-9 of the result for |x| < 0.625


def tanh(f: Function, x: Value) -> Value:
    size = f.unary("fabs", x)
    near, z = size < 0.625, size * size
    p, q = _TANH[f.real]
    above = near.where(z * polynomial(p, z), f.number(2.0))
    below = near.where(polynomial(q, z), f.apply("lanes_exp", size + size) + 1.0)
    share = above / below
    return with_sign_of(x, near.where(size - size * share, 1.0 - share))

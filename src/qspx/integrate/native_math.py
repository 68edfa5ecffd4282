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

from numpy.polynomial import Polynomial

from qspx.integrate.native_code import Function, Value

# log(2) in two parts; the first has 33 bits, so that its product with an exponent is exact
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_FDLIBM = (
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)
_LARGEST, _SMALLEST = 709.8, -745.2  # exp overflows above and is zero below
_TINY = 2.0**-1022
_SIGN = -(1 << 63)


def bits(x: Value) -> Value:
    """The same 64 bits as integers."""
    f = x.code
    return f.emit(f"bitcast {f.vector} {x.name} to {f.integers}", f.integers)


def from_bits(x: Value) -> Value:
    f = x.code
    return f.emit(f"bitcast {f.integers} {x.name} to {f.vector}", f.vector)


def rounded_to_integers(x: Value) -> Value:
    """Towards zero; x must be a number within their range."""
    f = x.code
    return f.emit(f"fptosi {f.vector} {x.name} to {f.integers}", f.integers)


def as_doubles(x: Value) -> Value:
    f = x.code
    return f.emit(f"sitofp {f.integers} {x.name} to {f.vector}", f.vector)


def shifted(x: Value, by: int) -> Value:
    """Integers moved to the left, or to the right where `by` is negative; zeros move in."""
    op = "shl" if by > 0 else "lshr"
    return x.code.emit(f"{op} {x.type} {x.name}, {x.code.constant(abs(by), x.type).name}", x.type)


def with_sign_of(x: Value, magnitude: Value) -> Value:
    """A number that is not negative, with the sign of `x`, also where both are zero."""
    return from_bits(bits(magnitude) | (bits(x) & _SIGN))


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
    """2**k for whole -1022 <= k <= 1023."""
    return from_bits(shifted(rounded_to_integers(k) + 1023, 52))


# Taylor's coefficients of (exp(r) - 1 - r) / r**2
_EXP = [1 / math.factorial(i) for i in range(2, 14)]


def exp(f: Function, x: Value) -> Value:
    inside = clamped(x, _SMALLEST, _LARGEST)
    k = f.unary("rint", inside * (1 / math.log(2)))
    r = (inside - k * _LN2_HIGH) - k * _LN2_LOW
    series = 1.0 + (r + r * r * polynomial(_EXP, r))
    half = f.unary("floor", k * 0.5)  # in two factors, so that neither overflows where the result does not
    result = series * _power_of_two(half) * _power_of_two(k - half)
    result = (x > _LARGEST).where(f.number(math.inf), (x < _SMALLEST).where(f.number(0.0), result))
    return x.is_nan().where(x, result)


def expm1(f: Function, x: Value) -> Value:
    """2 (2**(k-1) (exp(r) - 1) + (2**(k-1) - 1/2)); the larger two of its terms are added without loss."""
    inside = clamped(x, -50.0, _LARGEST)  # -1 below
    k = f.unary("rint", inside * (1 / math.log(2)))
    high = inside - k * _LN2_HIGH
    r = high - k * _LN2_LOW
    lost = (high - r) - k * _LN2_LOW
    half = _power_of_two(k - 1.0)
    rest = half - 0.5
    head = rest + half * r  # half is a power of two, the product exact
    tail = ((rest - head) + half * r) + half * (r * r * polynomial(_EXP, r) + lost)
    result = 2.0 * (head + tail)
    as_it_is = (f.unary("fabs", x) < 2.0**-54) | x.is_nan()
    return as_it_is.where(x, result)


def _split(x: Value) -> tuple[Value, Value]:
    """Whole exponents k, and m between sqrt(1/2) and sqrt(2), such that x = 2**k m for normal x > 0."""
    f, middle = x.code, 0x3FE6A09E667F3BCD  # the bits of sqrt(1/2)
    word = bits(x) - middle
    k = f.emit(f"ashr {f.integers} {word.name}, {f.constant(52, f.integers).name}", f.integers)
    return as_doubles(k), from_bits((word & ((1 << 52) - 1)) + middle)


def _logarithm(k: Value, m: Value, lost: Value) -> Value:
    """k log(2) + log(1 + m) + lost, where |lost| is of the size of a rounding."""
    s = m / (2.0 + m)
    z = s * s
    half = 0.5 * m * m
    return k * _LN2_HIGH - ((half - (s * (half + z * polynomial(_FDLIBM, z)) + (k * _LN2_LOW + lost))) - m)


def log(f: Function, x: Value) -> Value:
    small = x < _TINY
    scaled = small.where(x * 2.0**54, x)
    ordinary = (scaled >= _TINY) & (scaled < math.inf)
    k, mantissa = _split(ordinary.where(scaled, f.number(1.0)))
    k = k - small.where(f.number(54.0), f.number(0.0))
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


_TANH = _lambert(8)  # its error is below 1e-17 of the result for |x| < 0.625


def tanh(f: Function, x: Value) -> Value:
    size = f.unary("fabs", x)
    near, z = size < 0.625, size * size
    above = near.where(z * polynomial(_TANH[0], z), f.number(2.0))
    below = near.where(polynomial(_TANH[1], z), f.apply("lanes_exp", size + size) + 1.0)
    share = above / below
    return with_sign_of(x, near.where(size - size * share, 1.0 - share))

"""exp, log and pow of all lanes at once, as LLVM code.

exp: Cody and Waite's reduction to |r| <= log(2) / 2 and Taylor's polynomial; log: the polynomial of fdlibm (Sun
Microsystems, 1993), from the mantissa between sqrt(1/2) and sqrt(2). Both are within about one unit in the last place.
pow(x, y) is exp(y log x) where x is positive and both are finite, with a relative error of about |y log x| units; the
rest goes to the C library.
"""

from __future__ import annotations

import math

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


def _shifted(x: Value, by: int) -> Value:
    op = "shl" if by > 0 else "lshr"
    return x.code.emit(f"{op} {x.type} {x.name}, {x.code.constant(abs(by), x.type).name}", x.type)


def _power_of_two(k: Value) -> Value:
    """2**k for whole -1022 <= k <= 1023."""
    return from_bits(_shifted(rounded_to_integers(k) + 1023, 52))


def exp(f: Function, x: Value) -> Value:
    inside = (x > _SMALLEST).where((x < _LARGEST).where(x, f.number(_LARGEST)), f.number(_SMALLEST))
    k = f.unary("rint", inside * (1 / math.log(2)))
    r = (inside - k * _LN2_HIGH) - k * _LN2_LOW
    series = f.number(1 / math.factorial(13))
    for i in range(12, 1, -1):
        series = series * r + 1 / math.factorial(i)
    series = 1.0 + (r + r * r * series)
    half = f.unary("floor", k * 0.5)  # in two factors, so that neither overflows where the result does not
    result = series * _power_of_two(half) * _power_of_two(k - half)
    result = (x > _LARGEST).where(f.number(math.inf), (x < _SMALLEST).where(f.number(0.0), result))
    return x.is_nan().where(x, result)


def log(f: Function, x: Value) -> Value:
    small = x < _TINY
    scaled = small.where(x * 2.0**54, x)
    ordinary = (scaled >= _TINY) & (scaled < math.inf)
    # exponent and mantissa of x / sqrt(1/2): the mantissa comes back between sqrt(1/2) and sqrt(2)
    middle = 0x3FE6A09E667F3BCD
    word = bits(ordinary.where(scaled, f.number(1.0))) - middle
    k = f.emit(f"ashr {f.integers} {word.name}, {f.constant(52, f.integers).name}", f.integers)
    mantissa = from_bits((word & ((1 << 52) - 1)) + middle)
    exponent = as_doubles(k) - small.where(f.number(54.0), f.number(0.0))
    m = mantissa - 1.0
    s = m / (2.0 + m)
    z, series = s * s, f.number(0.0)
    for c in reversed(_FDLIBM):
        series = (series + c) * z
    half = 0.5 * m * m
    result = exponent * _LN2_HIGH - ((half - (s * (half + series) + exponent * _LN2_LOW)) - m)
    special = x.equals(0.0).where(f.number(-math.inf), (x < 0.0).where(f.number(math.nan), x))
    return ordinary.where(result, special)


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

"""The error function of all lanes at once, as LLVM code; within one unit in the last place.

Rational approximations of fdlibm (Sun Microsystems, 1993) on four intervals. A formula of which no lane has need is
skipped.
"""

from __future__ import annotations

from qspx.integrate.native_code import Function, Value
from qspx.integrate.native_math import polynomial, with_sign_of

# erf(x) / x - 1 by x**2 for x < _NEAR
_NEAR = 0.84375
_NEAR_ABOVE = (
    1.28379167095512558561e-01,
    -3.25042107247001499370e-01,
    -2.84817495755985104766e-02,
    -5.77027029648944159157e-03,
    -2.37630166566501626084e-05,
)
_NEAR_BELOW = (
    1.0,
    3.97917223959155352819e-01,
    6.50222499887672944485e-02,
    5.08130628187576562776e-03,
    1.32494738004321644526e-04,
    -3.96022827877536812320e-06,
)
# erf(x) - _AT_ONE by x - 1 for x < _MIDDLE
_MIDDLE = 1.25
_AT_ONE = 8.45062911510467529297e-01
_MIDDLE_ABOVE = (
    -2.36211856075265944077e-03,
    4.14856118683748331666e-01,
    -3.72207876035701323847e-01,
    3.18346619901161753674e-01,
    -1.10894694282396677476e-01,
    3.54783043256182359371e-02,
    -2.16637559486879084300e-03,
)
_MIDDLE_BELOW = (
    1.0,
    1.06420880400844228286e-01,
    5.40397917702171048937e-01,
    7.18286544141962662868e-02,
    1.26171219808761642112e-01,
    1.36370839120290507362e-02,
    1.19844998467991074170e-02,
)
# log(x (1 - erf(x))) + x**2 + 9 / 16 by 1 / x**2 for x < _FAR, and above (with zeros to the same length)
_FAR = 1 / 0.35
_TAIL_ABOVE = (
    (-9.86494403484714822705e-03, -9.86494292470009928597e-03),
    (-6.93858572707181764372e-01, -7.99283237680523006574e-01),
    (-1.05586262253232909814e01, -1.77579549177547519889e01),
    (-6.23753324503260060396e01, -1.60636384855821916062e02),
    (-1.62396669462573470355e02, -6.37566443368389627722e02),
    (-1.84605092906711035994e02, -1.02509513161107724954e03),
    (-8.12874355063065934246e01, -4.83519191608651397019e02),
    (-9.81432934416914548592e00, 0.0),
)
_TAIL_BELOW = (
    (1.0, 1.0),
    (1.96512716674392571292e01, 3.03380607434824582924e01),
    (1.37657754143519042600e02, 3.25792512996573918826e02),
    (4.34565877475229228821e02, 1.53672958608443695994e03),
    (6.45387271733267880336e02, 3.19985821950859553908e03),
    (4.29008140027567833386e02, 2.55305040643316442583e03),
    (1.08635005541779435134e02, 4.74528541206955367215e02),
    (6.57024977031928170135e00, -2.24409524465858183362e01),
    (-6.04244152148580987438e-02, 0.0),
)
_ONE = 6.0  # erf is 1 from here on


def erf(f: Function, x: Value) -> Value:
    size = f.unary("fabs", x)
    z = size * size
    result = f.variable(f.vector, 0.0)
    result[0] = size + size * (polynomial(_NEAR_ABOVE, z) / polynomial(_NEAR_BELOW, z))
    middle, tail = (size >= _NEAR) & (size < _MIDDLE), size >= _MIDDLE
    with f.when(middle.any()):
        shift = size - 1.0
        found = _AT_ONE + polynomial(_MIDDLE_ABOVE, shift) / polynomial(_MIDDLE_BELOW, shift)
        result[0] = middle.where(found, result[0])
    with f.when(tail.any()):
        result[0] = tail.where(1.0 - _complement(f, f.smaller(size, _ONE)), result[0])
    return with_sign_of(x, result[0])


def _complement(f: Function, x: Value) -> Value:
    """1 - erf(x) for x >= _MIDDLE, with the few digits that matter once it is subtracted from 1."""
    less = x < _FAR
    z = 1.0 / (x * x)
    above, below = (
        polynomial([less.where(f.number(a), f.number(b)) for a, b in pairs], z) for pairs in (_TAIL_ABOVE, _TAIL_BELOW)
    )
    return f.apply("lanes_exp", above / below - x * x - 0.5625) / x

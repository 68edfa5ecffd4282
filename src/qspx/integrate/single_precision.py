"""What float32 states can and cannot do: for every engine that offers them."""

from __future__ import annotations

import warnings

from qspx._errors import SolveError
from qspx._precision import PrecisionWarning

# what float32 can resolve: about 100 roundings in a step, and squares of what is divided by `atol`
_SMALLEST = {"rtol": 1e-5, "atol": 1e-15}


def check_float32(rtol: float, atol: float) -> None:
    """Emit a `PrecisionWarning` to who makes an integrator, whose `__post_init__` calls this. Raises `SolveError` where
    a tolerance is out of reach."""
    for name, given in (("rtol", rtol), ("atol", atol)):
        smallest = _SMALLEST[name]
        if given < smallest:
            raise SolveError(
                f'Argument `{name}` must be >= {smallest:g} with precision="float32", but {given:g} was given. Set '
                f'{name}={10 * smallest:g}, or use precision="float64".'
            )
    warnings.warn(
        "States and parameters are computed in float32: about six digits, and numbers between 1e-38 and 3e38. Use "
        'precision="float64" for results to keep.',
        PrecisionWarning,
        4,
    )

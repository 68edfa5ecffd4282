"""LLVM code of scalar programs and of the step controller, against numpy and the traceable engine."""

from __future__ import annotations

import numpy as np
import pytest
from compiled import LANES, aligned, applied
from programs import ZOO

from qspx.integrate.controller import step_factor as traceable_factor
from qspx.integrate.lowering import lower_functions
from qspx.integrate.native_code import Array, Function
from qspx.integrate.native_compile import Kernel
from qspx.integrate.native_program import declarations, printed
from qspx.integrate.native_step import step_factor


@pytest.mark.parametrize("name", ZOO)
def test_a_program_gives_the_same_numbers(name):
    low = lower_functions(ZOO[name], None, 3, 3)
    rng = np.random.default_rng(1)
    count = low.prologue.outputs["fixed"]
    groups = {"t": 1, "y": 3, "theta": 3, "fixed": len(count), "rates": 3}
    arrays = {k: aligned(max(size, 1)) for k, size in groups.items()}
    arrays["t"][:], arrays["y"][:] = rng.uniform(0, 1, (1, LANES)), rng.uniform(0.3, 2, (3, LANES))
    arrays["theta"][:] = rng.uniform(0.5, 3, (3, LANES))
    if count:
        arrays["fixed"][:] = low.prologue.evaluate_numpy(theta=arrays["theta"])["fixed"]
    inputs = ("t", "y", "theta", "fixed")
    caller = Function("run", 5, LANES, exported=True)
    caller.call("rates", *(Array(caller, a, caller.vector) for a in caller.arguments))
    text = "\n".join([declarations(LANES), printed("rates", low.rates, dict.fromkeys(inputs, 0), LANES), caller.text()])
    Kernel(text, "run", 5)(*(a.ctypes.data for a in arrays.values()))
    expected = low.rates.evaluate_numpy(**{k: arrays[k] for k in inputs})["rates"]
    np.testing.assert_allclose(arrays["rates"], expected, rtol=1e-13, atol=1e-14)


def test_factor_of_the_next_step_is_that_of_the_traceable_engine():
    norms = np.array([[0.0, 1e-40, 1e-12, 3e-3], [0.5, 1.0, 1.1, 27.0], [1e4, 1e300, np.inf, np.nan]])
    found = applied(lambda f, norm: step_factor(f, norm, 5), norms)
    np.testing.assert_allclose(found, traceable_factor(norms, 5.0), rtol=1e-8)

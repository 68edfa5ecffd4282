"""LLVM code of scalar programs and of the step controller, against numpy and the traceable engine."""

from __future__ import annotations

import numpy as np
import pytest
from compiled import LANES, REALS, aligned, applied
from programs import ZOO

from qspx.integrate.controller import step_factor as traceable_factor
from qspx.integrate.lowering import lower_functions
from qspx.integrate.native_code import Array, Function
from qspx.integrate.native_compile import Kernel
from qspx.integrate.native_program import declarations, printed
from qspx.integrate.native_step import step_factor

# expected relative error: a few roundings, and what cancels
PRECISION = {np.float64: 1e-13, np.float32: 3e-5}


@pytest.mark.parametrize("dtype", PRECISION)
@pytest.mark.parametrize("name", ZOO)
def test_a_program_gives_the_same_numbers(name, dtype):
    low = lower_functions(ZOO[name], None, 3, 3)
    rng = np.random.default_rng(1)
    count = low.prologue.outputs["fixed"]
    groups = {"t": 1, "y": 3, "theta": 3, "fixed": len(count), "rates": 3}
    arrays = {k: aligned(max(size, 1), np.float64 if k == "t" else dtype) for k, size in groups.items()}
    arrays["t"][:], arrays["y"][:] = rng.uniform(0, 1, (1, LANES)), rng.uniform(0.3, 2, (3, LANES))
    arrays["theta"][:] = rng.uniform(0.5, 3, (3, LANES))
    if count:
        arrays["fixed"][:] = low.prologue.evaluate_numpy(theta=arrays["theta"])["fixed"]
    inputs, real = ("t", "y", "theta", "fixed"), REALS[np.dtype(dtype)]
    caller = Function("run", 5, LANES, real, exported=True)
    caller.call("rates", *(Array(caller, a, caller.vector) for a in caller.arguments))
    rates = printed("rates", low.rates, tuple(inputs), LANES, real)
    text = "\n".join([declarations(LANES, real), rates, caller.text()])
    Kernel(text, "run", 5)(*(a.ctypes.data for a in arrays.values()))
    expected = low.rates.evaluate_numpy(**{k: arrays[k] for k in inputs})["rates"]
    tolerance = PRECISION[dtype]
    np.testing.assert_allclose(arrays["rates"], expected, rtol=tolerance, atol=tolerance / 10)


@pytest.mark.parametrize("dtype", PRECISION)
def test_factor_of_the_next_step_is_that_of_the_traceable_engine(dtype):
    norms = np.array([[0.0, 1e-30, 1e-12, 3e-3], [0.5, 1.0, 1.1, 27.0], [1e4, 1e30, np.inf, np.nan]])
    found = applied(lambda f, norm: step_factor(f, norm, 5), norms.astype(dtype))
    np.testing.assert_allclose(found, traceable_factor(norms, 5.0), rtol=1e-8 if dtype is np.float64 else 1e-5)

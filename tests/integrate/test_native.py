"""LLVM code of scalar programs and of the step controller, against numpy and the traceable engine."""

from __future__ import annotations

import numpy as np
import pytest
from programs import ZOO

from qspx.integrate import native_math
from qspx.integrate.controller import step_factor as traceable_factor
from qspx.integrate.lowering import lower_functions
from qspx.integrate.native_code import Array, Function
from qspx.integrate.native_compile import Kernel
from qspx.integrate.native_program import declarations, printed
from qspx.integrate.native_step import step_factor

LANES = 4


def aligned(rows: int) -> np.ndarray:
    """Zeros, shape (rows, lanes), where vectors can be read."""
    memory = np.zeros((rows + 1) * LANES)
    skip = (-memory.ctypes.data // 8) % LANES
    return memory[skip : skip + rows * LANES].reshape(rows, LANES)


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


def applied(function, *values: np.ndarray) -> np.ndarray:
    """function(f, *vectors) of arrays of one shape, compiled."""
    shape, size = values[0].shape, values[0].size
    rows = -(-size // LANES)
    arrays = [aligned(rows) for _ in range(len(values) + 1)]
    for array, value in zip(arrays, values, strict=False):
        array.reshape(-1)[:size] = value.reshape(-1)
    f = Function("run", len(arrays), LANES, exported=True)
    *sources, target = (Array(f, a, f.vector) for a in f.arguments)
    with f.loop(rows) as i:
        target[i] = function(f, *(source[i] for source in sources))
    Kernel(declarations(LANES) + "\n" + f.text(), "run", len(arrays))(*(a.ctypes.data for a in arrays))
    return arrays[-1].reshape(-1)[:size].reshape(shape)


SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 5e-324, 1e-310, 2.3e-308, 1.7e308, 709.7, 709.9, -746]
)
SPREAD = np.concatenate([SPECIAL, np.random.default_rng(0).uniform(-745, 709, 4000), np.geomspace(1e-12, 1, 500)])


def test_exponential_and_logarithm_to_the_last_place():
    with np.errstate(all="ignore"):
        np.testing.assert_array_max_ulp(
            applied(native_math.exp, SPREAD)[SPREAD > -708], np.exp(SPREAD)[SPREAD > -708], 2
        )
        np.testing.assert_allclose(applied(native_math.exp, SPREAD), np.exp(SPREAD), rtol=1e-15, atol=5e-324)
        for x in (SPECIAL, np.exp(SPREAD), 1 + np.linspace(-0.5, 1, 4001)):
            np.testing.assert_allclose(applied(native_math.log, x), np.log(x), rtol=3e-16)


def test_powers_of_every_kind_of_number():
    """Within |y log x| roundings; signs, zeros and infinities as in C."""
    x, y = (a.reshape(-1) for a in np.meshgrid(SPECIAL, [0.0, 1.0, -1.0, 2.0, 3.0, 0.5, -2.5, np.inf, np.nan]))
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(applied(native_math.power, x, y), x**y, rtol=1e-12)
    rng = np.random.default_rng(1)
    x, y = np.exp(rng.uniform(-30, 30, 4000)), rng.uniform(-5, 5, 4000)
    np.testing.assert_allclose(applied(native_math.power, x, y), x**y, rtol=5e-14)

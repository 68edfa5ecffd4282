"""Functions of vectors, compiled and run on arrays: for the tests of the code that the native engine is made of."""

from __future__ import annotations

import numpy as np

from qspx.integrate.native_code import Array, Function
from qspx.integrate.native_compile import Kernel
from qspx.integrate.native_program import declarations

LANES = 4


def aligned(rows: int) -> np.ndarray:
    """Zeros, shape (rows, lanes), where vectors can be read."""
    memory = np.zeros((rows + 1) * LANES)
    skip = (-memory.ctypes.data // 8) % LANES
    return memory[skip : skip + rows * LANES].reshape(rows, LANES)


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

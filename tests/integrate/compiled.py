"""Functions of vectors, compiled and run on arrays: for the tests of the code that the native engine is made of."""

from __future__ import annotations

import numpy as np

from qspx.integrate.native_code import DOUBLE, FLOAT, Array, Function
from qspx.integrate.native_compile import Kernel
from qspx.integrate.native_program import declarations

LANES = 4
REALS = {np.dtype(np.float64): DOUBLE, np.dtype(np.float32): FLOAT}


def aligned(rows: int, dtype: type | np.dtype = np.float64) -> np.ndarray:
    """Zeros, shape (rows, lanes), where vectors can be read."""
    memory = np.zeros(rows * LANES + 16, dtype)
    skip = (-memory.ctypes.data // memory.itemsize) % 16
    return memory[skip : skip + rows * LANES].reshape(rows, LANES)


def applied(function, *values: np.ndarray) -> np.ndarray:
    """function(f, *vectors) of arrays of one shape and type (float64 or float32), compiled."""
    shape, size, dtype = values[0].shape, values[0].size, values[0].dtype
    rows = -(-size // LANES)
    arrays = [aligned(rows, dtype) for _ in range(len(values) + 1)]
    for array, value in zip(arrays, values, strict=False):
        array.reshape(-1)[:size] = value.reshape(-1)
    f = Function("run", len(arrays), LANES, REALS[dtype], exported=True)
    *sources, target = (Array(f, a, f.vector) for a in f.arguments)
    with f.loop(rows) as i:
        target[i] = function(f, *(source[i] for source in sources))
    text = declarations(LANES, REALS[dtype]) + "\n" + f.text()
    Kernel(text, "run", len(arrays))(*(a.ctypes.data for a in arrays))
    return arrays[-1].reshape(-1)[:size].reshape(shape)

"""The model's rates and Jacobian as compiled functions of numpy arrays: numba where it is installed, else jax."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Mapping

import jax
import numpy as np

from .printing import PYTHON, array_reader, assignments, statements
from .problems import Problem

FLAT = {"t": "t", "y": "y[{}]", "theta": "p[{}]"}
"""Inputs of a printed function; `p` holds the parameters, then what depends on them alone."""


def flat_parameters(problem: Problem) -> np.ndarray:
    """theta and fixed side by side, shape (patients, parameters + values)."""
    return np.ascontiguousarray(np.concatenate([problem.theta, problem.fixed], axis=1))


def names_of_inputs(problem: Problem) -> Mapping[str, str]:
    first = problem.theta.shape[1]
    return FLAT | {"fixed": f"p[{first} + {{}}]"}


def python_source(problem: Problem, head: str, part: str) -> str:
    """A Python function that writes the rates into `out[i]`, or the Jacobian into `out[i, j]`."""
    read = array_reader(names_of_inputs(problem))
    low = problem.lowered
    if part == "rates":
        lines, found = statements(low.rates, PYTHON, read)
        stored = list(assignments("out", found["rates"]))
    else:
        lines, found = statements(low.jacobian, PYTHON, read)
        stored = [f"out[{i}, {j}] = {v}" for (i, j), v in zip(low.pattern, found["entries"], strict=True)]
    return "import math\n" + head + "\n    " + "\n    ".join([*lines, *stored]) + "\n"


def defined(source: str, name: str) -> Callable:
    """The function `name` of a source text."""
    space: dict = {}
    exec(compile(source, f"<printed {name}>", "exec"), space)
    return space[name]


@functools.lru_cache(maxsize=4)
def rates_and_jacobian(problem: Problem) -> tuple[Callable, Callable, Callable[[int], np.ndarray]]:
    """(rates(t, y, p, out), jacobian(t, y, p, out), p of patient i), compiled once for all that use them. `out` is
    filled; the Jacobian's zeros are not written, so start from zeros."""
    if importlib.util.find_spec("numba") is None:
        return _by_jax(problem)
    import numba

    made = [
        numba.njit(error_model="numpy")(defined(python_source(problem, f"def {part}(t, y, p, out):", part), part))
        for part in ("rates", "jacobian")
    ]
    flat, n = flat_parameters(problem), problem.states
    made[0](0.0, problem.initial[0], flat[0], np.empty(n))
    made[1](0.0, problem.initial[0], flat[0], np.zeros((n, n)))
    return made[0], made[1], lambda i: flat[i]


def _by_jax(problem: Problem) -> tuple[Callable, Callable, Callable[[int], np.ndarray]]:
    model = problem.model
    f = jax.jit(model.rates_vector)
    df = jax.jit(jax.jacfwd(model.rates_vector, argnums=1))

    def filled(function, t, y, p, out):
        out[:] = function(t, y, p)

    return functools.partial(filled, f), functools.partial(filled, df), lambda i: problem.theta[i]

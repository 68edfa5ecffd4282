"""qspx: log-likelihood, and its gradient by reverse and by forward sensitivities (these with Fisher information)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

import qspx

from .problems import Problem

TOGETHER = None  # all starts in one call
COMPILES_AT_FIRST_CALL = True
Answer = tuple[np.ndarray, np.ndarray | None]  # values (places,) and gradients (places, estimated)
Evaluate = Callable[[np.ndarray], Answer]


def missing() -> str | None:
    return None


def ways(problem: Problem, rtol: float, atol: float) -> dict[str, Evaluate]:
    """What can be evaluated, as functions of coordinates (places, estimated). Not compiled yet."""
    objective = qspx.load_petab(problem.path, integrator=qspx.AutomaticIntegrator(rtol, atol)).objective

    def value(x: np.ndarray) -> Answer:
        return np.asarray(objective.values(x)), None

    def reverse(x: np.ndarray) -> Answer:
        found, gradient = jax.block_until_ready(objective.values_and_gradients(x))
        return np.asarray(found), np.asarray(gradient)

    def forward(x: np.ndarray) -> Answer:
        found = jax.block_until_ready(objective.evaluations(x))
        return np.asarray(found.value), np.asarray(found.gradient)

    return {"objective": value, "gradient, reverse": reverse, "gradient, forward (with information)": forward}

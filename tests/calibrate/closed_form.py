"""Objectives whose predictions are formulas of the estimated values, without a model to integrate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from qspx import BatchIntegrator
from qspx._status import Status
from qspx.calibrate.assigned import Assigned
from qspx.calibrate.estimated import Estimated
from qspx.calibrate.noise import AbstractNoise, NormalNoise
from qspx.calibrate.objective import Group, Objective, Predictions


@dataclasses.dataclass(frozen=True, eq=False)
class ClosedForm(Objective):
    """`formula(values) -> (predictions, sd, solved)`."""

    formula: Callable[[Any], tuple[Any, Any, Any]] = lambda v: (v, v, True)

    def predict(self, x):
        prediction, sd, solved = self.formula(self.natural(jnp.asarray(x, float)))
        finite = jnp.isfinite(x).all()
        status = jnp.where(finite & solved, Status.OK, Status.MAX_STEPS)[None]
        ok = status[0] == Status.OK
        return Predictions(jnp.where(ok, prediction, 1.0), jnp.where(ok, sd, 1.0), status)


def closed_form(
    estimated: tuple[Estimated, ...],
    value: Any,
    formula: Callable[[Any], tuple[Any, Any, Any]],
    noise: AbstractNoise | None = None,
) -> ClosedForm:
    value = np.asarray(value, dtype=float)
    n = len(value)
    group = Group(
        np.arange(n),
        lambda t, y, p, l: (y[0], 1.0),
        Assigned(np.zeros((n, 0)), np.zeros((n, 0))),
        noise or NormalNoise(),
    )
    zeros = np.zeros(n, dtype=int)
    return ClosedForm(
        estimated, (), zeros, zeros, np.zeros(n), value, zeros, (group,), BatchIntegrator(), formula=formula
    )


def linear(values: bool = True, upper: float = 10.0) -> tuple[ClosedForm, np.ndarray, np.ndarray]:
    """A straight-line regression with known sd 0.5: objective, exact estimates and exact standard errors. `upper`: of
    the slope b."""
    rng = np.random.default_rng(0)
    A = np.stack([np.ones(30), np.linspace(-1, 3, 30)], axis=1)
    y = A @ [2.0, -0.7] + 0.5 * rng.standard_normal(30)
    estimated = (
        Estimated("a", (-10.0, 10.0), 0.5 if values else None, scale="lin"),
        Estimated("b", (-10.0, upper), -0.5 if values and upper > -0.5 else None, scale="lin"),
    )
    o = closed_form(estimated, y, lambda v: (A @ v, jnp.full(30, 0.5), True))
    best, *_ = np.linalg.lstsq(A, y)
    return o, best, 0.5 * np.sqrt(np.diag(np.linalg.inv(A.T @ A)))


def rosenbrock() -> ClosedForm:
    """Rosenbrock's valley as two residuals with sd 0.05; the best is (1, 1)."""
    estimated = tuple(Estimated(k, (-3.0, 3.0), scale="lin") for k in "ab")
    return closed_form(
        estimated, [0.0, 0.0], lambda v: (jnp.stack([10 * (v[1] - v[0] ** 2), 1 - v[0]]), jnp.full(2, 0.05), True)
    )

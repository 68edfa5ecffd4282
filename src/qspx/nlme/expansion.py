"""What FOCE, FOCEI, Laplace and quadrature share: an expansion around each individual's most probable random effects.

The contribution of an individual is a function of the coordinates x through its predictions, themselves through
x ↦ ẑ(x), so that its derivative needs dẑ/dx = -(∂²J/∂z²)⁻¹ ∂²J/∂z∂x of the joint function J. Here ẑ(x) is one step of
Newton's method from the estimate with the second derivative held: at the estimate its value is exact to the square of
the estimate's error, and its derivative is that of the implicit function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qspx.nlme.base import PopulationObjective
from qspx.nlme.conditional import Estimates
from qspx.nlme.individuals import Individuals, Jets, Row
from qspx.nlme.likelihood import deviance, information
from qspx.nlme.taylor import Taylor, around


class Expansion:
    """Functions of one individual near its estimate; x and z may be traced.

    Args:
        individuals: the population.
        row: the individual.
        near: its predictions near the estimate.
        typical: its predictions near zero random effects, where residual variances are those there; else None.
    """

    def __init__(self, individuals: Individuals, row: Row, near: Taylor, typical: Taylor | None):
        self.individuals, self.row, self.near, self.at_zero = individuals, row, near, typical

    def predicted(self, x: Any, z: Any) -> Any:
        """(m,)"""
        mean = self.individuals.mean(x, self.row)
        return self.near(self.individuals.with_effects(mean, self.individuals.problem.factor(x), z))

    def variance(self, x: Any, f: Any) -> Any:
        """Residual variances (m,), for predictions f where there is interaction."""
        if self.at_zero is not None:
            f = self.at_zero(self.individuals.mean(x, self.row))
        return jnp.where(self.row.seen, self.individuals.variance(x, f, self.row.endpoint), 1.0)

    def joint(self, x: Any, z: Any) -> Any:
        """J = Σ deviance + |z|²."""
        f = self.predicted(x, z)
        each = deviance(self.row.value, f, self.variance(x, f), self.row.censored)
        return jnp.where(self.row.seen, each, 0.0).sum() + z @ z

    def half_curvature(self, x: Any, z: Any) -> Any:
        """½ ∂²J/∂z², exact, (effects, effects)."""
        return 0.5 * jax.hessian(self.joint, argnums=1)(x, z)

    def expected_curvature(self, x: Any, z: Any) -> Any:
        """I + Σ ∂f ∂fᵀ [1/R + ½ (R'/R)²], (effects, effects)."""
        f = self.predicted(x, z)
        moved = jax.jacfwd(self.predicted, argnums=1)(x, z)
        variance, slope = jax.jvp(lambda f: self.variance(x, f), (f,), (jnp.ones_like(f),))
        info = jnp.where(self.row.seen, information(self.row.value, f, variance, slope, self.row.censored), 0.0)
        return jnp.eye(len(z)) + (moved.T * info[None]) @ moved

    def implicit(self, x: Any, z: Any) -> Any:
        """ẑ as a function of x, from the estimate z."""
        held = jax.lax.stop_gradient(self.half_curvature(x, z))
        half_slope = 0.5 * jax.grad(self.joint, argnums=1)(x, z)
        return z - jnp.linalg.solve(held, half_slope)


def log_determinant(matrix: Any) -> Any:
    """Of a positive definite matrix; NaN where it is not."""
    return 2 * jnp.log(jnp.diagonal(jnp.linalg.cholesky(matrix))).sum()


def expand(
    objective: PopulationObjective, x: np.ndarray, z: np.ndarray, second: Callable | None = None
) -> tuple[Estimates, np.ndarray, tuple[Taylor, Taylor | None], np.ndarray]:
    """Estimates from z, u there, polynomials around them (and around zero without interaction), and status.

    `second`: compiled (x, z, polynomials, rows) -> curvature matrices (individuals, effects, effects) in whose
    directions third derivatives are wanted.
    """
    interaction, individuals = objective.method.interaction, objective.individuals
    zero = None if interaction else objective.typical(x)
    found = objective.estimates(x, z, None if zero is None else zero[1])
    u = objective.u(x, found.z)
    joint = objective.joint(x, found.z, found.jets, np.zeros_like(found.jets.f) if zero is None else zero[1].f)
    factor = np.asarray(individuals.problem.factor(x))
    directions = factor @ spread_of(np.asarray(joint.curvature))
    near, status = around(individuals.many_jets, u, found.jets, directions, None)
    if second is not None:
        curvature = np.asarray(second(x, found.z, near, individuals.rows))
        near, status = around(individuals.many_jets, u, found.jets, directions, factor @ spread_of(curvature))
    at_zero = None if zero is None else flat(zero[0], zero[1])
    if zero is not None:
        status = np.maximum(status, np.asarray(zero[1].status))
    return found, u, (near, at_zero), status


def flat(u: np.ndarray, jets: Jets) -> Taylor:
    """Polynomials of first order around u (individuals, columns); or around several points each, u (points,
    individuals, columns), with the points as second axis of the result."""
    if u.ndim == 3:
        u, jets = np.moveaxis(u, 0, 1), Jets(*(np.moveaxis(field, 0, 1) for field in jets))
    *lead, m, p = jets.slope.shape
    return Taylor(
        u, jets.f, jets.slope, np.zeros((*lead, m, p, p)), np.zeros((*lead, 0, 0)), np.zeros((*lead, 0, m, p))
    )


def spread_of(curvature: np.ndarray) -> np.ndarray:
    """C with C Cᵀ = curvature⁻¹, (individuals, effects, effects); the identity where there is none."""
    q = curvature.shape[-1]
    found = np.tile(np.eye(q), (len(curvature), 1, 1))
    for k, matrix in enumerate(curvature):
        if np.isfinite(matrix).all() and (values := np.linalg.eigvalsh(matrix))[0] > 1e-12 * values[-1] > 0:
            found[k] = np.linalg.inv(np.linalg.cholesky(matrix)).T
    return found

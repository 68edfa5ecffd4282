"""Empirical Bayes estimates: the random effects that are most probable given an individual's measurements.

    ẑ = argmin_z  Σ_j deviance(y_j, f_j(z), R_j) + |z|²

for all individuals at once, by Gauss-Newton steps with Levenberg-Marquardt damping of each individual's own. What
Gauss-Newton leaves out of the second derivative is learned from the change of the gradient (a symmetric rank-one update
of that part alone, as in Dennis, Gay & Welsch 1981, doi:10.1145/355958.355965): without it the search creeps where the
residuals are large or parameters compensate each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qspx._status import Status
from qspx.nlme.compiling import compiled
from qspx.nlme.individuals import Individuals, Jets, Row
from qspx.nlme.likelihood import deviance, information

MOST_STEPS = 80
NEAR = 1e-5  # a step this short, in standard deviations of the estimate, ends the search; its error is far shorter


class Estimates(NamedTuple):
    """z (individuals, effects), predictions there, status of the solve there (individuals,), and whether the search
    ended (individuals,)."""

    z: np.ndarray
    jets: Jets
    status: np.ndarray
    converged: np.ndarray


class Joint(NamedTuple):
    """Of each individual: value of the function above, half its gradient by z (effects,), and the Gauss-Newton
    approximation of half its second derivative (effects, effects)."""

    value: Any
    gradient: Any
    curvature: Any


def joint_function(individuals: Individuals, interaction: bool) -> Callable[..., Joint]:
    """Compiled (x, z, jets, f at z = 0) -> Joint. Without `interaction` the residual variance is that at z = 0."""

    def one(x, factor, z, f, slope, f_typical, row: Row):
        def spread(f):
            return jnp.where(row.seen, individuals.variance(x, f, row.endpoint), 1.0)

        def total(f):
            variance = spread(f if interaction else f_typical)
            return jnp.where(row.seen, deviance(row.value, f, variance, row.censored), 0.0).sum()

        value, by_f = jax.value_and_grad(total)(f)
        at = f if interaction else f_typical
        variance, by_variance = jax.jvp(spread, (at,), (jnp.ones_like(at),))
        if not interaction:
            by_variance = jnp.zeros_like(by_variance)
        info = jnp.where(row.seen, information(row.value, f, variance, by_variance, row.censored), 0.0)
        moved = slope[:, : len(z)] @ factor  # df/dz
        curvature = (moved.T * info[None]) @ moved + jnp.eye(len(z))
        return Joint(value + z @ z, 0.5 * by_f @ moved + z, curvature)

    def every(x, z, jets: Jets, f_typical):
        factor = individuals.problem.factor(x)
        found = jax.vmap(one, in_axes=(None, None, 0, 0, 0, 0, 0))(
            x, factor, z, jets.f, jets.slope, f_typical, individuals.rows
        )
        solved = (jets.status == Status.OK) & jnp.isfinite(found.value)
        return found._replace(value=jnp.where(solved, found.value, jnp.inf))

    return compiled(every)


def mean_function(individuals: Individuals) -> Callable[..., Any]:
    """Compiled: x -> u without random effects (individuals, columns)."""
    return compiled(lambda x: jax.vmap(individuals.mean, in_axes=(None, 0))(x, individuals.rows))


def estimate(
    individuals: Individuals,
    joint: Callable[..., Joint],
    u_of: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    start: np.ndarray,
    f_typical: np.ndarray,
) -> Estimates:
    """The estimates, from z = `start` (individuals, effects), and from zero where the model cannot be solved there.
    `u_of`: z -> u (individuals, columns)."""

    def at(z):
        jets = Jets(*map(np.asarray, individuals.jets(u_of(z))))
        return jets, Joint(*map(np.array, joint(x, z, jets, f_typical)))

    z = np.array(start)
    jets, found = at(z)
    if not np.isfinite(found.value).all():
        z = np.where(np.isfinite(found.value)[:, None], z, 0.0)
        jets, found = at(z)
    jets = Jets(*map(np.array, jets))
    damping, done = np.zeros(len(z)), ~np.isfinite(found.value)
    left_out = np.zeros_like(found.curvature)
    converged = np.zeros(len(z), bool)
    for _ in range(MOST_STEPS):
        step = _step(found, _whole(found.curvature, left_out), damping)
        length = np.sqrt(np.maximum(np.einsum("ij,ijk,ik->i", step, found.curvature, step), 0.0))
        short = ~done & (length < NEAR) & (damping < 1e-2)
        converged |= short
        done |= short | (damping > 1e12)
        if done.all():
            break
        tried = np.where(done[:, None], z, z + step)
        new_jets, new = at(tried)
        better = ~done & (new.value <= found.value + 1e-10 * np.abs(found.value))
        left_out = np.where(better[:, None, None], _learned(left_out, found, new, step), left_out)
        z[better] = tried[better]
        for old, fresh in zip((*jets, *found), (*new_jets, *new), strict=True):
            old[better] = fresh[better]
        worse = ~done & ~better
        damping[better] = np.where(damping[better] < 1e-6, 0.0, damping[better] * 0.1)
        damping[worse] = np.maximum(damping[worse] * 8.0, 1e-2)
    return Estimates(z, jets, np.array(jets.status), converged)


def _learned(left_out: np.ndarray, old: Joint, new: Joint, step: np.ndarray) -> np.ndarray:
    """The part that Gauss-Newton leaves out, after a step (individuals, effects)."""
    missing = new.gradient - old.gradient - np.einsum("ijk,ik->ij", new.curvature + left_out, step)
    along = np.einsum("ij,ij->i", missing, step)
    size = np.linalg.norm(missing, axis=1) * np.linalg.norm(step, axis=1)
    update = np.einsum("ij,ik->ijk", missing, missing) / np.where(along == 0, 1.0, along)[:, None, None]
    certain = np.isfinite(update).all(axis=(1, 2)) & (np.abs(along) > 1e-6 * size)
    return left_out + np.where(certain[:, None, None], update, 0.0)


def _whole(curvature: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """Gauss-Newton's curvature plus what it leaves out, where that is positive definite enough."""
    whole = np.where(np.isfinite(curvature + left_out), curvature + left_out, 0.0)
    own = np.where(np.isfinite(curvature), curvature, 0.0)
    enough = np.linalg.eigvalsh(whole)[:, 0] > 0.1 * np.linalg.eigvalsh(own)[:, 0]
    return np.where(enough[:, None, None], whole, own)


def _step(found: Joint, curvature: np.ndarray, damping: np.ndarray) -> np.ndarray:
    """(individuals, effects)"""
    diagonal = np.einsum("ijj->ij", curvature)
    damped = curvature + np.einsum("i,ij,jk->ijk", damping, diagonal, np.eye(diagonal.shape[1]))
    fine = np.isfinite(found.value) & np.isfinite(found.gradient).all(axis=1)
    damped = np.where(fine[:, None, None], damped, np.eye(diagonal.shape[1]))
    return -np.linalg.solve(damped, np.where(fine[:, None], found.gradient, 0.0)[..., None])[..., 0]

"""The Levenberg-Marquardt steps of `Twins`, for many patients at once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from qspx._status import Status
from qspx.vpop.problem import PopulationProblem

if TYPE_CHECKING:
    from qspx.vpop.twins import Twins

BLOCK = 1024
SIZES = (64, 256, 1024)  # of what is compiled
MARGIN = 3e-3  # by which bounds are drawn in while optimising, in their widths: what a penalty gives way


@functools.lru_cache(maxsize=4)
def steps_of(problem: PopulationProblem, names: tuple[str, ...], settings: Twins) -> LevenbergMarquardt:
    """Compiled once for a problem, whatever the key."""
    return LevenbergMarquardt(problem, names, settings)


class LevenbergMarquardt:
    """Steps of all patients of a problem."""

    def __init__(self, problem: PopulationProblem, names: tuple[str, ...], settings: Twins):
        self.problem, self.settings, self.evaluations = problem, settings, 0
        self._seen = np.array([problem.simulator.names.index(n) for n in names])
        self._bound = np.array([problem.simulator.names.index(n) for n in problem.plausibility.names], dtype=int)

    @functools.cached_property
    def _look(self) -> Any:
        """z (n, P) -> logs (n, M), violations (n, B), whether solved (n,), and derivatives (P, n, M), (P, n, B)."""

        def look(z):
            values, status = self.problem.simulator.traced(self.problem.theta(z))
            seen = values[:, self._seen]
            ok = (status == Status.OK) & (jnp.where(jnp.isfinite(seen), seen, -1.0) > 0).all(axis=1)
            safe = jnp.where(ok[:, None], values, 1.0)
            return (jnp.log(safe[:, self._seen]), self.problem.plausibility.violation(safe[:, self._bound], MARGIN)), ok

        def looked(z):
            (logs, outside), ok = look(z)
            directions = jnp.broadcast_to(jnp.eye(z.shape[1])[:, None, :], (z.shape[1], *z.shape))
            _, push, _ = jax.linearize(look, z, has_aux=True)
            d_logs, d_outside = jax.vmap(push)(directions)
            ok = ok & jnp.isfinite(d_logs).all((0, 2)) & jnp.isfinite(d_outside).all((0, 2))
            return logs, outside, ok, d_logs, d_outside

        return jax.jit(looked)

    @functools.cached_property
    def _step(self) -> Any:
        """Steps (n, P) from where everybody is."""

        def step(z, z0, wanted, seen, sigma, kappa, damping):
            logs, outside, _, d_logs, d_outside = seen
            a = jnp.concatenate([d_logs / sigma, d_outside * kappa], axis=2)  # (P, n, M + B)
            r = jnp.concatenate([(logs - wanted) / sigma, outside * kappa], axis=1)
            a = jnp.swapaxes(a, 0, 1)  # (n, P, residuals)
            normal = a @ jnp.swapaxes(a, 1, 2)
            normal = normal + (1.0 + damping)[:, None, None] * jnp.eye(z.shape[1])[None]
            slope = z - z0 + (a @ r[..., None])[..., 0]
            move = -jnp.linalg.solve(normal, slope[..., None])[..., 0]
            length = jnp.linalg.norm(move, axis=1, keepdims=True)
            return z + move * jnp.minimum(1.0, self.settings.longest / jnp.maximum(length, 1e-300))

        return jax.jit(step)

    def run(self, start: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, ...]:
        """Scores (n, P), logarithms of the outputs there (n, M), and which are good (n,)."""
        self.evaluations = 0
        parts = [self._block(start[i : i + BLOCK], wanted[i : i + BLOCK]) for i in range(0, len(start), BLOCK)]
        return tuple(np.concatenate(x) for x in zip(*parts, strict=True))

    def _block(self, start: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, ...]:
        s, n = self.settings, len(start)
        size = next(k for k in SIZES if k >= n)
        z0 = jnp.asarray(np.concatenate([start, np.repeat(start[-1:], size - n, axis=0)]))
        y = jnp.asarray(np.concatenate([wanted, np.repeat(wanted[-1:], size - n, axis=0)]))
        z, damping = z0, jnp.ones(size)
        seen = self._look(z)
        self.evaluations += n
        for k in range(s.steps):
            share = min(k / max(s.sharpening - 1, 1), 1.0)
            sigma, kappa = 10.0 ** (-2.5 * share), 3.0 * (1000.0 / 3.0) ** share
            tried = self._step(z, z0, y, seen, sigma, kappa, damping)
            there = self._look(tried)
            self.evaluations += n
            z, damping, seen = _kept(z, z0, y, seen, tried, there, sigma, kappa, damping)
        logs, outside, ok = (np.asarray(x)[:n] for x in seen[:3])
        # inside the bounds themselves
        good = ok & (np.abs(logs - wanted).max(axis=1) < s.near) & (outside.max(axis=1, initial=0.0) < MARGIN)
        return np.asarray(z)[:n], logs, good


@jax.jit
def _kept(z, z0, y, seen, tried, there, sigma, kappa, damping):
    """Whoever improves goes there, with less damping; the others stay, with more."""

    def misfit(z, seen):
        logs, outside, ok = seen[:3]
        total = ((z - z0) ** 2).sum(1) + (((logs - y) / sigma) ** 2).sum(1) + ((kappa * outside) ** 2).sum(1)
        return jnp.where(ok, total, jnp.inf)

    before, after = misfit(z, seen), misfit(tried, there)
    better = after < before
    # who has not been solved yet tries another place nearer to the middle of the prior
    lost = ~jnp.isfinite(before) & ~better
    by_patient = (better[:, None], better[:, None], better, better[None, :, None], better[None, :, None])
    seen = tuple(jnp.where(b, new, old) for b, new, old in zip(by_patient, there, seen, strict=True))
    z = jnp.where(better[:, None], tried, jnp.where(lost[:, None], 0.7 * z, z))
    return z, jnp.clip(damping * jnp.where(better, 0.3, 4.0), 1e-6, 1e8), seen

"""Covariance of the estimates: from the observed information, and the sandwich that does without the model being true.

R = ½ ∂²OFV/∂x², by central differences of the gradient;  S = ¼ Σ_i ∂OFV_i/∂x ∂OFV_i/∂xᵀ
covariance: R⁻¹ (observed information), or R⁻¹ S R⁻¹ (sandwich; White 1982, doi:10.2307/1912526)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from qspx.nlme.base import Evaluated, PopulationObjective

STEP = 1e-3  # of a coordinate on a logarithm; elsewhere times the coordinate's size


@dataclasses.dataclass(frozen=True, eq=False)
class Matrices:
    """R and S on the coordinates, shape (coordinates, coordinates), where coordinates at a bound have zero rows; `free`
    says which have not, (coordinates,)."""

    r: np.ndarray
    s: np.ndarray
    free: np.ndarray

    @property
    def positive(self) -> bool:
        """Whether R is positive definite: the end is a minimum, and every coordinate is determined."""
        inner = self.r[np.ix_(self.free, self.free)]
        return bool(np.isfinite(inner).all() and np.linalg.eigvalsh(inner).min(initial=np.inf) > 0)

    @property
    def covariance(self) -> np.ndarray:
        """R⁻¹, zero for coordinates at a bound; NaN where R is not positive definite."""
        return self._full(lambda r, s: np.linalg.inv(r))

    @property
    def sandwich(self) -> np.ndarray:
        """R⁻¹ S R⁻¹."""
        return self._full(lambda r, s: np.linalg.solve(r, np.linalg.solve(r, s).T))

    @property
    def condition(self) -> float:
        """Largest over smallest eigenvalue of the estimates' correlations; over 1000 they are ill-determined."""
        if not self.positive or not self.free.any():
            return float("nan")
        inner = self.covariance[np.ix_(self.free, self.free)]
        sd = np.sqrt(np.diag(inner))
        values = np.linalg.eigvalsh(inner / np.outer(sd, sd))
        return float(values[-1] / values[0])

    def _full(self, function) -> np.ndarray:
        full = np.zeros_like(self.r)
        place = np.ix_(self.free, self.free)
        full[place] = function(self.r[place], self.s[place]) if self.positive else np.nan
        return full


def covariance_of(
    objective: PopulationObjective, at: Evaluated, report: Callable[[int], None] = lambda n: None
) -> Matrices:
    """By two evaluations per coordinate that is not at a bound. `report` hears of each coordinate."""
    box, n = objective.problem.box, len(at.x)
    size = np.where(np.isfinite(at.x), np.maximum(1.0, np.abs(at.x)), 1.0)
    free = (at.x > box[:, 0] + 1e-6) & (at.x < box[:, 1] - 1e-6)
    r = np.zeros((n, n))
    for k in np.flatnonzero(free):
        h = min(STEP * size[k], 0.5 * (at.x[k] - box[k, 0]), 0.5 * (box[k, 1] - at.x[k]))
        up, down = (objective(at.x + shift * np.eye(n)[k], at.z) for shift in (h, -h))
        r[k] = (up.gradient - down.gradient) / (4 * h) if np.isfinite(up.value + down.value) else np.nan
        report(1)
    r = np.where(np.outer(free, free), 0.5 * (r + r.T), 0.0)
    s = np.where(np.outer(free, free), 0.25 * at.gradients.T @ at.gradients, 0.0)
    return Matrices(r, s, free)

"""Least-squares weights: a quadratic programme with bounds on every weight.

    minimise 1/2 (X w - Y)' S^-1 (X w - Y) + 1/2 epsilon |w|^2   subject to sum w = 1, 0 <= w <= cap

The first term sees the weights only through a few features, so many weights do equally well; the second takes the
most even of them. Solved in the dual, w = clip((X' lambda + mu) / epsilon, 0, cap), exactly to rounding.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from qspx.vpop.diagnostics import effective_size
from qspx.vpop.dual import DualSolution, solve_dual
from qspx.vpop.outputs import PopulationError
from qspx.vpop.weighting import AbstractWeighting


def least_squares(x: np.ndarray, y: np.ndarray, s: np.ndarray, epsilon: float, cap: float) -> DualSolution:
    """Weights (subjects,) for features `x` (subjects, features), targets `y` and variances `s` (features,)."""
    n = len(x)
    a = np.column_stack([x, np.ones(n)])
    b = np.append(y, 1.0)
    penalty = np.diag(np.append(s, 0.0))
    epsilon = epsilon * n  # of order one for equal weights

    def dual(v):
        t = a @ v
        w = np.clip(t / epsilon, 0.0, cap)
        free = (t > 0) & (t < cap * epsilon)
        value = (t * w - 0.5 * epsilon * w**2).sum() - v @ b + 0.5 * v @ penalty @ v
        curvature = (a[free].T @ a[free]) / epsilon + penalty
        # where no weight is free the plane is flat: a trace of curvature lets the step go on
        curvature += 1e-12 * (np.trace(curvature) + n / epsilon) * np.eye(len(v))
        return float(value), a.T @ w - b + penalty @ v, curvature, w

    start = np.zeros(len(b))
    start[-1] = epsilon / n
    return solve_dual(dual, start, tolerance=3e-11, steps=500)


@dataclasses.dataclass(frozen=True)
class QuadraticProgramme(AbstractWeighting):
    """As gQSPSim (Hosseini 2020, doi 10.1002/psp4.12494): S = diag(0.1 |Y| + 1e-3), no weight above 1 / `least`. Means
    and second moments are both matched here.

    Args:
        least: effective number of patients below which the weights cannot concentrate.
        epsilon: weight of evenness.
    """

    least: int = 20
    epsilon: float = 1e-6

    def __post_init__(self):
        if not self.least >= 1:
            raise PopulationError(f"Argument `least` must be at least one patient, but is {self.least}.")
        if not 0 < self.epsilon < np.inf:
            raise PopulationError(f"Argument `epsilon` must be finite and > 0, but is {self.epsilon}.")

    def weigh(self, cloud, key):
        if len(cloud) < self.least:
            raise PopulationError(f"{len(cloud)} patients cannot have weights of at most 1/{self.least}.")
        f = cloud.features()
        found = least_squares(f.matrix, f.target, 0.1 * np.abs(f.target) + 1e-3, self.epsilon, 1.0 / self.least)
        return found.weights, {"steps": found.steps, "slope": found.slope, "converged": found.converged}


@dataclasses.dataclass(frozen=True)
class DirectWeights(AbstractWeighting):
    """One weight per patient with a floor under the effective number, as QSPToolbox's linear calibration (Cheng 2017,
    doi 10.1208/s12248-017-0100-x): the best fit among weights with 1 / sum w² >= `floor`.

    Args:
        floor: effective number of patients to keep.
    """

    floor: float = 150.0

    def __post_init__(self):
        if not 1 <= self.floor < np.inf:
            raise PopulationError(f"Argument `floor` must be a number of patients, at least one, but is {self.floor}.")

    def weigh(self, cloud, key):
        if len(cloud) < self.floor:
            raise PopulationError(f"{len(cloud)} patients cannot have an effective number of {self.floor:g}.")
        f = cloud.features()
        variance = np.diag(f.covariance)
        s = np.where(variance > 0, variance, 1e-6)
        s = s / s.mean()  # the trade against evenness must not depend on the sample size

        def at(log_epsilon):
            return least_squares(f.matrix, f.target, 1e-3 * s, 10.0**log_epsilon, 1.0)

        low, high = -4.0, 6.0
        found = at(low)
        if effective_size(found.weights) < self.floor:
            best = at(high)
            while high - low > 1e-6 and effective_size(best.weights) > self.floor * (1 + 1e-4):
                middle = 0.5 * (low + high)
                found = at(middle)
                if effective_size(found.weights) >= self.floor:
                    high, best = middle, found
                else:
                    low = middle
            found = best
        return found.weights, {"steps": found.steps, "slope": found.slope, "converged": found.converged}

"""Weights from a convex dual: few unknowns, one per feature, instead of one per patient.

    minimise  D(lambda) = sum_i phi(a_i . lambda) - b . lambda + 1/2 lambda' S lambda,   w_i = phi'(a_i . lambda)

phi is the conjugate of what is asked of the weights: entropy, or squares with bounds. Solved by damped Newton steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

# at a vector of multipliers: value, gradient, Hessian, weights
Dual = Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True, eq=False)
class DualSolution:
    """Multipliers, weights, the dual's value and largest slope there, and Newton steps taken."""

    multipliers: np.ndarray
    weights: np.ndarray
    value: float
    slope: float
    steps: int
    converged: bool


def solve_dual(dual: Dual, start: np.ndarray, *, tolerance: float = 1e-11, steps: int = 300) -> DualSolution:
    """Damped Newton steps from `start` until no slope is above `tolerance`, or nothing improves."""
    x = start.copy()
    value, slope, curvature, weights = dual(x)
    for taken in range(steps):
        worst = float(np.abs(slope).max())
        if worst <= tolerance:
            return DualSolution(x, weights, value, worst, taken, True)
        move = _newton(curvature, slope)
        downhill = float(slope @ move)
        length, better = 1.0, False
        for _ in range(60):
            tried = dual(x - length * move)
            # near the solution the value cannot tell rounding from progress, the slope can
            flat = abs(tried[0] - value) <= 1e-14 * (1.0 + abs(value)) and np.abs(tried[1]).max() < worst
            if tried[0] <= value - 1e-4 * length * downhill or flat:
                better = True
                break
            length *= 0.5
        if not better:
            break
        x = x - length * move
        value, slope, curvature, weights = tried
    worst = float(np.abs(slope).max())
    return DualSolution(x, weights, value, worst, steps if worst > tolerance else taken, worst <= tolerance * 100)


def _newton(curvature: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Newton step; directions without curvature (shares that sum to one, duplicates) are left alone."""
    values, vectors = np.linalg.eigh(curvature)
    keep = values > max(values[-1], 0.0) * 1e-14
    coordinates = vectors.T @ slope
    return vectors @ np.where(keep, coordinates / np.where(keep, values, 1.0), 0.0)

"""Least-squares weights: a quadratic programme with bounds on every weight, solved in its dual.

    minimise 1/2 (X w - Y)' S^-1 (X w - Y) + 1/2 epsilon |w|^2   subject to sum w = 1, 0 <= w <= cap

The first term sees the weights only through a few features, so many weights do equally well; the second takes the
most even of them. Solved in the dual, w = clip((X' lambda + mu) / epsilon, 0, cap), exactly to rounding.
"""

from __future__ import annotations

import numpy as np

from qspx.vpop.dual import DualSolution, solve_dual


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

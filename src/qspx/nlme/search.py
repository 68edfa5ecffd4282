"""Minimisation of a population objective between bounds: a quasi-Newton method that starts with a statistical Hessian.

The Hessian of a sum of -2 log-likelihoods is close to half the sum of the individuals' gradients' outer products
(Berndt, Hall, Hall & Hausman, Ann Econ Soc Meas 1974;3:653-665), which costs nothing here. It starts the damped BFGS
updates (Nocedal & Wright 2006, procedure 18.2), and again whenever a search along a line finds nothing. Coordinates at
a bound, with the gradient pushing out, stay there for the step. A point where an individual cannot be solved is worth
+inf, so that the search along the line turns back from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from qspx.nlme.base import Evaluated, PopulationObjective

LONGEST = 1.0  # of a step in a coordinate on a logarithm; elsewhere a quarter of the width between its bounds


@dataclasses.dataclass(frozen=True, eq=False)
class Search:
    """One search: where it began and ended, how many evaluations, and the decrease that a further step promises."""

    start: np.ndarray
    end: Evaluated
    evaluations: int
    promised: float
    converged: bool


def minimise(
    objective: PopulationObjective,
    start: np.ndarray,
    first: Evaluated,
    *,
    tolerance: float,
    most: int,
    report: Callable[[], None] = lambda: None,
) -> Search:
    """From `start`, evaluated as `first`, until the promised decrease is below `tolerance`, or `most` evaluations."""
    box, now, count, fresh = objective.problem.box, first, 1, True
    hessian = _statistical(now)
    promised = np.inf
    while count < most:
        step, promised = _step(now, hessian, box)
        if promised < tolerance:
            if fresh:
                break
            hessian, fresh = _statistical(now), True  # a second opinion before it is called the end
            continue
        found, used = _line(objective, now, step, report)
        count += used
        if found is None:
            if fresh:
                break
            hessian, fresh = _statistical(now), True
            continue
        hessian, fresh, now = _updated(hessian, now, found), False, found
    return Search(start, now, count, float(promised), bool(promised < 1e2 * tolerance))


def _statistical(now: Evaluated) -> np.ndarray:
    hessian = 0.5 * now.gradients.T @ now.gradients
    scale = np.maximum(np.diag(hessian), 1e-6 * max(1.0, np.diag(hessian).max(initial=0.0)))
    return hessian + np.diag(1e-3 * scale)


def _step(now: Evaluated, hessian: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, float]:
    """The step, and half the decrease that the quadratic model promises."""
    gradient = now.gradient
    free = ~(((now.x <= box[:, 0]) & (gradient > 0)) | ((now.x >= box[:, 1]) & (gradient < 0)))
    step = np.zeros_like(now.x)
    if not free.any():
        return step, 0.0
    step[free] = -np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
    promised = -0.5 * float(gradient @ step)
    width = box[:, 1] - box[:, 0]
    return step * min(1.0, *(np.minimum(LONGEST, 0.25 * width) / np.maximum(np.abs(step), 1e-300))), promised


def _line(
    objective: PopulationObjective, now: Evaluated, step: np.ndarray, report: Callable[[], None]
) -> tuple[Evaluated | None, int]:
    """The first point along the step that is low enough, and the number of evaluations."""
    box, share = objective.problem.box, 1.0
    for k in range(1, 16):
        x = np.clip(now.x + share * step, box[:, 0], box[:, 1])
        found = objective(x, now.z)
        report()
        enough = 1e-4 * min(float(now.gradient @ (x - now.x)), 0.0)
        if np.isfinite(found.value) and found.value <= now.value + enough + 1e-10 * abs(now.value):
            return found, k
        share *= 0.35 if np.isfinite(found.value) else 0.15
    return None, 15


def _updated(hessian: np.ndarray, old: Evaluated, new: Evaluated) -> np.ndarray:
    s, y = new.x - old.x, new.gradient - old.gradient
    hs = hessian @ s
    curved = float(s @ hs)
    if curved <= 0:
        return hessian
    if s @ y < 0.2 * curved:  # Powell's damping keeps it positive definite
        share = 0.8 * curved / (curved - float(s @ y))
        y = share * y + (1 - share) * hs
    return hessian - np.outer(hs, hs) / curved + np.outer(y, y) / float(s @ y)

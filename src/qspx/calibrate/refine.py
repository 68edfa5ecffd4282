"""Maximum of the log-posterior in the neighbourhood of many points at once, some coordinates held.

Gauss-Newton with the damping of Levenberg and Marquardt on the Fisher information, within the box: what profiles and
the bootstrap do thousands of times from starts that are nearly right. For a search from far away use `fit`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from qspx.calibrate.objective import Evaluation

SMALL = 1e-6  # log-likelihood that one more step would gain, below which a point counts as the maximum
NEARLY = 1e-3  # the same, where steps fail: the noise of the integrator ends the search
_MOST_DAMPED = 1e8


class Refined(NamedTuple):
    """Of each point: coordinates x (n, estimated), log-posterior value (n,), gradient (n, estimated), information
    (n, estimated, estimated), `Outcome` (n,), and the number of evaluations of all together."""

    x: np.ndarray
    value: np.ndarray
    gradient: np.ndarray
    information: np.ndarray
    outcome: np.ndarray
    evaluations: int

    @property
    def ok(self) -> np.ndarray:
        return self.outcome == Outcome.CONVERGED


class Outcome(IntEnum):
    """What became of a point."""

    CONVERGED = 0
    NOT_EVALUATED = 1
    STALLED = 2
    MOST_STEPS = 3


WORDS = {
    Outcome.NOT_EVALUATED: "a run failed at the start",
    Outcome.STALLED: "no step led uphill",
    Outcome.MOST_STEPS: "too many steps",
}


def refine(
    evaluate: Callable[[np.ndarray, np.ndarray], Evaluation],
    x: np.ndarray,
    box: np.ndarray,
    held: np.ndarray,
    most: int = 60,
) -> Refined:
    """Climb from each row of `x` (n, estimated) within `box` (estimated, 2), the coordinates `held` (n, estimated)
    staying. `evaluate(x, rows)` gives the Evaluation of some coordinates and the numbers of their rows; `most` is the
    number of steps after which a row is given up."""
    low, high = box.T
    n = len(x)
    x = np.clip(x, low, high)
    first = evaluate(x, np.arange(n))
    value, gradient, information = (np.array(a) for a in (first.value, first.gradient, first.information))
    outcome = np.where(first.ok, Outcome.MOST_STEPS, Outcome.NOT_EVALUATED)
    damping, count = np.full(n, 1e-6), n
    active = np.flatnonzero(first.ok)
    for _ in range(most):
        fixed = held[active] | _blocked(x[active], gradient[active], low, high)
        step, gain = _step(gradient[active], information[active], fixed, damping[active])
        target = np.clip(x[active] + step, low, high)
        done = gain < SMALL
        stuck = ~done & (damping[active] >= _MOST_DAMPED)
        if stuck.any():
            undamped = _step(gradient[active], information[active], fixed, np.full(len(active), 1e-6))[1]
            outcome[active[stuck]] = np.where(undamped[stuck] < NEARLY, Outcome.CONVERGED, Outcome.STALLED)
        # damped steps gain little by themselves: the test is made where damping does not matter
        outcome[active[done & (damping[active] <= 1e-2)]] = Outcome.CONVERGED
        damping[active[done & (damping[active] > 1e-2)]] *= 0.1
        going = ~done & ~stuck
        if not going.any():
            active = active[outcome[active] == Outcome.MOST_STEPS]
            if not active.size:
                break
            continue
        rows = active[going]
        found = evaluate(target[going], rows)
        count += len(rows)
        better = found.ok & (found.value > value[rows])
        up = rows[better]
        x[up], value[up] = target[going][better], found.value[better]
        gradient[up], information[up] = found.gradient[better], found.information[better]
        damping[up] = np.maximum(0.1 * damping[up], 1e-10)
        damping[rows[~better]] = np.maximum(10 * damping[rows[~better]], 1e-3)
        active = active[outcome[active] == Outcome.MOST_STEPS]
    return Refined(x, value, gradient, information, outcome, count)


def _blocked(x: np.ndarray, gradient: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Coordinates at a bound that would leave the box."""
    return ((x <= low) & (gradient < 0)) | ((x >= high) & (gradient > 0))


def _step(
    gradient: np.ndarray, information: np.ndarray, fixed: np.ndarray, damping: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(steps (n, estimated), gain of log-likelihood that the parabola promises (n,))."""
    g = np.where(fixed, 0.0, gradient)
    eye = np.eye(g.shape[1])
    f = np.where(fixed[:, :, None] | fixed[:, None, :], 0.0, information)
    diagonal = np.maximum(np.diagonal(f, axis1=1, axis2=2), 0.0)
    floor = 1e-12 * diagonal.max(axis=1, initial=0.0, keepdims=True) + 1e-300
    ridge = damping[:, None] * np.maximum(diagonal, floor) + floor
    ridge = np.where(fixed, 1.0, ridge)
    with np.errstate(all="ignore"):
        step = np.linalg.solve(f + ridge[:, :, None] * eye, g[:, :, None])[:, :, 0]
    step = np.where(np.isfinite(step), step, 0.0)
    return step, 0.5 * (g * step).sum(axis=1)

"""A reference that no integrator of qspx made, and the error against it."""

from __future__ import annotations

import numpy as np
from scipy.integrate import odeint

from .compiled import rates_and_jacobian
from .problems import Problem

RTOL, ATOL = 1e-11, 1e-13
NEGLIGIBLE = 1e3  # states that stay below this many `atol` have no digits that the tolerances ask for


def check_right_hand_side(problem: Problem) -> float:
    """Largest relative difference between the printed rates and the model's own function, at random states."""
    f, _, parameters = rates_and_jacobian(problem)
    rng = np.random.default_rng(0)
    worst = 0.0
    for i in range(min(8, len(problem.theta))):
        size = np.maximum(np.abs(problem.initial[i]) + problem.jumps[i].sum(axis=0), 0.1)
        t, y = rng.uniform(0, 28), size * rng.uniform(0.1, 2, problem.states)
        own = np.asarray(problem.model.rates_vector(t, y, problem.theta[i]))
        out = np.empty(problem.states)
        f(t, y, parameters(i), out)
        worst = max(worst, float(np.max(np.abs(out - own) / (np.abs(own) + 1e-9 * np.abs(own).max()))))
    return worst


def reference(problem: Problem, patients: int, rtol: float = RTOL, atol: float | None = None) -> np.ndarray:
    """States at the samples, shape (patients, samples, states): ODEPACK's LSODA at a tight tolerance."""
    f, df, parameters = rates_and_jacobian(problem)
    n, atol = problem.states, min(ATOL, 1e-3 * problem.workload.atol) if atol is None else atol
    states = np.empty((patients, len(problem.times), n))

    def rates(t, y, p):
        out = np.empty(n)
        f(t, y, p, out)
        return out

    def jacobian(t, y, p):
        out = np.zeros((n, n))
        df(t, y, p, out)
        return out

    for i in range(patients):
        y, p = problem.initial[i], parameters(i)
        for d, (start, end, saves) in enumerate(problem.segments):
            at = np.array([start, *problem.times[saves], end])
            options = dict(args=(p,), Dfun=jacobian, tfirst=True, rtol=rtol, atol=atol, mxstep=1_000_000, tcrit=[end])
            found, told = odeint(rates, y + problem.jumps[i, d], at, full_output=True, **options)
            if told["message"] != "Integration successful.":
                raise RuntimeError(f"{problem.workload.name}, patient {i}: the reference failed: {told['message']}")
            states[i, saves], y = found[1:-1], found[-1]
    return states


def errors(states: np.ndarray, expected: np.ndarray, atol: float) -> tuple[float, float]:
    """(largest, median) of |y - ref| / (|ref| + 1e-3 max_t |ref|) over patients, samples and states, where states that
    stay negligible are left out. NaN counts as infinite."""
    n = min(len(states), len(expected))
    states, expected = states[:n], expected[:n]
    peak = np.abs(expected).max(axis=1, keepdims=True)
    seen = np.broadcast_to(peak >= NEGLIGIBLE * atol, expected.shape)
    difference = np.abs(states - expected) / (np.abs(expected) + 1e-3 * np.where(peak > 0, peak, 1.0))
    found = np.where(np.isnan(difference), np.inf, difference)[seen]
    return float(found.max()), float(np.median(found))

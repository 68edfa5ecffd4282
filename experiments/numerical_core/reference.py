"""A reference that no integrator of qspx made, and the error against it."""

from __future__ import annotations

import numpy as np
from scipy.integrate import odeint, solve_ivp

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
    rates, jacobian, parameters = _returning(problem)
    atol = min(ATOL, 1e-3 * problem.workload.atol) if atol is None else atol

    def interval(y, at, p):
        options = dict(args=(p,), Dfun=jacobian, tfirst=True, rtol=rtol, atol=atol, mxstep=1_000_000, tcrit=[at[-1]])
        found, told = odeint(rates, y, at, full_output=True, **options)
        if told["message"] != "Integration successful.":
            raise RuntimeError(f"{problem.workload.name}: the reference failed: {told['message']}")
        return found[1:]

    return _over_doses(problem, patients, parameters, interval)


def second_reference(problem: Problem, patients: int, rtol: float, atol: float) -> np.ndarray:
    """The same by SciPy's Radau, a method of another family: how far the two differ is what a reference is worth."""
    rates, jacobian, parameters = _returning(problem)

    def interval(y, at, p):
        options = dict(args=(p,), jac=jacobian, rtol=rtol, atol=atol, method="Radau")
        found = solve_ivp(rates, (at[0], at[-1]), y, t_eval=at[1:], **options)
        if not found.success:
            raise RuntimeError(f"{problem.workload.name}: the second reference failed: {found.message}")
        return found.y.T

    return _over_doses(problem, patients, parameters, interval)


def _returning(problem: Problem):
    """Rates and Jacobian that return new arrays, and the parameters of patient i."""
    f, df, parameters = rates_and_jacobian(problem)
    n = problem.states

    def rates(t, y, p):
        out = np.empty(n)
        f(t, y, p, out)
        return out

    def jacobian(t, y, p):
        out = np.zeros((n, n))
        df(t, y, p, out)
        return out

    return rates, jacobian, parameters


def _over_doses(problem: Problem, patients: int, parameters, interval) -> np.ndarray:
    states = np.empty((patients, len(problem.times), problem.states))
    for i in range(patients):
        y = problem.initial[i]
        for d, (start, end, saves) in enumerate(problem.segments):
            at = [start, *problem.times[saves]]
            at += [end] if at[-1] < end else []
            found = interval(y + problem.jumps[i, d], np.array(at), parameters(i))
            states[i, saves], y = found[: len(saves)], found[-1]
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

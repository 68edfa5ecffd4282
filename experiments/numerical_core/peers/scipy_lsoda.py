"""SciPy's `solve_ivp(method="LSODA")` as a Python user writes it, with compiled right-hand side and Jacobian."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.integrate import solve_ivp

from ..compiled import rates_and_jacobian
from ..problems import Problem
from .base import AbstractPeer, Answer, Solve, version


@dataclasses.dataclass(frozen=True)
class ScipyLsoda(AbstractPeer):
    @property
    def name(self) -> str:
        return "SciPy solve_ivp, LSODA"

    @property
    def settings(self) -> str:
        return f"SciPy {version('scipy')}, compiled f and J (numba, else jax), restart at each dose"

    def prepare(self, problem: Problem) -> Solve:
        f, df, parameters = rates_and_jacobian(problem)
        n_states = problem.states

        def rates(t, y, p):
            out = np.empty(n_states)
            f(t, y, p, out)
            return out

        def jacobian(t, y, p):
            out = np.zeros((n_states, n_states))
            df(t, y, p, out)
            return out

        def solve(n: int, rtol: float, atol: float) -> Answer:
            states = np.full((n, len(problem.times), n_states), np.nan)
            for i in range(n):
                y, p = problem.initial[i], parameters(i)
                for d, (start, end, saves) in enumerate(problem.segments):
                    at = np.append(problem.times[saves], end)
                    found = solve_ivp(
                        rates,
                        (start, end),
                        y + problem.jumps[i, d],
                        method="LSODA",
                        t_eval=at,
                        args=(p,),
                        jac=jacobian,
                        rtol=rtol,
                        atol=atol,
                    )
                    if not found.success:
                        break
                    states[i, saves], y = found.y[:, :-1].T, found.y[:, -1]
            return Answer(states, None)

        solve(1, problem.workload.rtol, problem.workload.atol)
        return solve

"""numbalsoda: LSODA in C++ with a numba right-hand side; the loop over patients is compiled as well."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..compiled import defined, flat_parameters, python_source
from ..problems import Problem
from .base import AbstractPeer, Answer, Solve, not_importable, version


@dataclasses.dataclass(frozen=True)
class NumbaLsoda(AbstractPeer):
    @property
    def name(self) -> str:
        return "numbalsoda (LSODA)"

    @property
    def settings(self) -> str:
        return f"numbalsoda {version('numbalsoda')}, numba f, its own finite-difference Jacobian, restart at each dose"

    def missing(self) -> str | None:
        return not_importable("numbalsoda", "numba")

    def prepare(self, problem: Problem) -> Solve:
        import numba
        import numbalsoda

        written = defined(python_source(problem, "def rates(t, y, out, p):", "rates"), "rates")
        rates = numba.cfunc(numbalsoda.lsoda_sig, error_model="numpy")(written)
        address, integrate = rates.address, numbalsoda.lsoda

        @numba.njit
        def run(initial, jumps, p, edges, times, rtol, atol):
            patients, n = initial.shape
            states = np.full((patients, len(times), n), np.nan)
            for i in range(patients):
                y = initial[i].copy()
                for d in range(len(edges) - 1):
                    first, last = np.searchsorted(times, edges[d]), np.searchsorted(times, edges[d + 1])
                    at = np.empty(last - first + 2)
                    at[0], at[1:-1], at[-1] = edges[d], times[first:last], edges[d + 1]
                    found, success = integrate(address, y + jumps[i, d], at, p[i], rtol, atol, 100_000)
                    if not success:
                        break
                    states[i, first:last], y = found[1:-1], found[-1].copy()
            return states

        flat, edges = flat_parameters(problem), np.array([*problem.dose_times, problem.workload.days])

        def solve(n: int, rtol: float, atol: float, _keep=rates) -> Answer:
            given = (problem.initial[:n], problem.jumps[:n], flat[:n], edges, problem.times)
            return Answer(run(*given, rtol, atol), None)

        solve(1, problem.workload.rtol, problem.workload.atol)
        return solve

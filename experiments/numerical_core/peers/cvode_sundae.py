"""CVODE through scikit-sundae: right-hand side and Jacobian compiled by numba, called back through Python objects."""

from __future__ import annotations

import dataclasses

import numpy as np

from ..compiled import flat_parameters, rates_and_jacobian
from ..problems import Problem
from .base import AbstractPeer, Answer, Solve, not_importable, version


@dataclasses.dataclass(frozen=True)
class CvodeSundae(AbstractPeer):
    @property
    def name(self) -> str:
        return "scikit-sundae CVODE, dense"

    @property
    def settings(self) -> str:
        return f"scikit-sundae {version('scikit-sundae')}, BDF, numba f and J, restart at each dose"

    def missing(self) -> str | None:
        return not_importable("sksundae", "numba")

    def prepare(self, problem: Problem) -> Solve:
        from sksundae.cvode import CVODE

        f, df, _ = rates_and_jacobian(problem)
        flat = flat_parameters(problem)
        patient = {"p": flat[0]}

        def rates(t, y, dy, patient):
            f(t, y, patient["p"], dy)

        def jacobian(t, y, dy, J, patient):
            df(t, y, patient["p"], J)

        def solve(n: int, rtol: float, atol: float) -> Answer:
            options = dict(rtol=rtol, atol=atol, jacfn=jacobian, userdata=patient, max_num_steps=100_000)
            solver = CVODE(rates, **options)
            states = np.full((n, len(problem.times), problem.states), np.nan)
            for i in range(n):
                patient["p"] = flat[i]
                y = problem.initial[i].copy()
                for d, (start, end, saves) in enumerate(problem.segments):
                    found = solver.solve(np.array([start, *problem.times[saves], end]), y + problem.jumps[i, d])
                    if not found.success or len(found.t) != len(saves) + 2:
                        break
                    states[i, saves], y = found.y[1:-1], found.y[-1]
            return Answer(states, None)

        solve(1, problem.workload.rtol, problem.workload.atol)
        return solve

"""qspx `DiffraxIntegrator` (tier 3): the same method and loop in jax, vmapped in groups."""

from __future__ import annotations

import dataclasses

from qspx.integrate import DiffraxIntegrator

from ..problems import Problem
from .base import AbstractPeer, Answer, Solve


@dataclasses.dataclass(frozen=True)
class QspxDiffrax(AbstractPeer):
    lanes: int = 16

    @property
    def name(self) -> str:
        return "qspx DiffraxIntegrator (Rodas5P)"

    @property
    def settings(self) -> str:
        return f"Rodas5P in jax; chunk {self.lanes}"

    @property
    def group(self) -> int:
        return self.lanes

    def prepare(self, problem: Problem) -> Solve:
        events = problem.events(len(problem.theta))

        def solve(n: int, rtol: float, atol: float) -> Answer:
            rows = type(events)(*(field[:n] for field in events))
            integrator = DiffraxIntegrator(rtol=rtol, atol=atol, lanes=self.lanes)
            found = integrator.solve_batch(problem.request, problem.theta[:n], rows)
            return Answer(found.values, found.steps)

        solve(self.lanes, problem.workload.rtol, problem.workload.atol)
        return solve

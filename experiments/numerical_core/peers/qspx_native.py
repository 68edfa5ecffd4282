"""qspx `BatchIntegrator`: Rodas5P as native code, one patient per SIMD lane."""

from __future__ import annotations

import dataclasses

from qspx.integrate import BatchIntegrator

from ..problems import Problem
from .base import AbstractPeer, Answer, Solve


@dataclasses.dataclass(frozen=True)
class QspxNative(AbstractPeer):
    threads: int = 1
    lanes: int | None = None

    @property
    def name(self) -> str:
        lanes = f", {self.lanes} lanes" if self.lanes else ""
        return f"qspx BatchIntegrator, {self.threads} thread{'s' if self.threads > 1 else ''}{lanes}"

    @property
    def settings(self) -> str:
        return f"Rodas5P, native code, {self.integrator(1e-6, 1e-9).settings['lanes']} lanes, threads={self.threads}"

    def integrator(self, rtol: float, atol: float) -> BatchIntegrator:
        return BatchIntegrator(rtol, atol, threads=self.threads, lanes=self.lanes)

    def prepare(self, problem: Problem) -> Solve:
        self.integrator(1e-6, 1e-9).prepare(problem.request)
        events = problem.events(len(problem.theta))

        def solve(n: int, rtol: float, atol: float) -> Answer:
            rows = type(events)(*(field[:n] for field in events))
            found = self.integrator(rtol, atol).solve_batch(problem.request, problem.theta[:n], rows)
            return Answer(found.values, found.steps)

        return solve

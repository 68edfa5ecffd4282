"""Plain diffrax as its documentation has it: `diffeqsolve` from dose to dose, vmapped over patients."""

from __future__ import annotations

import dataclasses

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from ..problems import Problem
from .base import AbstractPeer, Answer, Solve, version

SOLVERS = {"Kvaerno5": diffrax.Kvaerno5, "Kvaerno3": diffrax.Kvaerno3, "Tsit5": diffrax.Tsit5}


@dataclasses.dataclass(frozen=True)
class DiffraxVmapped(AbstractPeer):
    """`chunk` patients are vmapped. `most_steps` per dose interval: a patient that needs more did not finish, which is
    how a method that does not suit the problem is stopped."""

    solver: str
    chunk: int
    most_steps: int = 20_000

    @property
    def name(self) -> str:
        return f"diffrax {self.solver}, vmapped"

    @property
    def settings(self) -> str:
        return f"diffrax {version('diffrax')}, PID controller, forward-only loop; chunk {self.chunk}"

    @property
    def group(self) -> int:
        return self.chunk

    def prepare(self, problem: Problem) -> Solve:
        model, solver = problem.model, SOLVERS[self.solver]()
        term = diffrax.ODETerm(model.rates_vector)

        def interval(y, theta, start, end, saves, rtol, atol):
            found = diffrax.diffeqsolve(
                term,
                solver,
                start,
                end,
                None,
                y,
                theta,
                saveat=diffrax.SaveAt(ts=saves, t1=True),
                stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
                max_steps=self.most_steps,
                adjoint=diffrax.ForwardMode(),
                throw=False,
            )
            done = found.result == diffrax.RESULTS.successful
            ys = jnp.where(done, found.ys, jnp.nan)
            return ys[:-1], ys[-1], found.stats["num_steps"]

        # dose intervals of equal shape share one compilation: the loop over them is a scan
        longest = max(len(saves) for _, _, saves in problem.segments)
        padded = [
            np.concatenate([problem.times[saves], np.full(longest - len(saves), end)])
            for _, end, saves in problem.segments
        ]
        starts = np.array([a for a, _, _ in problem.segments])
        ends = np.array([b for _, b, _ in problem.segments])

        def one(y, theta, jumps, rtol, atol):
            def advance(state, given):
                y, steps = state
                start, end, saves, jump = given
                ys, y, more = interval(y + jump, theta, start, end, saves, rtol, atol)
                return (y, steps + more), ys

            (_, steps), ys = jax.lax.scan(
                advance, (y, 0), (jnp.array(starts), jnp.array(ends), jnp.array(padded), jumps)
            )
            return ys, steps

        compiled = jax.jit(jax.vmap(one, in_axes=(0, 0, 0, None, None)))
        place = [(i, k) for i, (_, _, saves) in enumerate(problem.segments) for k in range(len(saves))]
        segment, position = (np.array(x) for x in zip(*place, strict=True))

        def solve(n: int, rtol: float, atol: float) -> Answer:
            parts = []
            for a in range(0, n, self.chunk):
                rows = np.minimum(np.arange(a, a + self.chunk), n - 1)
                ys, steps = compiled(problem.initial[rows], problem.theta[rows], problem.jumps[rows], rtol, atol)
                parts.append((np.asarray(ys)[:, segment, position], np.asarray(steps)))
            states, steps = (np.concatenate(x)[:n] for x in zip(*parts, strict=True))
            return Answer(states, steps)

        solve(1, problem.workload.rtol, problem.workload.atol)
        return solve

"""The adaptive run of many subjects as one LLVM function: a few lanes wide, each lane a subject of its own.

Every lane has its own time, step size, next stop, doses and next sample. A lane whose subject is done writes its
results and takes the next subject of the queue; the others do not wait. What a lane computes depends on nothing but its
subject: where lanes are looked at together it is only to skip work that none of them needs.
"""

from __future__ import annotations

import numpy as np

from qspx._status import Status
from qspx.integrate.native_code import INTEGER, Function, Value
from qspx.integrate.native_endpoints import update
from qspx.integrate.native_lanes import LaneWriter
from qspx.integrate.native_look import look_at
from qspx.integrate.native_memory import EDGE, RUNNING, START, WANTING
from qspx.integrate.native_program import declarations, printed
from qspx.integrate.native_step import dense_rows, error, first_step, step, step_factor


class LoopWriter(LaneWriter):
    """Writes the run for one model."""

    # the module ---------------------------------------------------------------------------------------------------

    def text(self) -> str:
        """The module; its function `run` takes pointers to arrays, integers, reals and workspace."""
        self._run()
        lanes = self.f.lanes
        seen = ("theta", "fixed")
        low, looked = self.low, self.seen
        functions = [
            ("prologue", low.prologue, ("theta",)),
            ("rates", low.rates, ("t", "y", "theta", "fixed")),
            ("factor", low.factor, ("t", "y", "theta", "fixed", "shift")),
            ("solve", low.solve, ("factors", "b", "theta", "fixed")),
            ("seen_prologue", looked.prologue, ("theta",)),
            ("initial", looked.initial, seen),
            ("samples", looked.samples, ("t", "y", *seen)),
            ("levels", looked.levels, ("t", "y", *seen)),
            ("slopes", looked.slopes, ("t", "y", "dy", *seen)),
            ("bends", looked.bends, ("t", "y", "dy", "ddy", *seen)),
        ]
        if low.drift is not None:
            functions.append(("drift", low.drift, ("t", "y", "theta", "fixed")))
        real = self.f.real
        parts = [printed(name, program, groups, lanes, real) for name, program, groups in functions]
        return "\n".join([declarations(lanes, real), *parts, self.f.text()])

    # the run ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        f, s = self.f, self.s
        self.state[0] = WANTING
        self.row[0] = f.splat(self.integers["first"])
        again = f.variable(INTEGER, 1)
        with f.repeat() as leave:
            with f.when(again[0].equals(1)):
                self._refill()
                again[0] = 0
            leave(self.running[0].equals(0))
            f.call("rates", s.t, s.y, s.theta, s.fixed, s.rates)
            with f.loop(self.n) as q:
                s.rates[q] = s.rates[q] + s.infusion[q]
            with f.when((self.fresh[0] > 0).any()):
                self._begin()
            active = self.state[0].equals(RUNNING) & self.status[0].equals(int(Status.OK))
            accept = self._advance(active)
            done = self._settle(active, accept)
            with f.when(done.any()):
                with f.loop(f.lanes) as lane:
                    with f.when(self.mask.lane(0, lane)[0] < 0):
                        self._write(lane)
                again[0] = 1

    def _advance(self, active: Value) -> Value:
        """One step of every lane; where it was accepted."""
        f, s = self.f, self.s
        t, h = s.t[0], self.h[0]
        reaches = t + 1.01 * h >= self.stop[0]
        s.end[0] = reaches.where(self.stop[0], t + h)
        step(f, s, self.table, self.low.drift is not None)
        norm = error(f, s, self.rtol, self.memory["atol"], self.memory["unsigned"])
        accept = active & (norm <= 1.0)
        self._look(accept & self.run_in[0].equals(0) if self.marks else accept)
        self._record_steps(accept)
        used, factor = s.end[0] - t, step_factor(f, norm, self.table.order)
        longer = used * factor
        kept = reaches.where(f.larger(h, longer), longer)
        self.h[0] = accept.where(kept, used * f.smaller(factor, 0.9))
        self.failure = norm.is_finite().where(_codes(f, Status.DT_MIN), _codes(f, Status.NONFINITE))
        s.t[0] = accept.where(s.end[0], t)
        with f.loop(self.n) as q:
            s.y[q] = accept.where(s.y1[q], s.y[q])
        hit = accept & reaches
        self.mask[0] = hit.as_integers()
        with f.when(hit.any()):
            with f.loop(f.lanes) as lane:
                with f.when(self.mask.lane(0, lane)[0] < 0):
                    self._record_stop(lane)
                    self._at_stop(lane)
        if self.samples:
            self._sample_at(accept & self.run_in[0].equals(0) if self.marks else accept)
        return accept

    def _settle(self, active: Value, accept: Value) -> Value:
        """Statuses after the step; which lanes are done (also in `mask`)."""
        f, s = self.f, self.s
        self.steps[0] = self.steps[0] - active.as_integers()
        tiny = self.h[0] < self._smallest_step()
        tiny = tiny & self.fresh[0].equals(0)  # a lane at an edge has yet to choose its step
        finished = s.t[0] >= self.t1
        if self.marks:
            finished = finished & self.run_in[0].equals(0)
        limit = f.splat(self.integers["max_steps"])
        code = (self.steps[0] >= limit).where(_codes(f, Status.MAX_STEPS), _codes(f, Status.OK))
        code = finished.where(_codes(f, Status.OK), code)
        code = tiny.where(self.failure, code)
        self.status[0] = active.where(code, self.status[0])
        bad = ~self.status[0].equals(int(Status.OK))
        done = self.state[0].equals(RUNNING) & (finished | bad)
        self.mask[0] = done.as_integers()
        return done

    def _smallest_step(self) -> Value:
        f = self.f
        return (16 * np.finfo(float).eps) * f.larger(f.unary("fabs", self.s.t[0]), 1e-6 * (self.t1 - self.t0))

    def _begin(self) -> None:
        """First step of the lanes that start, or that pass a dose or an end of an infusion."""
        f, s = self.f, self.s
        fresh = self.fresh[0]
        total = f.variable(f.vector, 0.0)
        with f.loop(self.n) as q:
            total[0] = total[0] + (s.y[q] * 0.0 + s.rates[q] * 0.0)
        with f.loop(self.parameters) as q:
            total[0] = total[0] + s.theta[q] * 0.0
        lost = fresh.equals(START) & ~total[0].is_finite()
        self.h[0] = (fresh > 0).where(first_step(f, s, self.t1 - self.t0, self.rtol, self.memory["atol"]), self.h[0])
        tiny = fresh.equals(EDGE) & (self.h[0] < self._smallest_step())
        status = tiny.where(_codes(f, Status.DT_MIN), self.status[0])
        self.status[0] = lost.where(_codes(f, Status.NONFINITE), status)
        self.fresh[0] = 0

    # samples and endpoints ------------------------------------------------------------------------------------------

    def _look(self, accept: Value) -> None:
        """Samples inside the step, and endpoints."""
        f, s = self.f, self.s
        if not (self.samples or self.levels):
            return
        pending = self._due(accept)
        if self.levels:
            pending = accept
        with f.when(pending.any()):
            dense_rows(f, s, self.table)
            if self.samples:
                with f.repeat() as leave:
                    due = self._due(accept)
                    leave(~due.any())
                    share = due.where((self.next_time[0] - s.t[0]) / (s.end[0] - s.t[0]), f.number(0.0))
                    look_at(f, s, self.k, "samples", self.seen.samples, share, 0)
                    self._store_samples(due)
            if self.levels:
                update(f, s, self.k, self.windows, self.seen, self.kinds, accept)

    def _due(self, accept: Value) -> Value:
        """Where the next sample lies in the step; one at its end waits for the doses given then, unless it is to be
        before them."""
        end = self.s.end[0]
        early = self.next_time[0].equals(end) & (self.next_before[0] > 0.0)
        return accept & ((self.next_time[0] < end) | early)

    def _sample_at(self, accept: Value) -> None:
        f, s = self.f, self.s
        with f.repeat() as leave:
            due = accept & self.next_time[0].equals(s.t[0])
            leave(~due.any())
            f.call("samples", s.t, s.y, s.theta, s.seen_fixed, self.k.levels)
            self._store_samples(due)

    def _store_samples(self, due: Value) -> None:
        f = self.f
        self.mask[0] = due.as_integers()
        with f.loop(f.lanes) as lane:
            with f.when(self.mask.lane(0, lane)[0] < 0):
                self._store_sample(lane)


def _codes(f: Function, status: Status) -> Value:
    return f.constant(int(status), f.integers)

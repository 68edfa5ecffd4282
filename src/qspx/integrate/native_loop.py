"""The adaptive run of many subjects as one LLVM function: a few lanes wide, each lane a subject of its own.

Every lane has its own time, step size, next stop, doses and next sample. A lane whose subject is done writes its
results and takes the next subject of the queue; the others do not wait. What a lane computes depends on nothing but its
subject: where lanes are looked at together it is only to skip work that none of them needs.
"""

from __future__ import annotations

import numpy as np

from qspx._status import Status
from qspx.integrate.lowering import Lowered
from qspx.integrate.native_code import DOUBLE, INTEGER, POINTER, Array, Function, Value
from qspx.integrate.native_endpoints import EMPTY, Look, Windows, look_at, update
from qspx.integrate.native_program import declarations, printed
from qspx.integrate.native_step import Lanes, Workspace, dense_rows, error, first_step, step, step_factor
from qspx.integrate.observed import Observed
from qspx.integrate.tableaux import RosenbrockTableau

# arguments of the run, by position in their blocks
INTEGERS = ("first", "last", "max_steps", "events", "stops", "times", "summaries")
REALS = ("t0", "t1", "rtol", "atol")
READ = ("theta", "start", "end", "species", "jump", "rate", "stop", "time", "columns", "windows", "unsigned")
WRITTEN = ("values", "endpoints", "status", "steps", "end_time")
_ARE_INTEGERS = {"species", "columns", "status", "steps"}

_START, _EDGE = 1, 2  # why a lane needs a first step
_IDLE, _RUNNING, _WANTING = 0, 1, 2


class LoopWriter:
    """Writes the run for one model. `text` is the module; `vectors` the workspace it needs, but for 5 per summary."""

    def __init__(
        self,
        low: Lowered,
        seen: Observed,
        table: RosenbrockTableau,
        kinds: frozenset[str],
        parameters: int,
        lanes: int,
    ):
        self.parameters = parameters
        self.low, self.seen, self.table, self.kinds = low, seen, table, kinds
        self.f = f = Function("run", 4, lanes, exported=True)
        self.n = n = len(low.rates.outputs["rates"])
        self.samples = len(seen.samples.outputs["samples"])
        self.levels = len(seen.levels.outputs["levels"])
        self.integers = {k: Array(f, "%a1", INTEGER)[i] for i, k in enumerate(INTEGERS)}
        self.reals = {k: Array(f, "%a2", DOUBLE)[i] for i, k in enumerate(REALS)}
        self.t0, self.t1, self.rtol, self.atol = (f.splat(self.reals[k]) for k in REALS)
        self.memory = {k: self._block(i, k) for i, k in enumerate(READ + WRITTEN)}
        work = Workspace(f, "%a3")
        sizes = {
            "theta": self.parameters,
            "fixed": len(low.prologue.outputs["fixed"]),
            "seen_fixed": len(seen.prologue.outputs["fixed"]),
            "shift": 1,
            "factors": len(low.factor.outputs["factors"]),
            "guard": 1,
        }
        self.s = Lanes.of(work, n, table.stages, len(table.H), sizes)
        self.k = Look.of(work, n, self.levels, self.samples)
        self.h, self.stop, self.next_time = (work.vectors(1) for _ in range(3))
        lane_numbers = [work.vectors(1, integers=True) for _ in range(8)]
        (self.state, self.fresh, self.status, self.steps, self.row) = lane_numbers[:5]
        (self.stop_number, self.sample_number, self.mask) = lane_numbers[5:]
        self.windows = Windows(
            self.integers["summaries"], self.memory["columns"], self.memory["windows"], work.vectors(1)
        )
        self.vectors = work.used
        self.running = f.variable(INTEGER, 0)
        self.queue = f.variable(INTEGER, self.integers["first"])

    def _block(self, i: int, name: str) -> Array:
        pointer = Array(self.f, "%a0", POINTER)[i]
        return Array(self.f, pointer.name, INTEGER if name in _ARE_INTEGERS else DOUBLE)

    # the module ---------------------------------------------------------------------------------------------------

    def text(self) -> str:
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
        parts = [printed(name, program, dict.fromkeys(groups, 0), lanes) for name, program, groups in functions]
        return "\n".join([declarations(lanes), *parts, self.f.text()])

    # the run ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        f, s = self.f, self.s
        self.state[0] = _WANTING
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
            active = self.state[0].equals(_RUNNING) & self.status[0].equals(int(Status.OK))
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
        norm = error(f, s, self.rtol, self.atol, self.memory["unsigned"])
        accept = active & (norm <= 1.0)
        self._look(accept)
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
                    self._at_stop(lane)
        if self.samples:
            self._sample_at(accept)
        return accept

    def _settle(self, active: Value, accept: Value) -> Value:
        """Statuses after the step; which lanes are done (also in `mask`)."""
        f, s = self.f, self.s
        self.steps[0] = self.steps[0] - active.as_integers()
        tiny = self.h[0] < self._smallest_step()
        tiny = tiny & self.fresh[0].equals(0)  # a lane at an edge has yet to choose its step
        finished = s.t[0] >= self.t1
        limit = f.splat(self.integers["max_steps"])
        code = (self.steps[0] >= limit).where(_codes(f, Status.MAX_STEPS), _codes(f, Status.OK))
        code = finished.where(_codes(f, Status.OK), code)
        code = tiny.where(self.failure, code)
        self.status[0] = active.where(code, self.status[0])
        bad = ~self.status[0].equals(int(Status.OK))
        done = self.state[0].equals(_RUNNING) & (finished | bad)
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
        lost = fresh.equals(_START) & ~total[0].is_finite()
        self.h[0] = (fresh > 0).where(first_step(f, s, self.t1 - self.t0, self.rtol, self.atol), self.h[0])
        tiny = fresh.equals(_EDGE) & (self.h[0] < self._smallest_step())
        status = tiny.where(_codes(f, Status.DT_MIN), self.status[0])
        self.status[0] = lost.where(_codes(f, Status.NONFINITE), status)
        self.fresh[0] = 0

    # lanes and their subjects -------------------------------------------------------------------------------------

    def _refill(self) -> None:
        """A subject for every lane that wants one; the last of the queue leaves lanes idle."""
        f, s = self.f, self.s
        with f.loop(f.lanes) as lane:
            state = self.state.lane(0, lane)
            with f.when(state[0].equals(_WANTING)):
                more = self.queue[0] < self.integers["last"]
                row = more.where(self.queue[0], self.row.lane(0, lane)[0])
                self.row.lane(0, lane)[0] = row
                state[0] = more.where(f.integer(_RUNNING), f.integer(_IDLE))
                step = more.where(f.integer(1), f.integer(0))
                self.queue[0] = self.queue[0] + step
                self.running[0] = self.running[0] + step
                self.fresh.lane(0, lane)[0] = _START
                theta = self.memory["theta"].at(row * self.parameters)
                with f.loop(self.parameters) as q:
                    s.theta.lane(q, lane)[0] = theta[q]
        f.call("prologue", s.theta, s.fixed)
        f.call("seen_prologue", s.theta, s.seen_fixed)
        f.call("initial", s.theta, s.seen_fixed, s.y1)
        with f.loop(f.lanes) as lane:
            with f.when(self.fresh.lane(0, lane)[0].equals(_START)):
                self._load(lane)

    def _load(self, lane: Value) -> None:
        f, s = self.f, self.s
        with f.loop(self.n) as q:
            s.y.lane(q, lane)[0] = s.y1.lane(q, lane)[0]
        s.t.lane(0, lane)[0] = self.reals["t0"]
        for array, value in ((self.status, int(Status.OK)), (self.steps, 0), (self.sample_number, 0)):
            array.lane(0, lane)[0] = value
        self.stop_number.lane(0, lane)[0] = 0
        self._next_sample(lane)
        with f.loop(self.integers["summaries"]) as i:
            for kind, value in enumerate(EMPTY):
                self.windows.ends.at(i * 5).lane(kind, lane)[0] = value
        self._at_stop(lane)
        self.fresh.lane(0, lane)[0] = _START
        self._reject_early_doses(lane)

    def _reject_early_doses(self, lane: Value) -> None:
        """A negative lag would lose the dose."""
        f = self.f
        first = self.row.lane(0, lane)[0] * self.integers["events"]
        with f.loop(self.integers["events"]) as e:
            early = self.memory["start"][first + e] >= self.reals["t0"]
            with f.when(~early):
                self.status.lane(0, lane)[0] = int(Status.NONFINITE)

    def _at_stop(self, lane: Value) -> None:
        """Next stop, boluses given now, and the infusions that run from now on."""
        f, s = self.f, self.s
        t, row = s.t.lane(0, lane)[0], self.row.lane(0, lane)[0]
        stops, number = self.memory["stop"].at(row * self.integers["stops"]), self.stop_number.lane(0, lane)
        with f.repeat() as leave:
            leave(stops[number[0]] > t)  # the last one is infinite
            number[0] = number[0] + 1
        self.stop.lane(0, lane)[0] = stops[number[0]]
        with f.loop(self.n) as q:
            s.infusion.lane(q, lane)[0] = 0.0
        edge, first = f.variable(INTEGER, 0), row * self.integers["events"]
        with f.loop(self.integers["events"]) as e:
            start, end = self.memory["start"][first + e], self.memory["end"][first + e]
            species = self.memory["species"][first + e]
            with f.when(start.equals(t)):
                y = s.y.lane(species, lane)
                y[0] = y[0] + self.memory["jump"][first + e]
                edge[0] = _EDGE
            with f.when(end.equals(t)):
                edge[0] = _EDGE
            with f.when((start <= t) & (t < end)):
                u = s.infusion.lane(species, lane)
                u[0] = u[0] + self.memory["rate"][first + e]
        self.fresh.lane(0, lane)[0] = edge[0]

    def _write(self, lane: Value) -> None:
        """Results of the lane's subject."""
        f = self.f
        row = self.row.lane(0, lane)[0]
        for name, array in (("status", self.status), ("steps", self.steps), ("end_time", self.s.t)):
            self.memory[name][row] = array.lane(0, lane)[0]
        count = self.integers["summaries"] * 5
        out = self.memory["endpoints"].at(row * count)
        with f.loop(count) as i:
            out[i] = self.windows.ends.lane(i, lane)[0]
        self.state.lane(0, lane)[0] = _WANTING
        self.fresh.lane(0, lane)[0] = 0
        self.running[0] = self.running[0] - 1

    # samples and endpoints ------------------------------------------------------------------------------------------

    def _look(self, accept: Value) -> None:
        """Samples inside the step and endpoints; a sample at its end waits for the doses given then."""
        f, s = self.f, self.s
        if not (self.samples or self.levels):
            return
        pending = accept & (self.next_time[0] < s.end[0])
        if self.levels:
            pending = accept
        with f.when(pending.any()):
            dense_rows(f, s, self.table)
            if self.samples:
                with f.repeat() as leave:
                    due = accept & (self.next_time[0] < s.end[0])
                    leave(~due.any())
                    share = due.where((self.next_time[0] - s.t[0]) / (s.end[0] - s.t[0]), f.number(0.0))
                    look_at(f, s, self.k, "samples", self.seen.samples, share, 0)
                    self._store_samples(due)
            if self.levels:
                update(f, s, self.k, self.windows, self.seen, self.kinds, accept)

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
                number = self.sample_number.lane(0, lane)
                row = self.row.lane(0, lane)[0] * self.integers["times"] + number[0]
                out = self.memory["values"].at(row * self.samples)
                with f.loop(self.samples) as i:
                    out[i] = self.k.levels.lane(i, lane)[0]
                number[0] = number[0] + 1
                self._next_sample(lane)

    def _next_sample(self, lane: Value) -> None:
        # the last entry of `time` is infinite
        self.next_time.lane(0, lane)[0] = self.memory["time"][self.sample_number.lane(0, lane)[0]]


def _codes(f: Function, status: Status) -> Value:
    return f.constant(int(status), f.integers)

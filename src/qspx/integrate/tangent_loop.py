"""The tangent sweep over the tapes of many subjects as one LLVM function, lanes refilled as in the run."""

from __future__ import annotations

from qspx.integrate.forward_tangents import Push
from qspx.integrate.native_code import INTEGER, Array, Value
from qspx.integrate.native_memory import RUNNING, WANTING
from qspx.integrate.native_program import declarations, printed
from qspx.integrate.sweep_memory import FRESH
from qspx.integrate.sweep_tape import printed_run
from qspx.integrate.tangent_doses import DoseTangents
from qspx.integrate.tangent_step import printed_turn


class TangentWriter(DoseTangents):
    """Writes the sweep for one model."""

    def text(self) -> str:
        """The module; its function `tangent` takes pointers to arrays, integers and workspace."""
        self._run()
        lanes, p = self.f.lanes, self.programs
        low, seen, ahead, seen_ahead = p.low, p.seen, p.ahead, p.seen_ahead
        place, known = ("t", "y", "theta", "fixed"), ("theta", "fixed")
        moved, changed = ("y_dot", "theta_dot", "fixed_dot"), ("theta_dot", "fixed_dot")
        slopes = ("t", "y", "dy", "theta", "fixed")
        functions: list[tuple[str, Push, tuple[str, ...], tuple[str, ...]]] = [
            ("rates", ahead.rates, (*place, "more"), moved),
            ("system", ahead.system, (*place, "more"), moved),
            ("prologue", ahead.prologue, ("theta",), ("theta_dot",)),
            ("samples", seen_ahead.samples, place, moved),
            ("levels", seen_ahead.levels, place, moved),
            ("slopes", seen_ahead.slopes, slopes, ("y_dot", "dy_dot", *changed)),
            ("initial", seen_ahead.initial, known, changed),
            ("seen_prologue", seen_ahead.prologue, ("theta",), ("theta_dot",)),
        ]
        parts = [*printed_run(low, seen, lanes), printed("more", ahead.more, known, lanes)]
        for name, push, at, dots in functions:
            parts.append(printed(f"{name}_points", push.points, at, lanes))
            parts.append(printed(f"{name}_dots", push.dots, (*at, "points", *dots), lanes))
        return "\n".join([declarations(lanes), *parts, printed_turn(low, ahead, lanes), self.f.text()])

    def _run(self) -> None:
        f = self.f
        with self._until_all_are_done() as again:
            self._one_step()
            self._go_on()
            done = f.variable(INTEGER, 0)
            with f.loop(f.lanes) as lane:
                with f.when(self._running(lane) & self._at_last(lane)):
                    self._finish(lane)
                    done[0] = 1
            with f.when(done[0].equals(1)):
                again[0] = 1

    def _running(self, lane: Value) -> Value:
        return self.state.lane(0, lane)[0].equals(RUNNING)

    def _at_last(self, lane: Value) -> Value:
        """Whether the record is the final state."""
        last = self.memory["records"][self.row.lane(0, lane)[0]] - 1
        return self.record.lane(0, lane)[0].equals(last)

    def _one_step(self) -> None:
        """The step whose record each lane is at."""
        active = self.state[0].equals(RUNNING)
        usual = active & self.run_in[0].equals(0)
        self._push_step()
        self._endpoints_inside(usual)
        self._samples_inside(usual)
        with self._each_direction() as d, self.f.loop(self.n) as q:
            d.state[q] = active.where(d.end[q], d.state[q])

    def _go_on(self) -> None:
        """To the next record; over a stop if that is one."""
        f = self.f
        self.crossing[0] = 0
        with f.loop(f.lanes) as lane:
            with f.when(self._running(lane)):
                self.record.lane(0, lane)[0] = self.record.lane(0, lane)[0] + 1
                with f.when(self._is_stop(lane)):
                    self.crossing.lane(0, lane)[0] = 1
                with f.when(self.crossing.lane(0, lane)[0].equals(0)):
                    self._read_state(lane)
        self._over_stops()
        self._samples_at(self.state[0].equals(RUNNING) & self.run_in[0].equals(0), before=False)

    def _over_stops(self) -> None:
        """All lanes in `crossing` go over the stop whose record they are at, to the record behind it."""
        f = self.f
        with f.when(self.crossing[0].equals(1).any()):
            with f.loop(f.lanes) as lane:
                with f.when(self.crossing.lane(0, lane)[0].equals(1)):
                    self._read_stop(lane)
            self._look_at_sides()
            with f.loop(f.lanes) as lane:
                with f.when(self.crossing.lane(0, lane)[0].equals(1)):
                    self._cross(lane)
                    self.record.lane(0, lane)[0] = self.record.lane(0, lane)[0] + 1

    # subjects -------------------------------------------------------------------------------------------------------

    def _refill(self) -> None:
        f, s = self.f, self.s
        self._take_subjects()
        fresh = self.state[0].equals(FRESH)
        known: dict[str, tuple[Array, ...]] = {
            "prologue": (s.theta,),
            "seen_prologue": (s.theta,),
            "initial": (s.theta, s.seen_fixed),
        }
        with self._each_direction() as d:
            # what is computed from the parameters does not change for a lane that has not got a new subject
            changed = {"prologue": (d.theta,), "seen_prologue": (d.theta,), "initial": (d.theta, d.seen_fixed)}
            out = {"prologue": d.fixed, "seen_prologue": d.seen_fixed, "initial": d.origin}
            for name, place in known.items():
                f.call(f"{name}_points", *place, self.once_points)
                f.call(f"{name}_dots", *place, self.once_points, *changed[name], out[name])
            with f.loop(self.n) as q:
                d.state[q] = fresh.where(d.origin[q], d.state[q])
        self._samples_at(fresh, before=True)
        self.crossing[0] = fresh.where(f.constant(1, f.integers), f.constant(0, f.integers))
        self._over_stops()
        self._samples_at(fresh & self.run_in[0].equals(0), before=False)
        self.state[0] = fresh.where(f.constant(RUNNING, f.integers), self.state[0])

    def _take(self, lane: Value) -> None:
        """The next subject, at the stop where it starts."""
        super()._take(lane)
        f = self.f
        for array in (self.record, self.sample):
            array.lane(0, lane)[0] = 0
        self._read_state(lane)
        self._read_sample(lane)
        with self._each_direction() as d:
            theta = self.dot_of("theta_dot", lane, d, self.parameters)
            with f.loop(self.parameters) as q:
                d.theta.lane(q, lane)[0] = theta[q]
            with f.loop(self.integers["summaries"]) as i:
                self.summary_dot(i, d).lane(0, lane)[0] = 0.0

    def _finish(self, lane: Value) -> None:
        """Tangents of the summaries of a subject that is done."""
        f, count = self.f, self.integers["summaries"]
        with self._each_direction() as d:
            out = self.dot_of("summaries_dot", lane, d, count)
            with f.loop(count) as i:
                out[i] = self.summary_dot(i, d).lane(0, lane)[0]
        self.state.lane(0, lane)[0] = WANTING
        self.running[0] = self.running[0] - 1

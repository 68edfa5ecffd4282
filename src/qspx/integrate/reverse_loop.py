"""The reverse sweep over the tapes of many subjects as one LLVM function, lanes refilled as in the forward run."""

from __future__ import annotations

from qspx.integrate.native_code import INTEGER, Value
from qspx.integrate.native_memory import RUNNING, WANTING
from qspx.integrate.native_program import declarations, printed
from qspx.integrate.reverse_doses import DoseReverser
from qspx.integrate.reverse_step import printed_outer
from qspx.integrate.sweep_memory import FRESH
from qspx.integrate.sweep_tape import printed_run


class ReverseWriter(DoseReverser):
    """Writes the sweep for one model."""

    def text(self) -> str:
        """The module; its function `reverse` takes pointers to arrays, integers and workspace."""
        self._run()
        lanes, p = self.f.lanes, self.programs
        low, seen, back, seen_back = p.low, p.seen, p.back, p.seen_back
        at = ("t", "y", "theta", "fixed")
        bars = ("y_bar", "theta_bar", "fixed_bar")
        forward = [
            ("solve_transposed", low.solve_transposed, ("factors", "b", "theta", "fixed")),
            ("more", back.more, ("theta", "fixed")),
        ]
        reverse = [
            ("rates_back", back.rates, (*at, "more", "b", *bars)),
            ("system_back", back.system, (*at, "more", "jacobian_bar", "drift_bar", *bars)),
            ("prologue_back", back.prologue, ("theta", "fixed", "fixed_bar", "theta_bar")),
            ("samples_back", seen_back.samples, (*at, "samples_bar", *bars)),
            ("levels_back", seen_back.levels, (*at, "levels_bar", *bars)),
            ("slopes_back", seen_back.slopes, ("t", "y", "dy", "theta", "fixed", "slopes_bar", *bars, "dy_bar")),
            ("initial_back", seen_back.initial, ("theta", "fixed", "initial_bar", "theta_bar", "fixed_bar")),
            ("seen_prologue_back", seen_back.prologue, ("theta", "fixed_bar", "theta_bar")),
        ]
        parts = printed_run(low, seen, lanes)
        parts += [printed(name, program, groups, lanes) for name, program, groups in forward]
        parts += [printed(name, pull.program, groups, lanes, places=pull.places) for name, pull, groups in reverse]
        outer = printed_outer(low, self.table.stages, lanes)
        return "\n".join([declarations(lanes), *parts, outer, self.f.text()])

    def _run(self) -> None:
        f = self.f
        with self._until_all_are_done() as again:
            self._one_step()
            done = f.variable(INTEGER, 0)
            self._go_back(done)
            with f.when(done[0].equals(1)):
                self._finish()
                again[0] = 1

    def _one_step(self) -> None:
        """Reverse of the step whose record each lane is at."""
        f, n = self.f, self.n
        active = self.state[0].equals(RUNNING)
        usual = active & self.run_in[0].equals(0)
        self._again()
        with f.loop(n) as q:
            self.end_bar[q] = self.state_bar[q]
            self.start_bar[q] = 0.0
        self.zero(*((row, n) for row in self.row_bars))
        self._endpoints_inside(usual)
        self._samples_inside(usual)
        self._step_back(active)
        self._samples_at(usual, before=False)

    def _go_back(self, done) -> None:
        """To the record before; over a stop if that is one."""
        f = self.f
        stops = f.variable(INTEGER, 0)
        self.crossing[0] = 0
        with f.loop(f.lanes) as lane:
            with f.when(self.state.lane(0, lane)[0].equals(RUNNING)):
                record = self.record.lane(0, lane)
                record[0] = record[0] - 1
                with f.when(self._is_stop(lane)):
                    self.crossing.lane(0, lane)[0] = 1
                    stops[0] = 1
                    self._both_sides(lane)
        with f.when(stops[0].equals(1)):
            self._over_stops()
        with f.loop(f.lanes) as lane:
            with f.when(self.state.lane(0, lane)[0].equals(RUNNING)):
                with f.when(self.record.lane(0, lane)[0] < 0):
                    done[0] = 1
                with f.when(self.record.lane(0, lane)[0] >= 0):
                    self._read_state(lane)

    def _over_stops(self) -> None:
        """All lanes in `crossing` go back over their stop; `record` is that of the stop, `s.y` the state after it."""
        f = self.f
        self._look_at_sides()
        with f.loop(f.lanes) as lane:
            with f.when(self.crossing.lane(0, lane)[0].equals(1)):
                self._cross(lane)
                self._read_state(lane)
        first = self.crossing[0].equals(1) & self.record[0].equals(0)
        self._samples_at(first, before=True)
        with f.loop(f.lanes) as lane:
            with f.when(self.crossing.lane(0, lane)[0].equals(1)):
                self.record.lane(0, lane)[0] = self.record.lane(0, lane)[0] - 1

    # subjects -------------------------------------------------------------------------------------------------------

    def _refill(self) -> None:
        f, s = self.f, self.s
        self._take_subjects()
        fresh = self.state[0].equals(FRESH)
        n = self.n
        per_subject = [
            (self.theta_bar, self.parameters),
            (self.fixed_bar, self.fixed_count),
            (self.seen_bar, self.seen_count),
        ]
        states = (self.state_bar, self.infusion_bar, self.saved_bar, self.origin_bar, s.infusion)
        self.zero(*per_subject, *((array, n) for array in states), where=fresh)
        self._samples_at(fresh, before=False)
        self.crossing[0] = 0
        with f.loop(f.lanes) as lane:
            state = self.state.lane(0, lane)
            with f.when(state[0].equals(FRESH)):
                state[0] = RUNNING
        self._back_from_end(fresh)

    def _back_from_end(self, fresh: Value) -> None:
        """From the final state over the last stop to the last step."""
        f = self.f
        self.mask[0] = fresh.as_integers()
        with f.when(fresh.any()):
            with f.loop(f.lanes) as lane:
                with f.when(self.mask.lane(0, lane)[0] < 0):
                    self.record.lane(0, lane)[0] = self.record.lane(0, lane)[0] - 1
                    self.crossing.lane(0, lane)[0] = 1
                    self._both_sides(lane)
            self._over_stops()
            with f.loop(f.lanes) as lane:
                with f.when(self.crossing.lane(0, lane)[0].equals(1)):
                    self._read_state(lane)

    def _take(self, lane: Value) -> None:
        """The next subject, at its final state."""
        super()._take(lane)
        self.record.lane(0, lane)[0] = self.memory["records"][self.row.lane(0, lane)[0]] - 1
        self._read_state(lane)
        self._last_sample(lane)
        count = self.integers["summaries"]
        with self.f.loop(count) as i:
            bar = self.memory["summaries_bar"][self.row.lane(0, lane)[0] * count + i]
            self.summary_bar(i).lane(0, lane)[0] = bar

    def _last_sample(self, lane: Value) -> None:
        f = self.f
        self.sample.lane(0, lane)[0] = self.integers["times"] - 1
        self._read_sample(lane)
        with f.repeat() as leave:  # padding
            leave(self.next_time.lane(0, lane)[0] <= self.s.t.lane(0, lane)[0])
            self._previous_sample(lane)

    def _finish(self) -> None:
        """Cotangents of the parameters of the subjects that are done."""
        f, s = self.f, self.s
        for part, whole, size in (
            (self.theta_part, self.theta_bar, self.parameters),
            (self.fixed_part, self.fixed_bar, self.fixed_count),
            (self.seen_part, self.seen_bar, self.seen_count),
        ):
            if size:
                with f.loop(size) as q:
                    part[q] = whole[q]
        with f.loop(self.n) as q:
            self.y_part[q] = self.origin_bar[q] + self.state_bar[q]
        f.call("initial_back", s.theta, s.seen_fixed, self.y_part, self.theta_part, self.seen_part)
        f.call("prologue_back", s.theta, s.fixed, self.fixed_part, self.theta_part)
        f.call("seen_prologue_back", s.theta, self.seen_part, self.theta_part)
        with f.loop(f.lanes) as lane:
            ended = self.state.lane(0, lane)[0].equals(RUNNING) & (self.record.lane(0, lane)[0] < 0)
            with f.when(ended):
                out = self.memory["theta_bar"].at(self.row.lane(0, lane)[0] * self.parameters)
                with f.loop(self.parameters) as q:
                    out[q] = self.theta_part.lane(q, lane)[0]
                self.state.lane(0, lane)[0] = WANTING
                self.running[0] = self.running[0] - 1

"""What happens at stops, as LLVM code: doses, resets, and run-ins to steady states, as in `qspx.integrate.marks`."""

from __future__ import annotations

import math

from qspx.dose_events import ADDED_STEADY, RESET, STEADY
from qspx.integrate.marks import CONVERGED
from qspx.integrate.native_code import INTEGER, TRUTH, Array, Value
from qspx.integrate.native_memory import DOSES, EDGE, LaneMemory


class DoseWriter(LaneMemory):
    """Writes what happens to a lane that has reached a stop."""

    def _dose(self, lane: Value, e: Value) -> dict[str, Value]:
        """Dose e of the lane's subject."""
        place = self.row.lane(0, lane)[0] * self.integers["events"] + e
        return {name: self.memory[name][place] for name in DOSES}

    def _give(self, y: Array, lane: Value, dose: dict[str, Value]) -> None:
        place = y.lane(dose["species"], lane)
        place[0] = place[0] + dose["jump"]

    def _copy(self, to: Array, source: Array, lane: Value) -> None:
        with self.f.loop(self.n) as q:
            to.lane(q, lane)[0] = source.lane(q, lane)[0]

    def _at_stop(self, lane: Value) -> None:
        """Where the lane goes on from a stop: resets and steady states, then the boluses given now."""
        if not self.marks:
            self._go_on(lane)
            return
        f = self.f
        outside, after = f.variable(INTEGER, 1), f.variable(INTEGER, -1)
        with f.when(self.run_in.lane(0, lane)[0] > 0):
            self._in_run_in(lane, outside, after)
        with f.when(outside[0].equals(1)):
            self._pass_marks(lane, after[0])

    def _go_on(self, lane: Value) -> None:
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
        edge = f.variable(INTEGER, 0)
        with f.loop(self.integers["events"]) as e:
            dose = self._dose(lane, e)
            with f.when(dose["start"].equals(t)):
                self._give(s.y, lane, dose)
            with f.when(dose["start"].equals(t) | dose["end"].equals(t) | dose["mark"].equals(t)):
                edge[0] = EDGE
            with f.when((dose["start"] <= t) & (t < dose["end"])):
                u = s.infusion.lane(dose["species"], lane)
                u[0] = u[0] + dose["rate"]
        self.fresh.lane(0, lane)[0] = edge[0]

    # steady states ------------------------------------------------------------------------------------------------

    def _pass_marks(self, lane: Value, after: Value) -> None:
        """Resets and the next steady state of the events behind `after`."""
        f, s = self.f, self.s
        found, t = f.variable(INTEGER, -1), s.t.lane(0, lane)[0]
        with f.loop(self.integers["events"]) as e:
            dose = self._dose(lane, e)
            here = dose["mark"].equals(t) & (e > after)
            with f.when(here & dose["kind"].equals(RESET)):
                self._copy(s.y, self.origin, lane)
            steady = dose["kind"].equals(STEADY) | dose["kind"].equals(ADDED_STEADY)
            with f.when(here & steady & (found[0] < 0)):
                found[0] = e
        with f.when(found[0] < 0):
            self._go_on(lane)
        with f.when(found[0] >= 0):
            self._enter(lane, found[0])

    def _enter(self, lane: Value, e: Value) -> None:
        s = self.s
        for to, source in ((self.saved, s.y), (s.y, self.origin), (self.previous, self.origin)):
            self._copy(to, source, lane)
        self.gap.lane(0, lane)[0] = math.inf
        self.run_in.lane(0, lane)[0] = e + 1
        self.final.lane(0, lane)[0] = 0
        self._begin_period(lane, self._dose(lane, e))

    def _begin_period(self, lane: Value, dose: dict[str, Value]) -> None:
        self.later.lane(0, lane)[0] = 0
        self.s.t.lane(0, lane)[0] = dose["turn"] - dose["interval"]
        self._give(self.s.y, lane, dose)
        self._in_period(lane, dose)

    def _in_period(self, lane: Value, dose: dict[str, Value]) -> None:
        """Infusion rate and next stop."""
        f, s = self.f, self.s
        first = self.later.lane(0, lane)[0].equals(0) & (dose["part"] > 0.0)
        with f.loop(self.n) as q:
            s.infusion.lane(q, lane)[0] = 0.0
        times = dose["whole"] + first.where(1.0, f.constant(0.0, dose["whole"].type))
        s.infusion.lane(dose["species"], lane)[0] = dose["rate"] * times
        last = self.final.lane(0, lane)[0].equals(1).where(dose["mark"], dose["turn"])
        self.stop.lane(0, lane)[0] = first.where(f.smaller(_part_end(dose), last), last)
        self.fresh.lane(0, lane)[0] = EDGE

    def _in_run_in(self, lane: Value, outside: Array, after: Array) -> None:
        """The end of a period, or of a part of it. `outside` becomes 0 where the run-in goes on."""
        f, s = self.f, self.s
        e = self.run_in.lane(0, lane)[0] - 1
        dose, t, final = self._dose(lane, e), s.t.lane(0, lane)[0], self.final.lane(0, lane)
        at_turn = final[0].equals(0) & t.equals(dose["turn"])
        converged = f.variable(TRUTH, False)
        with f.when(at_turn):
            converged[0] = self._converged(lane)
        arrived = final[0].equals(1) & t.equals(dose["mark"])
        arrived = arrived | (at_turn & converged[0] & dose["turn"].equals(dose["mark"]))
        at_part = self.later.lane(0, lane)[0].equals(0) & (dose["part"] > 0.0) & t.equals(_part_end(dose)) & ~at_turn
        with f.when(arrived):
            with f.when(dose["kind"].equals(ADDED_STEADY)):
                with f.loop(self.n) as q:
                    change = s.y.lane(q, lane)[0] - self.origin.lane(q, lane)[0]
                    s.y.lane(q, lane)[0] = self.saved.lane(q, lane)[0] + change
            self.run_in.lane(0, lane)[0] = 0
            after[0] = e
        with f.when(~arrived):
            outside[0] = 0
            with f.when(at_part):
                self.later.lane(0, lane)[0] = 1
                self._in_period(lane, dose)
            with f.when(~at_part):
                final[0] = converged[0].where(f.integer(1), f.integer(0))
                self._begin_period(lane, dose)

    def _converged(self, lane: Value) -> Value:
        """Whether the state at the end of a period is the steady state; keeps it for the next."""
        f, s = self.f, self.s
        total = f.variable("double", 0.0)
        rtol, atol = self.reals["rtol"], self.memory["atol"]
        with f.loop(self.n) as q:
            y, previous = s.y.lane(q, lane)[0], self.previous.lane(q, lane)[0]
            scale = atol[q] + rtol * f.larger(f.unary("fabs", y), f.unary("fabs", previous))
            d = (y - previous) / scale
            total[0] = total[0] + d * d
            self.previous.lane(q, lane)[0] = y
        gap, old = f.unary("sqrt", total[0] / float(self.n)), self.gap.lane(0, lane)
        share = gap / old[0]
        still = (share < 1.0).where(gap * share / (1.0 - share), gap)
        converged = gap.equals(0.0) | ((old[0] < math.inf) & (still <= CONVERGED))
        old[0] = converged.where(old[0], gap)
        return converged


def _part_end(dose: dict[str, Value]) -> Value:
    return dose["turn"] - dose["interval"] + dose["part"]

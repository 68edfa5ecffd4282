"""Tangents across a stop: amounts, rates and times of doses, resets and steady states, as LLVM code.

The transpose of `qspx.integrate.reverse_doses`: across a jump y+ = y- + d at time tau, a change of d is one of y+, and
a change dtau of tau changes y+ by (f(y-) - f(y+)) dtau, where f includes infusions. Where several doses are given at
one time, that time moves by the mean of theirs.
"""

from __future__ import annotations

from collections.abc import Callable

from qspx.dose_events import ADDED_STEADY, RESET
from qspx.integrate.native_code import DOUBLE, Array, Value
from qspx.integrate.native_tape import run_in_of
from qspx.integrate.tangent_looks import LookTangents
from qspx.integrate.tangent_memory import Direction
from qspx.summaries import OF_THRESHOLD


class DoseTangents(LookTangents):
    """Writes how a lane goes over a stop. `record` is that of the stop; `s.y`, `run_in` and `later` are those after."""

    def _read_stop(self, lane: Value) -> None:
        """State and infusions on both sides of the stop, and where the subject is then."""
        behind = self._read_state(lane, ahead=1)
        self.run_in.lane(0, lane)[0], self.later.lane(0, lane)[0] = run_in_of(self.f.to_integer(behind[2]))
        self._both_sides(lane)
        self._infuse(lane, self.s.infusion, lambda e: self._dose(lane, e)["rate"])

    def _infuse(self, lane: Value, to: Array, rate_of: Callable[[Value], Value]) -> None:
        """Sum over the doses that are infused from the stop on, of `rate_of` dose e."""
        f = self.f
        t, now, later = self.stop_time.lane(0, lane)[0], self.run_in.lane(0, lane)[0], self.later.lane(0, lane)[0]
        with f.loop(self.n) as q:
            to.lane(q, lane)[0] = 0.0
        with f.loop(self.integers["events"]) as e:
            dose = self._dose(lane, e)
            u = to.lane(dose["species"], lane)
            with f.when(now.equals(0) & (dose["start"] <= t) & (t < dose["end"])):
                u[0] = u[0] + rate_of(e)
            with f.when(now.equals(e + 1)):
                u[0] = u[0] + rate_of(e) * self._times(dose, later)

    def _cross(self, lane: Value) -> None:
        """Tangents of what happens at the stop, in every direction."""
        f = self.f
        now, before = self.run_in.lane(0, lane)[0], self.run_in_before.lane(0, lane)[0]
        goes_on = (now > 0) & now.equals(before)
        boluses, edges = self._edges(lane)
        with self._each_direction() as d:
            with f.when(goes_on):
                self._period(lane, now - 1, d)
            with f.when(~goes_on & before.equals(0)):
                self._reset(lane, d)
            with f.when(~goes_on & (before > 0)):
                self._arrived(lane, before - 1, d)
            with f.when(~goes_on & (now > 0)):
                self._entered(lane, now - 1, d)
            with f.when(now.equals(0)):
                self._usual(lane, d, f.larger(boluses, 1.0), f.larger(edges, 1.0))
            self._infuse(lane, d.infusion, lambda e, d=d: self.dose_dot(lane, d, e)["rate"])

    def _give(self, lane: Value, d: Direction, species: Value, x: Value) -> None:
        place = d.state.lane(species, lane)
        place[0] = place[0] + x

    def _delay(self, lane: Value, d: Direction, delay: Value, infusions: bool) -> None:
        """The stop comes later by `delay`."""
        with self.f.loop(self.n) as q:
            self._give(lane, d, q, self._change_of_state(lane, q, infusions) * delay)

    def _usual(self, lane: Value, d: Direction, boluses: Value, edges: Value) -> None:
        """Boluses, and infusions that start or end."""
        f, t = self.f, self.stop_time.lane(0, lane)[0]
        given, moved = f.variable(DOUBLE, 0.0), f.variable(DOUBLE, 0.0)
        with f.loop(self.integers["events"]) as e:
            dose, dot = self._dose(lane, e), self.dose_dot(lane, d, e)
            with f.when(dose["start"].equals(t)):
                bolus = dose["rate"].equals(0.0)
                given[0] = given[0] + bolus.where(dot["start"], f.constant(0.0, DOUBLE))
                moved[0] = moved[0] + dot["start"]
                infused = bolus.where(f.constant(0.0, DOUBLE), dose["rate"] * dot["start"])
                self._give(lane, d, dose["species"], dot["jump"] - infused)
            with f.when(dose["end"].equals(t)):
                moved[0] = moved[0] + dot["end"]
                self._give(lane, d, dose["species"], dose["rate"] * dot["end"])
        with f.when(~given[0].equals(0.0)):
            delay = given[0] / boluses
            self._delay(lane, d, delay, infusions=False)
            if self.kinds & ({"auc", "average"} | OF_THRESHOLD):
                self._shift(lane, d, self._change_of_integral, delay)
        if self.kinds & {"max", "min", "tmax"}:
            with f.when(~moved[0].equals(0.0)):
                self._shift(lane, d, self._change_of_extremum, moved[0] / edges)

    def _shift(self, lane: Value, d: Direction, change: Callable[[Value, Value], Value], delay: Value) -> None:
        """Of all summaries, by their `change` per delay."""
        with self.f.loop(self.integers["summaries"]) as i:
            dot = self.summary_dot(i, d).lane(0, lane)
            dot[0] = dot[0] + change(lane, i) * delay

    # steady states ------------------------------------------------------------------------------------------------

    def _period(self, lane: Value, e: Value, d: Direction) -> None:
        """The end of the first part of a period, or of the whole."""
        f, dose, dot = self.f, self._dose(lane, e), self.dose_dot(lane, d, e)
        at_part = self._at_part(lane, dose)
        with f.when(at_part):
            self._give(lane, d, dose["species"], dose["rate"] * (dot["part"] + dot["turn"]))
        with f.when(~at_part):
            self._give(lane, d, dose["species"], dot["jump"])
            self._delay(lane, d, dot["turn"], infusions=True)

    def _entered(self, lane: Value, e: Value, d: Direction) -> None:
        """The start of a run-in: from the initial state, with the first dose."""
        self._copy(d.saved, d.state, lane)
        self._copy(d.state, d.origin, lane)
        self._give(lane, d, self._dose(lane, e)["species"], self.dose_dot(lane, d, e)["jump"])

    def _arrived(self, lane: Value, e: Value, d: Direction) -> None:
        """The end of a run-in: y, or saved + y - origin."""
        f = self.f
        with f.when(self._dose(lane, e)["kind"].equals(ADDED_STEADY)):
            with f.loop(self.n) as q:
                self._give(lane, d, q, d.saved.lane(q, lane)[0] - d.origin.lane(q, lane)[0])

    def _reset(self, lane: Value, d: Direction) -> None:
        f, t = self.f, self.stop_time.lane(0, lane)[0]
        with f.loop(self.integers["events"]) as e:
            dose = self._dose(lane, e)
            with f.when(dose["mark"].equals(t) & dose["kind"].equals(RESET)):
                self._copy(d.state, d.origin, lane)

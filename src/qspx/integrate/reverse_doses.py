"""Cotangents across a stop: amounts, rates and times of doses, resets and steady states, as LLVM code.

Across a jump y+ = y- + d at time tau, the cotangent of d is that of y+. Moving tau by dtau changes the later solution
as if y+ had changed by (f(y-) - f(y+)) dtau, where f includes infusions: that is the cotangent of a dose time, of the
start of an infusion and of its end. What is looked at on the way adds to it: an area its jump, an extremum that sits at
the stop the slope with which it moves along.
"""

from __future__ import annotations

from qspx.dose_events import ADDED_STEADY, RESET
from qspx.integrate.native_code import DOUBLE, INTEGER, Value
from qspx.integrate.reverse_looks import LookReverser
from qspx.summaries import OF_THRESHOLD


class DoseReverser(LookReverser):
    """Writes how a lane goes back over a stop. `record` is that of the stop."""

    def _add(self, name: str, lane: Value, e: Value, x: Value) -> None:
        """To a cotangent of dose e."""
        place, array = self.row.lane(0, lane)[0] * self.integers["events"] + e, self.memory[name]
        array[place] = array[place] + x

    def _bar(self, lane: Value, species: Value) -> Value:
        return self.state_bar.lane(species, lane)[0]

    def _cross(self, lane: Value) -> None:
        """Cotangents of what happens at the stop, and of the state before it."""
        f = self.f
        now, before = self.run_in.lane(0, lane)[0], self.run_in_before.lane(0, lane)[0]
        after = f.variable(INTEGER, now)  # what is left to undo, from the last thing that happened to the first
        with f.when(now.equals(0)):
            self._usual(lane)
        with f.when((now > 0) & now.equals(before)):
            self._period(lane, now - 1)
            after[0] = -1
        with f.when(after[0] > 0):
            self._entered(lane, now - 1)
        with f.when((after[0] >= 0) & (before > 0)):
            self._arrived(lane, before - 1)
        with f.when((after[0] >= 0) & before.equals(0)):
            self._reset(lane)
        self._copy(self.s.infusion, self.infusion_before, lane)
        with f.loop(self.n) as q:
            self.infusion_bar.lane(q, lane)[0] = 0.0
        self.run_in.lane(0, lane)[0] = before
        self.later.lane(0, lane)[0] = self.later_before.lane(0, lane)[0]

    def _usual(self, lane: Value) -> None:
        """Boluses, and infusions that start, end or go on."""
        f = self.f
        t = self.stop_time.lane(0, lane)[0]
        boluses, edges = self._edges(lane)
        jump_share = self._bolus_time(lane) / f.larger(boluses, 1.0)
        moved = self._moving_extrema(lane) / f.larger(edges, 1.0)
        with f.loop(self.integers["events"]) as e:
            dose = self._dose(lane, e)
            starts, ends, species = dose["start"].equals(t), dose["end"].equals(t), dose["species"]
            push = self._bar(lane, species) * dose["rate"]
            with f.when(starts):
                self._add("jump_bar", lane, e, self._bar(lane, species))
                bolus = dose["rate"].equals(0.0)
                self._add("start_bar", lane, e, bolus.where(jump_share, -push) + moved)
            with f.when(ends):
                self._add("end_bar", lane, e, push + moved)
            with f.when((dose["start"] <= t) & (t < dose["end"])):
                self._add("rate_bar", lane, e, self.infusion_bar.lane(species, lane)[0])

    def _bolus_time(self, lane: Value) -> Value:
        """Cotangent of the time at which boluses are given."""
        f = self.f
        total = f.variable(DOUBLE, 0.0)
        with f.loop(self.n) as q:
            total[0] = total[0] + self._bar(lane, q) * self._change_of_state(lane, q, infusions=False)
        if self.kinds & ({"auc", "average"} | OF_THRESHOLD):
            with f.loop(self.integers["summaries"]) as i:
                total[0] = total[0] + self._summary_bar(lane, i) * self._change_of_integral(lane, i)
        return total[0]

    def _summary_bar(self, lane: Value, i: Value) -> Value:
        return self.summary_bar(i).lane(0, lane)[0]

    def _moving_extrema(self, lane: Value) -> Value:
        """Cotangent of the time of the stop by extrema that sit at it."""
        f = self.f
        total = f.variable(DOUBLE, 0.0)
        if self.kinds & {"max", "min", "tmax"}:
            with f.loop(self.integers["summaries"]) as i:
                total[0] = total[0] + self._summary_bar(lane, i) * self._change_of_extremum(lane, i)
        return total[0]

    # steady states ------------------------------------------------------------------------------------------------

    def _count_rate(self, lane: Value, e: Value, dose: dict[str, Value]) -> None:
        """Of the infusion that ran in the period after the stop."""
        times = self._times(dose, self.later.lane(0, lane)[0])
        self._add("rate_bar", lane, e, self.infusion_bar.lane(dose["species"], lane)[0] * times)

    def _period(self, lane: Value, e: Value) -> None:
        """The end of the first part of a period, or of the whole."""
        f, dose = self.f, self._dose(lane, e)
        bar = self._bar(lane, dose["species"])
        self._count_rate(lane, e, dose)
        at_part = self._at_part(lane, dose)
        with f.when(at_part):
            self._add("part_bar", lane, e, bar * dose["rate"])
            self._add("turn_bar", lane, e, bar * dose["rate"])
        with f.when(~at_part):
            self._add("jump_bar", lane, e, bar)
            total = f.variable(DOUBLE, 0.0)
            with f.loop(self.n) as q:
                total[0] = total[0] + self._bar(lane, q) * self._change_of_state(lane, q, infusions=True)
            self._add("turn_bar", lane, e, total[0])

    def _entered(self, lane: Value, e: Value) -> None:
        """The start of a run-in: from the initial state, with the first dose."""
        f, dose = self.f, self._dose(lane, e)
        self._count_rate(lane, e, dose)
        self._add("jump_bar", lane, e, self._bar(lane, dose["species"]))
        added = dose["kind"].equals(ADDED_STEADY)
        with f.loop(self.n) as q:
            bar, origin = self.state_bar.lane(q, lane), self.origin_bar.lane(q, lane)
            origin[0] = origin[0] + bar[0]
            bar[0] = added.where(self.saved_bar.lane(q, lane)[0], f.constant(0.0, DOUBLE))

    def _arrived(self, lane: Value, e: Value) -> None:
        """The end of a run-in: y, or saved + y - origin."""
        f = self.f
        with f.when(self._dose(lane, e)["kind"].equals(ADDED_STEADY)):
            with f.loop(self.n) as q:
                bar, origin = self.state_bar.lane(q, lane)[0], self.origin_bar.lane(q, lane)
                self.saved_bar.lane(q, lane)[0] = bar
                origin[0] = origin[0] - bar

    def _reset(self, lane: Value) -> None:
        f, t = self.f, self.stop_time.lane(0, lane)[0]
        with f.loop(self.integers["events"]) as e:
            dose = self._dose(lane, e)
            with f.when(dose["mark"].equals(t) & dose["kind"].equals(RESET)):
                with f.loop(self.n) as q:
                    bar, origin = self.state_bar.lane(q, lane), self.origin_bar.lane(q, lane)
                    origin[0] = origin[0] + bar[0]
                    bar[0] = 0.0

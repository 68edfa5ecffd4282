"""Cotangents across a stop: amounts, rates and times of doses, resets and steady states, as LLVM code.

Across a jump y+ = y- + d at time tau, the cotangent of d is that of y+. Moving tau by dtau changes the later solution
as if y+ had changed by (f(y-) - f(y+)) dtau, where f includes infusions: that is the cotangent of a dose time, of the
start of an infusion and of its end. What is looked at on the way adds to it: an area its jump, an extremum that sits at
the stop the slope with which it moves along.
"""

from __future__ import annotations

from qspx.dose_events import ADDED_STEADY, RESET
from qspx.integrate.native_code import DOUBLE, INTEGER, Array, Value
from qspx.integrate.native_memory import DOSES
from qspx.integrate.native_tape import RECORD_HEAD, run_in_of
from qspx.integrate.reverse_looks import LookReverser
from qspx.integrate.reverse_memory import AREA, BEYOND, LARGEST, LARGEST_TIME, SMALLEST
from qspx.summaries import OF_THRESHOLD


class DoseReverser(LookReverser):
    """Writes how a lane goes back over a stop. `record` is that of the stop."""

    def _dose(self, lane: Value, e: Value) -> dict[str, Value]:
        place = self._place(lane, e)
        return {name: self.memory[name][place] for name in DOSES}

    def _place(self, lane: Value, e: Value) -> Value:
        return self.row.lane(0, lane)[0] * self.integers["events"] + e

    def _add(self, name: str, lane: Value, e: Value, x: Value) -> None:
        """To a cotangent of dose e."""
        place, array = self._place(lane, e), self.memory[name]
        array[place] = array[place] + x

    def _bar(self, lane: Value, species: Value) -> Value:
        return self.state_bar.lane(species, lane)[0]

    # before the vector part ---------------------------------------------------------------------------------------

    def _both_sides(self, lane: Value) -> None:
        """State and infusions before the stop, and where the subject was then."""
        f, s = self.f, self.s
        record = self.record_of(lane, self.record.lane(0, lane)[0])
        t = record[0]
        run_in, later = run_in_of(f.to_integer(-1.0 - record[2]))
        self.stop_time.lane(0, lane)[0] = t
        self.run_in_before.lane(0, lane)[0] = run_in
        self.later_before.lane(0, lane)[0] = later
        with f.loop(self.n) as q:
            self.y_before.lane(q, lane)[0] = s.y.lane(q, lane)[0]
            self.infusion_before.lane(q, lane)[0] = 0.0
        now = self.run_in.lane(0, lane)[0]
        with f.loop(self.integers["events"]) as e:
            dose = self._dose(lane, e)
            u = self.infusion_before.lane(dose["species"], lane)
            with f.when(run_in.equals(0) & (dose["start"] < t) & (t <= dose["end"])):
                u[0] = u[0] + dose["rate"]
            with f.when(run_in.equals(e + 1)):
                u[0] = u[0] + dose["rate"] * self._times(dose, later)
            y = self.y_before.lane(dose["species"], lane)
            wrapped = now.equals(e + 1) & ~self._at_part(lane, dose)
            given = wrapped | (now.equals(0) & dose["start"].equals(t))
            with f.when(given):
                y[0] = y[0] - dose["jump"]

    def _times(self, dose: dict[str, Value], later: Value) -> Value:
        """How many infusions of a steady state run."""
        first = later.equals(0) & (dose["part"] > 0.0)
        return dose["whole"] + first.where(1.0, self.f.constant(0.0, dose["whole"].type))

    def _at_part(self, lane: Value, dose: dict[str, Value]) -> Value:
        """Whether the stop is the end of the first part of a period (it then stays in the same run-in)."""
        same = self.run_in.lane(0, lane)[0].equals(self.run_in_before.lane(0, lane)[0])
        return same & self.later_before.lane(0, lane)[0].equals(0) & self.later.lane(0, lane)[0].equals(1)

    def _look_at_sides(self) -> None:
        """Rates, levels and slopes on both sides of the stops, all lanes at once."""
        f, s, kinds = self.f, self.s, self.kinds
        t, y, theta = self.stop_time, self.y_before, s.theta
        f.call("rates", t, y, theta, s.fixed, self.rates_before)
        f.call("rates", t, s.y, theta, s.fixed, self.rates_after)
        if kinds & ({"auc", "average"} | OF_THRESHOLD):
            f.call("levels", t, y, theta, s.seen_fixed, self.levels_before)
            f.call("levels", t, s.y, theta, s.seen_fixed, self.levels_after)
        if kinds & {"max", "min"}:
            sides = ((self.y_before, self.rates_before, self.infusion_before, self.slopes_before),)
            sides += ((s.y, self.rates_after, s.infusion, self.slopes_after),)
            for state, rates, infusion, slopes in sides:
                with f.loop(self.n) as q:
                    self.k.dy[q] = rates[q] + infusion[q]
                f.call("slopes", t, state, self.k.dy, theta, s.seen_fixed, self.k.levels, slopes)

    # the cotangents -----------------------------------------------------------------------------------------------

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

    def _copy(self, to: Array, source: Array, lane: Value) -> None:
        with self.f.loop(self.n) as q:
            to.lane(q, lane)[0] = source.lane(q, lane)[0]

    def _usual(self, lane: Value) -> None:
        """Boluses, and infusions that start, end or go on."""
        f = self.f
        t = self.stop_time.lane(0, lane)[0]
        boluses, edges = f.variable(DOUBLE, 0.0), f.variable(DOUBLE, 0.0)
        with f.loop(self.integers["events"]) as e:
            dose = self._dose(lane, e)
            starts, ends = dose["start"].equals(t), dose["end"].equals(t)
            with f.when(starts & dose["rate"].equals(0.0)):
                boluses[0] = boluses[0] + 1.0
            with f.when(starts | ends):
                edges[0] = edges[0] + 1.0
        jump_share = self._bolus_time(lane) / f.larger(boluses[0], 1.0)
        moved = self._moving_extrema(lane) / f.larger(edges[0], 1.0)
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
            change = self.rates_before.lane(q, lane)[0] - self.rates_after.lane(q, lane)[0]
            total[0] = total[0] + self._bar(lane, q) * change
        if self.kinds & ({"auc", "average"} | OF_THRESHOLD):
            t = self.stop_time.lane(0, lane)[0]
            with f.loop(self.integers["summaries"]) as i:
                start, end = self.memory["windows"][i * 2], self.memory["windows"][i * 2 + 1]
                with f.when((start < t) & (t < end)):
                    total[0] = total[0] + self._summary_bar(lane, i) * self._jump_of_integrand(lane, i)
        return total[0]

    def _jump_of_integrand(self, lane: Value, i: Value) -> Value:
        """Before minus after the stop: of the level that an area integrates, of whether a time counts; else zero."""
        f, column, w = self.f, self.memory["columns"][i], self.windows
        before, after = (x.lane(column, lane)[0] for x in (self.levels_before, self.levels_after))
        kind = self.memory["kinds"][i]
        jump = kind.equals(AREA).where(before - after, f.constant(0.0, DOUBLE))
        if not self.kinds & OF_THRESHOLD:
            return jump
        parameter = w.threshold_of[i]
        of_subject = self.s.theta.lane((parameter >= 0).where(parameter, 0), lane)[0]
        threshold = (parameter >= 0).where(of_subject, w.thresholds[i])
        one, zero = f.constant(1.0, DOUBLE), f.constant(0.0, DOUBLE)
        counts = [(w.signs[i] * (x - threshold) > 0.0).where(one, zero) for x in (before, after)]
        return kind.equals(BEYOND).where(counts[0] - counts[1], jump)

    def _summary_bar(self, lane: Value, i: Value) -> Value:
        return self.summary(i)[0].lane(0, lane)[0]

    def _moving_extrema(self, lane: Value) -> Value:
        """Cotangent of the time of the stop by extrema that sit at it, on either side."""
        f = self.f
        total = f.variable(DOUBLE, 0.0)
        if not self.kinds & {"max", "min", "tmax"}:
            return total[0]
        t, number = self.stop_time.lane(0, lane)[0], f.to_double(self.record.lane(0, lane)[0])
        with f.loop(self.integers["summaries"]) as i:
            kind, column = self.memory["kinds"][i], self.memory["columns"][i]
            _, at, record = (x.lane(0, lane)[0] for x in self.summary(i))
            before, after = record.equals(number - 1.0), record.equals(number + 1.0)
            here = at.equals(t) & (before | after)
            if self.kinds & {"max", "min"}:
                slopes = (self.slopes_before, self.slopes_after)
                before_slope, after_slope = (x.lane(column, lane)[0] for x in slopes)
                with f.when(here & (kind.equals(LARGEST) | kind.equals(SMALLEST))):
                    slope = before.where(before_slope, after_slope)
                    total[0] = total[0] + self._summary_bar(lane, i) * slope
            with f.when(here & kind.equals(LARGEST_TIME)):
                total[0] = total[0] + self._summary_bar(lane, i)
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
                before = self.rates_before.lane(q, lane)[0] + self.infusion_before.lane(q, lane)[0]
                after = self.rates_after.lane(q, lane)[0] + self.s.infusion.lane(q, lane)[0]
                total[0] = total[0] + self._bar(lane, q) * (before - after)
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

    def _read_state(self, lane: Value) -> None:
        """Time and state of the lane's record."""
        f, s = self.f, self.s
        record = self.record_of(lane, self.record.lane(0, lane)[0])
        s.t.lane(0, lane)[0] = record[0]
        s.end.lane(0, lane)[0] = record[1]
        with f.loop(self.n) as q:
            s.y.lane(q, lane)[0] = record[q + RECORD_HEAD]

    def _is_stop(self, lane: Value) -> Value:
        return self.record_of(lane, self.record.lane(0, lane)[0])[2] < 0.0

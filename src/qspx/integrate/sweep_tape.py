"""What both sweeps read from a tape, as LLVM code: subjects, records, steps once more, and both sides of a stop."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from contextlib import contextmanager

from qspx.integrate.lowering import Lowered
from qspx.integrate.native_code import DOUBLE, INTEGER, Array, Value
from qspx.integrate.native_memory import DOSES, IDLE, WANTING
from qspx.integrate.native_program import printed
from qspx.integrate.native_step import dense_rows, step
from qspx.integrate.native_tape import RECORD_HEAD, run_in_of
from qspx.integrate.observed import Observed
from qspx.integrate.sweep_memory import AREA, BEYOND, FRESH, LARGEST, LARGEST_TIME, SMALLEST, SweepMemory
from qspx.summaries import OF_THRESHOLD


def printed_run(low: Lowered, seen: Observed, lanes: int) -> list[str]:
    """The functions of the run itself."""
    at = ("t", "y", "theta", "fixed")
    functions = [
        ("prologue", low.prologue, ("theta",)),
        ("rates", low.rates, at),
        ("factor", low.factor, (*at, "shift")),
        ("solve", low.solve, ("factors", "b", "theta", "fixed")),
        ("seen_prologue", seen.prologue, ("theta",)),
        ("levels", seen.levels, at),
        ("slopes", seen.slopes, ("t", "y", "dy", "theta", "fixed")),
        ("bends", seen.bends, ("t", "y", "dy", "ddy", "theta", "fixed")),
    ]
    if low.drift is not None:
        functions.append(("drift", low.drift, at))
    return [printed(name, program, groups, lanes) for name, program, groups in functions]


class TapeReader(SweepMemory, abc.ABC):
    """Writes how a lane reads the tape of its subject."""

    # subjects -------------------------------------------------------------------------------------------------------

    def _take_subjects(self) -> None:
        """A subject for every lane that wants one, and what is computed once per subject."""
        f, s = self.f, self.s
        with f.loop(f.lanes) as lane:
            state = self.state.lane(0, lane)
            with f.when(state[0].equals(WANTING)):
                state[0] = IDLE
                with f.when(self.queue[0] < self.integers["last"]):
                    self._take(lane)
        f.call("prologue", s.theta, s.fixed)
        f.call("seen_prologue", s.theta, s.seen_fixed)
        f.call("more", s.theta, s.fixed, self.more)

    def _take(self, lane: Value) -> None:
        """The next subject."""
        f, s = self.f, self.s
        self.row.lane(0, lane)[0] = row = self.memory["rows"][self.queue[0]]
        self.queue[0] = self.queue[0] + 1
        self.running[0] = self.running[0] + 1
        self.state.lane(0, lane)[0] = FRESH
        theta = self.memory["theta"].at(row * self.parameters)
        with f.loop(self.parameters) as q:
            s.theta.lane(q, lane)[0] = theta[q]
        for array in (self.run_in, self.later):
            array.lane(0, lane)[0] = 0
        count = self.integers["summaries"]
        with f.loop(count) as i:
            for array, name in zip(self.found(i), ("found_at", "found_record"), strict=True):
                array.lane(0, lane)[0] = self.memory[name][row * count + i]

    @contextmanager
    def _until_all_are_done(self) -> Iterator[Array]:
        """Turns of the sweep, while a lane has a subject; where a turn sets the number to 1, lanes are refilled."""
        f = self.f
        self.state[0] = WANTING
        self.row[0] = f.splat(self.memory["rows"][self.integers["first"]])
        again = f.variable(INTEGER, 1)
        with f.repeat() as leave:
            with f.when(again[0].equals(1)):
                self._refill()
                again[0] = 0
            leave(self.running[0].equals(0))
            yield again

    @abc.abstractmethod
    def _refill(self) -> None:
        """Subjects for the lanes that want one."""

    # records --------------------------------------------------------------------------------------------------------

    def _read_state(self, lane: Value, ahead: int = 0) -> Array:
        """Time and state of the lane's record, or of one so many records ahead; which is returned."""
        f, s = self.f, self.s
        record = self.record_of(lane, self.record.lane(0, lane)[0] + ahead)
        s.t.lane(0, lane)[0] = record[0]
        s.end.lane(0, lane)[0] = record[1]
        with f.loop(self.n) as q:
            s.y.lane(q, lane)[0] = record[q + RECORD_HEAD]
        return record

    def _is_stop(self, lane: Value) -> Value:
        return self.record_of(lane, self.record.lane(0, lane)[0])[2] < 0.0

    def _read_sample(self, lane: Value) -> None:
        """Time of the lane's sample; -inf behind the first, inf behind the last."""
        f, number = self.f, self.sample.lane(0, lane)[0]
        self.next_time.lane(0, lane)[0] = float("-inf")
        with f.when(number >= 0):
            place = self.row.lane(0, lane)[0] * (self.integers["times"] + 1) + number
            self.next_time.lane(0, lane)[0] = self.memory["time"][place]
            self.next_before.lane(0, lane)[0] = self.memory["before"][place]

    def _again(self) -> None:
        """The step once more, with everything that its derivatives need."""
        f, s = self.f, self.s
        f.call("rates", s.t, s.y, s.theta, s.fixed, s.rates)
        with f.loop(self.n) as q:
            s.rates[q] = s.rates[q] + s.infusion[q]
        step(f, s, self.table, self.low.drift is not None, self.inside)
        if self.samples or self.levels:
            dense_rows(f, s, self.table)

    # stops ----------------------------------------------------------------------------------------------------------

    def _dose(self, lane: Value, e: Value) -> dict[str, Value]:
        place = self.row.lane(0, lane)[0] * self.integers["events"] + e
        return {name: self.memory[name][place] for name in DOSES}

    def _times(self, dose: dict[str, Value], later: Value) -> Value:
        """How many infusions of a steady state run."""
        first = later.equals(0) & (dose["part"] > 0.0)
        return dose["whole"] + first.where(1.0, self.f.constant(0.0, dose["whole"].type))

    def _copy(self, to: Array, source: Array, lane: Value) -> None:
        with self.f.loop(self.n) as q:
            to.lane(q, lane)[0] = source.lane(q, lane)[0]

    def _both_sides(self, lane: Value) -> None:
        """State and infusions before the stop whose number is in `record`, and where the subject was then. `s.y` and
        `run_in` are those after it."""
        f, s = self.f, self.s
        record = self.record_of(lane, self.record.lane(0, lane)[0])
        t = record[0]
        run_in, later = run_in_of(f.to_integer(-1.0 - record[2]))
        self.stop_time.lane(0, lane)[0] = t
        self.run_in_before.lane(0, lane)[0] = run_in
        self.later_before.lane(0, lane)[0] = later
        self._copy(self.y_before, s.y, lane)
        now = self.run_in.lane(0, lane)[0]
        with f.loop(self.n) as q:
            self.infusion_before.lane(q, lane)[0] = 0.0
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

    def _at_part(self, lane: Value, dose: dict[str, Value]) -> Value:
        """Whether the stop is the end of the first part of a period (it then stays in the same run-in)."""
        same = self.run_in.lane(0, lane)[0].equals(self.run_in_before.lane(0, lane)[0])
        return same & self.later_before.lane(0, lane)[0].equals(0) & self.later.lane(0, lane)[0].equals(1)

    def _look_at_sides(self) -> None:
        """Rates, levels and slopes on both sides of the stops, all lanes at once. Where a period of a steady state
        begins again, the clock that the rates see goes back."""
        f, s, kinds = self.f, self.s, self.kinds
        t, y, theta = self.stop_time, self.y_before, s.theta
        f.call("rates", t, y, theta, s.fixed, self.rates_before)
        f.call("rates", s.t, s.y, theta, s.fixed, self.rates_after)
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

    def _edges(self, lane: Value) -> tuple[Value, Value]:
        """Numbers of boluses, and of doses that start or end, at the stop."""
        f, t = self.f, self.stop_time.lane(0, lane)[0]
        boluses, edges = f.variable(DOUBLE, 0.0), f.variable(DOUBLE, 0.0)
        with f.loop(self.integers["events"]) as e:
            dose = self._dose(lane, e)
            starts, ends = dose["start"].equals(t), dose["end"].equals(t)
            with f.when(starts & dose["rate"].equals(0.0)):
                boluses[0] = boluses[0] + 1.0
            with f.when(starts | ends):
                edges[0] = edges[0] + 1.0
        return boluses[0], edges[0]

    def _change_of_state(self, lane: Value, q: Value, infusions: bool) -> Value:
        """Of state q after the stop, per delay of the stop: its rate before minus its rate after."""
        before, after = (x.lane(q, lane)[0] for x in (self.rates_before, self.rates_after))
        if infusions:
            before = before + self.infusion_before.lane(q, lane)[0]
            after = after + self.s.infusion.lane(q, lane)[0]
        return before - after

    def _change_of_integral(self, lane: Value, i: Value) -> Value:
        """Of summary i, per delay of the stop: of an area or a time beyond, what is integrated before minus after the
        stop where that lies inside the window; else zero."""
        f, column, w = self.f, self.memory["columns"][i], self.windows
        t = self.stop_time.lane(0, lane)[0]
        start, end = self.memory["windows"][i * 2], self.memory["windows"][i * 2 + 1]
        before, after = (x.lane(column, lane)[0] for x in (self.levels_before, self.levels_after))
        kind, zero, one = self.memory["kinds"][i], f.constant(0.0, DOUBLE), f.constant(1.0, DOUBLE)
        jump = kind.equals(AREA).where(before - after, zero)
        if self.kinds & OF_THRESHOLD:
            parameter = w.threshold_of[i]
            of_subject = self.s.theta.lane((parameter >= 0).where(parameter, 0), lane)[0]
            threshold = (parameter >= 0).where(of_subject, w.thresholds[i])
            counts = [(w.signs[i] * (x - threshold) > 0.0).where(one, zero) for x in (before, after)]
            jump = kind.equals(BEYOND).where(counts[0] - counts[1], jump)
        return ((start < t) & (t < end)).where(jump, zero)

    def _change_of_extremum(self, lane: Value, i: Value) -> Value:
        """Of summary i, per delay of the stop: of an extremum that sits at the stop, on either side, the slope there;
        of its time 1; else zero."""
        f = self.f
        kind, column, zero = self.memory["kinds"][i], self.memory["columns"][i], f.constant(0.0, DOUBLE)
        number = f.to_double(self.record.lane(0, lane)[0])
        at, record = (x.lane(0, lane)[0] for x in self.found(i))
        before, after = record.equals(number - 1.0), record.equals(number + 1.0)
        here = at.equals(self.stop_time.lane(0, lane)[0]) & (before | after)
        found = (here & kind.equals(LARGEST_TIME)).where(f.constant(1.0, DOUBLE), zero)
        if self.kinds & {"max", "min"}:
            slope = before.where(self.slopes_before.lane(column, lane)[0], self.slopes_after.lane(column, lane)[0])
            found = (here & (kind.equals(LARGEST) | kind.equals(SMALLEST))).where(slope, found)
        return found

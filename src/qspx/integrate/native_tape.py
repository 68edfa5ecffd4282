"""The tape of a run: what the reverse sweep needs to know about each accepted step and each stop.

A record is RECORD_HEAD numbers and the state. A step's record has its start, its end, a code >= 0 and the state at its
start. A stop's record has its time (twice), a code < 0 and the state before anything is given. The first record of a
subject is the stop at which it starts, the last two are the stop at which it ends and, as if it were a step, the final
state. Codes tell where in a run-in to a steady state the subject is: see `code` and `run_in_of`.
"""

from __future__ import annotations

from qspx.integrate.native_code import Value
from qspx.integrate.native_doses import DoseWriter

RECORD_HEAD = 3


def code(run_in: Value, later: Value) -> Value:
    """Of a step, from integers."""
    return run_in * 2 + later


def run_in_of(step_code: Value) -> tuple[Value, Value]:
    """(run-in, whether past the first part of its period) of a step's code, integers."""
    run_in = step_code / 2
    return run_in, step_code - run_in * 2


class TapeWriter(DoseWriter):
    """Writes records, where a tape is kept."""

    def _record(self, lane: Value, time: Value, end: Value, is_stop: bool, state) -> None:
        """A record of the lane's subject, behind the last one; where there is no room left, it is only counted."""
        f = self.f
        if self.tape:
            number = f.to_integer(self.records.lane(0, lane)[0])
            with f.when(number < self.integers["room"]):
                first = self.memory["tape_first"][self.row.lane(0, lane)[0]]
                place = self.memory["tape"].at((first + number) * (RECORD_HEAD + self.n))
                where = f.to_double(code(self.run_in.lane(0, lane)[0], self.later.lane(0, lane)[0]))
                for i, x in enumerate((time, end, -1.0 - where if is_stop else where)):
                    place[i] = x
                with f.loop(self.n) as q:
                    place[q + RECORD_HEAD] = state.lane(q, lane)[0]
        self.records.lane(0, lane)[0] = self.records.lane(0, lane)[0] + 1.0

    def _record_stop(self, lane: Value) -> None:
        t = self.s.t.lane(0, lane)[0]
        self._record(lane, t, t, True, self.s.y)

    def _record_steps(self, accept: Value) -> None:
        """The accepted steps, before the lanes move on."""
        f, s = self.f, self.s
        if not self.tape:
            self.records[0] = accept.where(self.records[0] + 1.0, self.records[0])
            return
        self.mask[0] = accept.as_integers()
        with f.loop(f.lanes) as lane:
            with f.when(self.mask.lane(0, lane)[0] < 0):
                self._record(lane, s.t.lane(0, lane)[0], s.end.lane(0, lane)[0], False, s.y)

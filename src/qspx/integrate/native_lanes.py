"""The lanes of the native loop and their subjects, as LLVM code: loading, samples, results."""

from __future__ import annotations

from qspx._status import Status
from qspx.integrate.native_code import Value
from qspx.integrate.native_endpoints import EMPTY
from qspx.integrate.native_memory import IDLE, RUNNING, START, WANTING
from qspx.integrate.native_tape import TapeWriter


class LaneWriter(TapeWriter):
    """Writes how a lane takes a subject and hands in its results."""

    def _refill(self) -> None:
        """A subject for every lane that wants one; the last of the queue leaves lanes idle."""
        f, s = self.f, self.s
        with f.loop(f.lanes) as lane:
            state = self.state.lane(0, lane)
            with f.when(state[0].equals(WANTING)):
                more = self.queue[0] < self.integers["last"]
                row = more.where(self.queue[0], self.row.lane(0, lane)[0])
                self.row.lane(0, lane)[0] = row
                state[0] = more.where(f.integer(RUNNING), f.integer(IDLE))
                step = more.where(f.integer(1), f.integer(0))
                self.queue[0] = self.queue[0] + step
                self.running[0] = self.running[0] + step
                self.fresh.lane(0, lane)[0] = START
                theta = self.memory["theta"].at(row * self.parameters)
                with f.loop(self.parameters) as q:
                    s.theta.lane(q, lane)[0] = theta[q]
        f.call("prologue", s.theta, s.fixed)
        f.call("seen_prologue", s.theta, s.seen_fixed)
        f.call("initial", s.theta, s.seen_fixed, s.y1)
        if self.samples:
            self.k.time[0] = self.t0
            f.call("samples", self.k.time, s.y1, s.theta, s.seen_fixed, self.k.levels)
        with f.loop(f.lanes) as lane:
            with f.when(self.fresh.lane(0, lane)[0].equals(START)):
                self._load(lane)

    def _load(self, lane: Value) -> None:
        f, s = self.f, self.s
        with f.loop(self.n) as q:
            start = s.y1.lane(q, lane)[0]
            s.y.lane(q, lane)[0] = start
            self.origin.lane(q, lane)[0] = start
        s.t.lane(0, lane)[0] = self.reals["t0"]
        for array, value in ((self.status, int(Status.OK)), (self.steps, 0), (self.sample_number, 0), (self.run_in, 0)):
            array.lane(0, lane)[0] = value
        self.stop_number.lane(0, lane)[0] = 0
        self._next_sample(lane)
        if self.samples:
            with f.repeat() as leave:  # samples before the doses at the start
                at_start = self.next_time.lane(0, lane)[0].equals(self.reals["t0"])
                leave(~(at_start & (self.next_before.lane(0, lane)[0] > 0.0)))
                self._store_sample(lane)
        with f.loop(self.integers["summaries"]) as i:
            for kind, value in enumerate(EMPTY):
                self.windows.ends.at(i * len(EMPTY)).lane(kind, lane)[0] = value
        self.records.lane(0, lane)[0] = 0.0
        self.later.lane(0, lane)[0] = 0
        self._record_stop(lane)
        self._at_stop(lane)
        self.fresh.lane(0, lane)[0] = START
        self._reject_early_doses(lane)

    def _reject_early_doses(self, lane: Value) -> None:
        """A negative lag would lose the dose."""
        f = self.f
        first = self.row.lane(0, lane)[0] * self.integers["events"]
        with f.loop(self.integers["events"]) as e:
            early = self.memory["start"][first + e] >= self.reals["t0"]
            with f.when(~early):
                self.status.lane(0, lane)[0] = int(Status.NONFINITE)

    def _write(self, lane: Value) -> None:
        """Results of the lane's subject."""
        f = self.f
        row, t = self.row.lane(0, lane)[0], self.s.t.lane(0, lane)[0]
        self._record(lane, t, t, False, self.s.y)
        written = (("status", self.status), ("steps", self.steps), ("end_time", self.s.t), ("records", self.records))
        for name, array in written:
            self.memory[name][row] = array.lane(0, lane)[0]
        count = self.integers["summaries"] * len(EMPTY)
        out = self.memory["endpoints"].at(row * count)
        with f.loop(count) as i:
            out[i] = self.windows.ends.lane(i, lane)[0]
        self.state.lane(0, lane)[0] = WANTING
        self.fresh.lane(0, lane)[0] = 0
        self.running[0] = self.running[0] - 1

    def _next_sample(self, lane: Value) -> None:
        place = self.row.lane(0, lane)[0] * (self.integers["times"] + 1) + self.sample_number.lane(0, lane)[0]
        # the last entry of a row of `time` is infinite
        self.next_time.lane(0, lane)[0] = self.memory["time"][place]
        self.next_before.lane(0, lane)[0] = self.memory["before"][place]

    def _store_sample(self, lane: Value) -> None:
        """The lane's entry of `k.levels` as its next sample."""
        number = self.sample_number.lane(0, lane)
        row = self.row.lane(0, lane)[0] * self.integers["times"] + number[0]
        out = self.memory["values"].at(row * self.samples)
        with self.f.loop(self.samples) as i:
            out[i] = self.k.levels.lane(i, lane)[0]
        number[0] = number[0] + 1
        self._next_sample(lane)

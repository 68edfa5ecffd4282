"""Cotangents of samples and endpoints, as LLVM code."""

from __future__ import annotations

from qspx.integrate.native_code import Value
from qspx.integrate.native_crossings import crossings
from qspx.integrate.native_endpoints import GAUSS
from qspx.integrate.native_look import examine
from qspx.integrate.reverse_step import StepReverser
from qspx.integrate.sweep_memory import AREA


class LookReverser(StepReverser):
    """Writes the reverse of what was looked at during the run."""

    def _previous_sample(self, lane: Value) -> None:
        """The lane's sample before, or -inf behind the first."""
        number = self.sample.lane(0, lane)[0] - 1
        self.sample.lane(0, lane)[0] = number
        self._read_sample(lane)

    def _take_sample_bars(self, due: Value) -> None:
        """Cotangents of the lanes' samples into `look_bar`; each goes on to the sample before."""
        f = self.f
        self.zero((self.look_bar, self.samples))
        self.mask[0] = due.as_integers()
        with f.loop(f.lanes) as lane:
            with f.when(self.mask.lane(0, lane)[0] < 0):
                row = self.row.lane(0, lane)[0] * self.integers["times"] + self.sample.lane(0, lane)[0]
                bars = self.memory["values_bar"].at(row * self.samples)
                with f.loop(self.samples) as i:
                    self.look_bar.lane(i, lane)[0] = bars[i]
                self._previous_sample(lane)

    def _samples_at(self, lanes: Value, before: bool) -> None:
        """Samples at exactly the time of `s.y`, before or after what is given then."""
        if not self.samples:
            return
        f = self.f
        with f.repeat() as leave:
            early = self.next_before[0] > 0.0
            due = lanes & self.next_time[0].equals(self.s.t[0]) & (early if before else ~early)
            leave(~due.any())
            self._take_sample_bars(due)
            self._look_back("samples", due, None)

    def _samples_inside(self, lanes: Value) -> None:
        if not self.samples:
            return
        f, s = self.f, self.s
        with f.repeat() as leave:
            due = lanes & (self.next_time[0] > s.t[0])
            leave(~due.any())
            share = due.where((self.next_time[0] - s.t[0]) / (s.end[0] - s.t[0]), f.number(0.0))
            self._take_sample_bars(due)
            self._look_back("samples", due, share)

    def _value_found(self, i: Value, due: Value, share: Value) -> None:
        self._only(self.memory["columns"][i], due.where(self.summary_bar(i)[0], self.f.number(0.0)))
        self._look_back("levels", due, share)

    def _time_found(self, i: Value, due: Value, share: Value) -> None:
        self._only(self.memory["columns"][i], due.where(self.summary_bar(i)[0], self.f.number(0.0)))
        self._time_back(due, share)

    def _only(self, column: Value, bar: Value) -> None:
        self.zero((self.look_bar, self.levels))
        self.look_bar[column] = bar

    def _times_beyond(self, lanes: Value) -> None:
        """A crossing moves by (change of the level) / (its slope), and the time beyond the threshold with it."""
        f, s, k, w = self.f, self.s, self.k, self.windows
        examine(f, s, k, self.programs.seen, lanes)
        with f.loop(self.integers["summaries"]) as i, f.when(w.has_threshold(i)):
            inside, column, sign = w.masks(i, s, lanes)[0], w.columns[i], f.splat(w.signs[i])
            for crossed, share, slope in crossings(f, s, k, w, self.programs.seen, i, inside):
                moved = crossed & ~slope.equals(0.0)
                push = moved.where(sign * self.summary_bar(i)[0] / f.unary("fabs", slope), f.number(0.0))
                self._only(column, push)
                self._look_back("levels", moved, share)
                with f.when(w.threshold_of[i] >= 0):
                    bar = self.theta_bar.at(w.threshold_of[i])
                    bar[0] = bar[0] - push

    def _areas(self, lanes: Value) -> None:
        f, s = self.f, self.s
        width = s.end[0] - s.t[0]
        for node, weight in zip(*GAUSS, strict=True):
            self.zero((self.look_bar, self.levels))
            due = f.variable(f.integers, 0)
            with f.loop(self.integers["summaries"]) as i:
                column, edges = self.memory["columns"][i], self.memory["windows"].at(i * 2)
                counts = lanes & f.splat(self.memory["kinds"][i].equals(AREA))
                counts = counts & (s.t[0] >= f.splat(edges[0])) & (s.end[0] <= f.splat(edges[1]))
                part = counts.where(float(weight) * width * self.summary_bar(i)[0], f.number(0.0))
                self.look_bar[column] = self.look_bar[column] + part
                due[0] = due[0] | counts.as_integers()
            with f.when((due[0] < 0).any()):
                self._look_back("levels", due[0] < 0, f.number(float(node)))

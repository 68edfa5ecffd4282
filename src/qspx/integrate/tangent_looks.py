"""Tangents of samples and endpoints, as LLVM code: the transpose of `qspx.integrate.reverse_looks`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qspx.integrate.native_code import Value
from qspx.integrate.native_crossings import crossings
from qspx.integrate.native_endpoints import GAUSS
from qspx.integrate.native_look import examine, look_at
from qspx.integrate.sweep_memory import AREA
from qspx.integrate.tangent_memory import Direction
from qspx.integrate.tangent_step import StepTangents


class LookTangents(StepTangents):
    """Writes the tangents of what was looked at during the run."""

    @contextmanager
    def _each_direction(self) -> Iterator[Direction]:
        with self.f.loop(self.integers["directions"]) as number:
            yield self.direction(number)

    # samples --------------------------------------------------------------------------------------------------------

    def _store_samples(self, due: Value, share: Value | None) -> None:
        """Of the lanes whose sample is due; each goes on to the next sample."""
        f, times = self.f, self.integers["times"]
        self.mask[0] = due.as_integers()
        self._look("samples", share)
        with self._each_direction() as d:
            self._look_along("samples", d, share)
            with f.loop(f.lanes) as lane, f.when(self.mask.lane(0, lane)[0] < 0):
                out = self.dot_of("values_dot", lane, d, times * self.samples)
                out = out.at(self.sample.lane(0, lane)[0] * self.samples)
                with f.loop(self.samples) as i:
                    out[i] = self.look_dot.lane(i, lane)[0]
        with f.loop(f.lanes) as lane, f.when(self.mask.lane(0, lane)[0] < 0):
            self.sample.lane(0, lane)[0] = self.sample.lane(0, lane)[0] + 1
            self._read_sample(lane)

    def _samples_at(self, lanes: Value, before: bool) -> None:
        """Samples at exactly the time of `s.y`, before or after what is given then."""
        if not self.samples:
            return
        with self.f.repeat() as leave:
            early = self.next_before[0] > 0.0
            due = lanes & self.next_time[0].equals(self.s.t[0]) & (early if before else ~early)
            leave(~due.any())
            self._store_samples(due, None)

    def _samples_inside(self, lanes: Value) -> None:
        """Samples inside the step, and those at its end that come before what is given then."""
        if not self.samples:
            return
        f, s = self.f, self.s
        with f.repeat() as leave:
            early = self.next_time[0].equals(s.end[0]) & (self.next_before[0] > 0.0)
            due = lanes & ((self.next_time[0] < s.end[0]) | early)
            leave(~due.any())
            share = due.where((self.next_time[0] - s.t[0]) / (s.end[0] - s.t[0]), f.number(0.0))
            self._store_samples(due, share)

    # endpoints ------------------------------------------------------------------------------------------------------

    def _value_found(self, i: Value, due: Value, share: Value) -> None:
        self._look("levels", share)
        with self._each_direction() as d:
            self._look_along("levels", d, share)
            self._count(i, d, due, self.look_dot[self.memory["columns"][i]])

    def _count(self, i: Value, d: Direction, due: Value, x: Value) -> None:
        """Add to the tangent of summary i, where it is due."""
        dot = self.summary_dot(i, d)
        dot[0] = due.where(dot[0] + x, dot[0])

    def _time_found(self, i: Value, due: Value, share: Value) -> None:
        """It moves by -(change of the slope) / bend."""
        f, s, k, column = self.f, self.s, self.k, self.memory["columns"][i]
        look_at(f, s, k, "bends", self.seen.bends, share, 2)
        bend = k.bends[column]
        bend = bend.equals(0.0).where(f.number(1.0), bend)
        self._look_at_slopes()
        with self._each_direction() as d:
            self._slopes_along(d, share)
            self._count(i, d, due, -self.look_dot[column] / bend)

    def _times_beyond(self, lanes: Value) -> None:
        """A crossing moves by (change of the level) / (its slope), and the time beyond the threshold with it."""
        f, s, k, w = self.f, self.s, self.k, self.windows
        examine(f, s, k, self.seen, lanes)
        with f.loop(self.integers["summaries"]) as i, f.when(w.has_threshold(i)):
            inside, column, sign = w.masks(i, s, lanes)[0], w.columns[i], f.splat(w.signs[i])
            parameter = w.threshold_of[i]
            own = parameter >= 0
            for crossed, share, slope in crossings(f, s, k, w, self.seen, i, inside):
                moved = crossed & ~slope.equals(0.0)
                push = moved.where(sign / f.unary("fabs", slope), f.number(0.0))
                self._look("levels", share)
                with self._each_direction() as d:
                    self._look_along("levels", d, share)
                    of_threshold = own.where(d.theta[own.where(parameter, 0)], f.number(0.0))
                    self._count(i, d, moved, push * (self.look_dot[column] - of_threshold))

    def _areas(self, lanes: Value) -> None:
        f, s = self.f, self.s
        width = s.end[0] - s.t[0]
        for node, weight in zip(*GAUSS, strict=True):
            share = f.number(float(node))
            self._look("levels", share)
            with self._each_direction() as d:
                self._look_along("levels", d, share)
                with f.loop(self.integers["summaries"]) as i:
                    counts = self.windows.masks(i, s, lanes)[0] & f.splat(self.memory["kinds"][i].equals(AREA))
                    level = self.look_dot[self.memory["columns"][i]]
                    self._count(i, d, counts, float(weight) * width * level)

"""Which endpoints a step of either sweep has a part in, as LLVM code."""

from __future__ import annotations

import abc

from qspx.integrate.native_code import Value
from qspx.integrate.sweep_memory import LARGEST, LARGEST_TIME, LAST, SMALLEST
from qspx.integrate.sweep_tape import TapeReader
from qspx.summaries import OF_THRESHOLD


class EndpointReader(TapeReader, abc.ABC):
    """Writes how a sweep finds the endpoints of the step each lane is at. What it does with them is its own: of each,
    `lanes` or `due` says where."""

    @abc.abstractmethod
    def _areas(self, lanes: Value) -> None:
        """Areas under the step."""

    @abc.abstractmethod
    def _times_beyond(self, lanes: Value) -> None:
        """Times beyond thresholds, within the step."""

    @abc.abstractmethod
    def _value_found(self, i: Value, due: Value, share: Value) -> None:
        """Summary i, a value of the observable at a `share` of the step."""

    @abc.abstractmethod
    def _time_found(self, i: Value, due: Value, share: Value) -> None:
        """Summary i, the time of a maximum that lies at a `share` of the step, inside it."""

    def _endpoints_inside(self, lanes: Value) -> None:
        """Endpoints of the step."""
        if not self.levels:
            return
        if self.kinds & {"auc", "average"}:
            self._areas(lanes)
        if self.kinds & OF_THRESHOLD:
            self._times_beyond(lanes)
        f, s = self.f, self.s
        number = f.variable(f.vector, 0.0)
        with f.loop(f.lanes) as lane:
            number.lane(0, lane)[0] = f.to_double(self.record.lane(0, lane)[0])
        with f.loop(self.integers["summaries"]) as i:
            kind = self.memory["kinds"][i]
            at, record = (x[0] for x in self.found(i))
            here = lanes & record.equals(number[0])
            value = f.splat(kind.equals(LARGEST) | kind.equals(SMALLEST))
            at_end = lanes & f.splat(kind.equals(LAST)) & s.end[0].equals(f.splat(self.memory["windows"][i * 2 + 1]))
            due = (here & value) | at_end
            share = (here & value).where((at - s.t[0]) / (s.end[0] - s.t[0]), f.number(1.0))
            with f.when(due.any()):
                self._value_found(i, due, share)
            if "tmax" in self.kinds:
                inner = here & f.splat(kind.equals(LARGEST_TIME)) & (at > s.t[0]) & (at < s.end[0])
                with f.when(inner.any()):
                    self._time_found(i, inner, inner.where((at - s.t[0]) / (s.end[0] - s.t[0]), f.number(0.0)))

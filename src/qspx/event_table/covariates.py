"""Columns of parameters that change in time within a subject, as inputs of its regimen.

A record says a value at its time; what holds between two records is a convention. NONMEM advances from one event to the
next with the later record's value ("nocb", next observation carried backward), and so does mrgsolve; rxode2 carries the
last value forward ("locf") unless told otherwise (as the documentation of its `covsInterpolation` says). An empty cell
stands for the value that the convention gives there.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from qspx._errors import DoseError
from qspx.event_table.sheet import Sheet
from qspx.inputs import Input
from qspx.model import AbstractModel
from qspx.units import conversion

CONVENTIONS = ("nocb", "locf", "linear")


def check_convention(convention: str) -> None:
    if convention not in CONVENTIONS:
        raise DoseError(
            f"Argument `covariates` must be one of {CONVENTIONS} (the value of the next record, of the last, or a "
            f"straight line between them), but {convention!r} was given."
        )


@dataclasses.dataclass(frozen=True)
class Covariates:
    """values: of each parameter that changes in time within some subject, the value that holds for each record
    (records,), and NaN in subjects in whom it does not change; convention: one of `CONVENTIONS`; time: (records,)."""

    model: AbstractModel
    convention: str
    time: np.ndarray
    values: dict[str, np.ndarray]

    def add(self, sheet: Sheet, name: str, given: np.ndarray, records: np.ndarray) -> None:
        """The values that one subject's records give, (all records,), with NaN where they give none."""
        known = records[np.isfinite(given[records])]
        again = np.flatnonzero((np.diff(self.time[known]) == 0) & (np.diff(given[known]) != 0))
        if len(again):
            fix = f" `{name}` can have one value at a time: give these records the same."
            one, other = int(known[again[0]]), int(known[again[0] + 1])
            expected = f"{given[one]:g}, as in row {sheet.rows[one]} at the same time, was expected"
            sheet.fail(other, sheet.parameters[name], expected, fix)
        self.values.setdefault(name, np.full(len(self.time), np.nan))
        self.values[name][records] = self._filled(self.time[known], given[known], self.time[records])

    def _filled(self, times: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
        if self.convention == "linear":
            return np.interp(at, times, values)
        if self.convention == "nocb":
            return values[np.minimum(np.searchsorted(times, at, "left"), len(times) - 1)]
        return values[np.maximum(np.searchsorted(times, at, "right") - 1, 0)]

    def _course(self, name: str, records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The subject's times, each once, and the values that hold for the records there."""
        times, first = np.unique(self.time[records], return_index=True)
        return times, self.values[name][records[first]]

    def of(self, records: np.ndarray) -> dict[str, Input]:
        """Inputs of a subject, as far as its `records` tell; they begin with the first change."""
        found = {}
        for name, values in self.values.items():
            if not np.isnan(values[records[:1]]).all() and (given := self._input(name, records)) is not None:
                found[name] = given
        return found

    def _input(self, name: str, records: np.ndarray) -> Input | None:
        times, values = (x.tolist() for x in self._course(name, records))
        changes = [i for i in range(1, len(values)) if values[i] != values[i - 1]]
        if not changes:
            return None
        unit, begin = self.model.parameters[name].unit, changes[0] - 1
        if self.convention == "linear":
            return Input(times[begin:], values[begin:], unit, "linear")
        before = 1 if self.convention == "nocb" else 0
        return Input([times[i - before] for i in changes], [values[i] for i in changes], unit)

    def steps(self, records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of a subject's records: at which a value jumps that then holds for them, and at which one jumps just after
        them, each (records,)."""
        with_it, after_it = np.zeros(len(records), bool), np.zeros(len(records), bool)
        for given in self.of(records).values():
            jumps = (given.interpolation == "constant") & np.isin(self.time[records], given.times)
            if self.convention == "nocb":
                after_it |= jumps
            else:
                with_it |= jumps
        return with_it, after_it

    def check_steady(self, sheet: Sheet, first: np.ndarray, steady: np.ndarray) -> None:
        """Raise `DoseError` for a steady state, (records,), in or after a change: its past would need one value."""
        for subject in map(slice, first[:-1], first[1:]):
            records = np.arange(subject.start, subject.stop)
            for name in self.values:
                held = self.values[name][records]
                late = np.flatnonzero((steady[records] != 0) & np.isfinite(held) & (np.cumsum(held != held[0]) > 0))
                if len(late):
                    fix = " Write out the doses before it, or start the subject there."
                    expected = f"no steady state was expected after `{sheet.parameters[name]}` has changed"
                    sheet.fail(int(records[late[0]]), sheet.column("SS"), expected, fix)

    def weights(self) -> np.ndarray | None:
        """Body weight (kg) for each record, NaN in subjects in whom it does not change; None where it never does."""
        name = self.model.body_weight
        if name is None or name not in self.values:
            return None
        return self.values[name] * conversion(self.model.parameters[name].unit, "kg")

"""Which runs a problem needs: a run for each pair of conditions, with its run-in to a steady state before it.

Measurements at infinite time are taken at the end of a run-in under their own condition.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from qspx.calibrate.assigned import Assigned
from qspx.calibrate.phases import Phase
from qspx.calibrate.runs import Runs
from qspx.petab.conditions import Conditions
from qspx.petab.switches import Switches
from qspx.petab.tables import Row
from qspx.starting import starting_from


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One run that is measured. `before` is the condition of its pre-equilibration, "" for none; `steady` says that it
    is measured at infinite time."""

    before: str
    condition: str
    steady: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Design:
    """The runs, and of each measurement which run, which of its samples, and at what time; each (measurements,)."""

    phases: tuple[Phase, ...]
    run: np.ndarray
    column: np.ndarray
    time: np.ndarray


def design_of(
    measurements: Sequence[Row], conditions: Conditions, switches: Switches, *, settled_within: float
) -> Design:
    """The runs of the measurements. Run-ins last `settled_within`, in the model's time unit.

    Raises `InterchangeError` for times below zero, and `NotSupported` for a concentration that would have to be set
    in a compartment that changes its size."""
    of = [_experiment(row) for row in measurements]
    times = [row.number("time") for row in measurements]
    for row, time in zip(measurements, times, strict=True):
        if time < 0:
            raise row.error("time", f"it must not be below 0, where simulations start, but is {time:g}")
    looked_at: dict[Experiment, set[float]] = {e: set() for e in of}
    at = [0.0 if e.steady else time for e, time in zip(of, times, strict=True)]
    for e, time in zip(of, at, strict=True):
        looked_at[e].add(time)
    build = _Builder(conditions, switches, settled_within, list(looked_at))
    phases = (*build.run_ins(), build.measured([sorted(found) for found in looked_at.values()]))
    place = {e: i for i, e in enumerate(looked_at)}
    run = np.array([place[e] for e in of])
    column = np.array([phases[-1].runs.column(i, time) for i, time in zip(run.tolist(), at, strict=True)])
    return Design(phases, run, column, np.array([t if math.isfinite(t) else settled_within for t in times]))


def _experiment(row: Row) -> Experiment:
    before, condition = row.get("preequilibrationConditionId"), row["simulationConditionId"]
    return Experiment(before, condition, row.number("time") == math.inf)


class _Builder:
    def __init__(self, conditions: Conditions, switches: Switches, within: float, experiments: Sequence[Experiment]):
        self.conditions, self.switches, self.within, self.experiments = conditions, switches, within, experiments
        self.model = conditions.sbml.model
        self.before = list(dict.fromkeys(e.before for e in experiments if e.before))
        self.settled = [e for e in experiments if e.steady]

    def run_ins(self) -> list[Phase]:
        """Pre-equilibrations; then runs to the steady states that are measured, beside which those go on."""
        first = [self._run_in(self.before, None)] if self.before else []
        if not self.settled:
            return first
        if not self.before:
            return [self._run_in([e.condition for e in self.settled], None)]
        follows = [self._place(e.before) for e in self.settled] + list(range(len(self.before)))
        second = [e.condition for e in self.settled] + self.before
        return [*first, self._run_in(second, np.array(follows), len(self.settled))]

    def measured(self, times: Sequence[Sequence[float]]) -> Phase:
        ended = len(self.settled) if self.before else 0
        follows = [
            self.settled.index(e) if e.steady else ended + self._place(e.before) if e.before else -1
            for e in self.experiments
        ]
        set_here = [bool(e.before) and not e.steady for e in self.experiments]
        return self._phase([e.condition for e in self.experiments], times, np.array(follows), set_here)

    def _place(self, before: str) -> int:
        return self.before.index(before) if before else -1

    def _run_in(self, conditions: Sequence[str], follows: np.ndarray | None, set_here: int = 0) -> Phase:
        times = [[0.1 * self.within, self.within]] * len(conditions)
        first = [i < set_here and follows is not None and bool(follows[i] >= 0) for i in range(len(conditions))]
        phase = self._phase(conditions, times, follows, first)
        return dataclasses.replace(phase, steady=True)

    def _phase(
        self, conditions: Sequence[str], times: Sequence[Sequence[float]], follows: np.ndarray | None,
        set_here: Sequence[bool],
    ) -> Phase:  # fmt: skip
        """Runs under `conditions`. Those that follow others and are `set_here` set what their condition says."""
        chained = follows is not None and bool((follows >= 0).any())
        model = starting_from(self.model) if chained else self.model
        theta = [self.conditions.theta(c) for c in conditions]
        runs = Runs.of(model, [None] * len(conditions), [[(t, False) for t in row] for row in times], start=0.0)
        events = self.switches.events(conditions, self.conditions)
        runs = dataclasses.replace(runs, events=events)
        assigned = Assigned.of(theta, self.conditions.table.names)
        if not chained:
            return Phase(runs, assigned)
        given, start = self._set(conditions, set_here)
        return Phase(runs, assigned, follows, given, start)

    def _set(self, conditions: Sequence[str], set_here: Sequence[bool]) -> tuple[np.ndarray, Assigned]:
        """What is set anew at the start of runs: by their condition, and switches."""
        sbml, names = self.conditions.sbml, list(self.model.species)
        given = np.zeros((len(conditions), len(names)), bool)
        rows: list[list[float | str]] = [[0.0] * len(names) for _ in conditions]
        for i, (condition, here) in enumerate(zip(conditions, set_here, strict=True)):
            for key in self.conditions.overridden.states if here else ():
                if not self.conditions.sets(key, condition):
                    continue
                if sbml.outputs[key] not in names:
                    raise self.conditions.rows[condition].refused(
                        key,
                        f"`{key}` lies in a compartment that changes its size, and is set after a pre-equilibration",
                    )
                place = names.index(sbml.outputs[key])
                value = self.conditions.value(key, condition)
                assert value is not None
                given[i, place], rows[i][place] = True, value
            for key in self.switches.states if here else ():
                given[i, names.index(sbml.outputs[key])] = True
        return given, Assigned.of(rows, self.conditions.table.names)

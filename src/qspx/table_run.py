"""`simulate_table`: every record of an event table, with what the model predicts there."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from qspx._checks import names as named
from qspx._checks import require_kind
from qspx._dose_units import in_model_time
from qspx._errors import SolveError
from qspx._status import Ledger, Status
from qspx.cohort import impossible
from qspx.dose_events import DoseEvents, impossible_doses, stacked_events
from qspx.dosing import Dose, Regimen
from qspx.event_table import EventTable
from qspx.event_table.records import DOSE, RESET, RESET_AND_DOSE
from qspx.integrate import AbstractIntegrator, BatchSolution, SolveRequest, integrator_of
from qspx.integrate.base import Samples
from qspx.model import AbstractModel
from qspx.simulation import require_model
from qspx.varying import TimeVarying

if TYPE_CHECKING:
    import pandas as pd

CARRIED = ("ID", "TIME", "EVID")


def simulate_table(
    model: AbstractModel,
    table: EventTable,
    *,
    observables: Sequence[str] | None = None,
    parameters: Mapping[str, float] | None = None,
    theta: np.ndarray | None = None,
    integrator: AbstractIntegrator | None = None,
) -> pd.DataFrame:
    """Predict every record of an event table.

    Subjects start from the model's initial values at their first record. A record shows the value after all that stands
    above it, and after what it gives itself; a dose that is still to come, for its lag, is not in it. An observable
    that reads a covariate that changes in time is shown with the value that holds for the record; next to doses at the
    same time this takes solves of their own, so ask for the `observables` that are needed. Never raises for one
    subject: its `status` says what became of it, and its numbers are NaN where that is not `ok`.

    Args:
        model: the model that the table was read for.
        table: the records.
        observables: observables or species to predict (default: all).
        parameters: typical values to replace, by name, of parameters that are no column of the table.
        theta: parameters of the subjects instead of the table's, shape (subjects, parameters). Of parameters that
            change from record to record (`table.changing`), doses keep the value in their record, and those that
            change in time (`table.covariates`) keep the table's values from their first change on.
        integrator: default `AutomaticIntegrator()`.

    Returns:
        One row per record, in the order of the table: ID, TIME, EVID (as in the table), the observables, `status`.
        Units are in `df.attrs["units"]`, subjects by status in `df.attrs["ledger"]`, and why subjects could not be
        solved in `df.attrs["reasons"]`.

    Raises:
        QspxError: before the solve, if an argument does not fit the model or the table.
    """
    require_model(model)
    require_kind(table, EventTable, "table", "Tables and files are read by EventTable.read(...).")
    engine = integrator_of(integrator)
    if table.model != model:
        raise SolveError(f"the event table was read for {table.model!r}, not for {model!r}; read it for this model.")
    asked = tuple(model.outputs) if observables is None else named(observables, "observables", SolveError)
    names = model.require_outputs(asked)
    if taken := [n for n in names if n in (*CARRIED, "status")]:
        raise SolveError(f"`{taken[0]}` is a column of the result, so it cannot be an observable; rename it.")
    theta = _theta(model, table, parameters, theta)
    reasons = {why: int(rows.sum()) for why, rows in impossible(model, theta).items() if rows.any()}
    status = np.full(len(table), int(Status.OK))
    for rows in impossible(model, theta).values():
        status[rows] = Status.IMPLAUSIBLE
    watched = isinstance(model, TimeVarying) and model.may_jump(names)
    plan = _Plan.of(model, table, theta, np.flatnonzero(status == Status.OK), watched)
    values = np.full((len(table.time), len(names)), np.nan)
    if plan.runs:
        solution, why = plan.solve(names, theta, engine)
        subjects = np.array([run.subject for run in plan.runs])
        np.maximum.at(status, subjects, solution.status)
        reasons |= {text: len(set(subjects[rows & (solution.status != Status.OK)])) for text, rows in why.items()}
        plan.fill(values, solution, status)
    return _frame(model, table, names, values, status, reasons)


def _theta(
    model: AbstractModel, table: EventTable, parameters: Mapping[str, float] | None, theta: np.ndarray | None
) -> np.ndarray:
    """Parameters of the subjects, shape (subjects, parameters)."""
    if theta is not None:
        theta = np.asarray(theta, dtype=float)
        if parameters:
            raise SolveError("Arguments `parameters` and `theta` exclude each other; put the values into `theta`.")
        if theta.shape != table.theta.shape:
            raise SolveError(
                f"Argument `theta` must have shape {table.theta.shape}, subjects x parameters, but has {theta.shape}."
            )
        return theta
    theta = table.theta.copy()
    for name, value in (parameters or {}).items():
        column = [c for c, meaning in table.columns.items() if meaning == name]
        if column:
            raise SolveError(
                f"Argument `parameters` has `{name}`, which the event table gives in column `{column[0]}`; read the "
                f"table with columns={{{column[0]!r}: None}}, or give `theta`."
            )
        theta[:, model.parameter_index(name)] = value
    return theta


@dataclasses.dataclass
class _Run:
    """One row of the batch: a subject, a regimen, and when it is sampled. `samples` numbers the times, each (time,
    whether before what happens then); `shows` says for each record which sample it is."""

    subject: int
    regimen: Regimen
    samples: dict[tuple[float, bool], int] = dataclasses.field(default_factory=dict)
    shows: dict[int, tuple[float, bool]] = dataclasses.field(default_factory=dict)

    def add(self, record: int, time: float, before: bool) -> None:
        self.shows[record] = (time, before)
        self.samples[time, before] = 0


@dataclasses.dataclass(frozen=True)
class _Plan:
    """The rows of the batch. Most subjects have one. A record between two that act at the same time, with something
    having happened and something still to come, is read off a row of its own that ends there."""

    model: AbstractModel
    runs: tuple[_Run, ...]
    t0: float

    @classmethod
    def of(
        cls, model: AbstractModel, table: EventTable, theta: np.ndarray, subjects: np.ndarray, watched: bool
    ) -> _Plan:
        """`watched`: whether what is asked for may jump with a covariate."""
        told, which = np.unique(table.time, return_inverse=True)
        times = np.array([in_model_time(float(t), table.time_unit, model) for t in told])[which]
        t0 = float(times[table.first[subjects]].min()) if len(subjects) else 0.0
        runs = [run for s in subjects for run in _runs(model, table, theta[s], int(s), times, t0, watched)]
        return cls(model, tuple(runs), t0)

    def solve(
        self, names: tuple[str, ...], theta: np.ndarray, integrator: AbstractIntegrator
    ) -> tuple[BatchSolution, dict[str, np.ndarray]]:
        """One row per run; and which rows have doses that cannot be given, by reason."""
        for run in self.runs:  # before comes first in a tie
            order = sorted(run.samples, key=lambda sample: (sample[0], not sample[1]))
            run.samples = {sample: k for k, sample in enumerate(order)}
        most = max(len(run.samples) for run in self.runs)
        samples = Samples(np.full((len(self.runs), most), np.inf), np.zeros((len(self.runs), most), bool))
        for row, run in enumerate(self.runs):
            for (time, before), k in run.samples.items():
                samples.time[row, k], samples.before[row, k] = time, before
        last = samples.time[np.isfinite(samples.time)].max()
        t1 = float(last) if last > self.t0 else self.t0 + 1.0  # a run has a length, even if all is asked at its start
        marks = any(run.regimen.has_marks for run in self.runs)
        common = tuple(float(t) for t in np.linspace(self.t0, t1, most))  # replaced by `samples`
        request = SolveRequest(self.model, common, names, (), self.t0, t1, marks=marks)
        rows = theta[[run.subject for run in self.runs]]
        stacked = stacked_events([run.regimen for run in self.runs], self.model, list(rows))
        events = DoseEvents(*(np.stack(field) for field in zip(*stacked, strict=True)))
        why = impossible_doses(self.model, rows, events, self.t0)
        return integrator.chosen(request).solve_batch(request, rows, events, samples), why

    def fill(self, values: np.ndarray, solution: BatchSolution, status: np.ndarray) -> None:
        """Write predictions (records, observables) of the subjects whose runs were all solved."""
        for row, run in enumerate(self.runs):
            if status[run.subject] == Status.OK:
                columns = [run.samples[sample] for sample in run.shows.values()]
                values[list(run.shows)] = solution.values[row, columns]


def _runs(
    model: AbstractModel,
    table: EventTable,
    theta: np.ndarray,
    subject: int,
    times: np.ndarray,
    t0: float,
    watched: bool,
) -> list[_Run]:
    """The subject's rows of the batch; the first has the whole regimen. A covariate that jumps acts as a dose does
    where it is `watched`: a record shows the value that holds for it."""
    mine = table.records(subject)
    begin = table.time[mine[0]]
    late = times[mine[0]] > t0  # where the run starts with another subject, this one is put back at its first record

    def regimen(records: int | None = None) -> Regimen:
        found = table.regimen(subject, records)
        return dataclasses.replace(found, resets=(begin, *found.resets)) if late else found

    acts = np.isin(table.evid[mine], (DOSE, RESET, RESET_AND_DOSE))
    now = table.time[mine]
    earliest, latest = (np.searchsorted(now, now, side) for side in ("left", "right"))  # records at the same time
    with_it, after_it = table.covariates.steps(mine) if watched else (np.zeros(len(mine), bool),) * 2
    acts = acts.astype(int) + (with_it & (earliest == np.arange(len(mine))))
    acted = np.concatenate([[0], np.cumsum(acts)])  # how much has acted in the first 0, 1, ... records
    varies = bool(table.covariates.of(mine))  # then a row of its own holds for one time only
    arrivals = _Arrivals.of(model, table, theta, mine)
    main, extra = _Run(subject, regimen()), {}
    for k, i in enumerate(mine):
        here, later = acted[k + 1] - acted[earliest[k]], acted[latest[k]] - acted[k + 1] + after_it[k]
        if not later:
            main.add(int(i), float(times[i]), before=False)
        elif here or (late and now[k] == begin) or arrivals.may_hit(float(now[k]), k):
            key = (acted[k + 1], now[k] if varies else 0.0)
            if key not in extra:
                extra[key] = _Run(subject, regimen(k + 1))
            extra[key].add(int(i), float(times[i]), before=False)
        else:
            main.add(int(i), float(times[i]), before=True)
    return [main, *extra.values()]


@dataclasses.dataclass(frozen=True)
class _Arrivals:
    """When doses may arrive: at `first` and every `every` from there (infinite: once), each (records,), in the table's
    time unit; NaN where a record gives no dose."""

    first: np.ndarray
    every: np.ndarray

    @classmethod
    def of(cls, model: AbstractModel, table: EventTable, theta: np.ndarray, records: np.ndarray) -> _Arrivals:
        first, every = np.full(len(records), np.nan), np.full(len(records), np.inf)
        for k, i in enumerate(records):
            if (dose := table.doses[i]) is not None:
                first[k] = dose.at + _lag(model, table, theta, dose)
                every[k] = dose.every or np.inf
        return cls(first, every)

    def may_hit(self, time: float, above: int) -> bool:
        """Whether a dose of the first `above` records may arrive just at `time`: as itself, or as an earlier or later
        one of its kind. To answer yes too often costs time only."""
        after = time - self.first[:above]
        once, every = np.isinf(self.every[:above]), self.every[:above]
        rest = np.where(once, after, after - np.round(after / every) * np.where(once, 1.0, every))
        return bool((np.abs(rest) <= 1e-9 * abs(time)).any())


def _lag(model: AbstractModel, table: EventTable, theta: np.ndarray, dose: Dose) -> float:
    declared = model.species[dose.into].lag
    if isinstance(dose.lag, int | float) or declared is None:
        return float(dose.lag or 0.0)
    return float(theta[model.parameter_index(declared)]) / in_model_time(1.0, table.time_unit, model)


def _frame(
    model: AbstractModel,
    table: EventTable,
    names: tuple[str, ...],
    values: np.ndarray,
    status: np.ndarray,
    reasons: Mapping[str, int],
) -> pd.DataFrame:
    import pandas as pd

    carried = table.to_frame()
    said = np.array([Status(int(s)).name.lower() for s in status], dtype=object)
    columns = {name: carried[name] for name in CARRIED} | {name: values[:, j] for j, name in enumerate(names)}
    frame = pd.DataFrame(columns | {"status": np.repeat(said, np.diff(table.first))})
    frame.attrs["units"] = {"TIME": table.time_unit} | {n: model.outputs[n].unit for n in names}
    frame.attrs["ledger"] = {s.name.lower(): n for s, n in Ledger.of(status).counts.items() if n}
    frame.attrs["reasons"] = dict(reasons)
    return frame

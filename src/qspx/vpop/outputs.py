"""What a population is judged by: a few numbers per patient."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qspx._errors import QspxError, closest
from qspx._status import Ledger, Status
from qspx.cohort import Cohort
from qspx.cohort_result import CohortResult
from qspx.start_states import AbstractStart


class PopulationError(QspxError):
    """A target, plausibility or method of a virtual population that is not well defined."""


@dataclasses.dataclass(frozen=True, eq=False)
class Outputs:
    """Numbers by patient, to be compared with data.

    Args:
        cohort: the patients; those whose status is not OK have NaN.
        names: of the numbers.
        values: shape (subjects, outputs).
        screened: every patient that was looked at, where `cohort` holds those that were kept only.
        details: how they were found: counts of model evaluations, seconds, whatever the sampler says.
        missing: patients that were asked for, and have no row because they were never found.
        events: outputs that are the time of an event, which may be inf: the event never comes, and the patient counts
            as free of it. Any other output that is not finite makes the patient NONFINITE.
        units: unit by output, as far as they are known.
        start: where the patients' runs start, if not at the initial values of the model.
    """

    cohort: Cohort
    names: tuple[str, ...]
    values: np.ndarray
    screened: Ledger | None = None
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    missing: Ledger = Ledger({})
    events: tuple[str, ...] = ()
    units: Mapping[str, str] = dataclasses.field(default_factory=dict)
    start: AbstractStart | None = None

    def __post_init__(self):
        values = np.asarray(self.values, dtype=float)
        if values.shape != (len(self.cohort), len(self.names)):
            raise PopulationError(
                f"Argument `values` must have shape ({len(self.cohort)}, {len(self.names)}), but has {values.shape}."
            )
        if twice := {n for n in self.names if self.names.count(n) > 1}:
            raise PopulationError(f"Argument `names` must name each output once, but has {sorted(twice)} twice.")
        if unknown := [n for n in self.events if n not in self.names]:
            raise PopulationError(f"Argument `events` names {unknown}, which are not among the outputs {self.names}.")
        ok = self.cohort.status == Status.OK
        never = (values == np.inf) & np.isin(self.names, self.events)
        broken = ok & ~(np.isfinite(values) | never).all(axis=1)
        if broken.any():
            status = np.where(broken, Status.NONFINITE, self.cohort.status)
            object.__setattr__(self, "cohort", dataclasses.replace(self.cohort, status=status))
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "events", tuple(self.events))
        object.__setattr__(self, "values", np.where((ok & ~broken)[:, None], values, np.nan))

    @classmethod
    def of(
        cls,
        result: CohortResult,
        named: Mapping[str, tuple[str, str] | tuple[str, str, float]],
        events: Sequence[str] = (),
    ) -> Outputs:
        """From a cohort run. `named` says what each output is: (arm, endpoint), or (arm, observable, time); `events`
        which of them are times of an event, inf where it never comes.

        A patient that failed in any arm has the status of the failure. Raises `PopulationError` for a time that was
        not sampled, `QspxError` for an unknown arm, endpoint or observable."""
        columns = []
        for name, (arm, what, *at) in named.items():
            if arm not in result.protocol.names:
                raise PopulationError(
                    f"output `{name}`: the run has no arm `{arm}`.{closest(arm, result.protocol.names)}"
                )
            i = result.protocol.names.index(arm)
            columns.append(result.metric(what)[i] if not at else result.values(what)[i, :, _place(result, name, at[0])])
        cohort = dataclasses.replace(result.cohort, status=result.subject_status)
        return cls(cohort, tuple(named), np.stack(columns, axis=1), events=tuple(events))

    def __len__(self) -> int:
        return len(self.cohort)

    @property
    def usable(self) -> np.ndarray:
        """Which patients may be given a weight, shape (subjects,)."""
        return self.cohort.status == Status.OK

    @property
    def ledger(self) -> Ledger:
        """Of all patients that were looked at, or looked for."""
        return (self.cohort.ledger if self.screened is None else self.screened) + self.missing

    def columns(self, names: Sequence[str]) -> np.ndarray:
        """Some of the outputs, or of the parameters of the patients (an output goes first where both have the name),
        shape (subjects, names). Raises `PopulationError` for an unknown one."""
        parameters = self.cohort.model.parameters
        for name in names:
            if name not in self.names and name not in parameters:
                raise PopulationError(
                    f"there is no output `{name}`; there are {self.names}.{closest(name, [*self.names, *parameters])}"
                )
        one = [self.values[:, self.names.index(n)] if n in self.names else self.cohort.column(n) for n in names]
        return np.stack(one, axis=1) if one else np.empty((len(self), 0))

    def rows(self, which: np.ndarray) -> Outputs:
        """Some patients (a mask, or numbers), with equal weights. The ledger stays that of all."""
        cohort = self.cohort
        some = Cohort(cohort.model, cohort.theta[which], cohort.status[which], seed=cohort.seed, origin=cohort.origin)
        return dataclasses.replace(
            self, cohort=some, values=self.values[which], screened=self.ledger, missing=Ledger({})
        )


def _place(result: CohortResult, name: str, time: float) -> int:
    found = np.flatnonzero(np.isclose(result.times, time, rtol=1e-12, atol=1e-12))
    if not len(found):
        raise PopulationError(f"output `{name}`: {time:g} is not among the sampling times {result.times}.")
    return int(found[-1])

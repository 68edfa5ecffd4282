"""The runs of a calibration: states of the model at the times of measurements, differentiable by everything.

Observables are computed from the states afterwards, per measurement, so that their parameters (scaling, offset, noise)
may differ from measurement to measurement of one run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qspx._errors import CalibrationError
from qspx._status import Status
from qspx.dose_events import RESET, DoseEvents, no_events, reset_at, stacked_events
from qspx.dosing import Regimen
from qspx.integrate import AbstractIntegrator, SolveRequest
from qspx.integrate.base import Samples
from qspx.model import AbstractModel


@dataclasses.dataclass(frozen=True, eq=False)
class Runs:
    """Runs of one model: what each is given, and when it is sampled. Made by `Runs.of`.

    Args:
        request: model, start and end.
        events: doses, every field (runs, events).
        samples: times, each field (runs, times).
        begin: when each run starts from its initial values, which is what a sample before anything else shows then,
            shape (runs,).
    """

    request: SolveRequest
    events: DoseEvents
    samples: Samples
    begin: np.ndarray

    @classmethod
    def of(
        cls,
        model: AbstractModel,
        regimens: Sequence[Regimen | None],
        times: Sequence[Sequence[tuple[float, bool]]],
        *,
        start: float | None = None,
    ) -> Runs:
        """One run per regimen (None: nothing is given), sampled at `times`: pairs (time, whether before what is given
        then), in the model's time unit. `start` is where runs begin (default: each at zero, or at its first dose or
        sample where that is earlier)."""
        if len(regimens) != len(times) or not regimens:
            raise CalibrationError(
                f"`regimens` and `times` must have one entry per run, but have {len(regimens)} and {len(times)}."
            )
        ordered = [sorted(set(row), key=lambda s: (s[0], not s[1])) for row in times]
        events = _events(model, regimens)
        most = max(1, *(len(row) for row in ordered))
        samples = Samples(np.full((len(times), most), np.inf), np.zeros((len(times), most), bool))
        for i, row in enumerate(ordered):
            for k, (time, before) in enumerate(row):
                samples.time[i, k], samples.before[i, k] = time, before
        finite = samples.time[np.isfinite(samples.time)]
        begin = np.minimum(np.minimum(samples.time.min(axis=1), events.time.min(axis=1)), 0.0)
        begin = begin if start is None else np.full(len(times), start)
        earliest = float(begin.min())
        events = reset_at(np.where(begin > earliest, begin, np.inf), events)
        last = max([earliest, *finite])
        end = last if last > earliest else earliest + 1.0  # a run has a length, even if all is asked at its start
        marks = any(r.has_marks for r in regimens if r is not None) or bool((begin > earliest).any())
        common = tuple(float(t) for t in np.linspace(earliest, end, most))  # replaced by `samples`
        request = SolveRequest(model, common, tuple(model.species), (), earliest, end, marks=marks)
        return cls(request, events, samples, _begin(events, samples, begin))

    def __len__(self) -> int:
        return len(self.samples.time)

    @property
    def model(self) -> AbstractModel:
        return self.request.model

    def column(self, run: int, time: float, before: bool = False) -> int:
        """Which of the run's samples is the one at `time`."""
        row = (self.samples.time[run] == time) & (self.samples.before[run] == before)
        return int(np.flatnonzero(row)[0])

    def rows(self, which: np.ndarray) -> Runs:
        """Some of the runs, or some of them several times."""
        events = DoseEvents(*(field[which] for field in self.events))
        samples = Samples(*(field[which] for field in self.samples))
        return dataclasses.replace(self, events=events, samples=samples, begin=self.begin[which])

    def states(self, theta: Any, integrator: AbstractIntegrator) -> tuple[Any, Any]:
        """States (runs, times, species) and status (runs,) for parameters `theta` (runs, parameters). Traceable."""
        events = DoseEvents(*(jnp.asarray(field) for field in self.events))
        theta = jnp.asarray(theta)
        states, _, status, *_ = integrator.solve_traced(self.request, theta, events, self.samples)
        first = self.samples.before & (self.samples.time == self.begin[:, None])
        if first.any():  # the engine shows there what was before the reset that starts the run
            start = jnp.where((status == Status.OK)[:, None], jax.vmap(self.model.initial_vector)(theta), jnp.nan)
            states = jnp.where(first[..., None], start[:, None], states)
        return states, status


def _begin(events: DoseEvents, samples: Samples, begin: np.ndarray) -> np.ndarray:
    """`begin`, or the reset that comes before all else of a run, shape (runs,)."""
    reset = events.kind == RESET
    first = np.where(reset, events.time, np.inf).min(axis=1)
    others = np.minimum(np.where(reset, np.inf, events.time).min(axis=1), samples.time.min(axis=1))
    return np.where(np.isfinite(first) & (first <= others), first, begin)


def _events(model: AbstractModel, regimens: Sequence[Regimen | None]) -> DoseEvents:
    given = [r for r in regimens if r is not None]
    if not given:
        return no_events(len(regimens))
    stacked = stacked_events(given, model, [None] * len(given))
    nothing = DoseEvents(*(field[0] for field in no_events(1, len(stacked[0].time))))
    left = iter(stacked)
    rows = [nothing if r is None else next(left) for r in regimens]
    return DoseEvents(*(np.stack(field) for field in zip(*rows, strict=True)))

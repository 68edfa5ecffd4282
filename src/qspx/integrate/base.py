"""What an integrator is asked, and what it answers. Batch engines slot in behind `AbstractIntegrator`."""

from __future__ import annotations

import abc
import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np

from qspx._errors import SolveError
from qspx.dose_events import DoseEvents
from qspx.model import AbstractModel
from qspx.summaries import AbstractSummary


@dataclasses.dataclass(frozen=True)
class SolveRequest:
    """What to compute for every subject of a batch.

    Args:
        model: the model.
        times: sampling times, increasing, shape (times,).
        observables: names to return at those times.
        summaries: endpoints computed during the solve.
        t0, t1: start and end of the run, in the model's time unit.
        before: for each time, whether to sample before what is given at exactly that time; default: after it.
        marks: whether doses may hold resets or steady states.
    """

    model: AbstractModel
    times: tuple[float, ...]
    observables: tuple[str, ...]
    summaries: tuple[AbstractSummary, ...]
    t0: float
    t1: float
    before: tuple[bool, ...] = ()
    marks: bool = False

    def __post_init__(self):
        if not self.before:
            object.__setattr__(self, "before", (False,) * len(self.times))
        if self.model.has_events:
            raise SolveError(
                f"model {self.model.name} has events, which no integrator of cohorts takes. Simulate it with "
                "`qspx.simulate_events`."
            )
        self.model.require_outputs(self.observables)
        for s in self.summaries:
            s.check(self.model)
        if not self.t0 < self.t1:
            raise SolveError(
                f"nothing to simulate: the run would start at {self.t0:g} and end at {self.t1:g} "
                f"{self.model.time_unit}. Give sampling times or a summary window after the first dose."
            )
        outside = [t for t in self.times if not self.t0 <= t <= self.t1]
        if outside:
            raise SolveError(f"sampling time {outside[0]:g} lies outside the run ({self.t0:g} to {self.t1:g}).")
        for s in self.summaries:
            a, b = self.window(s)
            if not self.t0 <= a < b <= self.t1:
                raise SolveError(
                    f"the window of {s.name} ({a:g} to {b:g}) must lie inside the run ({self.t0:g} to {self.t1:g})."
                )

    def window(self, s: AbstractSummary) -> tuple[float, float]:
        return (self.t0 if s.start is None else s.start, self.t1 if s.end is None else s.end)

    def __hash__(self) -> int:
        return self._hash

    def __getstate__(self) -> dict[str, object]:
        return {k: x for k, x in self.__dict__.items() if k != "_hash"}  # hashes of text differ between processes

    @functools.cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, f.name) for f in dataclasses.fields(self)))

    @property
    def windows(self) -> np.ndarray:
        """Start and end of each summary, shape (summaries, 2)."""
        return np.array([self.window(s) for s in self.summaries], dtype=float).reshape(-1, 2)


class Samples(NamedTuple):
    """When each subject is sampled, shape (rows, times): increasing in each row, padded with inf (values there are
    NaN); `before` says where the value before a dose at exactly that time is meant, and comes first in a tie."""

    time: np.ndarray
    before: np.ndarray

    @classmethod
    def common(cls, request: SolveRequest, rows: int) -> Samples:
        """The times of the request for every row."""
        shape = (rows, len(request.times))
        return cls(np.broadcast_to(np.array(request.times), shape), np.broadcast_to(np.array(request.before), shape))


class BatchSolution(NamedTuple):
    """Results by row. Where `status` is not OK, values and summaries are NaN.

    values (rows, times, observables), summaries (rows, summaries), status (rows,), steps (rows,), end_time (rows,).
    """

    values: np.ndarray
    summaries: np.ndarray
    status: np.ndarray
    steps: np.ndarray
    end_time: np.ndarray


class AbstractIntegrator(abc.ABC):
    """Solves a batch of subjects. Never raises for one of them."""

    @abc.abstractmethod
    def solve_batch(
        self, request: SolveRequest, theta: np.ndarray, events: DoseEvents, samples: Samples | None = None
    ) -> BatchSolution:
        """theta: (rows, parameters); every field of `events`: (rows, events); `samples` replaces the request's times,
        and has as many."""

    @abc.abstractmethod
    def solve_one(self, request: SolveRequest, theta, events: DoseEvents) -> tuple[Any, ...]:
        """The same for one subject, as a traceable function of `theta` and `events` (for derivatives)."""

    @abc.abstractmethod
    def solve_traced(
        self, request: SolveRequest, theta, events: DoseEvents, samples: Samples | None = None
    ) -> tuple[Any, ...]:
        """The same for rows, shapes as in `solve_batch`: values, summaries, status, steps, end time."""

    def chosen(self, request: SolveRequest) -> AbstractIntegrator:
        """The integrator that will solve this request: itself, unless it picks among others."""
        return self

    @property
    def reversible(self) -> bool:
        """Whether reverse-mode differentiation (`jax.grad`) passes through `solve_one`."""
        return False

    def for_one(self) -> AbstractIntegrator:
        """The same integrator set up for a single subject; results agree to the tolerance, not bit for bit."""
        return self

    @property
    @abc.abstractmethod
    def settings(self) -> dict[str, object]:
        """Name, tolerances and limits, for the manifest."""

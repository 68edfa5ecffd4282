"""The default: the native engine where it can take the model, diffrax otherwise, and a note that says so."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import numpy as np

from qspx._errors import SolveError
from qspx.dose_events import DoseEvents
from qspx.integrate.base import AbstractIntegrator, BatchSolution, Samples, SolveRequest
from qspx.integrate.batch import BatchIntegrator
from qspx.integrate.diffrax_integrator import DiffraxIntegrator


class EngineWarning(UserWarning):
    """A model is solved by a slower engine than the default one; the text names the construct that is in the way."""


@dataclasses.dataclass(frozen=True)
class AutomaticIntegrator(AbstractIntegrator):
    """`BatchIntegrator` where every function of the model has a scalar program, else `DiffraxIntegrator` with the same
    tolerances and an `EngineWarning`. Which one ran is in the manifest. Derivatives in both
    modes, but in forward mode only where diffrax is used.

    Args:
        rtol, atol: error tolerances per step; `atol` is in the species' own units, so it must lie well under the
            smallest concentration that matters.
        max_steps: attempted steps after which a subject gets status MAX_STEPS.
    """

    rtol: float = 1e-6
    atol: float = 1e-12
    max_steps: int = 100_000

    def __post_init__(self):
        self._native()  # checks the numbers

    def _native(self) -> BatchIntegrator:
        return BatchIntegrator(self.rtol, self.atol, self.max_steps)

    def _portable(self) -> DiffraxIntegrator:
        return DiffraxIntegrator(rtol=self.rtol, atol=self.atol, max_steps=self.max_steps)

    def chosen(self, request: SolveRequest) -> AbstractIntegrator:
        try:
            self._native().prepare(request)
        except SolveError as error:
            warnings.warn(f"{error} It is used now; a cohort takes about a hundred times longer.", EngineWarning, 2)
            return self._portable()
        return self._native()

    def solve_batch(
        self, request: SolveRequest, theta: np.ndarray, events: DoseEvents, samples: Samples | None = None
    ) -> BatchSolution:
        return self.chosen(request).solve_batch(request, theta, events, samples)

    def solve_one(self, request: SolveRequest, theta, events: DoseEvents) -> tuple[Any, ...]:
        return self.chosen(request).solve_one(request, theta, events)

    def solve_traced(
        self, request: SolveRequest, theta, events: DoseEvents, samples: Samples | None = None
    ) -> tuple[Any, ...]:
        return self.chosen(request).solve_traced(request, theta, events, samples)

    @property
    def settings(self) -> dict[str, object]:
        return {"integrator": type(self).__name__, "rtol": self.rtol, "atol": self.atol, "max_steps": self.max_steps}

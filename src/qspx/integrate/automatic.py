"""The default: the native engine where it can take the model, diffrax otherwise, and a note that says so."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from qspx._checks import require_kind
from qspx._errors import SolveError
from qspx.dose_events import DoseEvents
from qspx.integrate.base import AbstractIntegrator, BatchSolution, Samples, SolveRequest
from qspx.integrate.batch import BatchIntegrator
from qspx.integrate.diffrax_integrator import DiffraxIntegrator
from qspx.integrate.tolerances import said_atol_of


def integrator_of(given: AbstractIntegrator | None) -> AbstractIntegrator:
    """The integrator given, or the default one. Raises `SolveError` for anything else."""
    if given is None:
        return AutomaticIntegrator()
    require_kind(given, AbstractIntegrator, "integrator", "For example BatchIntegrator(rtol=1e-8), or None.")
    return given


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
        atol_of: `atol` of single species, by name, where one number does not suit all: {"tumour_cells": 1e-3}.
        max_steps: attempted steps after which a subject gets status MAX_STEPS.
    """

    rtol: float = 1e-6
    atol: float = 1e-12
    max_steps: int = 100_000
    atol_of: Mapping[str, float] = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self):
        self._native()  # checks the numbers

    def _native(self) -> BatchIntegrator:
        return BatchIntegrator(self.rtol, self.atol, self.max_steps, atol_of=self.atol_of)

    def _portable(self) -> DiffraxIntegrator:
        return DiffraxIntegrator(rtol=self.rtol, atol=self.atol, max_steps=self.max_steps, atol_of=self.atol_of)

    def chosen(self, request: SolveRequest) -> AbstractIntegrator:
        try:
            self._native().prepare(request)
        except SolveError as error:
            warnings.warn(f"{error} It is used now; a cohort takes about a hundred times longer.", EngineWarning, 2)
            return self._portable().chosen(request)
        return self._native().chosen(request)

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
        numbers = {"rtol": self.rtol, "atol": self.atol, "max_steps": self.max_steps}
        return {"integrator": type(self).__name__, **numbers, **said_atol_of(self.atol_of)}

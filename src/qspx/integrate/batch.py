"""Cohorts through one compiled loop: the native engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from qspx._checks import require_kind
from qspx._errors import SolveError
from qspx._precision import require_x64
from qspx.dose_events import DoseEvents, subject_doses
from qspx.integrate import native_op
from qspx.integrate.base import AbstractIntegrator, BatchSolution, Samples, SolveRequest
from qspx.integrate.loop_arrays import solution
from qspx.integrate.native_call import NativeSettings, compiled, forward
from qspx.integrate.native_code import DOUBLE, FLOAT
from qspx.integrate.rosenbrock import AbstractRosenbrock, Rodas5P
from qspx.integrate.single_precision import check_float32
from qspx.integrate.tolerances import absolute_tolerances, checked_atol_of, require_positive, said_atol_of

_REALS = {"float64": DOUBLE, "float32": FLOAT}


@dataclasses.dataclass(frozen=True)
class BatchIntegrator(AbstractIntegrator):
    """Adaptive integration of many subjects by machine code made for the model: a Rosenbrock-Wanner method with the
    Jacobian's sparse factors written out. Same definitions and tolerances as `DiffraxIntegrator`. Derivatives are those
    of the accepted steps, in reverse and in forward mode.

    Args:
        rtol, atol: error tolerances per step; `atol` is in the species' own units, so it must lie well under the
            smallest concentration that matters.
        atol_of: `atol` of single species, by name, where one number does not suit all: {"tumour_cells": 1e-3}.
        max_steps: attempted steps after which a subject gets status MAX_STEPS.
        lanes: subjects in one vector of the processor: 2, 4, 8 or 16; None is the width of its registers. A subject's
            result does not depend on it beyond rounding, and not at all on the other subjects.
        threads: threads to use; None is one per processor. Results do not depend on it.
        precision: "float64", or "float32" for states, parameters and observables (times and areas stay float64), which
            takes about half the time and cannot have an `rtol` below 1e-5. It is for exploring, not for results to
            keep, and emits a `PrecisionWarning`. Derivatives are float64 in either case.
        method: `Rodas5P()` (order 5, Steinebach 2023), or `Rodas4P()` (order 4, Steinebach 1995). A step of the latter
            costs a fifth to a third less, but it takes more of them for the same error: it may be a little faster at
            an `rtol` of 1e-3 and above, and is slower below.
    """

    rtol: float = 1e-6
    atol: float = 1e-12
    max_steps: int = 100_000
    lanes: int | None = None
    threads: int | None = None
    precision: str = "float64"
    atol_of: Mapping[str, float] = dataclasses.field(default_factory=dict, hash=False)
    method: AbstractRosenbrock = Rodas5P()

    def __post_init__(self):
        require_positive(self, "rtol", "atol", "max_steps")
        own = checked_atol_of(self.atol_of)
        if self.lanes not in (None, 2, 4, 8, 16):
            raise SolveError(f"Argument `lanes` must be 2, 4, 8, 16 or None, but {self.lanes} was given.")
        if self.threads is not None and self.threads < 1:
            raise SolveError(f"Argument `threads` must be >= 1 or None, but {self.threads} was given.")
        if self.precision not in _REALS:
            raise SolveError(f'Argument `precision` must be "float64" or "float32", but {self.precision!r} was given.')
        require_kind(self.method, AbstractRosenbrock, "method", "It is Rodas5P() or Rodas4P().")
        if self.precision == "float32":
            check_float32(self.rtol, min([self.atol, *dict(own).values()]))

    @property
    def settings(self) -> dict[str, object]:
        return {
            "integrator": type(self).__name__,
            "solver": self.method.tableau.name,
            "rtol": self.rtol,
            "atol": self.atol,
            "max_steps": self.max_steps,
            "lanes": self._native.width,
            "precision": self.precision,
            **said_atol_of(self.atol_of),
        }

    @property
    def _native(self) -> NativeSettings:
        real, own = _REALS[self.precision], checked_atol_of(self.atol_of)
        counts = self.max_steps, self.lanes, self.threads
        return NativeSettings(self.rtol, self.atol, *counts, real, own, self.method.tableau)

    def prepare(self, request: SolveRequest) -> None:
        """Compile for the request. Raises `SolveError` where the model has a construct without a scalar program."""
        compiled(request, self._native)

    def chosen(self, request: SolveRequest) -> BatchIntegrator:
        absolute_tolerances(request.model, self.atol, self._native.atol_of)  # names species of this model
        return self

    @property
    def reversible(self) -> bool:
        return True

    def solve_one(self, request: SolveRequest, theta, events: DoseEvents) -> tuple[Any, ...]:
        rows = DoseEvents(*(jnp.asarray(x)[None] for x in events))
        return tuple(x[0] for x in self.solve_traced(request, jnp.asarray(theta)[None], rows))

    def solve_traced(
        self, request: SolveRequest, theta, events: DoseEvents, samples: Samples | None = None
    ) -> tuple[Any, ...]:
        require_x64()
        doses = subject_doses(request.model, jnp.asarray(theta, float), DoseEvents(*map(jnp.asarray, events)), jnp)
        samples = Samples.common(request, len(theta)) if samples is None else samples
        return native_op.solve(request, dataclasses.replace(self._native, real=DOUBLE), theta, doses, samples)

    def solve_batch(
        self, request: SolveRequest, theta: np.ndarray, events: DoseEvents, samples: Samples | None = None
    ) -> BatchSolution:
        require_x64()
        samples = Samples.common(request, len(theta)) if samples is None else samples
        with np.errstate(all="ignore"):  # subjects with numbers that cannot be get a status
            doses = subject_doses(request.model, theta, events, np)
        return solution(request, samples, forward(request, self._native, theta, doses, samples))

"""Cohorts on an NVIDIA GPU: the loop of `BatchIntegrator`, one thread per subject."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from qspx._errors import NotTraceable, SolveError
from qspx._precision import require_x64
from qspx.dose_events import DoseEvents, subject_doses
from qspx.integrate import cuda_device
from qspx.integrate.base import AbstractIntegrator, BatchSolution, Samples, SolveRequest
from qspx.integrate.cuda_loop import NUMBERS, READ, SLOTS, WRITTEN, dtypes, source
from qspx.integrate.cuda_program import PRECISIONS, Precision
from qspx.integrate.diffrax_integrator import DiffraxIntegrator
from qspx.integrate.loop_arrays import Arrays, asked, read_arrays, solution, written_arrays
from qspx.integrate.lowering import Lowered, lower
from qspx.integrate.native_memory import DOSES
from qspx.integrate.observed import Observed, observed
from qspx.integrate.single_precision import check_float32
from qspx.integrate.tableaux import RODAS5P
from qspx.integrate.tolerances import absolute_tolerances, checked_atol_of, require_positive, said_atol_of

_BY_SUBJECT = {"theta", *DOSES, "stop", "time", "before"}


@dataclasses.dataclass(frozen=True)
class CudaIntegrator(AbstractIntegrator):
    """Adaptive integration of many subjects on an NVIDIA GPU: the same method, definitions and tolerances as
    `BatchIntegrator`, printed as CUDA C and compiled for the model at run time; derivatives (`solve_one`) are those of
    `DiffraxIntegrator`. Needs cupy and a GPU; without them it raises `SolveError` when it is asked to solve.

    Args:
        rtol, atol: error tolerances per step; `atol` is in the species' own units, so it must lie well under the
            smallest concentration that matters.
        atol_of: `atol` of single species, by name, where one number does not suit all: {"tumour_cells": 1e-3}.
        max_steps: attempted steps after which a subject gets status MAX_STEPS.
        precision: "float64" or "float32", of states and parameters; times and running areas are float64 in any case.
            "float32" cannot have an `rtol` below 1e-5; it is for exploring, not for results to keep, and emits a
            `PrecisionWarning`.

    cupy takes its own memory on the GPU: where jax runs there too, set XLA_PYTHON_CLIENT_PREALLOCATE=false before it
    starts, or jax will have taken most of it.
    """

    rtol: float = 1e-6
    atol: float = 1e-12
    max_steps: int = 100_000
    precision: str = "float64"
    atol_of: Mapping[str, float] = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self):
        require_positive(self, "rtol", "atol", "max_steps")
        own = checked_atol_of(self.atol_of)
        if self.precision not in PRECISIONS:
            raise SolveError(f'Argument `precision` must be "float64" or "float32", but {self.precision!r} was given.')
        if self.precision == "float32":
            check_float32(self.rtol, min([self.atol, *dict(own).values()]))

    @property
    def settings(self) -> dict[str, object]:
        numbers = {k: getattr(self, k) for k in ("rtol", "atol", "max_steps", "precision")}
        return {"integrator": type(self).__name__, "solver": RODAS5P.name, **numbers, **said_atol_of(self.atol_of)}

    def _atol(self, request: SolveRequest) -> np.ndarray:
        return absolute_tolerances(request.model, self.atol, checked_atol_of(self.atol_of))

    def chosen(self, request: SolveRequest) -> CudaIntegrator:
        self._atol(request)  # names species of this model
        return self

    def prepare(self, request: SolveRequest) -> None:
        """Compile for the request. Raises `SolveError` where the model has a construct without a scalar program, or
        where there is no GPU."""
        _launch(self.source(request))

    def source(self, request: SolveRequest) -> str:
        """The CUDA C text for the request; needs no GPU. Raises `SolveError` where the model has a construct without a
        scalar program."""
        samples, endpoints, kinds = asked(request)
        try:
            low, seen = lower(request.model), observed(request.model, samples, endpoints)
        except NotTraceable as e:
            raise SolveError(
                f"{request.model.name} cannot be compiled for CudaIntegrator: {e} Use DiffraxIntegrator for it."
            ) from e
        return _source(low, seen, kinds, len(request.model.parameters), PRECISIONS[self.precision], request.marks)

    @property
    def _traced(self) -> DiffraxIntegrator:
        """For derivatives, which this engine does not have."""
        return DiffraxIntegrator(rtol=self.rtol, atol=self.atol, max_steps=self.max_steps, atol_of=self.atol_of)

    def solve_one(self, request: SolveRequest, theta, events: DoseEvents) -> tuple[Any, ...]:
        return self._traced.solve_one(request, theta, events)

    def solve_traced(
        self, request: SolveRequest, theta, events: DoseEvents, samples: Samples | None = None
    ) -> tuple[Any, ...]:
        return self._traced.solve_traced(request, theta, events, samples)

    def solve_batch(
        self, request: SolveRequest, theta: np.ndarray, events: DoseEvents, samples: Samples | None = None
    ) -> BatchSolution:
        require_x64()
        samples = Samples.common(request, len(theta)) if samples is None else samples
        launch = _launch(self.source(request))
        theta = np.ascontiguousarray(theta, dtype=float)
        with np.errstate(all="ignore"):  # subjects with numbers that cannot be get a status
            doses = subject_doses(request.model, theta, events, np)
        read, written = (
            read_arrays(request, theta, doses, samples, self._atol(request)),
            written_arrays(request, len(theta)),
        )
        if len(theta):
            self._run(launch, request, read, written)
        return solution(request, samples, written)

    def _run(self, launch: cuda_device.Launch, request: SolveRequest, read: Arrays, written: Arrays) -> None:
        """Fill `written`, arrays with a row per subject, from `read`."""
        kinds = dtypes(PRECISIONS[self.precision])
        numbers = {
            "rows": len(read["theta"]),
            "max_steps": self.max_steps,
            "events": read["start"].shape[1],
            "summaries": len(request.summaries),
            "t0": request.t0,
            "t1": request.t1,
            "rtol": self.rtol,
        }
        targets = {k: written[k] for k in WRITTEN} | {"endpoints": written["endpoints"][..., :SLOTS]}
        inputs = {k: np.moveaxis(read[k], 0, -1) if k in _BY_SUBJECT else read[k] for k in READ}
        outputs = {k: np.ascontiguousarray(np.moveaxis(a, 0, -1), kinds[WRITTEN[k]]) for k, a in targets.items()}
        launch(
            [np.ascontiguousarray(inputs[k], kinds[READ[k]]) for k in READ],
            list(outputs.values()),
            [kinds[NUMBERS[k]].type(numbers[k]) for k in NUMBERS],
        )
        for k, found in outputs.items():
            targets[k][...] = np.moveaxis(found, -1, 0)


@functools.lru_cache(maxsize=64)
def _source(
    low: Lowered, seen: Observed, kinds: frozenset[str], parameters: int, precision: Precision, marks: bool
) -> str:
    return source(low, seen, RODAS5P, kinds, parameters, precision, marks)


@functools.lru_cache(maxsize=64)
def _launch(text: str) -> cuda_device.Launch:
    return cuda_device.compiled(text)

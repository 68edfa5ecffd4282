"""Cohorts through one compiled loop: the native engine."""

from __future__ import annotations

import dataclasses
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from qspx._errors import NotTraceable, SolveError
from qspx._precision import require_x64
from qspx.dosing import DoseEvents
from qspx.integrate.base import AbstractIntegrator, BatchSolution, SolveRequest
from qspx.integrate.batch_arrays import arrays_read, arrays_written, asked_of, solution_of
from qspx.integrate.diffrax_integrator import DiffraxIntegrator
from qspx.integrate.lowering import Lowered, lower
from qspx.integrate.native_compile import Kernel, widest_vector
from qspx.integrate.native_lanes import INTEGERS
from qspx.integrate.native_loop import LoopWriter
from qspx.integrate.observed import Observed, observed
from qspx.integrate.tableaux import RODAS5P
from qspx.model import AbstractModel


@dataclasses.dataclass(frozen=True)
class BatchIntegrator(AbstractIntegrator):
    """Adaptive integration of many subjects by machine code made for the model: Rodas5P (Steinebach 2023) with the
    Jacobian's sparse factors written out. Same definitions and tolerances as `DiffraxIntegrator`; derivatives
    (`solve_one`) are those of `DiffraxIntegrator`.

    Args:
        rtol, atol: error tolerances per step; `atol` is in the species' own units, so it must lie well under the
            smallest concentration that matters.
        max_steps: attempted steps after which a subject gets status MAX_STEPS.
        lanes: subjects in one vector of the processor: 2, 4 or 8; None is the width of its registers. A subject's
            result does not depend on it beyond rounding, and not at all on the other subjects.
        threads: threads to use; None is one per processor. Results do not depend on it.
    """

    rtol: float = 1e-6
    atol: float = 1e-12
    max_steps: int = 100_000
    lanes: int | None = None
    threads: int | None = None

    def __post_init__(self):
        for name in ("rtol", "atol", "max_steps"):
            if not getattr(self, name) > 0:
                raise SolveError(f"Argument `{name}` must be > 0, but {getattr(self, name)} was given.")
        if self.lanes not in (None, 2, 4, 8):
            raise SolveError(f"Argument `lanes` must be 2, 4, 8 or None, but {self.lanes} was given.")
        if self.threads is not None and self.threads < 1:
            raise SolveError(f"Argument `threads` must be >= 1 or None, but {self.threads} was given.")

    @property
    def settings(self) -> dict[str, object]:
        return {
            "integrator": type(self).__name__,
            "solver": RODAS5P.name,
            "rtol": self.rtol,
            "atol": self.atol,
            "max_steps": self.max_steps,
            "lanes": self.lanes or widest_vector(),
        }

    def prepare(self, request: SolveRequest) -> None:
        """Compile for the request. Raises `SolveError` where the model has a construct without a scalar program."""
        compiled(request.model, *asked_of(request), self.lanes or widest_vector())

    def solve_one(self, request: SolveRequest, theta, events: DoseEvents) -> tuple[Any, ...]:
        plain = DiffraxIntegrator(rtol=self.rtol, atol=self.atol, max_steps=self.max_steps)
        return plain.solve_one(request, theta, events)

    def solve_batch(self, request: SolveRequest, theta: np.ndarray, events: DoseEvents) -> BatchSolution:
        require_x64()
        run = compiled(request.model, *asked_of(request), self.lanes or widest_vector())
        theta = np.ascontiguousarray(theta, dtype=float)
        rows = len(theta)
        read = arrays_read(request, theta, events)
        written = arrays_written(request, rows)
        arrays = [*read.values(), *written.values()]
        reals = np.array([request.t0, request.t1, self.rtol, self.atol])
        numbers = {
            "max_steps": self.max_steps,
            "events": read["start"].shape[1],
            "stops": read["stop"].shape[1],
            "times": len(request.times),
            "summaries": len(request.summaries),
        }

        def solve(rows: tuple[int, int]) -> None:
            counts = dict(zip(("first", "last"), rows, strict=True)) | numbers
            run(arrays, np.array([counts[k] for k in INTEGERS], dtype=np.int64), reals)

        threads = self.threads or os.cpu_count() or 1
        ranges = _ranges(rows, threads, run.lanes)
        if len(ranges) == 1:
            solve(ranges[0])
        elif ranges:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(solve, ranges))
        return solution_of(request, written)


@dataclasses.dataclass(frozen=True)
class Run:
    """A compiled loop: `kernel`, the workspace it needs (vectors, and vectors per summary), and its lanes."""

    kernel: Kernel
    vectors: int
    lanes: int

    def __call__(self, arrays: list[np.ndarray], integers: np.ndarray, reals: np.ndarray) -> None:
        pointers = np.array([a.ctypes.data for a in arrays], dtype=np.uint64)
        size = self.vectors + 5 * int(integers[INTEGERS.index("summaries")])
        work = np.zeros((size + 1) * self.lanes)
        width = 8 * self.lanes
        aligned = -(-work.ctypes.data // width) * width
        self.kernel(pointers.ctypes.data, integers.ctypes.data, reals.ctypes.data, aligned)


def compiled(
    model: AbstractModel, samples: tuple[str, ...], endpoints: tuple[str, ...], kinds: frozenset[str], lanes: int
) -> Run:
    """The loop for a model and what is asked of it, from memory where an equal one has been compiled. Raises
    `SolveError` where the model has a construct without a scalar program."""
    try:
        low, seen = lower(model), observed(model, samples, endpoints)
    except NotTraceable as e:
        raise SolveError(
            f"{model.name} cannot be compiled for BatchIntegrator: {e} Use DiffraxIntegrator for it."
        ) from e
    return _compiled(low, seen, kinds, len(model.parameters), lanes)


@functools.lru_cache(maxsize=64)
def _compiled(low: Lowered, seen: Observed, kinds: frozenset[str], parameters: int, lanes: int) -> Run:
    writer = LoopWriter(low, seen, RODAS5P, kinds, parameters, lanes)
    return Run(Kernel(writer.text(), "run", 4), writer.vectors, lanes)


def _ranges(rows: int, threads: int, lanes: int) -> list[tuple[int, int]]:
    """Contiguous rows: several ranges for each thread, so that one that drew slow subjects does not hold up the rest,
    but none so short that its last lanes idle for long."""
    if not rows:
        return []
    most = max(1, rows // lanes)
    parts = 1 if threads == 1 else max(min(threads, most), min(4 * threads, most // 32))
    edges = np.linspace(0, rows, parts + 1).round().astype(int)
    return [(int(a), int(b)) for a, b in zip(edges, edges[1:], strict=False)]

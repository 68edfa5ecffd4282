"""Calls of the native loop: its compilation, and threads over subjects."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from qspx._errors import NotTraceable, SolveError
from qspx.dose_events import SubjectDoses
from qspx.integrate.base import Samples, SolveRequest
from qspx.integrate.loop_arrays import Arrays, asked, read_arrays, written_arrays
from qspx.integrate.lowering import Lowered, lower
from qspx.integrate.native_code import DOUBLE, FORMATS
from qspx.integrate.native_compile import Kernel, place, widest_vector
from qspx.integrate.native_endpoints import EMPTY
from qspx.integrate.native_loop import LoopWriter
from qspx.integrate.native_memory import INTEGERS
from qspx.integrate.observed import Observed, observed
from qspx.integrate.tableaux import RODAS5P, RosenbrockTableau
from qspx.integrate.tolerances import AtolOf, absolute_tolerances


@dataclass(frozen=True)
class NativeSettings:
    """Numerical settings of a run: `atol` of the species that `atol_of` does not name, `lanes` subjects in a vector of
    `real` numbers (None: the register width), `threads` (None: all)."""

    rtol: float
    atol: float
    max_steps: int
    lanes: int | None
    threads: int | None
    real: str = DOUBLE
    atol_of: AtolOf = ()
    table: RosenbrockTableau = RODAS5P

    def __hash__(self) -> int:
        return self._hash

    def __getstate__(self) -> dict[str, object]:
        return {k: x for k, x in self.__dict__.items() if k != "_hash"}  # hashes of text differ between processes

    @functools.cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, f.name) for f in fields(self)))

    @property
    def width(self) -> int:
        return self.lanes or widest_vector(self.real)

    @property
    def workers(self) -> int:
        return self.threads or _processors()


_tolerances = functools.lru_cache(maxsize=64)(absolute_tolerances)


@functools.cache
def _processors() -> int:
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Run:
    """A compiled loop: `kernel`, the workspace it needs (vectors, and so many of doubles per summary), its lanes and
    their kind of number."""

    kernel: Kernel
    vectors: int
    per_summary: int
    lanes: int
    real: str = DOUBLE

    def __call__(self, arrays: Sequence[np.ndarray], summaries: int, *blocks: np.ndarray) -> None:
        pointers = np.array([place(a) for a in arrays], dtype=np.uint64)
        size = (self.vectors * FORMATS[self.real].bits // 8 + 8 * self.per_summary * summaries) * self.lanes
        work = np.zeros(size + 64, np.uint8)
        self.kernel(place(pointers), *map(place, blocks), -(-place(work) // 64) * 64)


class Tape(NamedTuple):
    """Memory for the steps of a run: `records` (records, RECORD_HEAD + species), the number of the `first` one of each
    row (rows,), and the `room` of each, in records. What goes beyond that is counted, but not kept."""

    records: np.ndarray
    first: np.ndarray
    room: int


def programs_of(request: SolveRequest) -> tuple[Lowered, Observed]:
    """The programs of a request. Raises `SolveError` where the model has a construct without a scalar program."""
    model, (samples, endpoints, _) = request.model, asked(request)
    try:
        return lower(model), observed(model, samples, endpoints)
    except NotTraceable as e:
        raise SolveError(
            f"{model.name} cannot be compiled for BatchIntegrator: {e} Use DiffraxIntegrator for it."
        ) from e


@functools.lru_cache(maxsize=64)
def compiled(request: SolveRequest, settings: NativeSettings, tape: bool = False) -> Run:
    """The loop for a request, from memory where an equal one has been compiled. Raises as `programs_of`."""
    low, seen = programs_of(request)
    kinds, parameters = asked(request)[2], len(request.model.parameters)
    return _compiled(low, seen, kinds, parameters, settings.width, settings.real, settings.table, request.marks, tape)


@functools.lru_cache(maxsize=64)
def _compiled(
    low: Lowered,
    seen: Observed,
    kinds: frozenset[str],
    parameters: int,
    lanes: int,
    real: str,
    table: RosenbrockTableau,
    marks: bool,
    tape: bool,
) -> Run:
    writer = LoopWriter(low, seen, table, kinds, parameters, lanes, real, marks, tape)
    return Run(Kernel(writer.text(), "run", 4), writer.vectors, len(EMPTY), lanes, real)


def forward(
    request: SolveRequest,
    settings: NativeSettings,
    theta: np.ndarray,
    doses: SubjectDoses,
    samples: Samples,
    tape: Tape | None = None,
) -> Arrays:
    """Run all subjects; what they wrote, by name. With `tape`, their steps are kept there."""
    run = compiled(request, settings, tape is not None)
    theta = np.ascontiguousarray(theta, dtype=float)
    atol = _tolerances(request.model, settings.atol, settings.atol_of)
    read, written = read_arrays(request, theta, doses, samples, atol), written_arrays(request, len(theta))
    arrays = [*read.values(), *written.values(), *(() if tape is None else (tape.records, tape.first))]
    reals = np.array([request.t0, request.t1, settings.rtol])
    numbers = {
        "max_steps": settings.max_steps,
        "events": read["start"].shape[1],
        "stops": read["stop"].shape[1],
        "times": len(request.times),
        "summaries": len(request.summaries),
        "room": 0 if tape is None else tape.room,
    }

    def solve(rows: tuple[int, int]) -> None:
        counts = dict(zip(("first", "last"), rows, strict=True)) | numbers
        run(arrays, len(request.summaries), np.array([counts[k] for k in INTEGERS], dtype=np.int64), reals)

    in_threads(solve, ranges(len(theta), settings.workers, run.lanes), settings.workers)
    return written


def in_threads(work: Callable[[tuple[int, int]], None], parts: Sequence[tuple[int, int]], threads: int) -> None:
    if len(parts) == 1:
        work(parts[0])
    elif parts:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, parts))


def ranges(rows: int, threads: int, lanes: int) -> list[tuple[int, int]]:
    """Contiguous rows: several ranges for each thread, so that one that drew slow subjects does not hold up the rest,
    but none so short that its last lanes idle for long."""
    most = max(1, rows // lanes)
    if most == 1 or threads == 1:
        return [(0, rows)] if rows else []
    parts = max(min(threads, most), min(4 * threads, most // 32))
    edges = np.linspace(0, rows, parts + 1).round().astype(int)
    return [(int(a), int(b)) for a, b in zip(edges, edges[1:], strict=False)]

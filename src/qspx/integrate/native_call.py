"""Calls of the native loop: arrays in, arrays out, threads over subjects."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from qspx._errors import NotTraceable, SolveError
from qspx._status import Status
from qspx.dose_events import SubjectDoses
from qspx.integrate.base import BatchSolution, Samples, SolveRequest
from qspx.integrate.lowering import Lowered, lower
from qspx.integrate.native_code import DOUBLE, FORMATS
from qspx.integrate.native_compile import Kernel, widest_vector
from qspx.integrate.native_endpoints import AREA, BEYOND, EMPTY, LARGEST, LARGEST_AT, LAST, SMALLEST
from qspx.integrate.native_loop import LoopWriter
from qspx.integrate.native_memory import DOSES, INTEGERS, READ, TAPE, WRITTEN
from qspx.integrate.observed import Observed, observed
from qspx.integrate.tableaux import RODAS5P
from qspx.summaries import OF_THRESHOLD

KINDS = {"max": LARGEST, "tmax": LARGEST_AT, "min": SMALLEST, "auc": AREA, "average": AREA, "last": LAST}
KINDS |= dict.fromkeys(OF_THRESHOLD, BEYOND)
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class NativeSettings:
    """Numerical settings of a run; `lanes` subjects in a vector of `real` numbers (None: the register width), `threads`
    (None: all)."""

    rtol: float
    atol: float
    max_steps: int
    lanes: int | None
    threads: int | None
    real: str = DOUBLE

    @property
    def width(self) -> int:
        return self.lanes or widest_vector(self.real)

    @property
    def workers(self) -> int:
        return self.threads or os.cpu_count() or 1


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
        pointers = np.array([a.ctypes.data for a in arrays], dtype=np.uint64)
        size = (self.vectors * FORMATS[self.real].bits // 8 + 8 * self.per_summary * summaries) * self.lanes
        work = np.zeros(size + 64, np.uint8)
        aligned = -(-work.ctypes.data // 64) * 64
        self.kernel(pointers.ctypes.data, *(b.ctypes.data for b in blocks), aligned)


def programs_of(request: SolveRequest) -> tuple[Lowered, Observed]:
    """The programs of a request. Raises `SolveError` where the model has a construct without a scalar program."""
    model, (samples, endpoints, _) = request.model, asked(request)
    try:
        return lower(model), observed(model, samples, endpoints)
    except NotTraceable as e:
        raise SolveError(
            f"{model.name} cannot be compiled for BatchIntegrator: {e} Use DiffraxIntegrator for it."
        ) from e


def compiled(request: SolveRequest, settings: NativeSettings, tape: bool = False) -> Run:
    """The loop for a request, from memory where an equal one has been compiled. Raises as `programs_of`."""
    low, seen = programs_of(request)
    kinds, parameters = asked(request)[2], len(request.model.parameters)
    return _compiled(low, seen, kinds, parameters, settings.width, settings.real, request.marks, tape)


@functools.lru_cache(maxsize=64)
def _compiled(
    low: Lowered, seen: Observed, kinds: frozenset[str], parameters: int, lanes: int, real: str, marks: bool, tape: bool
) -> Run:
    writer = LoopWriter(low, seen, RODAS5P, kinds, parameters, lanes, real, marks, tape)
    return Run(Kernel(writer.text(), "run", 4), writer.vectors, len(EMPTY), lanes, real)


def asked(request: SolveRequest) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[str]]:
    """What a request samples, the observables of its endpoints, and their kinds."""
    endpoints = tuple(dict.fromkeys(s.observable for s in request.summaries))
    samples = request.observables if request.times else ()
    return samples, endpoints, frozenset(s.kind for s in request.summaries)


def summary_arrays(request: SolveRequest) -> Arrays:
    """Of each endpoint: which of the observables of `asked` it reads, its window, and of its threshold the sign (0
    without one), the number, and the parameter (negative without one)."""
    wanted, index = asked(request)[1], request.model.parameter_index
    given = [s.beyond or (0.0, 0.0) for s in request.summaries]
    return {
        "columns": np.array([wanted.index(s.observable) for s in request.summaries], dtype=np.int64),
        "windows": request.windows,
        "signs": np.array([sign for sign, _ in given], dtype=float),
        "thresholds": np.array([0.0 if isinstance(x, str) else x for _, x in given], dtype=float),
        "threshold_of": np.array([index(x) if isinstance(x, str) else -1 for _, x in given], dtype=np.int64),
    }


def forward(
    request: SolveRequest,
    settings: NativeSettings,
    theta: np.ndarray,
    doses: SubjectDoses,
    samples: Samples,
    tape: Mapping[str, np.ndarray] | None = None,
) -> Arrays:
    """Run all subjects; what they wrote, by name. With `tape` (its arrays by name), their steps are kept there."""
    run = compiled(request, settings, tape is not None)
    theta = np.ascontiguousarray(theta, dtype=float)
    read, written = _read(request, theta, doses, samples), _written(request, len(theta))
    arrays = [*read.values(), *written.values(), *(tape[k] for k in TAPE if tape)]
    reals = np.array([request.t0, request.t1, settings.rtol, settings.atol])
    numbers = {
        "max_steps": settings.max_steps,
        "events": read["start"].shape[1],
        "stops": read["stop"].shape[1],
        "times": len(request.times),
        "summaries": len(request.summaries),
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
    if not rows:
        return []
    most = max(1, rows // lanes)
    parts = 1 if threads == 1 else max(min(threads, most), min(4 * threads, most // 32))
    edges = np.linspace(0, rows, parts + 1).round().astype(int)
    return [(int(a), int(b)) for a, b in zip(edges, edges[1:], strict=False)]


def dose_arrays(doses: SubjectDoses) -> Arrays:
    """The doses as arrays of one shape (rows, events)."""
    shape = np.broadcast_shapes(*(np.shape(x) for x in doses))
    kinds = {k: np.int64 if k in ("species", "kind") else float for k in DOSES}
    return {k: np.ascontiguousarray(np.broadcast_to(getattr(doses, k), shape), dtype=kinds[k]) for k in DOSES}


def sample_arrays(samples: Samples) -> Arrays:
    """Times with an infinite one behind the last."""
    rows = len(samples.time)
    return {
        "time": np.ascontiguousarray(np.append(samples.time, np.full((rows, 1), np.inf), axis=1)),
        "before": np.ascontiguousarray(np.append(samples.before, np.zeros((rows, 1)), axis=1), dtype=float),
    }


def _read(request: SolveRequest, theta: np.ndarray, doses: SubjectDoses, samples: Samples) -> Arrays:
    given = dose_arrays(doses)
    rows, windows = len(theta), request.windows
    common = np.broadcast_to(np.append(windows.reshape(-1), request.t1), (rows, windows.size + 1))
    stops = np.concatenate([given["start"], given["end"], given["mark"], common, np.full((rows, 1), np.inf)], axis=1)
    found = {
        "theta": theta,
        **given,
        **sample_arrays(samples),
        "stop": np.sort(np.nan_to_num(stops, nan=np.inf, posinf=np.inf, neginf=-np.inf), axis=1),
        **summary_arrays(request),
        "unsigned": np.array([not s.signed for s in request.model.species.values()], dtype=float),
    }
    return {k: np.ascontiguousarray(found[k]) for k in READ}


def _written(request: SolveRequest, rows: int) -> Arrays:
    found = {
        "values": np.full((rows, len(request.times), len(request.observables)), np.nan),
        "endpoints": np.full((rows, len(request.summaries), len(EMPTY)), np.nan),
        "status": np.full(rows, int(Status.NOT_RUN), dtype=np.int64),
        "steps": np.zeros(rows, dtype=np.int64),
        "end_time": np.full(rows, np.nan),
        "records": np.zeros(rows),
    }
    return {k: found[k] for k in WRITTEN}


def solution(request: SolveRequest, samples: Samples, written: Arrays) -> BatchSolution:
    """Numbers of failed subjects become NaN; a finite state whose observables are not finite is a failure as well."""
    values, status = written["values"], written["status"].astype(np.int32)
    kinds = [s.kind for s in request.summaries]
    summaries = written["endpoints"][:, np.arange(len(kinds)), np.array([KINDS[k] for k in kinds], dtype=int)]
    windows = request.windows
    shared = [i for i, s in enumerate(request.summaries) if s.per_window]
    summaries[:, shared] /= windows[shared, 1] - windows[shared, 0]
    finite = (np.isfinite(values).all(axis=2) | ~np.isfinite(samples.time)).all(axis=1)
    finite &= np.isfinite(summaries).all(axis=1)
    status[(status == Status.OK) & ~finite] = Status.NONFINITE
    failed = status != Status.OK
    values[failed], summaries[failed] = np.nan, np.nan
    return BatchSolution(values, summaries, status, written["steps"].astype(np.int32), written["end_time"])

"""Cohorts through one compiled loop: the native engine."""

from __future__ import annotations

import dataclasses
import functools
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from qspx._errors import NotTraceable, SolveError
from qspx._precision import PrecisionWarning, require_x64
from qspx._status import Status
from qspx.dose_events import DoseEvents, subject_doses
from qspx.integrate.base import AbstractIntegrator, BatchSolution, Samples, SolveRequest
from qspx.integrate.diffrax_integrator import DiffraxIntegrator
from qspx.integrate.lowering import Lowered, lower
from qspx.integrate.native_code import DOUBLE, FLOAT, FORMATS
from qspx.integrate.native_compile import Kernel, widest_vector
from qspx.integrate.native_loop import LoopWriter
from qspx.integrate.native_memory import DOSES, INTEGERS, READ, WRITTEN
from qspx.integrate.observed import Observed, observed
from qspx.integrate.tableaux import RODAS5P
from qspx.model import AbstractModel

_REALS = {"float64": DOUBLE, "float32": FLOAT}
# what float32 can resolve: about 100 roundings in a step, and squares of what is divided by `atol`
_SMALLEST_RTOL, _SMALLEST_ATOL = 1e-5, 1e-15
_KINDS = {"max": 0, "tmax": 1, "min": 2, "auc": 3, "average": 3, "last": 4}


@dataclasses.dataclass(frozen=True)
class BatchIntegrator(AbstractIntegrator):
    """Adaptive integration of many subjects by machine code made for the model: Rodas5P (Steinebach 2023) with the
    Jacobian's sparse factors written out. Same definitions and tolerances as `DiffraxIntegrator`; derivatives
    (`solve_one`) are those of `DiffraxIntegrator`.

    Args:
        rtol, atol: error tolerances per step; `atol` is in the species' own units, so it must lie well under the
            smallest concentration that matters.
        max_steps: attempted steps after which a subject gets status MAX_STEPS.
        lanes: subjects in one vector of the processor: 2, 4, 8 or 16; None is the width of its registers. A subject's
            result does not depend on it beyond rounding, and not at all on the other subjects.
        threads: threads to use; None is one per processor. Results do not depend on it.
        precision: "float64", or "float32" for states, parameters and observables (times and areas stay float64), which
            takes about half the time and cannot have an `rtol` below 1e-5. It is for exploring, not for results to
            keep, and emits a `PrecisionWarning`. Derivatives are float64 in either case.
    """

    rtol: float = 1e-6
    atol: float = 1e-12
    max_steps: int = 100_000
    lanes: int | None = None
    threads: int | None = None
    precision: str = "float64"

    def __post_init__(self):
        for name in ("rtol", "atol", "max_steps"):
            if not getattr(self, name) > 0:
                raise SolveError(f"Argument `{name}` must be > 0, but {getattr(self, name)} was given.")
        if self.lanes not in (None, 2, 4, 8, 16):
            raise SolveError(f"Argument `lanes` must be 2, 4, 8, 16 or None, but {self.lanes} was given.")
        if self.threads is not None and self.threads < 1:
            raise SolveError(f"Argument `threads` must be >= 1 or None, but {self.threads} was given.")
        if self.precision not in _REALS:
            raise SolveError(f'Argument `precision` must be "float64" or "float32", but {self.precision!r} was given.')
        if self.precision == "float32":
            self._check_float32()

    def _check_float32(self) -> None:
        for name, smallest in (("rtol", _SMALLEST_RTOL), ("atol", _SMALLEST_ATOL)):
            if getattr(self, name) < smallest:
                raise SolveError(
                    f'Argument `{name}` must be >= {smallest:g} with precision="float32", but {getattr(self, name):g} '
                    f'was given. Set {name}={10 * smallest:g}, or use precision="float64".'
                )
        warnings.warn(
            "States and parameters are computed in float32: about six digits, and numbers between 1e-38 and 3e38. Use "
            'precision="float64" for results to keep.',
            PrecisionWarning,
            4,
        )

    @property
    def _shape(self) -> tuple[int, str]:
        """Lanes and their kind of number."""
        real = _REALS[self.precision]
        return self.lanes or widest_vector(real), real

    @property
    def settings(self) -> dict[str, object]:
        return {
            "integrator": type(self).__name__,
            "solver": RODAS5P.name,
            "rtol": self.rtol,
            "atol": self.atol,
            "max_steps": self.max_steps,
            "lanes": self._shape[0],
            "precision": self.precision,
        }

    def prepare(self, request: SolveRequest) -> None:
        """Compile for the request. Raises `SolveError` where the model has a construct without a scalar program."""
        compiled(request.model, *_asked(request), *self._shape, request.marks)

    def solve_one(self, request: SolveRequest, theta, events: DoseEvents) -> tuple[Any, ...]:
        plain = DiffraxIntegrator(rtol=self.rtol, atol=self.atol, max_steps=self.max_steps)
        return plain.solve_one(request, theta, events)

    def solve_batch(
        self, request: SolveRequest, theta: np.ndarray, events: DoseEvents, samples: Samples | None = None
    ) -> BatchSolution:
        require_x64()
        run = compiled(request.model, *_asked(request), *self._shape, request.marks)
        theta = np.ascontiguousarray(theta, dtype=float)
        rows = len(theta)
        samples = Samples.common(request, rows) if samples is None else samples
        read = _read(request, theta, events, samples)
        written = _written(request, rows)
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
        return _solution(request, samples, written)


@dataclasses.dataclass(frozen=True)
class Run:
    """A compiled loop: `kernel`, the workspace it needs (vectors, and 5 of doubles per summary), its lanes and their
    kind of number."""

    kernel: Kernel
    vectors: int
    lanes: int
    real: str

    def __call__(self, arrays: list[np.ndarray], integers: np.ndarray, reals: np.ndarray) -> None:
        pointers = np.array([a.ctypes.data for a in arrays], dtype=np.uint64)
        doubles = 5 * int(integers[INTEGERS.index("summaries")])
        size = (self.vectors * FORMATS[self.real].bits // 8 + 8 * doubles) * self.lanes
        work = np.zeros(size + 64, np.uint8)
        aligned = -(-work.ctypes.data // 64) * 64
        self.kernel(pointers.ctypes.data, integers.ctypes.data, reals.ctypes.data, aligned)


def compiled(
    model: AbstractModel,
    samples: tuple[str, ...],
    endpoints: tuple[str, ...],
    kinds: frozenset[str],
    lanes: int,
    real: str = DOUBLE,
    marks: bool = False,
) -> Run:
    """The loop for a model and what is asked of it, from memory where an equal one has been compiled. Raises
    `SolveError` where the model has a construct without a scalar program."""
    try:
        low, seen = lower(model), observed(model, samples, endpoints)
    except NotTraceable as e:
        raise SolveError(
            f"{model.name} cannot be compiled for BatchIntegrator: {e} Use DiffraxIntegrator for it."
        ) from e
    return _compiled(low, seen, kinds, len(model.parameters), lanes, real, marks)


@functools.lru_cache(maxsize=64)
def _compiled(
    low: Lowered, seen: Observed, kinds: frozenset[str], parameters: int, lanes: int, real: str, marks: bool
) -> Run:
    writer = LoopWriter(low, seen, RODAS5P, kinds, parameters, lanes, real, marks)
    return Run(Kernel(writer.text(), "run", 4), writer.vectors, lanes, real)


def _asked(request: SolveRequest) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[str]]:
    endpoints = tuple(dict.fromkeys(s.observable for s in request.summaries))
    samples = request.observables if request.times else ()
    return samples, endpoints, frozenset(s.kind for s in request.summaries)


def _ranges(rows: int, threads: int, lanes: int) -> list[tuple[int, int]]:
    """Contiguous rows: several ranges for each thread, so that one that drew slow subjects does not hold up the rest,
    but none so short that its last lanes idle for long."""
    if not rows:
        return []
    most = max(1, rows // lanes)
    parts = 1 if threads == 1 else max(min(threads, most), min(4 * threads, most // 32))
    edges = np.linspace(0, rows, parts + 1).round().astype(int)
    return [(int(a), int(b)) for a, b in zip(edges, edges[1:], strict=False)]


def _read(request: SolveRequest, theta: np.ndarray, events: DoseEvents, samples: Samples) -> dict[str, np.ndarray]:
    m = request.model
    with np.errstate(all="ignore"):  # subjects with numbers that cannot be get a status
        doses = subject_doses(m, theta, events, np)._asdict()
    rows, windows = len(theta), request.windows
    common = np.broadcast_to(np.append(windows.reshape(-1), request.t1), (rows, windows.size + 1))
    stops = np.concatenate([doses["start"], doses["end"], doses["mark"], common, np.full((rows, 1), np.inf)], axis=1)
    wanted = _asked(request)[1]
    found = {
        "theta": theta,
        **{k: np.broadcast_to(doses[k], doses["start"].shape) for k in DOSES},
        "stop": np.sort(np.nan_to_num(stops, nan=np.inf, posinf=np.inf, neginf=-np.inf), axis=1),
        "time": np.append(samples.time, np.full((rows, 1), np.inf), axis=1),
        "before": np.append(samples.before, np.zeros((rows, 1)), axis=1).astype(float),
        "columns": np.array([wanted.index(s.observable) for s in request.summaries], dtype=np.int64),
        "windows": windows,
        "unsigned": np.array([not s.signed for s in m.species.values()], dtype=float),
    }
    return {k: np.ascontiguousarray(found[k]) for k in READ}


def _written(request: SolveRequest, rows: int) -> dict[str, np.ndarray]:
    found = {
        "values": np.full((rows, len(request.times), len(request.observables)), np.nan),
        "endpoints": np.full((rows, len(request.summaries), 5), np.nan),
        "status": np.full(rows, int(Status.NOT_RUN), dtype=np.int64),
        "steps": np.zeros(rows, dtype=np.int64),
        "end_time": np.full(rows, np.nan),
    }
    return {k: found[k] for k in WRITTEN}


def _solution(request: SolveRequest, samples: Samples, written: dict[str, np.ndarray]) -> BatchSolution:
    """Numbers of failed subjects become NaN; a finite state whose observables are not finite is a failure as well."""
    values, status = written["values"], written["status"].astype(np.int32)
    kinds = [s.kind for s in request.summaries]
    summaries = (
        written["endpoints"][:, np.arange(len(kinds)), [_KINDS[k] for k in kinds]]
        if kinds
        else np.zeros((len(values), 0))
    )
    windows = request.windows
    averages = [i for i, kind in enumerate(kinds) if kind == "average"]
    summaries[:, averages] /= windows[averages, 1] - windows[averages, 0]
    finite = (np.isfinite(values).all(axis=2) | ~np.isfinite(samples.time)).all(axis=1) & np.isfinite(summaries).all(
        axis=1
    )
    status[(status == Status.OK) & ~finite] = Status.NONFINITE
    failed = status != Status.OK
    values[failed], summaries[failed] = np.nan, np.nan
    return BatchSolution(values, summaries, status, written["steps"].astype(np.int32), written["end_time"])

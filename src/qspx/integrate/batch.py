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
from qspx._status import Status
from qspx.dosing import DoseEvents
from qspx.integrate.base import AbstractIntegrator, BatchSolution, SolveRequest
from qspx.integrate.diffrax_integrator import DiffraxIntegrator
from qspx.integrate.lowering import Lowered, lower
from qspx.integrate.native_compile import Kernel, widest_vector
from qspx.integrate.native_endpoints import AREA, BEYOND, EMPTY, LARGEST, LARGEST_AT, LAST, SMALLEST
from qspx.integrate.native_lanes import INTEGERS, READ, WRITTEN
from qspx.integrate.native_loop import LoopWriter
from qspx.integrate.observed import Observed, observed
from qspx.integrate.tableaux import RODAS5P
from qspx.model import AbstractModel
from qspx.summaries import OF_THRESHOLD

_KINDS = {"max": LARGEST, "tmax": LARGEST_AT, "min": SMALLEST, "auc": AREA, "average": AREA, "last": LAST}
_KINDS |= dict.fromkeys(OF_THRESHOLD, BEYOND)


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
        compiled(request.model, *_asked(request), self.lanes or widest_vector())

    def solve_one(self, request: SolveRequest, theta, events: DoseEvents) -> tuple[Any, ...]:
        plain = DiffraxIntegrator(rtol=self.rtol, atol=self.atol, max_steps=self.max_steps)
        return plain.solve_one(request, theta, events)

    def solve_batch(self, request: SolveRequest, theta: np.ndarray, events: DoseEvents) -> BatchSolution:
        require_x64()
        run = compiled(request.model, *_asked(request), self.lanes or widest_vector())
        theta = np.ascontiguousarray(theta, dtype=float)
        rows = len(theta)
        read = _read(request, theta, events)
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
        return _solution(request, written)


@dataclasses.dataclass(frozen=True)
class Run:
    """A compiled loop: `kernel`, the workspace it needs (vectors, and vectors per summary), and its lanes."""

    kernel: Kernel
    vectors: int
    lanes: int

    def __call__(self, arrays: list[np.ndarray], integers: np.ndarray, reals: np.ndarray) -> None:
        pointers = np.array([a.ctypes.data for a in arrays], dtype=np.uint64)
        size = self.vectors + len(EMPTY) * int(integers[INTEGERS.index("summaries")])
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


def _read(request: SolveRequest, theta: np.ndarray, events: DoseEvents) -> dict[str, np.ndarray]:
    m = request.model
    doses = _subject_doses(m, theta, events)
    rows, windows = len(theta), request.windows
    common = np.broadcast_to(np.append(windows.reshape(-1), request.t1), (rows, windows.size + 1))
    stops = np.concatenate([doses["start"], doses["end"], common, np.full((rows, 1), np.inf)], axis=1)
    wanted = _asked(request)[1]
    found = {
        "theta": theta,
        **doses,
        "stop": np.sort(np.nan_to_num(stops, nan=np.inf, posinf=np.inf, neginf=-np.inf), axis=1),
        "time": np.append(np.asarray(request.times, dtype=float), np.inf),
        "columns": np.array([wanted.index(s.observable) for s in request.summaries], dtype=np.int64),
        "windows": windows,
        **_thresholds(request),
        "unsigned": np.array([not s.signed for s in m.species.values()], dtype=float),
    }
    return {k: np.ascontiguousarray(found[k]) for k in READ}


def _thresholds(request: SolveRequest) -> dict[str, np.ndarray]:
    """Sign (0 without a threshold), number, and parameter (negative without one) of each summary's threshold."""
    given = [s.beyond or (0.0, 0.0) for s in request.summaries]
    index = request.model.parameter_index
    return {
        "signs": np.array([sign for sign, _ in given], dtype=float),
        "thresholds": np.array([0.0 if isinstance(x, str) else x for _, x in given], dtype=float),
        "threshold_of": np.array([index(x) if isinstance(x, str) else -1 for _, x in given], dtype=np.int64),
    }


def _subject_doses(m: AbstractModel, theta: np.ndarray, events: DoseEvents) -> dict[str, np.ndarray]:
    """`qspx.dosing.subject_doses` for many subjects; each with the same rounding whatever the others are."""
    amount, volumes = np.asarray(events.amount, dtype=float), np.ones((len(theta), len(m.species)))
    for i, s in enumerate(m.species.values()):
        if s.volume:
            volumes[:, i] = theta[:, m.parameter_index(s.volume)]
    species = np.asarray(events.species, dtype=np.int64)
    f_index, lag_index = np.asarray(events.bioavailability_index), np.asarray(events.lag_index)
    given = np.take_along_axis(theta, np.maximum(f_index, 0), axis=1)
    later = np.take_along_axis(theta, np.maximum(lag_index, 0), axis=1)
    amount = amount * np.where(f_index >= 0, given, events.bioavailability)
    for name, power in ((m.body_weight, events.weight_power), (m.molar_mass, events.mass_power)):
        if name:
            amount = amount * _power(theta[:, [m.parameter_index(name)]], np.asarray(power))
    amount = amount / np.take_along_axis(volumes, species, axis=1)
    infused = np.asarray(events.duration) > 0
    duration = np.where(infused, events.duration, 1.0)
    start = events.time + np.where(lag_index >= 0, later, events.lag)
    return {
        "start": start,
        "end": np.where(infused, start + duration, np.inf),
        "species": species,
        "jump": np.where(infused, 0.0, amount),
        "rate": np.where(infused, amount / duration, 0.0),
    }


def _power(x: np.ndarray, power: np.ndarray) -> np.ndarray:
    """x**power for powers -1, 0 and 1, rounded once."""
    if not np.isin(power, (-1.0, 0.0, 1.0)).all():
        raise SolveError(f"dose events hold a power other than -1, 0 and 1: {np.unique(power)}.")
    with np.errstate(divide="ignore"):
        return np.where(power == 0, 1.0, np.where(power > 0, x, 1.0 / x))


def _written(request: SolveRequest, rows: int) -> dict[str, np.ndarray]:
    found = {
        "values": np.full((rows, len(request.times), len(request.observables)), np.nan),
        "endpoints": np.full((rows, len(request.summaries), len(EMPTY)), np.nan),
        "status": np.full(rows, int(Status.NOT_RUN), dtype=np.int64),
        "steps": np.zeros(rows, dtype=np.int64),
        "end_time": np.full(rows, np.nan),
    }
    return {k: found[k] for k in WRITTEN}


def _solution(request: SolveRequest, written: dict[str, np.ndarray]) -> BatchSolution:
    """Numbers of failed subjects become NaN; a finite state whose observables are not finite is a failure as well."""
    values, status = written["values"], written["status"].astype(np.int32)
    kinds = [s.kind for s in request.summaries]
    summaries = (
        written["endpoints"][:, np.arange(len(kinds)), [_KINDS[k] for k in kinds]]
        if kinds
        else np.zeros((len(values), 0))
    )
    windows = request.windows
    shared = [i for i, s in enumerate(request.summaries) if s.per_window]
    summaries[:, shared] /= windows[shared, 1] - windows[shared, 0]
    finite = np.isfinite(values).all(axis=(1, 2)) & np.isfinite(summaries).all(axis=1)
    status[(status == Status.OK) & ~finite] = Status.NONFINITE
    failed = status != Status.OK
    values[failed], summaries[failed] = np.nan, np.nan
    return BatchSolution(values, summaries, status, written["steps"].astype(np.int32), written["end_time"])

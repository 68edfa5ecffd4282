"""Arrays that a compiled loop reads and writes, a row per subject, and what becomes of them: for every engine for
cohorts."""

from __future__ import annotations

import functools

import numpy as np

from qspx._status import Status
from qspx.dose_events import SubjectDoses
from qspx.integrate.base import BatchSolution, Samples, SolveRequest
from qspx.integrate.native_endpoints import AREA, BEYOND, EMPTY, LARGEST, LARGEST_AT, LAST, SMALLEST
from qspx.integrate.native_memory import DOSES, READ, WRITTEN
from qspx.model import AbstractModel
from qspx.summaries import OF_THRESHOLD

KINDS = {"max": LARGEST, "tmax": LARGEST_AT, "min": SMALLEST, "auc": AREA, "average": AREA, "last": LAST}
KINDS |= dict.fromkeys(OF_THRESHOLD, BEYOND)
_DOSE_KINDS = {k: np.int64 if k in ("species", "kind") else float for k in DOSES}
Arrays = dict[str, np.ndarray]


@functools.lru_cache(maxsize=64)
def asked(request: SolveRequest) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[str]]:
    """What a request samples, the observables of its endpoints, and their kinds."""
    endpoints = tuple(dict.fromkeys(s.observable for s in request.summaries))
    samples = request.observables if request.times else ()
    return samples, endpoints, frozenset(s.kind for s in request.summaries)


@functools.lru_cache(maxsize=64)
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


def dose_arrays(doses: SubjectDoses) -> Arrays:
    """The doses as arrays of one shape (rows, events)."""
    shapes = {np.shape(x) for x in doses}
    if len(shapes) > 1:
        shape = np.broadcast_shapes(*shapes)
        doses = SubjectDoses(*(np.broadcast_to(x, shape) for x in doses))
    return {k: np.ascontiguousarray(getattr(doses, k), dtype=_DOSE_KINDS[k]) for k in DOSES}


def sample_arrays(samples: Samples) -> Arrays:
    """Times with an infinite one behind the last."""
    rows, times = samples.time.shape
    time, before = np.full((rows, times + 1), np.inf), np.zeros((rows, times + 1))
    time[:, :times], before[:, :times] = samples.time, samples.before
    return {"time": time, "before": before}


def read_arrays(
    request: SolveRequest, theta: np.ndarray, doses: SubjectDoses, samples: Samples, atol: np.ndarray
) -> Arrays:
    """What a loop reads, by the names in `READ`; `atol` are the absolute tolerances, shape (species,)."""
    given, common = dose_arrays(doses), _common_stops(request)
    found = {
        "theta": theta,
        **given,
        **sample_arrays(samples),
        "stop": _stops(given, common),
        **summary_arrays(request),
        "unsigned": _unsigned(request.model),
        "atol": atol,
    }
    return {k: np.ascontiguousarray(found[k]) for k in READ}


def _stops(given: Arrays, common: np.ndarray) -> np.ndarray:
    """Of each row, in order, what is not a number at the end as infinite: (rows, stops)."""
    rows, events = given["start"].shape
    stops = np.empty((rows, 3 * events + len(common)))
    for i, name in enumerate(("start", "end", "mark")):
        stops[:, i * events : (i + 1) * events] = given[name]
    stops[:, 3 * events :] = common
    stops.sort(axis=1)
    return np.fmin(stops, np.inf, out=stops)


@functools.lru_cache(maxsize=64)
def _common_stops(request: SolveRequest) -> np.ndarray:
    return np.array([*request.windows.reshape(-1), request.t1, np.inf])


@functools.lru_cache(maxsize=64)
def _unsigned(model: AbstractModel) -> np.ndarray:
    return np.array([not s.signed for s in model.species.values()], dtype=float)


def written_arrays(request: SolveRequest, rows: int) -> Arrays:
    """What a loop writes, by the names in `WRITTEN`, as of subjects that have not been run."""
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
    """What becomes of `written_arrays` that a loop has filled.

    Numbers of failed subjects become NaN; a finite state whose observables are not finite is a failure as well.
    """
    values, status = written["values"], written["status"].astype(np.int32)
    summaries = _summaries(request, written["endpoints"])
    found = BatchSolution(values, summaries, status, written["steps"].astype(np.int32), written["end_time"])
    if not status.any() and np.isfinite(values).all() and np.isfinite(summaries).all():
        return found
    finite = (np.isfinite(values).all(axis=2) | ~np.isfinite(samples.time)).all(axis=1)
    finite &= np.isfinite(summaries).all(axis=1)
    status[(status == Status.OK) & ~finite] = Status.NONFINITE
    failed = status != Status.OK
    values[failed], summaries[failed] = np.nan, np.nan
    return found


def _summaries(request: SolveRequest, endpoints: np.ndarray) -> np.ndarray:
    """(rows, summaries) of (rows, summaries, numbers of an endpoint)."""
    if not request.summaries:
        return np.zeros((len(endpoints), 0))
    kinds, windows = [s.kind for s in request.summaries], request.windows
    summaries = endpoints[:, np.arange(len(kinds)), np.array([KINDS[k] for k in kinds], dtype=int)]
    shared = [i for i, s in enumerate(request.summaries) if s.per_window]
    summaries[:, shared] /= windows[shared, 1] - windows[shared, 0]
    return summaries

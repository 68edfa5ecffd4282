"""Gradients of a batch by the discrete adjoint of its accepted steps: run once with a tape, then sweep back over it."""

from __future__ import annotations

import functools

import numpy as np

from qspx._status import Status
from qspx.dose_events import SubjectDoses
from qspx.integrate.backward import backward, observed_backward
from qspx.integrate.base import Samples, SolveRequest
from qspx.integrate.loop_arrays import KINDS, Arrays, asked, dose_arrays, sample_arrays, summary_arrays
from qspx.integrate.lowering import Lowered
from qspx.integrate.native_call import NativeSettings, Run, forward, in_threads, programs_of, ranges
from qspx.integrate.native_compile import Kernel
from qspx.integrate.native_endpoints import LARGEST_AT, LARGEST_RECORD, SMALLEST_AT, SMALLEST_RECORD
from qspx.integrate.native_tape import RECORD_HEAD
from qspx.integrate.observed import Observed
from qspx.integrate.reverse_loop import ReverseWriter
from qspx.integrate.reverse_memory import (
    AREA,
    BARS,
    BEYOND,
    INTEGERS,
    LARGEST,
    LARGEST_TIME,
    LAST,
    PER_SUMMARY,
    READ,
    SMALLEST,
    TAPE,
    WRITTEN,
    Programs,
)
from qspx.integrate.tableaux import RODAS5P
from qspx.summaries import OF_THRESHOLD

_CODES = {"max": LARGEST, "tmax": LARGEST_TIME, "min": SMALLEST, "auc": AREA, "average": AREA, "last": LAST}
_CODES |= dict.fromkeys(OF_THRESHOLD, BEYOND)
_LARGEST_TAPE = 256 * 2**20  # bytes; subjects are taken in groups whose tapes fit


@functools.lru_cache(maxsize=64)
def _compiled(low: Lowered, seen: Observed, kinds: frozenset[str], parameters: int, lanes: int) -> Run:
    programs = Programs(low, seen, backward(low), observed_backward(seen))
    writer = ReverseWriter(programs, RODAS5P, kinds, parameters, lanes)
    return Run(Kernel(writer.text(), "reverse", 3), writer.vectors, PER_SUMMARY, lanes)


def pulled_back(
    request: SolveRequest,
    settings: NativeSettings,
    theta: np.ndarray,
    doses: SubjectDoses,
    samples: Samples,
    records: np.ndarray,
    status: np.ndarray,
    values_bar: np.ndarray,
    summaries_bar: np.ndarray,
) -> Arrays:
    """Cotangents of `theta` (rows, parameters) and of the doses (rows, events), by the names in `WRITTEN`.

    `records` (rows,) and `status` are what the run said; a subject that failed gets NaN where its results have a
    cotangent, and zero where they have none.
    """
    doses = SubjectDoses(**dose_arrays(doses))
    rows, events = len(theta), doses.start.shape[1]
    found = {k: np.zeros((rows, theta.shape[1] if k == "theta_bar" else events)) for k in WRITTEN}
    used = (values_bar != 0).any(axis=(1, 2)) | (summaries_bar != 0).any(axis=1)
    for array in found.values():
        array[(status != Status.OK) & used] = np.nan
    live = np.flatnonzero((status == Status.OK) & used)
    size = records.astype(np.int64)
    width = 8 * (RECORD_HEAD + len(request.model.species))
    for group in _groups(live, size, max(_LARGEST_TAPE // width, 1)):
        part = _pull_group(
            request,
            settings,
            theta[group],
            SubjectDoses(*(x[group] for x in doses)),
            Samples(*(x[group] for x in samples)),
            size[group],
            (np.nan_to_num(values_bar[group]), summaries_bar[group]),
        )
        for k in WRITTEN:
            found[k][group] = part[k]
    return found


def _groups(live: np.ndarray, size: np.ndarray, most: int) -> list[np.ndarray]:
    """Consecutive subjects with together at most so many records (a single one may have more)."""
    if not len(live):
        return []
    number = (np.cumsum(size[live]) - 1) // most
    return np.split(live, np.flatnonzero(np.diff(number)) + 1)


def _pull_group(request, settings, theta, doses, samples, size, bars) -> Arrays:
    rows, n = len(theta), len(request.model.species)
    first = np.concatenate([[0], np.cumsum(size)[:-1]]).astype(np.int64)
    tape = {"tape": np.empty((int(size.sum()), RECORD_HEAD + n)), "tape_first": first}
    ends = forward(request, settings, theta, doses, samples, tape)["endpoints"]
    kinds = [s.kind for s in request.summaries]
    low_ones = [KINDS[k] == KINDS["min"] for k in kinds]
    values_bar, summaries_bar = bars
    given = zip(request.summaries, request.windows, strict=True)
    scale = np.array([1 / (b - a) if s.per_window else 1.0 for s, (a, b) in given])
    found = {
        "rows": np.arange(rows, dtype=np.int64),
        "theta": np.ascontiguousarray(theta, dtype=float),
        **dose_arrays(doses),
        **sample_arrays(samples),
        **summary_arrays(request),
        "kinds": np.array([_CODES[k] for k in kinds], dtype=np.int64),
        "found_at": np.where(low_ones, ends[..., SMALLEST_AT], ends[..., LARGEST_AT]),
        "found_record": np.where(low_ones, ends[..., SMALLEST_RECORD], ends[..., LARGEST_RECORD]),
        "values_bar": np.ascontiguousarray(values_bar, dtype=float),
        "summaries_bar": np.ascontiguousarray(summaries_bar * scale, dtype=float),
        **tape,
        "records": size,
        **{k: np.zeros((rows, theta.shape[1] if k == "theta_bar" else doses.start.shape[1])) for k in WRITTEN},
    }
    low, seen = programs_of(request)
    run = _compiled(low, seen, asked(request)[2], theta.shape[1], settings.width)
    found = {k: np.ascontiguousarray(found[k]) for k in READ + BARS + TAPE + WRITTEN}
    arrays = list(found.values())
    numbers = {"events": doses.start.shape[1], "times": len(request.times), "summaries": len(kinds)}

    def sweep(part: tuple[int, int]) -> None:
        counts = dict(zip(("first", "last"), part, strict=True)) | numbers
        run(arrays, len(kinds), np.array([counts[k] for k in INTEGERS], dtype=np.int64))

    in_threads(sweep, ranges(rows, settings.workers, run.lanes), settings.workers)
    return found

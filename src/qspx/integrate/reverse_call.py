"""Gradients of a batch by the discrete adjoint of its accepted steps: run once with a tape, then sweep back over it."""

from __future__ import annotations

import functools
import math

import numpy as np

from qspx._status import Status
from qspx.dose_events import SubjectDoses
from qspx.integrate.backward import backward, observed_backward
from qspx.integrate.base import Samples, SolveRequest
from qspx.integrate.loop_arrays import Arrays, asked, dose_arrays
from qspx.integrate.lowering import Lowered
from qspx.integrate.native_call import NativeSettings, Run, in_threads, programs_of, ranges
from qspx.integrate.native_compile import Kernel
from qspx.integrate.observed import Observed
from qspx.integrate.reverse_loop import ReverseWriter
from qspx.integrate.reverse_memory import ARRAYS, PER_SUMMARY, WRITTEN, Programs
from qspx.integrate.sweep_call import Part, scales, taped
from qspx.integrate.sweep_memory import INTEGERS
from qspx.integrate.tableaux import RosenbrockTableau


@functools.lru_cache(maxsize=64)
def _run(request: SolveRequest, settings: NativeSettings) -> Run:
    low, seen = programs_of(request)
    parameters = len(request.model.parameters)
    return _compiled(low, seen, settings.table, asked(request)[2], parameters, settings.width)


@functools.lru_cache(maxsize=64)
def _compiled(
    low: Lowered, seen: Observed, table: RosenbrockTableau, kinds: frozenset[str], parameters: int, lanes: int
) -> Run:
    programs = Programs(low, seen, backward(low), observed_backward(seen))
    writer = ReverseWriter(programs, table, kinds, parameters, lanes)
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
    failed = (status != Status.OK) & used
    if failed.any():
        for array in found.values():
            array[failed] = np.nan
    live = np.flatnonzero(used & ~failed)
    values_bar = values_bar if math.isfinite(values_bar.sum()) else np.nan_to_num(values_bar)
    bars = {
        "values_bar": np.ascontiguousarray(values_bar, dtype=float),
        "summaries_bar": np.ascontiguousarray(summaries_bar * scales(request), dtype=float),
    }
    for part in taped(request, settings, theta, doses, samples, records, live):
        if part.whole:
            _sweep(request, settings, part, bars, found)
            continue
        own = {k: np.zeros((len(part.rows), *x.shape[1:])) for k, x in found.items()}
        _sweep(request, settings, part, {k: x[part.rows] for k, x in bars.items()}, own)
        for k, x in own.items():
            found[k][part.rows] = x
    return found


def _sweep(request: SolveRequest, settings: NativeSettings, part: Part, bars: Arrays, found: Arrays) -> None:
    """Cotangents of the rows of a part, into `found`."""
    events, summaries, run = found["start_bar"].shape[1], len(request.summaries), _run(request, settings)
    arrays = [(part.arrays | bars | found)[k] for k in ARRAYS]
    numbers = {"events": events, "times": len(request.times), "summaries": summaries}

    def sweep(rows: tuple[int, int]) -> None:
        counts = dict(zip(("first", "last"), rows, strict=True)) | numbers
        run(arrays, summaries, np.array([counts[k] for k in INTEGERS], dtype=np.int64))

    in_threads(sweep, ranges(len(part.rows), settings.workers, run.lanes), settings.workers)

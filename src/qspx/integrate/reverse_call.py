"""Gradients of a batch by the discrete adjoint of its accepted steps: run once with a tape, then sweep back over it."""

from __future__ import annotations

import functools

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
from qspx.integrate.sweep_call import groups, scales, taped
from qspx.integrate.sweep_memory import INTEGERS
from qspx.integrate.tableaux import RosenbrockTableau


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
    for array in found.values():
        array[(status != Status.OK) & used] = np.nan
    live = np.flatnonzero((status == Status.OK) & used)
    for group in groups(live, records, len(request.model.species)):
        part = _pull_group(
            request,
            settings,
            theta[group],
            SubjectDoses(*(x[group] for x in doses)),
            Samples(*(x[group] for x in samples)),
            records[group],
            (np.nan_to_num(values_bar[group]), summaries_bar[group]),
        )
        for k in WRITTEN:
            found[k][group] = part[k]
    return found


def _pull_group(request, settings, theta, doses, samples, records, bars) -> Arrays:
    rows, events, summaries = len(theta), doses.start.shape[1], len(request.summaries)
    values_bar, summaries_bar = bars
    found = {
        **taped(request, settings, theta, doses, samples, records),
        "values_bar": np.ascontiguousarray(values_bar, dtype=float),
        "summaries_bar": np.ascontiguousarray(summaries_bar * scales(request), dtype=float),
        **{k: np.zeros((rows, theta.shape[1] if k == "theta_bar" else events)) for k in WRITTEN},
    }
    low, seen = programs_of(request)
    run = _compiled(low, seen, settings.table, asked(request)[2], theta.shape[1], settings.width)
    arrays = [found[k] for k in ARRAYS]
    numbers = {"events": events, "times": len(request.times), "summaries": summaries}

    def sweep(part: tuple[int, int]) -> None:
        counts = dict(zip(("first", "last"), part, strict=True)) | numbers
        run(arrays, summaries, np.array([counts[k] for k in INTEGERS], dtype=np.int64))

    in_threads(sweep, ranges(rows, settings.workers, run.lanes), settings.workers)
    return found

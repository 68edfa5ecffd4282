"""Directional derivatives of a batch by the tangents of its accepted steps: run with a tape, then sweep along it.

The derivatives are those of `qspx.integrate.reverse_call`: <w, J v> = <J^T w, v> but for rounding.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from qspx._status import Status
from qspx.dose_events import SubjectDoses
from qspx.integrate.base import Samples, SolveRequest
from qspx.integrate.forward_tangents import forward_tangents, observed_tangents
from qspx.integrate.loop_arrays import asked, dose_arrays
from qspx.integrate.lowering import Lowered
from qspx.integrate.native_call import NativeSettings, Run, in_threads, programs_of, ranges
from qspx.integrate.native_compile import Kernel
from qspx.integrate.observed import Observed
from qspx.integrate.sweep_call import Part, scales, taped
from qspx.integrate.tableaux import RosenbrockTableau
from qspx.integrate.tangent_loop import TangentWriter
from qspx.integrate.tangent_memory import ARRAYS, DOTS, NUMBERS, PER_SUMMARY, Programs

_MOST_DIRECTIONS = 32  # in one sweep, so that what a lane works on stays in the processor's caches


@functools.lru_cache(maxsize=64)
def _run(request: SolveRequest, settings: NativeSettings) -> tuple[Run, int]:
    low, seen = programs_of(request)
    parameters = len(request.model.parameters)
    return _compiled(low, seen, settings.table, asked(request)[2], parameters, settings.width)


@functools.lru_cache(maxsize=64)
def _compiled(
    low: Lowered, seen: Observed, table: RosenbrockTableau, kinds: frozenset[str], parameters: int, lanes: int
) -> tuple[Run, int]:
    """The sweep without directions, and the vectors of workspace of each."""
    programs = Programs(low, seen, forward_tangents(low), observed_tangents(seen))
    writer = TangentWriter(programs, table, kinds, parameters, lanes)
    return Run(Kernel(writer.text(), "tangent", 3), writer.vectors, PER_SUMMARY, lanes), writer.per_direction


def pushed_forward(
    request: SolveRequest,
    settings: NativeSettings,
    theta: np.ndarray,
    doses: SubjectDoses,
    samples: Samples,
    records: np.ndarray,
    status: np.ndarray,
    theta_dot: np.ndarray,
    dose_dots: Mapping[str, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Tangents of values (rows, directions, times, observables) and of summaries (rows, directions, summaries).

    `theta_dot` (rows, directions, parameters) and `dose_dots` (rows, directions, events), by the names in `DOTS`, are
    the directions. `records` (rows,) and `status` are what the run said; a subject that failed gets NaN in directions
    that are not zero, and zero in the others. So do samples that are padding.
    """
    doses = SubjectDoses(**dose_arrays(doses))
    rows, directions = theta_dot.shape[:2]
    dots = {"theta_dot": theta_dot, **dose_dots}
    values = np.zeros((rows, directions, len(request.times), len(request.observables)))
    summaries = np.zeros((rows, directions, len(request.summaries)))
    used = functools.reduce(np.logical_or, ((dots[k] != 0).any(axis=2) for k in DOTS))
    values[(status != Status.OK)[:, None] & used] = np.nan
    summaries[(status != Status.OK)[:, None] & used] = np.nan
    live = np.flatnonzero((status == Status.OK) & used.any(axis=1))
    for part in taped(request, settings, theta, doses, samples, records, live):
        here = dots if part.whole else {k: x[part.rows] for k, x in dots.items()}
        own_values, own_summaries = _sweep(request, settings, part, here)
        taken = part.rows if part.whole else slice(None)
        values[part.rows], summaries[part.rows] = own_values[taken], own_summaries[taken]
    return values, summaries


def _sweep(
    request: SolveRequest, settings: NativeSettings, part: Part, dots: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Tangents of the rows of a part; `dots` has the rows of its arrays."""
    events, summaries = dots["start_dot"].shape[2], len(request.summaries)
    run, per_direction = _run(request, settings)
    rows, directions = dots["theta_dot"].shape[:2]
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for block in np.array_split(np.arange(directions), -(-directions // _MOST_DIRECTIONS)):
        count = len(block)
        written = {
            "values_dot": np.zeros((rows, count, len(request.times), len(request.observables))),
            "summaries_dot": np.zeros((rows, count, summaries)),
        }
        here = {k: np.ascontiguousarray(x[:, block], dtype=float) for k, x in dots.items()}
        arrays = [(part.arrays | here | written)[k] for k in ARRAYS]
        numbers = {"events": events, "times": len(request.times), "summaries": summaries, "directions": count}
        wide = dataclasses.replace(
            run, vectors=run.vectors + count * per_direction, per_summary=run.per_summary + count
        )

        def sweep(ends: tuple[int, int], wide=wide, arrays=arrays, numbers=numbers) -> None:
            counts = dict(zip(("first", "last"), ends, strict=True)) | numbers
            wide(arrays, summaries, np.array([counts[k] for k in NUMBERS], dtype=np.int64))

        in_threads(sweep, ranges(len(part.rows), settings.workers, run.lanes), settings.workers)
        found.append((written["values_dot"], written["summaries_dot"] * scales(request)))
    values, sums = (np.concatenate(x, axis=1) for x in zip(*found, strict=True))
    return values, sums

"""What calls of both sweeps share: subjects in groups whose tapes fit into memory, and the run that fills the tape."""

from __future__ import annotations

import numpy as np

from qspx.dose_events import SubjectDoses
from qspx.integrate.base import Samples, SolveRequest
from qspx.integrate.loop_arrays import KINDS, Arrays, dose_arrays, sample_arrays, summary_arrays
from qspx.integrate.native_call import NativeSettings, forward
from qspx.integrate.native_endpoints import LARGEST_AT, LARGEST_RECORD, SMALLEST_AT, SMALLEST_RECORD
from qspx.integrate.native_tape import RECORD_HEAD
from qspx.integrate.sweep_memory import AREA, BEYOND, LARGEST, LARGEST_TIME, LAST, READ, SMALLEST, TAPE
from qspx.summaries import OF_THRESHOLD

_CODES = {"max": LARGEST, "tmax": LARGEST_TIME, "min": SMALLEST, "auc": AREA, "average": AREA, "last": LAST}
_CODES |= dict.fromkeys(OF_THRESHOLD, BEYOND)
LARGEST_TAPE = 256 * 2**20  # bytes


def groups(live: np.ndarray, records: np.ndarray, species: int) -> list[np.ndarray]:
    """Consecutive subjects of `live` whose tapes are together not larger than `LARGEST_TAPE` (that of a single one may
    be)."""
    if not len(live):
        return []
    most = max(LARGEST_TAPE // (8 * (RECORD_HEAD + species)), 1)
    number = (np.cumsum(records[live].astype(np.int64)) - 1) // most
    return np.split(live, np.flatnonzero(np.diff(number)) + 1)


def taped(
    request: SolveRequest,
    settings: NativeSettings,
    theta: np.ndarray,
    doses: SubjectDoses,
    samples: Samples,
    records: np.ndarray,
) -> Arrays:
    """Run the subjects once more with a tape: the arrays that a sweep over it reads (`READ` and `TAPE`)."""
    rows, n, size = len(theta), len(request.model.species), records.astype(np.int64)
    first = np.concatenate([[0], np.cumsum(size)[:-1]]).astype(np.int64)
    tape = {"tape": np.empty((int(size.sum()), RECORD_HEAD + n)), "tape_first": first}
    ends = forward(request, settings, theta, doses, samples, tape)["endpoints"]
    kinds = [s.kind for s in request.summaries]
    low_ones = [KINDS[k] == KINDS["min"] for k in kinds]
    found = {
        "rows": np.arange(rows, dtype=np.int64),
        "theta": np.ascontiguousarray(theta, dtype=float),
        **dose_arrays(doses),
        **sample_arrays(samples),
        **summary_arrays(request),
        "kinds": np.array([_CODES[k] for k in kinds], dtype=np.int64),
        "found_at": np.where(low_ones, ends[..., SMALLEST_AT], ends[..., LARGEST_AT]),
        "found_record": np.where(low_ones, ends[..., SMALLEST_RECORD], ends[..., LARGEST_RECORD]),
        **tape,
        "records": size,
    }
    return {k: np.ascontiguousarray(found[k]) for k in READ + TAPE}


def scales(request: SolveRequest) -> np.ndarray:
    """By which summaries are multiplied at the end: 1 / length of the window for averages and fractions."""
    given = zip(request.summaries, request.windows, strict=True)
    return np.array([1 / (b - a) if s.per_window else 1.0 for s, (a, b) in given])

"""What calls of both sweeps share: subjects in groups whose tapes fit into memory, and the run that fills the tape."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from qspx.dose_events import SubjectDoses
from qspx.integrate.base import Samples, SolveRequest
from qspx.integrate.kept_tapes import KEPT, key_of
from qspx.integrate.loop_arrays import KINDS, Arrays, dose_arrays, sample_arrays, summary_arrays
from qspx.integrate.native_call import NativeSettings, Tape, forward
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


class Part(NamedTuple):
    """Subjects to sweep over: their rows in a call, and the arrays that the sweep reads (`READ` and `TAPE`), of all
    rows of the call where `whole`, else of these alone."""

    rows: np.ndarray
    arrays: Arrays
    whole: bool


def taped(
    request: SolveRequest,
    settings: NativeSettings,
    theta: np.ndarray,
    doses: SubjectDoses,
    samples: Samples,
    records: np.ndarray,
    live: np.ndarray,
) -> Iterator[Part]:
    """The subjects `live` (numbers of rows) with their tapes: the one that the run has kept, or of another run."""
    kept = KEPT.take(key_of(settings, request, theta, *doses, *samples))
    if kept is not None:
        there = records[live] <= kept.tape.room
        rows, live = live[there], live[~there]
        if len(rows):
            given = _read(request, theta, doses, samples, records, kept.tape, kept.endpoints)
            yield Part(rows, given | {"rows": rows.astype(np.int64)}, True)
    for rows in groups(live, records, len(request.model.species)):
        own = theta[rows], SubjectDoses(*(x[rows] for x in doses)), Samples(*(x[rows] for x in samples))
        size = records[rows].astype(np.int64)
        first = np.concatenate([[0], np.cumsum(size)[:-1]]).astype(np.int64)
        head = np.empty((int(size.sum()), RECORD_HEAD + len(request.model.species)))
        tape = Tape(head, first, int(size.max()))
        ends = forward(request, settings, *own, tape)["endpoints"]
        yield Part(rows, _read(request, *own, records[rows], tape, ends), False)


@functools.lru_cache(maxsize=64)
def _kinds(request: SolveRequest) -> np.ndarray:
    return np.array([_CODES[s.kind] for s in request.summaries], dtype=np.int64)


def _read(
    request: SolveRequest,
    theta: np.ndarray,
    doses: SubjectDoses,
    samples: Samples,
    records: np.ndarray,
    tape: Tape,
    ends: np.ndarray,
) -> Arrays:
    low_ones = [KINDS[s.kind] == KINDS["min"] for s in request.summaries]
    found = {
        "rows": np.arange(len(theta), dtype=np.int64),
        "theta": np.ascontiguousarray(theta, dtype=float),
        **dose_arrays(doses),
        **sample_arrays(samples),
        **summary_arrays(request),
        "kinds": _kinds(request),
        "found_at": np.where(low_ones, ends[..., SMALLEST_AT], ends[..., LARGEST_AT]),
        "found_record": np.where(low_ones, ends[..., SMALLEST_RECORD], ends[..., LARGEST_RECORD]),
        "tape": tape.records,
        "tape_first": tape.first,
        "records": records.astype(np.int64),
    }
    return {k: np.ascontiguousarray(found[k]) for k in READ + TAPE}


@functools.lru_cache(maxsize=64)
def scales(request: SolveRequest) -> np.ndarray:
    """By which summaries are multiplied at the end: 1 / length of the window for averages and fractions."""
    given = zip(request.summaries, request.windows, strict=True)
    return np.array([1 / (b - a) if s.per_window else 1.0 for s, (a, b) in given])

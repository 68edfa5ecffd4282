"""Arrays that a compiled loop reads and writes, one row per subject, and what becomes of them: for every engine for
cohorts."""

from __future__ import annotations

import numpy as np

from qspx._errors import SolveError
from qspx._status import Status
from qspx.dosing import DoseEvents
from qspx.integrate.base import BatchSolution, SolveRequest
from qspx.integrate.native_lanes import READ, WRITTEN
from qspx.model import AbstractModel

_KINDS = {"max": 0, "tmax": 1, "min": 2, "auc": 3, "average": 3, "last": 4}


def asked_of(request: SolveRequest) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[str]]:
    endpoints = tuple(dict.fromkeys(s.observable for s in request.summaries))
    samples = request.observables if request.times else ()
    return samples, endpoints, frozenset(s.kind for s in request.summaries)


def arrays_read(request: SolveRequest, theta: np.ndarray, events: DoseEvents) -> dict[str, np.ndarray]:
    m = request.model
    doses = doses_of(m, theta, events)
    rows, windows = len(theta), request.windows
    common = np.broadcast_to(np.append(windows.reshape(-1), request.t1), (rows, windows.size + 1))
    stops = np.concatenate([doses["start"], doses["end"], common, np.full((rows, 1), np.inf)], axis=1)
    wanted = asked_of(request)[1]
    found = {
        "theta": theta,
        **doses,
        "stop": np.sort(np.nan_to_num(stops, nan=np.inf, posinf=np.inf, neginf=-np.inf), axis=1),
        "time": np.append(np.asarray(request.times, dtype=float), np.inf),
        "columns": np.array([wanted.index(s.observable) for s in request.summaries], dtype=np.int64),
        "windows": windows,
        "unsigned": np.array([not s.signed for s in m.species.values()], dtype=float),
    }
    return {k: np.ascontiguousarray(found[k]) for k in READ}


def doses_of(m: AbstractModel, theta: np.ndarray, events: DoseEvents) -> dict[str, np.ndarray]:
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


def arrays_written(request: SolveRequest, rows: int) -> dict[str, np.ndarray]:
    found = {
        "values": np.full((rows, len(request.times), len(request.observables)), np.nan),
        "endpoints": np.full((rows, len(request.summaries), 5), np.nan),
        "status": np.full(rows, int(Status.NOT_RUN), dtype=np.int64),
        "steps": np.zeros(rows, dtype=np.int64),
        "end_time": np.full(rows, np.nan),
    }
    return {k: found[k] for k in WRITTEN}


def solution_of(request: SolveRequest, written: dict[str, np.ndarray]) -> BatchSolution:
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
    finite = np.isfinite(values).all(axis=(1, 2)) & np.isfinite(summaries).all(axis=1)
    status[(status == Status.OK) & ~finite] = Status.NONFINITE
    failed = status != Status.OK
    values[failed], summaries[failed] = np.nan, np.nan
    return BatchSolution(values, summaries, status, written["steps"].astype(np.int32), written["end_time"])

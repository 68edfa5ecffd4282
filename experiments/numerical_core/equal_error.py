"""What each peer costs at the same error, not at the same tolerance: multistep methods deliver less than they are
asked for on these problems, so equal tolerances favour them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from .measure import Entry, clocked
from .peers.base import Solve
from .problems import Problem
from .reference import errors, reference

TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
TARGETS = (1e-2, 1e-4, 1e-6)
PEERS = ("native", "cvode", "cvode-klu", "numbalsoda", "roadrunner")
PATIENTS = 32
LEAST = 0.05  # s: fast peers repeat until then, so that the clock is no matter


@dataclasses.dataclass(frozen=True)
class Point:
    rtol: float
    worst: float
    microseconds: float


def curve(solve: Solve, problem: Problem, expected: np.ndarray) -> list[Point]:
    """CPU time and largest error at each tolerance, `atol` in proportion to `rtol`."""
    found = []
    n, workload = len(expected), problem.workload
    for rtol in TOLERANCES:
        atol = workload.atol * rtol / workload.rtol
        answer, least, _ = clocked(lambda r=rtol, a=atol: solve(n, r, a))
        for _ in range(min(9, int(LEAST / max(least, 1e-6)))):
            _, cpu, _ = clocked(lambda r=rtol, a=atol: solve(n, r, a))
            least = min(least, cpu)
        worst, _ = errors(answer.states, expected, workload.atol)  # type: ignore[attr-defined]
        found.append(Point(rtol, worst, least / n * 1e6))
    return found


def cost_at(points: Sequence[Point], target: float) -> float:
    """CPU time at which the largest error is `target`, on the curve through the points in logarithms; the cheapest
    point where that is better already, NaN where none is."""
    good = [p for p in points if p.worst <= target]
    if not good:
        return float("nan")
    first = min(good, key=lambda p: p.microseconds)
    above = [p for p in points if p.worst > target and p.rtol > first.rtol]
    if not above:
        return first.microseconds
    last = min(above, key=lambda p: p.rtol)
    share = np.log(last.worst / target) / np.log(last.worst / first.worst)
    return float(np.exp(np.log(last.microseconds) + share * np.log(first.microseconds / last.microseconds)))


def compare(problem: Problem, entries: Mapping[str, Entry]) -> list[dict[str, object]]:
    """A row for each peer: cost at the target errors, and the curve."""
    taking_part = [key for key in PEERS if key in entries]
    if "native" not in taking_part:
        return []
    expected = reference(problem, min(PATIENTS, len(problem.theta)))
    found = []
    for key in taking_part:
        points = curve(entries[key].solve, problem, expected)
        costs = {f"{target:g}": cost_at(points, target) for target in TARGETS}
        found.append(
            {
                "key": key,
                "peer": entries[key].row.peer,
                "costs": costs,
                "points": [dataclasses.asdict(p) for p in points],
            }
        )
    return found

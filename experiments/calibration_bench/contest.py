"""One problem: every way of every peer is prepared, then they take turns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numerical_core.measure import clocked

from . import by_amici, by_qspx
from .problems import Problem

PEERS = {"qspx": by_qspx, "AMICI": by_amici}


@dataclasses.dataclass
class Row:
    """One way of one peer, at `places` places in one call. Times in seconds, per call; errors at the nominal place."""

    problem: str
    peer: str
    way: str
    places: int
    compile: float = float("nan")
    value_error: float = float("nan")
    gradient_error: float = float("nan")
    finite: int = 0
    cpu: list[float] = dataclasses.field(default_factory=list)
    wall: list[float] = dataclasses.field(default_factory=list)
    inside: list[float] = dataclasses.field(default_factory=list)

    def each(self, times: Sequence[float]) -> float:
        """Milliseconds per place, the median of the turns."""
        return float(np.median(times)) / self.places * 1e3 if times else float("nan")

    def as_dict(self) -> dict[str, object]:
        shown = {f"{k}_ms": self.each(getattr(self, k)) for k in ("cpu", "wall", "inside")}
        return dataclasses.asdict(self) | shown


@dataclasses.dataclass
class Entry:
    row: Row
    run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
    x: np.ndarray
    calls: int = 1


def hold(problem: Problem, peers: Sequence[str], rtol: float, atol: float, turns: int, budget: float) -> list[Row]:
    """Rows of a problem: each way at the nominal place, and at all places in one call."""
    entries = [e for peer in peers for e in _prepared(problem, peer, rtol, atol, budget)]
    for turn in range(turns):
        for e in entries:
            if turn >= 2 and sum(e.row.wall) > 20 * budget:  # a slow one has had its turns
                continue
            before = getattr(e.run, "inside", None)
            _, cpu, wall = clocked(lambda e=e: [e.run(e.x) for _ in range(e.calls)])
            e.row.cpu.append(cpu / e.calls)
            e.row.wall.append(wall / e.calls)
            if before is not None:
                e.row.inside.append((e.run.inside - before) / e.calls)  # type: ignore[attr-defined]
    return [e.row for e in entries]


def _prepared(problem: Problem, peer: str, rtol: float, atol: float, budget: float) -> list[Entry]:
    module = PEERS[peer]
    ways, _, making = clocked(lambda: module.ways(problem, rtol, atol))
    found = []
    for way, run in ways.items():  # type: ignore[attr-defined]
        for x in (problem.nominal[None], problem.places[: module.TOGETHER]):
            row = Row(problem.name, peer, way, len(x))
            (values, gradients), _, first = clocked(lambda run=run, x=x: run(x))  # type: ignore[misc]
            again = clocked(lambda run=run, x=x: run(x))[2] if module.COMPILES_AT_FIRST_CALL else first
            row.compile, row.finite = making + first - again, int(np.isfinite(values).sum())
            if len(x) == 1:
                gradient = None if gradients is None else gradients[0]
                row.value_error, row.gradient_error = problem.errors(values[0], gradient)
            found.append(Entry(row, run, x, max(1, int(budget / max(again, 1e-6)))))
    return found

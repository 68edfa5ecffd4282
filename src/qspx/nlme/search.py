"""Minimisation of a population objective between bounds: a quasi-Newton method that starts with a statistical Hessian.

The Hessian of a sum of -2 log-likelihoods is close to half the sum of the individuals' gradients' outer products
(Berndt, Hall, Hall & Hausman, Ann Econ Soc Meas 1974;3:653-665), which costs nothing here. It starts the damped BFGS
updates (Nocedal & Wright 2006, procedure 18.2), and again whenever a search along a line finds nothing. Coordinates at
a bound, with the gradient pushing out, stay there for the step. A point where an individual cannot be solved is worth
+inf, so that the search along the line turns back from it.

Where such a descent ends, every individual's random effects are searched from several points; if one has better ones,
another descent goes on from there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from qspx.nlme.base import Evaluated, PopulationObjective

TRIES = 4  # searches for every individual's random effects at the start and the end, besides the one that goes on
ROUNDS = 4  # descents of a search, which goes on because one of them found something better
LONGEST = 1.0  # of a step in a coordinate on a logarithm; elsewhere a quarter of the width between its bounds


class Memory(NamedTuple):
    """Of a search under way: its Hessian (coordinates, coordinates), whether that is the statistical one, and how many
    descents are done."""

    hessian: np.ndarray
    fresh: bool
    descents: int


@dataclasses.dataclass(frozen=True, eq=False)
class Search:
    """One search, under way or done.

    Args:
        start: where it began, (coordinates,).
        end: where it stands.
        evaluations: of the objective.
        promised: the decrease that a further step promises.
        converged: whether it ended by itself.
        memory: what it goes on with; None when it is done.
    """

    start: np.ndarray
    end: Evaluated
    evaluations: int
    promised: float
    converged: bool
    memory: Memory | None = None

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it by name, for a file."""
        own = {k: np.asarray(getattr(self, k)) for k in ("start", "evaluations", "promised", "converged")}
        end = {f"end_{k}": np.asarray(v) for k, v in vars(self.end).items()}
        memory = {} if self.memory is None else {f"memory_{k}": np.asarray(v) for k, v in self.memory._asdict().items()}
        return own | end | memory

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray]) -> Search:
        """Inverse of `arrays`."""

        def part(prefix: str) -> dict[str, Any]:
            return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}

        memory = part("memory_")
        return cls(
            arrays["start"],
            Evaluated(**part("end_")),
            int(arrays["evaluations"]),
            float(arrays["promised"]),
            bool(arrays["converged"]),
            Memory(memory["hessian"], bool(memory["fresh"]), int(memory["descents"])) if memory else None,
        )


def begin(objective: PopulationObjective, start: np.ndarray) -> Search:
    """A search from `start` (coordinates,), done where that cannot be solved."""
    problem = objective.problem
    z, _ = objective.best_of_several(start, np.zeros((len(problem.data), len(problem.omega))), TRIES)
    return _begun(Search(start, objective(start, z), 1, np.inf, False), 0)


def _begun(search: Search, descents: int) -> Search:
    """At the beginning of a descent, or done."""
    goes_on = np.isfinite(search.end.value) and descents < ROUNDS
    return dataclasses.replace(search, memory=Memory(_statistical(search.end), True, descents) if goes_on else None)


def advance(
    objective: PopulationObjective,
    search: Search,
    *,
    tolerance: float,
    most: int,
    report: Callable[[int], None] = lambda n: None,
) -> Search:
    """One step of a search under way: to a lower point, to a statistical Hessian where there is none, or to the end of
    a descent. A descent ends where the promised decrease is below `tolerance`, or after `most` evaluations."""
    assert search.memory is not None
    hessian, fresh, descents = search.memory
    now = search.end
    step, promised = _step(now, hessian, objective.problem.box)
    search, found = dataclasses.replace(search, promised=promised), None
    if promised >= tolerance and search.evaluations < most:
        found, used = _line(objective, now, step, report)
        search = dataclasses.replace(search, evaluations=search.evaluations + used)
    if found is not None:
        return dataclasses.replace(search, end=found, memory=Memory(_updated(hessian, now, found), False, descents))
    if not fresh and search.evaluations < most:  # a second opinion before it is called the end
        return dataclasses.replace(search, memory=Memory(_statistical(now), True, descents))
    return _descended(objective, search, descents, promised < 1e2 * tolerance, most)


def _descended(objective: PopulationObjective, search: Search, descents: int, converged: bool, most: int) -> Search:
    """At the end of a descent: done, or at the beginning of another where an individual has better random effects."""
    z, moved = objective.best_of_several(search.end.x, search.end.z, TRIES, descents + 1)
    if not moved.any():
        return dataclasses.replace(search, converged=bool(converged), memory=None)
    if search.evaluations >= most:
        return dataclasses.replace(search, memory=None)
    end = objective(search.end.x, z)
    return _begun(dataclasses.replace(search, end=end, evaluations=search.evaluations + 1), descents + 1)


def _statistical(now: Evaluated) -> np.ndarray:
    hessian = 0.5 * now.gradients.T @ now.gradients
    scale = np.maximum(np.diag(hessian), 1e-6 * max(1.0, np.diag(hessian).max(initial=0.0)))
    return hessian + np.diag(1e-3 * scale)


def _step(now: Evaluated, hessian: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, float]:
    """The step, and half the decrease that the quadratic model promises."""
    gradient = now.gradient
    free = ~(((now.x <= box[:, 0]) & (gradient > 0)) | ((now.x >= box[:, 1]) & (gradient < 0)))
    step = np.zeros_like(now.x)
    if not free.any():
        return step, 0.0
    step[free] = -np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
    promised = -0.5 * float(gradient @ step)
    width = box[:, 1] - box[:, 0]
    return step * min(1.0, *(np.minimum(LONGEST, 0.25 * width) / np.maximum(np.abs(step), 1e-300))), promised


def _line(
    objective: PopulationObjective, now: Evaluated, step: np.ndarray, report: Callable[[int], None]
) -> tuple[Evaluated | None, int]:
    """The first point along the step that is low enough, and the number of evaluations."""
    box, share = objective.problem.box, 1.0
    for k in range(1, 16):
        x = np.clip(now.x + share * step, box[:, 0], box[:, 1])
        found = objective(x, now.z)
        report(1)
        enough = 1e-4 * min(float(now.gradient @ (x - now.x)), 0.0)
        if np.isfinite(found.value) and found.value <= now.value + enough + 1e-10 * abs(now.value):
            return found, k
        share *= 0.35 if np.isfinite(found.value) else 0.15
    return None, 15


def _updated(hessian: np.ndarray, old: Evaluated, new: Evaluated) -> np.ndarray:
    s, y = new.x - old.x, new.gradient - old.gradient
    hs = hessian @ s
    curved = float(s @ hs)
    if curved <= 0:
        return hessian
    if s @ y < 0.2 * curved:  # Powell's damping keeps it positive definite
        share = 0.8 * curved / (curved - float(s @ y))
        y = share * y + (1 - share) * hs
    return hessian - np.outer(hs, hs) / curved + np.outer(y, y) / float(s @ y)

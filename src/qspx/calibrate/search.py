"""Where the searches of a fit stand, and the one place that evaluates the objective for them.

Searches live in the unit box: 0 is the lower and 1 the upper bound of a parameter on its estimation scale.
"""

from __future__ import annotations

import abc
import dataclasses

import numpy as np

from qspx.calibrate.fit_status import FitStatus
from qspx.calibrate.objective import Evaluation, Objective

SIZES = (8, 32, 128)  # rows of a batch: fewer than the least cost as much, more take memory for the sensitivities


@dataclasses.dataclass(frozen=True, eq=False)
class Search:
    """Where every start stands; every array has one row per start.

    Args:
        place: best place so far in the unit box, shape (starts, estimated).
        value: log-posterior there, shape (starts,).
        gradient: of the log-posterior, per unit of the box, shape (starts, estimated).
        status: codes of `FitStatus`.
        iterations: steps tried.
        evaluations: evaluations of the objective with its gradient.
        memory: what the method remembers, by name.
    """

    place: np.ndarray
    value: np.ndarray
    gradient: np.ndarray
    status: np.ndarray
    iterations: np.ndarray
    evaluations: np.ndarray
    memory: dict[str, np.ndarray]

    @property
    def running(self) -> np.ndarray:
        return self.status == FitStatus.RUNNING

    @property
    def slope(self) -> np.ndarray:
        """Largest component of the gradient that does not push out of the box, shape (starts,)."""
        return np.abs(inward(self.place, self.gradient)).max(axis=1, initial=0.0)

    def arrays(self) -> dict[str, np.ndarray]:
        """Every array by name, for a file."""
        own = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "memory"}
        return own | {f"memory_{name}": a for name, a in self.memory.items()}

    @classmethod
    def of_arrays(cls, arrays: dict[str, np.ndarray]) -> Search:
        """Inverse of `arrays`."""
        memory = {name.removeprefix("memory_"): a for name, a in arrays.items() if name.startswith("memory_")}
        return cls(**{f.name: arrays[f.name] for f in dataclasses.fields(cls) if f.name != "memory"}, memory=memory)

    def rows(self, which: np.ndarray) -> Search:
        """Some of the starts."""
        return Search.of_arrays({name: a[which] for name, a in self.arrays().items()})

    def merged(self, which: np.ndarray, found: Search) -> Search:
        """With the rows `which` replaced."""
        old, new = self.arrays(), found.arrays()
        merged = {name: old[name].copy() for name in old}
        for name, a in merged.items():
            a[which] = new[name]
        return Search.of_arrays(merged)


def inward(place: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Gradient of a log-posterior without the components that push out of the unit box."""
    outward = ((place <= 0) & (gradient < 0)) | ((place >= 1) & (gradient > 0))
    return np.where(outward, 0.0, gradient)


class Evaluator:
    """Evaluates an objective at places in the unit box, in batches of few sizes.

    A batch is padded with NaN up to the next of a few sizes, so that few programs are compiled; the padding fails at
    its first step and costs little. The size depends on the number of rows alone: a search that is resumed computes the
    same numbers.
    """

    def __init__(self, objective: Objective):
        self.objective = objective
        self.low, self.width = objective.box[:, 0], objective.box[:, 1] - objective.box[:, 0]

    def x(self, place: np.ndarray) -> np.ndarray:
        """Coordinates on the estimation scale."""
        return np.clip(self.low + self.width * place, *self.objective.box.T)

    def _coordinates(self, place: np.ndarray) -> np.ndarray:
        """On the estimation scale, filled up with NaN."""
        filled = np.full((_size(len(place)), place.shape[1]), np.nan)
        filled[: len(place)] = self.x(place)
        return filled

    def evaluations(self, place: np.ndarray) -> Evaluation:
        """Log-posterior, gradient and information per unit of the box, with `ok`, of each row."""
        parts = [self._evaluated(place[i : i + SIZES[-1]]) for i in range(0, len(place), SIZES[-1])]
        return Evaluation(*(np.concatenate(fields) for fields in zip(*parts, strict=True)))

    def values_and_gradients(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same without the information, by the reverse mode."""
        parts = [self._differentiated(place[i : i + SIZES[-1]]) for i in range(0, len(place), SIZES[-1])]
        value, gradient = (np.concatenate(fields) for fields in zip(*parts, strict=True))
        return value, gradient

    def _at(self, x: np.ndarray) -> Evaluation:
        """At rows of coordinates."""
        return self.objective.evaluations(x)

    def _evaluated(self, place: np.ndarray) -> Evaluation:
        n = len(place)
        value, gradient, information, ok = (np.asarray(a)[:n] for a in self._at(self._coordinates(place)))
        scaled = information * self.width[:, None] * self.width
        return Evaluation(np.where(ok, value, -np.inf), gradient * self.width, scaled, ok)

    def _differentiated(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = len(place)
        value, gradient = (np.asarray(a)[:n] for a in self.objective.values_and_gradients(self._coordinates(place)))
        ok = np.isfinite(value) & np.isfinite(gradient).all(axis=1)
        return np.where(ok, value, -np.inf), np.where(ok[:, None], gradient, 0.0) * self.width


def padded(rows: np.ndarray) -> np.ndarray:
    """Rows up to the next size of a batch, those added a copy of the last."""
    size = _size(len(rows))
    return np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)])


def _size(rows: int) -> int:
    """Of the batch that holds so many rows."""
    return next((size for size in SIZES if size >= rows), -(-rows // SIZES[-1]) * SIZES[-1])


class AbstractMethod(abc.ABC):
    """A way to search. One step of every running start at a time; the driver `fit` drops those that are done."""

    max_iterations: int

    @property
    def settings(self) -> dict[str, object]:
        """What the numbers depend on, by name, of a dataclass; a method that holds functions gives a digest of them."""
        return {"method": type(self).__name__} | {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    @abc.abstractmethod
    def begin(self, evaluator: Evaluator, place: np.ndarray, found: Evaluation) -> dict[str, np.ndarray]:
        """What the method remembers at the starts, which `found` was evaluated at."""

    @abc.abstractmethod
    def advance(self, evaluator: Evaluator, search: Search) -> Search:
        """One step of every start of `search`, all of them running."""

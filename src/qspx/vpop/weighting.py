"""The base of every method that gives weights to patients."""

from __future__ import annotations

import abc
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from qspx._random import KeyLike
from qspx.vpop.laws import AbstractLaw
from qspx.vpop.outputs import Outputs, PopulationError
from qspx.vpop.population import VirtualPopulation
from qspx.vpop.targets import AbstractTarget, stacked


class Cloud(NamedTuple):
    """The patients that may be given a weight.

    outputs: all of them; usable: their places among the rows of `outputs`; targets.
    """

    outputs: Outputs
    usable: np.ndarray
    targets: tuple[AbstractTarget, ...]

    def __len__(self) -> int:  # type: ignore[override]
        return len(self.usable)

    def features(self):
        """The features of all targets, for the usable patients."""
        return stacked(self.targets, self.outputs)

    def columns(self, names: Sequence[str]) -> np.ndarray:
        """Outputs of the usable patients."""
        return self.outputs.columns(names)[self.usable]

    def law(self) -> AbstractLaw:
        """The one target that is a whole distribution, for methods that need a density."""
        laws = [t for t in self.targets if isinstance(t, AbstractLaw)]
        if len(laws) != 1 or len(self.targets) != 1:
            raise PopulationError(
                "this method needs a density: give exactly one target that is a law (LogNormalLaw, Rows), but "
                f"{[type(t).__name__ for t in self.targets]} were given."
            )
        return laws[0]


class AbstractWeighting(abc.ABC):
    """Gives weights to patients. A new method is a class with `weigh`, in the package or outside it."""

    @abc.abstractmethod
    def weigh(self, cloud: Cloud, key: KeyLike) -> tuple[np.ndarray, Mapping[str, Any]]:
        """Weights of the usable patients, shape (usable,), >= 0 and not all zero, in any scale; and what there is to
        say about them."""

    def fit(self, outputs: Outputs, targets: Sequence[AbstractTarget], *, key: KeyLike) -> VirtualPopulation:
        """A virtual population.

        Raises:
            PopulationError: if no patient is usable, or targets and method do not fit each other. A target that
                cannot be reached raises nothing: see `VirtualPopulation.target_table` and `.unreached`.
        """
        if not outputs.usable.any():
            raise PopulationError(f"no patient can be given a weight: {outputs.ledger}.")
        if not targets:
            raise PopulationError("Argument `targets` must hold at least one target, but is empty.")
        started = time.perf_counter()
        usable = np.flatnonzero(outputs.usable)
        found, details = self.weigh(Cloud(outputs, usable, tuple(targets)), key)
        weights = np.zeros(len(outputs))
        weights[usable] = found
        about = {"method": type(self).__name__, "seconds": time.perf_counter() - started, **details}
        return VirtualPopulation(outputs, weights, tuple(targets), about)

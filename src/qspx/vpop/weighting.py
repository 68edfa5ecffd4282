"""The base of every method that gives weights to patients."""

from __future__ import annotations

import abc
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from qspx._random import KeyLike
from qspx.vpop.law_of_summaries import law_of_summaries
from qspx.vpop.laws import AbstractLaw
from qspx.vpop.output_units import check_units
from qspx.vpop.outputs import Outputs, PopulationError
from qspx.vpop.own_methods import number_array, pair
from qspx.vpop.plausibility import Plausibility
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

    def spread(self, weights: np.ndarray) -> np.ndarray:
        """Weights of all patients, zero for those that are not usable."""
        found = np.zeros(len(self.outputs))
        found[self.usable] = weights
        return found

    def law(self) -> AbstractLaw:
        """The one target that is a whole distribution, for methods that need a density; or the log-normal law that
        published means, SDs and correlations give."""
        if len(self.targets) == 1 and isinstance(self.targets[0], AbstractLaw):
            return self.targets[0]
        return law_of_summaries(self.targets)


def cloud_of(outputs: Outputs, targets: Sequence[AbstractTarget]) -> Cloud:
    """The usable patients. Raises `PopulationError` if there is none, or no target."""
    if not outputs.usable.any():
        raise PopulationError(f"no patient can be given a weight: {outputs.ledger}.")
    if not targets:
        raise PopulationError("Argument `targets` must hold at least one target, but is empty.")
    check_units(outputs.units, targets, Plausibility({}))
    return Cloud(outputs, np.flatnonzero(outputs.usable), tuple(targets))


class AbstractWeighting(abc.ABC):
    """Gives weights to patients. A new method is a class with `weigh`, in the package or outside it."""

    @abc.abstractmethod
    def weigh(self, cloud: Cloud, key: KeyLike) -> tuple[np.ndarray, Mapping[str, Any]]:
        """Weights of the usable patients, shape (usable,), >= 0 and not all zero, in any scale; and what there is to
        say about them."""

    def fit(
        self, outputs: Outputs, targets: AbstractTarget | Iterable[AbstractTarget], *, key: KeyLike
    ) -> VirtualPopulation:
        """A virtual population.

        Raises:
            PopulationError: if no patient is usable, or targets and method do not fit each other. A target that
                cannot be reached raises nothing: see `VirtualPopulation.target_table` and `.unreached`.
        """
        started = time.perf_counter()
        targets = (targets,) if isinstance(targets, AbstractTarget) else tuple(targets)  # an iterator is empty after
        cloud = cloud_of(outputs, targets)
        found, details = pair(self.weigh(cloud, key), f"{type(self).__name__}.weigh", "weights")
        weights = cloud.spread(self._checked(found, len(cloud)))
        about = {"method": type(self).__name__, "seconds": time.perf_counter() - started, **details}
        return VirtualPopulation(outputs, weights, targets, about)

    def _checked(self, weights: Any, n: int) -> np.ndarray:
        found = number_array(weights, f"{type(self).__name__}.weigh")
        if found.shape != (n,) or not np.isfinite(found).all() or (found < 0).any() or not found.sum() > 0:
            raise PopulationError(
                f"{type(self).__name__}.weigh must return {n} finite weights >= 0, not all zero, but returned shape "
                f"{found.shape}, from {found.min() if found.size else np.nan:g} to "
                f"{found.max() if found.size else np.nan:g}."
            )
        return found

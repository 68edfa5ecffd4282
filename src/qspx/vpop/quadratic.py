"""Weights by least squares: as gQSPSim (`QuadraticProgramme`), and with a floor as QSPToolbox (`DirectWeights`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from qspx.vpop.diagnostics import effective_size
from qspx.vpop.dual import DualSolution
from qspx.vpop.gqspsim import published_weights
from qspx.vpop.outputs import PopulationError
from qspx.vpop.programme import least_squares
from qspx.vpop.weighting import AbstractWeighting


@dataclasses.dataclass(frozen=True)
class QuadraticProgramme(AbstractWeighting):
    """As gQSPSim (Hosseini 2020, doi 10.1002/psp4.12494): S = diag(0.1 |Y| + 1e-3), no weight above 1 / `least`.

    By default for the features of any targets, which have no unit: of a `MeanSd`, mean and second moment are both
    matched. `published=True` takes gQSPSim's own equations, for comparison: on the raw scale, of a `MeanSd`
    E[(x - mean)²] = SD² alone, so that its mean may be off; shares of bins within 5 %. See `qspx.vpop.gqspsim`.

    Args:
        least: effective number of patients below which the weights cannot concentrate.
        epsilon: weight of evenness.
        published: gQSPSim's equations instead of the targets' features; needs MeanSd, Mean, Bins or Quantiles.
        second_step: its second programme, which evens the weights out while every equation stays within 2.5 % of what
            the first achieved.

    `details`: steps, slope, whether converged (bands that contradict each other do not), and the `equations` where they
    are the published ones.
    """

    least: int = 20
    epsilon: float = 1e-6
    published: bool = False
    second_step: bool = False

    def __post_init__(self):
        if not self.least >= 1:
            raise PopulationError(f"Argument `least` must be at least one patient, but is {self.least}.")
        if not 0 < self.epsilon < np.inf:
            raise PopulationError(f"Argument `epsilon` must be finite and > 0, but is {self.epsilon}.")
        if self.second_step and not self.published:
            raise PopulationError("Argument `second_step` is of gQSPSim's equations; give `published=True` with it.")

    def weigh(self, cloud, key):
        if len(cloud) < self.least:
            raise PopulationError(f"{len(cloud)} patients cannot have weights of at most 1/{self.least}.")
        if self.published:
            found, labels = published_weights(cloud, self.epsilon, 1.0 / self.least, self.second_step)
            about = {"steps": found.steps, "slope": found.slope, "converged": found.converged}
            return found.weights, {**about, "equations": list(labels)}
        f = cloud.features()
        found = least_squares(f.matrix, f.target, 0.1 * np.abs(f.target) + 1e-3, self.epsilon, 1.0 / self.least)
        return found.weights, {"steps": found.steps, "slope": found.slope, "converged": found.converged}


@dataclasses.dataclass(frozen=True)
class DirectWeights(AbstractWeighting):
    """One weight per patient with a floor under the effective number, as QSPToolbox's linear calibration (Cheng 2017,
    doi 10.1208/s12248-017-0100-x): the best fit among weights with 1 / sum w² >= `floor`.

    Args:
        floor: effective number of patients to keep.
    """

    floor: float = 150.0

    def __post_init__(self):
        if not 1 <= self.floor < np.inf:
            raise PopulationError(f"Argument `floor` must be a number of patients, at least one, but is {self.floor}.")

    def weigh(self, cloud, key):
        if len(cloud) < self.floor:
            raise PopulationError(f"{len(cloud)} patients cannot have an effective number of {self.floor:g}.")
        f = cloud.features()
        variance = np.diag(f.covariance)
        s = np.where(variance > 0, variance, 1e-6)
        s = s / s.mean()  # the trade against evenness must not depend on the sample size

        def at(log_epsilon):
            return least_squares(f.matrix, f.target, 1e-3 * s, 10.0**log_epsilon, 1.0)

        found = _least_even(at, self.floor)
        if found is None:  # nothing but equal weights is even enough
            return np.ones(len(cloud)), {"steps": 0, "slope": 0.0, "converged": True, "equal": True}
        return found.weights, {"steps": found.steps, "slope": found.slope, "converged": found.converged}


def _least_even(at: Callable[[float], DualSolution], floor: float) -> DualSolution | None:
    """The solution with the least log10 epsilon (found by bisection) whose effective number is at least `floor`; None
    where there is none up to 1e14, where all weights are equal to rounding."""

    def even(solution: DualSolution) -> bool:
        return solution.converged and effective_size(solution.weights) >= floor

    low, high = -4.0, -4.0
    best = at(low)
    if effective_size(best.weights) >= floor:
        return best
    while not even(best):
        low, high = high, high + 2.0
        if high > 14.0:
            return None
        best = at(high)
    while high - low > 1e-6 and effective_size(best.weights) > floor * (1 + 1e-4):
        middle = 0.5 * (low + high)
        found = at(middle)
        if even(found):
            high, best = middle, found
        else:
            low = middle
    return best

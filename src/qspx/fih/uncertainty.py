"""Interval of a threshold dose: which subjects were sampled, and how well the typical parameters are known.

The population is resampled (bootstrap over subjects). Where a distribution of the typical values is given, each draw
shifts the parameters of a part of the population by draw / typical value, and the dose is found again around the
first answer.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .._errors import DoseError
from .._random import as_key
from ..cohort import Cohort
from ..distributions import Joint
from ..dosing import Regimen
from ..model import AbstractModel
from ..summaries import AbstractSummary
from .dose_response import DoseResponses
from .threshold import ThresholdDose, interpolated_dose

LEVELS = (0.1, 0.5, 2.0, 10.0)  # dose levels around the first answer; curves are nearly straight on log axes


@dataclasses.dataclass(frozen=True)
class TypicalValueUncertainty:
    """How well the typical parameter values are known, and how finely that is carried to the dose.

    Args:
        distribution: of the typical values, by parameter name.
        draws: number of draws.
        subjects: number of subjects simulated per draw (the first ones of the population).
    """

    distribution: Joint
    draws: int = 20
    subjects: int = 40

    def __post_init__(self):
        for name in ("draws", "subjects"):
            if getattr(self, name) < 2:
                raise DoseError(f"Argument `{name}` must be at least 2, but {getattr(self, name)} was given.")

    def shifted(self, model: AbstractModel, population: Cohort, key: Any) -> Cohort:
        """Draws x subjects as one cohort: subject j of draw k is row k * subjects + j."""
        n = min(self.subjects, len(population))
        names = self.distribution.names
        draws = np.asarray(self.distribution.sample(key, np.arange(self.draws)))
        columns = [model.parameter_index(name) for name in names]
        typical = model.theta[columns]
        if np.any(typical <= 0):
            name = names[int(np.argmin(typical))]
            raise DoseError(f"the typical value of `{name}` is not positive, so its uncertainty cannot be a factor.")
        theta = np.repeat(population.theta[None, :n], self.draws, axis=0)
        theta[:, :, columns] *= (draws / typical)[:, None, :]
        status, weights = np.tile(population.status[:n], self.draws), np.tile(population.weights[:n], self.draws)
        return Cohort(
            model,
            theta.reshape(-1, theta.shape[-1]),
            status,
            weights,
            seed=population.seed,
            origin=f"{self.draws} draws of typical values x {n} subjects",
        )


def population_doses(found: ThresholdDose, q: float, tau: float, key: Any, samples: int = 500) -> np.ndarray:
    """Bootstrap over subjects: threshold doses of resampled populations, shape (samples,)."""
    rng = _generator(key)
    n = found.response.values.shape[1]
    near = _near(found)
    return np.array([interpolated_dose(near, q, tau, rng.integers(0, n, n)) for _ in range(samples)])


def _near(found: ThresholdDose):
    """The response at the levels within 30-fold of the answer: resampling needs no more."""
    r = found.response
    keep = np.abs(np.log(r.levels / found.dose)) <= np.log(30)
    return dataclasses.replace(r, levels=r.levels[keep], values=r.values[keep]) if keep.sum() >= 3 else r


def typical_value_doses(
    found: ThresholdDose,
    uncertainty: TypicalValueUncertainty,
    responses: DoseResponses,
    regimen: Regimen,
    metric: AbstractSummary,
    q: float,
    tau: float,
    key: Any,
) -> tuple[np.ndarray, int]:
    """(threshold dose per draw (draws,), number of draws that met the end of the range).

    A draw acts as a factor: the dose of its shifted subjects over that of the same subjects unshifted. Few subjects
    give a biased quantile, but the bias is the same above and below the line. The factor multiplies the dose of a
    resampled whole population.
    """
    cohort = uncertainty.shifted(responses.model, responses.population, key)
    around = responses.around(cohort, tuple(found.dose * x for x in LEVELS))
    response = around.get(regimen, metric)
    responses.runs += around.take_runs()
    n = len(cohort) // uncertainty.draws
    rows = np.arange(n)
    shifted = np.array([interpolated_dose(response, q, tau, k * n + rows) for k in range(uncertainty.draws)])
    ends = np.isclose(shifted, response.levels[0]) | np.isclose(shifted, response.levels[-1])
    factors = shifted / interpolated_dose(_near(found), q, tau, rows)
    return factors * population_doses(found, q, tau, key, uncertainty.draws), int(ends.sum())


def _generator(key: Any) -> np.random.Generator:
    import jax

    return np.random.default_rng(np.asarray(jax.random.key_data(as_key(key))).ravel())

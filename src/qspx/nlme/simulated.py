"""New measurements from a fit, for the same design: what visual predictive checks compare the data with."""

from __future__ import annotations

from typing import Any

import numpy as np

from qspx._errors import CalibrationError
from qspx._status import Status
from qspx.nlme.base import PopulationObjective
from qspx.nlme.population_fit import PopulationFit

_AT_ONCE = 2_000  # solves in one call of the integrator


def simulate_measurements(fit: PopulationFit, n: int, *, key: int, residual: bool = True) -> np.ndarray:
    """Replicates of the measurements, shape (n, measurements), in the units of the observables: new random effects for
    every individual with its own doses and covariates, and new residual errors. NaN where a solve failed."""
    return simulate_at(fit.objective, fit.x, n, key=key, residual=residual)


def simulate_at(
    objective: PopulationObjective, x: np.ndarray, n: int, *, key: int, residual: bool = True
) -> np.ndarray:
    """The same at coordinates x (coordinates,), for studies of designs and of methods."""
    if n < 1:
        raise CalibrationError(f"Argument `n` must be >= 1, but {n} was given.")
    problem, individuals = objective.problem, objective.individuals
    rng = np.random.default_rng(key)
    draws = rng.normal(size=(n, len(problem.data), len(problem.omega)))
    noise = rng.normal(size=(n, *individuals.shape))
    found = np.empty((n, len(problem.data.value)))
    chunk = max(1, min(n, _AT_ONCE // len(problem.data)))
    for first in range(0, n, chunk):
        part = slice(first, first + chunk)
        z = np.concatenate([draws[part], draws[: chunk - len(draws[part])]])  # of one shape, compiled once
        f, status = (np.asarray(a) for a in individuals.many_predictions(objective.u(x, z)))
        for k in range(len(draws[part])):
            found[first + k] = _measured(objective, x, f[k], status[k], noise[first + k] if residual else None)
    return found


def _measured(objective: PopulationObjective, x: np.ndarray, f: np.ndarray, status: np.ndarray, noise: Any):
    problem, individuals = objective.problem, objective.individuals
    data = problem.data
    if noise is not None:
        f = f + np.sqrt(np.asarray(individuals.variance(x, f, individuals.rows.endpoint))) * noise
    values = f[individuals.place]
    logarithmic = problem.logarithmic[data.endpoint]
    values = np.where(logarithmic, np.exp(np.where(logarithmic, values, 0.0)), values)
    return np.where(status[data.individual] == Status.OK, values, np.nan)

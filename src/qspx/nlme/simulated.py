"""New measurements from a fit, for the same design: what visual predictive checks compare the data with."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from qspx._errors import CalibrationError
from qspx._status import Status
from qspx.nlme.base import PopulationObjective
from qspx.nlme.population_fit import PopulationFit

if TYPE_CHECKING:
    import pandas as pd

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


@dataclasses.dataclass(frozen=True, eq=False)
class VisualPredictiveCheck:
    """Percentiles of the data over time, and between which they lie in replicates of the fit.

    Args:
        frame: one row per observable, bin of time and percentile: observable, time (median of the bin), percentile,
            observed, low, median, high (2.5, 50 and 97.5 % of the replicates), measurements.
        points: the data, as shown: observable, time, value.
        corrected: whether values are corrected for the prediction.
        failed: share of simulated measurements without a solve.
        units: of the observables, and of "time".
    """

    frame: pd.DataFrame
    points: pd.DataFrame
    corrected: bool
    failed: float
    units: dict[str, str]

    @property
    def share_inside(self) -> float:
        """Share of the observed percentiles that lie inside their 95 % intervals."""
        observed, low, high = (np.asarray(self.frame[c], dtype=float) for c in ("observed", "low", "high"))
        return float(((observed >= low) & (observed <= high)).mean())

    def plot(self, observable: str | None = None, ax: Any = None) -> Any:
        """Data, observed percentiles and intervals of one observable (default: the first). Returns the Axes."""
        from qspx.nlme.plots import plot_check

        return plot_check(self, observable, ax)


def visual_predictive_check(
    fit: PopulationFit,
    *,
    n: int = 200,
    key: int = 0,
    bins: int = 8,
    percentiles: tuple[float, ...] = (5.0, 50.0, 95.0),
    corrected: bool = False,
) -> VisualPredictiveCheck:
    """Visual predictive check.

    Args:
        fit: the fit.
        n: replicates.
        key: seed.
        bins: of time, with about as many measurements each; nominal times stay together.
        percentiles: to compare.
        corrected: divide by the prediction without random effects and multiply by its median in the bin (Bergstrand et
            al., AAPS J 2011;13:143-151, doi:10.1208/s12248-011-9255-z), for data with several doses or covariates.

    Censored measurements are left out, in data and replicates alike.
    """
    import pandas as pd

    data = fit.problem.data
    simulated = simulate_measurements(fit, n, key=key)
    predicted = fit.individuals.residuals["PRED"].to_numpy()
    rows, points = [], []
    for k, name in enumerate(data.endpoints):
        mine = np.flatnonzero((data.endpoint == k) & (data.censored == 0) & (~corrected | (predicted > 0)))
        for inside in _bins(data.time[mine], bins):
            at = mine[inside]
            factor = np.median(predicted[at]) / predicted[at] if corrected else np.ones(len(at))
            seen, replicates = data.value[at] * factor, simulated[:, at] * factor
            points.append(pd.DataFrame({"observable": name, "time": data.time[at], "value": seen}))
            levels = np.nanpercentile(replicates, percentiles, axis=1)
            for p, observed, level in zip(percentiles, np.percentile(seen, percentiles), levels, strict=True):
                low, middle, high = np.nanpercentile(level, [2.5, 50, 97.5])
                rows.append((name, float(np.median(data.time[at])), p, observed, low, middle, high, len(at)))
    names = ["observable", "time", "percentile", "observed", "low", "median", "high", "measurements"]
    units = {e: data.model.outputs[e].unit for e in data.endpoints} | {"time": data.model.time_unit}
    failed = float(np.isnan(simulated).mean())
    return VisualPredictiveCheck(pd.DataFrame(rows, columns=names), pd.concat(points), corrected, failed, units)


def _bins(time: np.ndarray, bins: int) -> list[np.ndarray]:
    """Numbers of the measurements in each bin."""
    edges = np.unique(np.quantile(time, np.linspace(0, 1, bins + 1), method="lower"))
    which = np.clip(np.searchsorted(edges, time, side="right") - 1, 0, max(0, len(edges) - 2))
    return [np.flatnonzero(which == k) for k in range(max(1, len(edges) - 1)) if (which == k).any()]

"""Normalised prediction distribution errors: where measurements lie in the distribution that the fit predicts.

Replicates of an individual's measurements have a mean E and a covariance V = C Cᵀ. Measurements and replicates are
freed of both, C⁻¹ (y - E); the share of replicates below the measurement, through the inverse normal distribution
function, is NPDE: uncorrelated and standard normal where the model is true. Without the decorrelation it is NPD, which
belongs to its own time, but whose values in one individual hang together.

Brendel et al., Pharm Res 2006;23:2036-2049 (doi:10.1007/s11095-006-9067-5); Comets, Brendel & Mentré, Comput Methods
Programs Biomed 2008;90:154-166 (doi:10.1016/j.cmpb.2007.12.002). A censored value is drawn from the part of its
distribution beyond the limit: Nguyen et al., J Pharmacokinet Pharmacodyn 2012 (doi:10.1007/s10928-012-9264-2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from qspx.nlme.checks import of_kind, whole
from qspx.nlme.population_fit import PopulationFit
from qspx.nlme.simulated import simulate_measurements

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 100  # replicates


def npde(fit: PopulationFit, *, n: int = 1000, key: int = 0) -> pd.DataFrame:
    """One row per measurement: ID, TIME, observable, DV, CENS, NPD and NPDE. To be plotted against TIME and covariates,
    and compared with the normal distribution, as by `scipy.stats.kstest(frame["NPDE"], "norm")`. NaN for individuals
    with fewer replicates that were solved than twice their measurements, or with a covariance that is not positive
    definite.

    Args:
        fit: the fit.
        n: replicates; the largest error that can be seen is the quantile of 1 - 1/2n.
        key: seed.
    """
    of_kind(fit, PopulationFit, "fit", "Make one by fit_population(problem).")
    whole(n, FEWEST, "n")
    data = fit.problem.data
    logarithmic = fit.problem.logarithmic[data.endpoint]
    simulated, value = simulate_measurements(fit, n, key=key), data.value
    simulated = np.where(logarithmic, np.log(np.where(logarithmic, simulated, 1.0)), simulated)
    value = np.where(logarithmic, np.log(np.where(logarithmic, value, 1.0)), value)
    rng = np.random.default_rng([key, 1])
    frame = data.to_frame().loc[:, ["ID", "TIME", "observable", "DV", "CENS"]]
    found = np.full((2, len(value)), np.nan)
    for i in range(len(data)):
        mine = np.flatnonzero(data.individual == i)
        draws = simulated[:, mine]
        draws = draws[np.isfinite(draws).all(axis=1)]
        if len(mine) and len(draws) >= 2 * len(mine):
            found[:, mine] = _errors(_drawn(value[mine], data.censored[mine], draws, rng), draws)
    frame["NPD"], frame["NPDE"] = found
    return frame


def _drawn(value: np.ndarray, censored: np.ndarray, draws: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Values (m,), with those that are censored drawn from `draws` (replicates, m) beyond their limit."""
    found = value.copy()
    for j in np.flatnonzero(censored != 0):
        below = float((draws[:, j] < value[j]).mean())
        at = rng.uniform(0.0, below) if censored[j] < 0 else rng.uniform(below, 1.0)
        found[j] = np.quantile(draws[:, j], at)
    return found


def _errors(value: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """(NPD and NPDE, m) of one individual's measurements (m,), for `draws` (replicates, m)."""
    mean, covariance = draws.mean(axis=0), np.atleast_2d(np.cov(draws.T))
    plain = _normal(value, draws)
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return np.stack([plain, np.full(len(value), np.nan)])
    freed = np.linalg.solve(factor, np.concatenate([value[None], draws]).T - mean[:, None]).T
    return np.stack([plain, _normal(freed[0], freed[1:])])


def _normal(value: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The share of draws below each value, (m,), as a quantile of the normal distribution."""
    n = len(draws)
    return ndtri(np.clip((draws < value).mean(axis=0), 0.5 / n, 1 - 0.5 / n))

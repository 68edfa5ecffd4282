"""Prevalence weights by the ratio of densities, after Klinke 2008 (Ann Biomed Eng 36:321).

    w_i ∝ density of the target at y_i / density of the patients at y_i

Both by Gaussian kernels on standardised logarithms (the target's own density where it is a law). The largest ratios
are replaced by quantiles of a generalised Pareto law fitted to them (Vehtari 2024, arXiv 1507.02646): its shape k above
0.7 says that the patients do not cover the target.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy.stats import gaussian_kde

from qspx.vpop.laws import Rows
from qspx.vpop.outputs import PopulationError
from qspx.vpop.weighting import AbstractWeighting


@dataclasses.dataclass(frozen=True)
class DensityRatio(AbstractWeighting):
    """Klinke 2008 with smoothed tails.

    Args:
        bandwidth: factor on the standard deviation of the points; None is Scott's rule.
    """

    bandwidth: float | None = None

    def __post_init__(self):
        if self.bandwidth is not None and not 0 < self.bandwidth < math.inf:
            raise PopulationError(f"Argument `bandwidth` must be finite and > 0, but is {self.bandwidth}.")

    def weigh(self, cloud, key):
        law = cloud.law()
        values = cloud.columns(law.names)
        z = law.positive_scores(values)
        if isinstance(law, Rows):
            log_target = gaussian_kde(law.people.T, self.bandwidth).logpdf(z.T)
        else:
            log_target = law.fitted.log_density(values)
        log_ratio = log_target - gaussian_kde(z.T, self.bandwidth).logpdf(z.T)
        weights, shape = smoothed(log_ratio)
        return weights, {"pareto_shape": shape, "covers": bool(shape < 0.7)}


def smoothed(log_ratio: np.ndarray) -> tuple[np.ndarray, float]:
    """Ratios with a Pareto-smoothed tail, and the tail's shape (NaN where there are too few for a fit)."""
    ratio = np.exp(log_ratio - log_ratio.max())
    n = len(ratio)
    tail = int(min(math.ceil(0.2 * n), math.ceil(3 * math.sqrt(n))))
    order = np.argsort(ratio, kind="stable")
    largest, cut = order[-tail:], ratio[order[-tail - 1]] if n > tail else 0.0
    excess = ratio[largest] - cut
    if tail < 5 or excess[-1] <= 0 or np.quantile(excess, 0.25) <= 0:
        return ratio, math.nan
    shape, scale = _pareto(excess)
    p = (np.arange(tail) + 0.5) / tail
    quantiles = scale * (np.expm1(-shape * np.log1p(-p)) / shape if abs(shape) > 1e-8 else -np.log1p(-p))
    ratio = ratio.copy()
    ratio[largest] = np.minimum(cut + quantiles, ratio.max())
    return ratio, shape


def _pareto(x: np.ndarray) -> tuple[float, float]:
    """Shape and scale of a generalised Pareto law for sorted excesses (Zhang and Stephens 2009, doi
    10.1198/tech.2009.08017), with the weak prior of Vehtari 2024."""
    n = len(x)
    m = 30 + int(math.sqrt(n))
    b = 1 / x[-1] + (1 - np.sqrt(m / (np.arange(1, m + 1) - 0.5))) / (3 * x[int(n / 4 + 0.5) - 1])
    k = np.log1p(-b[:, None] * x).mean(axis=1)
    log_l = n * (np.log(-b / k) - k - 1)
    w = 1 / np.exp(log_l - log_l[:, None]).sum(axis=1)
    b_mean = float(w @ b / w.sum())
    shape = float(np.log1p(-b_mean * x).mean())
    scale = -shape / b_mean
    return (n * shape + 5.0) / (n + 10), scale

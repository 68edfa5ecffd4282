"""Composite goodness of fit: one p-value per statistic of a population, and one for all of them.

As in MAPEL (Schmidt 2013, doi 10.1186/1471-2105-14-221) and QSPToolbox.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import stats

from qspx.vpop.diagnostics import weighted_correlation
from qspx.vpop.laws import AbstractLaw
from qspx.vpop.targets import in_bins


def composite_p(p: np.ndarray) -> float:
    """Fisher's method: -2 sum ln p is chi-squared with 2 K degrees of freedom."""
    p = np.asarray(p, float)
    return float(stats.chi2.sf(-2 * np.log(np.maximum(p, 1e-300)).sum(), 2 * len(p)))


def p_values(
    law: AbstractLaw, z: np.ndarray, weights: np.ndarray, people: float, patients: float
) -> Mapping[str, float]:
    """By statistic: means (t test, pooled), SDs (F ratio, two-sided), deciles (chi-squared of a 2 x 10 table), and
    correlations (Fisher's z) of weighted scores `z` (subjects, M), counted as `patients`, against `people`."""
    w = weights / weights.sum()
    mean = w @ z
    variance = w @ (z - mean) ** 2
    found: dict[str, float] = {}
    target = law.fitted.correlation
    edges = stats.norm.ppf(np.linspace(0, 1, 11))
    correlation = weighted_correlation(z, w)
    for j, name in enumerate(law.names):
        pooled = ((people - 1) + (patients - 1) * variance[j]) / (people + patients - 2)
        t = mean[j] / np.sqrt(pooled * (1 / people + 1 / patients))
        found[f"{name}: mean"] = float(2 * stats.t.sf(abs(t), people + patients - 2))
        tail = stats.f.cdf(variance[j], patients - 1, people - 1)
        found[f"{name}: sd"] = float(2 * min(tail, 1 - tail))
        below = np.diff([law.shares_below(np.array([e]), j)[0][0] for e in edges])
        table = np.stack([people * below, patients * (w @ in_bins(z[:, j], edges))])
        expected = table.sum(axis=0) * table.sum(axis=1, keepdims=True) / table.sum()
        used = expected > 0
        square = ((table - expected)[used] ** 2 / expected[used]).sum()
        found[f"{name}: deciles"] = float(stats.chi2.sf(square, 9))
    for i, j in zip(*np.triu_indices(len(law.names), 1), strict=True):
        difference = np.arctanh(np.clip(correlation[i, j], -1 + 1e-12, 1 - 1e-12)) - np.arctanh(target[i, j])
        error = np.sqrt(1 / max(people - 3, 1) + 1 / max(patients - 3, 1))
        found[f"{law.names[i]} x {law.names[j]}"] = float(2 * stats.norm.sf(abs(difference) / error))
    return found

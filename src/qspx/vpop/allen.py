"""Acceptance/rejection, Allen, Rieger and Musante 2016 (doi 10.1002/psp4.12063), as coded for Rieger 2018.

    p_i = density of the target at y_i / density of the patients at y_i;   select i where U_i < beta p_i

The density of the patients is that of the k nearest, the patient itself counted; one scale `beta` is found by simulated
annealing so that the sum of Kolmogorov-Smirnov distances is small. The published population is the best of 100
selections: both that and the median selection are in `details`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from scipy.spatial import KDTree
from scipy.special import gammaln, ndtr

from qspx.vpop.designs import generator
from qspx.vpop.laws import AbstractNormalLaw
from qspx.vpop.weighting import AbstractWeighting


def log_inclusion(law: AbstractNormalLaw, values: np.ndarray, k: int = 5) -> np.ndarray:
    """Log inclusion probability (beta = 1) of patients with outputs `values` (subjects, M), shape (subjects,)."""
    z, m = law.scores(values), len(law.names)
    nearest = KDTree(z).query(z, k=min(k, len(z)))[0]
    radius = nearest if nearest.ndim == 1 else nearest[:, -1]
    log_volume = m / 2 * math.log(math.pi) - gammaln(m / 2 + 1)
    with np.errstate(divide="ignore"):
        log_patients = math.log(k) - log_volume - m * np.log(radius)
    return law.log_density(values) - log_patients


def selection_ks(z: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function of selections (masks, shape (selections, subjects)): the sum over outputs of the KS distance of the
    selected from a standard normal; M where fewer than two are selected."""
    orders = np.argsort(z, axis=0, kind="stable")
    below = [ndtr(z[orders[:, j], j]) for j in range(z.shape[1])]

    def total(masks):
        count = masks.sum(axis=1)
        found = np.zeros(len(masks))
        for j, p in enumerate(below):
            picked = masks[:, orders[:, j]]
            after = np.cumsum(picked, axis=1) / np.maximum(count, 1)[:, None]
            above = np.where(picked, after - p, 0.0).max(axis=1)
            under = np.where(picked, p - after + 1.0 / np.maximum(count, 1)[:, None], 0.0).max(axis=1)
            found += np.maximum(above, under)
        return np.where(count < 2, float(z.shape[1]), found)

    return total


@dataclasses.dataclass(frozen=True)
class AcceptanceRejection(AbstractWeighting):
    """Allen 2016.

    Args:
        neighbours: k of the density of the patients.
        iterations: of the annealing for beta.
        best_of: selections of which the best one is kept; 1 keeps an honest single one.
    """

    neighbours: int = 5
    iterations: int = 1000
    best_of: int = 100

    def weigh(self, cloud, key):
        rng, law = generator(key), cloud.law().fitted
        values = cloud.columns(law.names)
        total = selection_ks(law.positive_scores(values))
        log_p = log_inclusion(law, values, self.neighbours)
        largest = log_p[np.isfinite(log_p)].max()
        # log10 beta from 1 / max p, searched between 0 and log10(1000 / max p), in logarithms that may be huge
        start, high = -largest / math.log(10), 3.0 - largest / math.log(10)
        low = min(0.0, high)

        def selections(log_beta, n):
            with np.errstate(over="ignore", under="ignore"):
                p = np.exp(np.minimum(log_p + log_beta * math.log(10), 0.0))
            return rng.random((n, len(p))) < p

        def objective(log_beta):
            return float(total(selections(log_beta, 10)).mean())

        best = _annealed(objective, min(max(start, low), high), low, high, self.iterations, rng)
        masks = selections(best, self.best_of)
        sums = total(masks)
        chosen = masks[int(np.argmin(sums))]
        details = {
            "log10_beta": float(best),
            "ks_best": float(sums.min()),
            "ks_median": float(np.median(sums)),
            "best_of": self.best_of,
        }
        return (chosen if chosen.any() else np.ones(len(log_p))).astype(float), details | {"empty": not chosen.any()}


def _annealed(objective, x: float, low: float, high: float, iterations: int, rng: np.random.Generator) -> float:
    """Boltzmann annealing of one number: temperature 0.5 / ln k, steps of its root, back inside by a random share."""
    value = objective(x)
    best, least = x, value
    for k in range(2, iterations + 2):
        temperature = 0.5 / math.log(k)
        tried = x + math.sqrt(temperature) * (1 if rng.random() < 0.5 else -1)
        if not low <= tried <= high:
            share = rng.random()
            tried = share * min(max(tried, low), high) + (1 - share) * x
        new = objective(tried)
        if new < value or rng.random() < 1 / (1 + math.exp(min((new - value) / temperature, 700.0))):
            x, value = tried, new
        if value < least:
            best, least = x, value
    return best

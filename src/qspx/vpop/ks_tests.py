"""Kolmogorov-Smirnov tests of weighted patients: one output against a distribution, two outputs against a plane.

The distances are those between weighted and target distribution functions; p-values are asymptotic, at the number that
the two samples together count for, N = patients people / (patients + people).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import kolmogorov, ndtr, owens_t

from qspx.vpop.comparisons import AbstractComparison, Statistic, weighted_correlation_of

# shares of people right of and above, right of, and above points (points, 2)
Quadrants = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


def together(patients: float, people: float) -> float:
    """Size of one sample that is as sure as two."""
    return patients if np.isinf(people) else patients * people / (patients + people)


class DistributionComparison(AbstractComparison):
    """Weighted one-dimensional KS test, with Stephens' correction for small samples (1970, doi
    10.1111/j.2517-6161.1970.tb00821.x).

    Args:
        x: output of the patients, shape (n,).
        shares_below: of a value (k,), the shares of people below it and not above it.
        people: their number.
    """

    def __init__(
        self,
        label: str,
        x: np.ndarray,
        shares_below: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
        people: float,
    ):
        self.label, self.people = label, people
        unique, self.place = np.unique(x, return_inverse=True)
        self.below, self.upto = shares_below(unique)

    def __call__(self, weights, count):
        patients = count(weights)
        mass = np.bincount(self.place, weights=weights, minlength=len(self.below)) / weights.sum()
        after = np.cumsum(mass)
        distance = float(max(np.abs(after - self.upto).max(), np.abs(after - mass - self.below).max()))
        root = np.sqrt(together(patients, self.people))
        p = float(kolmogorov((root + 0.12 + 0.11 / max(root, 1e-12)) * distance))
        return Statistic(self.label, "KS", distance, 0.0, patients, self.people, p)


class PlaneComparison(AbstractComparison):
    """Weighted two-dimensional KS test (Peacock 1983, doi 10.1093/mnras/202.3.615; Fasano and Franceschini 1987, doi
    10.1093/mnras/225.1.155): the largest difference of the shares in a quadrant, over the quadrants around the patients
    and around the people, averaged over the two. The p-value is their approximation, good below 0.2.

    Args:
        x: two outputs of the patients, shape (n, 2).
        people_at: points around which quadrants are looked at too, shape (m, 2): the people, or points of their law.
        quadrants: shares of people in the quadrants of points.
        correlation, people: of the people, and their number.
        most: points of either kind that are looked at.
    """

    def __init__(
        self,
        label: str,
        x: np.ndarray,
        people_at: np.ndarray,
        quadrants: Quadrants,
        correlation: float,
        people: float,
        most: int = 200,
    ):
        self.label, self.x, self.correlation, self.people = label, x, correlation, people
        mine, theirs = some(x, most), some(people_at, most)
        self.at = np.concatenate([mine, theirs])
        self.is_mine = np.arange(len(self.at)) < len(mine)
        self.theirs = quadrants(self.at)
        self.counts = QuadrantShares(x, self.at)

    def __call__(self, weights, count):
        patients = count(weights)
        w = weights / weights.sum()
        far = np.zeros(len(self.at))
        corner, right, up = self.counts(w)
        corner_p, right_p, up_p = self.theirs
        dc, dr, du = corner - corner_p, right - right_p, up - up_p
        for difference in (dc, dr - dc, du - dc, dr + du - dc):
            far = np.maximum(far, np.abs(difference))
        distance = float(far[self.is_mine].max() + far[~self.is_mine].max()) / 2
        root = np.sqrt(together(patients, self.people))
        squares = weighted_correlation_of(self.x, w) ** 2 + self.correlation**2
        spread = np.sqrt(max(1 - squares / 2, 0.0))
        p = float(kolmogorov(root * distance / max(1 + spread * (0.25 - 0.75 / max(root, 1e-12)), 1e-3)))
        return Statistic(self.label, "2-D KS", distance, 0.0, patients, self.people, p)


class QuadrantShares:
    """Weighted shares of points `x` (n, 2) right of and above, right of, and above each of `at` (k, 2), each (k,)."""

    def __init__(self, x: np.ndarray, at: np.ndarray):
        edges = [np.unique(at[:, j]) for j in (0, 1)]
        cells = [np.searchsorted(e, x[:, j], side="left") for j, e in enumerate(edges)]
        self.shape = (len(edges[0]) + 1, len(edges[1]) + 1)
        self.cell = cells[0] * self.shape[1] + cells[1]
        self.i, self.j = (np.searchsorted(e, at[:, j]) + 1 for j, e in enumerate(edges))

    def __call__(self, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        mass = np.bincount(self.cell, weights=w, minlength=self.shape[0] * self.shape[1]).reshape(self.shape)
        beyond = mass[::-1, ::-1].cumsum(axis=0).cumsum(axis=1)[::-1, ::-1]
        return beyond[self.i, self.j], beyond[self.i, 0], beyond[0, self.j]


def of_people(rows: np.ndarray) -> Quadrants:
    """Quadrants of a sample (m, 2)."""
    return lambda at: QuadrantShares(rows, at)(np.full(len(rows), 1 / len(rows)))


def of_normal(correlation: float) -> Quadrants:
    """Quadrants of two standard normal outputs, by Owen's T (1956, doi 10.1214/aoms/1177728074)."""

    def quadrants(at):
        h, k = (np.where(at[:, j] == 0, 1e-12, at[:, j]) for j in (0, 1))
        root = np.sqrt(1 - correlation**2)
        t = owens_t(h, (k / h - correlation) / root) + owens_t(k, (h / k - correlation) / root)
        below = 0.5 * (ndtr(h) + ndtr(k)) - t - np.where(h * k > 0, 0.0, 0.5)  # of both
        return 1 - ndtr(h) - ndtr(k) + below, ndtr(-h), ndtr(-k)

    return quadrants


def some(x: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the rows, the same ones whatever their order."""
    if len(x) <= most:
        return x
    order = np.lexsort(x.T[::-1])
    return x[order[np.linspace(0, len(x) - 1, most).round().astype(int)]]
